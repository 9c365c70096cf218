use std::{io::Cursor, path::Path};

use proptest::prelude::*;

use super::*;

const STATUS: &str = "\
Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Source: glibc (2.36)
Version: 2.36-9+deb12u8
Provides: libc6-2.36 (= 2.36)
Description: text
 Package: not-a-field
 .
Homepage: https://www.gnu.org/software/libc/libc.html

Package: curl
Status: install ok installed
Maintainer: nobody
Architecture: amd64
Version: 7.88.1-10+deb12u5
Depends: missing | libc6-2.36 (>= 2), libc6:any (>= 2.34),
 curl

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
";

fn debian() -> dpkg::Distribution {
    dpkg::Distribution { id: "debian".into(), version: Some("12".into()) }
}

fn header() -> Header {
    Header {
        client: "clinic-001".into(),
        host: "h".into(),
        created_s: 1_795_265_455,
        software: "provenanced 0.1.0".into(),
    }
}

#[test]
fn what_dpkg_has_installed_is_listed_with_what_it_needs() {
    let inventory = dpkg::parse(Cursor::new(STATUS), "status", &debian()).unwrap();
    let ids: Vec<&str> = inventory.packages.iter().map(|package| &*package.id).collect();
    assert_eq!(ids, ["/", "curl:amd64", "libc6:amd64"]);
    let [system, curl, libc] = &inventory.packages[..] else { panic!() };
    assert_eq!((&*system.needs, &*curl.needs, &*libc.needs), (&[1, 2][..], &[2][..], &[][..]));
    let purl = "pkg:deb/debian/curl@7.88.1-10%2Bdeb12u5?arch=amd64&distro=debian-12";
    assert_eq!(curl.purl.as_deref(), Some(purl));
    assert_eq!(curl.supplier, None, "no address, so nobody is named");
    let supplier = "Organization: GNU Libc Maintainers (debian-glibc@lists.debian.org)";
    assert_eq!(libc.supplier.as_deref(), Some(supplier));
    for format in [Format::Spdx, Format::CycloneDx] {
        let bytes = inventory.document(format, &header()).unwrap();
        assert_eq!(bytes, inventory.document(format, &header()).unwrap());
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("2026-11-21T12:50:55Z") && text.contains(purl), "{text}");
    }
}

const REPORT: &str = r#"{"packages":[
    {"ecosystem":"npm","name":"@acme/agent","version":"1.0.0+b","level":"verified",
     "files":[{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}],
     "evidence":[{"kind":"provenance","result":"detected"},{"kind":"provenance","result":"verified"}]},
    {"ecosystem":"npm","name":"@acme/agent","version":"1.0.0+b","level":"absent"},
    {"ecosystem":"pypi","name":"rfc8785","level":"detected","files":[{"digest":"none"},{"digest":"none"}],
     "evidence":[{"kind":"publish","result":"detected"},{"result":"mismatch"}],"more":1}],"verdict":"x"}"#;

fn attested(report: &str) -> Result<Inventory, String> {
    let mut inventory = dpkg::parse(Cursor::new(STATUS), "status", &debian()).unwrap();
    let read = inventory.attest(report.as_bytes(), Path::new("r.json"));
    read.map(|()| inventory).map_err(|error| error.to_string())
}

#[test]
fn packages_of_a_report_stand_behind_the_others_with_who_vouches() {
    let inventory = attested(REPORT).unwrap();
    let ids: Vec<&str> = inventory.packages.iter().map(|package| &*package.id).collect();
    let agent = "pkg:npm/%40acme/agent@1.0.0%2Bb";
    let second = format!("{agent}#2");
    assert_eq!(ids, ["/", "curl:amd64", "libc6:amd64", agent, &second, "pkg:pypi/rfc8785"]);
    assert_eq!(inventory.packages[0].needs, [1, 2, 3, 4, 5]);
    let coverage = inventory.coverage.as_ref().unwrap();
    assert_eq!(
        String::from_utf8(coverage.to_value().encode()).unwrap(),
        "{\"ecosystems\":{\"npm\":{\"absent\":1,\"verified\":1},\"pypi\":{\"detected\":1}},\
         \"kinds\":{\"provenance\":{\"verified\":1},\"publish\":{\"detected\":1}}}"
    );
    for format in [Format::Spdx, Format::CycloneDx] {
        let bytes = inventory.document(format, &header()).unwrap();
        let other =
            attested(&REPORT.replace("\"detected\",\"files", "\"absent\",\"files")).unwrap();
        assert_ne!(bytes, other.document(format, &header()).unwrap());
        assert_ne!(inventory.digest(), other.digest(), "the document's name says what it says");
        assert_eq!(provenance_verifier::sbom::defects(&bytes), Vec::<String>::new());
    }
    let bare = dpkg::parse(Cursor::new(STATUS), "status", &debian()).unwrap();
    let text = String::from_utf8(bare.document(Format::CycloneDx, &header()).unwrap()).unwrap();
    assert!(!text.contains("properties"), "{text}");
}

#[test]
fn a_report_that_is_none_is_refused_with_what_is_wrong() {
    for (from, to, expected) in [
        ("{\"packages\"", "{\"package\"", "verify-package --json"),
        ("\"verified\",", "\"good\",", "packages[0]: its level is none"),
        ("\"pypi\"", "\"cargo\"", "packages[2]: its ecosystem"),
        ("rfc8785", "", "packages[2]: its name"),
        ("1.0.0+b", "1\\n", "packages[0]: its name or version"),
        ("\"publish\"", "\"Pub\"", "packages[2]: the kind"),
        ("\"result\":\"mismatch\"", "\"result\":\"\"", "packages[2]: a piece"),
    ] {
        let bad = REPORT.replacen(from, to, 1);
        assert_ne!(bad, REPORT);
        let error = attested(&bad).unwrap_err();
        assert!(error.contains(expected) && error.starts_with("r.json"), "{to}: {error}");
    }
    let kinds: Vec<String> = (0..40)
        .map(|n| format!(r#"{{"kind":"k{}","result":"verified"}}"#, "x".repeat(n)))
        .map(|text| text.replace("kx", "k-x"))
        .collect();
    let many = REPORT.replace(r#"{"kind":"publish","result":"detected"}"#, &kinds.join(","));
    assert!(attested(&many).is_err());
}

#[test]
fn a_status_that_dpkg_does_not_write_is_refused_with_its_line() {
    for (change, to, line) in [
        ("Package: curl", "Package: Curl", 13),
        ("Package: curl", "Package: ../x", 13),
        ("Version: 7.88.1-10+deb12u5", "Version: 1 2", 13),
        ("Architecture: amd64\nVersion: 7", "Version: 7", 13),
        ("install ok installed\nMaintainer: nobody", "what", 13),
        ("Maintainer: nobody", "Package: again", 15),
        ("Maintainer: nobody", "no colon", 15),
    ] {
        let text = STATUS.replacen(change, to, 1);
        assert_ne!(text, STATUS);
        let error = dpkg::parse(Cursor::new(text), "status", &debian()).unwrap_err();
        let expected = format!("status line {line}: ");
        assert!(error.to_string().starts_with(&expected), "{to}: {error}");
    }
    let twice = format!("{STATUS}\n{STATUS}");
    assert!(dpkg::parse(Cursor::new(twice), "status", &debian()).is_err());
}

const A: &str = "8awgsig3l0cm7s69ji0nd0vpg0128xix-system-top-25.11";
const B: &str = "gbbwrwnxmhxpj00cp4rwzwcxs9ba7ncg-base-1.0";
const NAR: &str = "sha256-CkMIecJm+LV/QJKg+TXPP6zUi7zN5XYNR0jKQFFx6Wk=";

/// The same closure as each version of Nix prints it.
fn forms() -> [String; 4] {
    let s = "/nix/store/";
    [
        format!(
            r#"[{{"path":"{s}{A}","narHash":"{NAR}","references":["{s}{A}","{s}{B}"]}},{{"path":"{s}{B}","narHash":"{NAR}","references":[]}}]"#
        ),
        format!(
            r#"{{"{s}{A}":{{"narHash":"{NAR}","references":["{s}{B}"],"deriver":null,"ultimate":false}},"{s}{B}":{{"narHash":"{NAR}","references":[]}},"{s}{B}x":null}}"#
        ),
        format!(
            r#"{{"info":{{"{A}":{{"narHash":"{NAR}","references":["{B}"],"storeDir":"/nix/store","version":2}},"{B}":{{"narHash":"{NAR}","references":[]}}}},"storeDir":"/nix/store","version":2}}"#
        ),
        format!(
            r#"{{"version":3,"info":{{"{A}":{{"narHash":{{"algorithm":"sha256","format":"base64","hash":"{}"}},"references":["{B}"]}},"{B}":{{"narHash":"{NAR}","references":[]}}}}}}"#,
            NAR.trim_start_matches("sha256-")
        ),
    ]
}

#[test]
fn every_form_of_path_info_gives_one_inventory() {
    let read = |text: &String| nix_path_info::parse(text.as_bytes(), "x", None).unwrap();
    let all: Vec<Inventory> = forms().iter().map(read).collect();
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(all[0].packages.len(), 2);
    assert_eq!(all[0].root().unwrap().name, "system-top");
    let below =
        nix_path_info::parse(forms()[1].as_bytes(), "x", Some(&format!("/nix/store/{B}/bin")));
    assert_eq!(below.unwrap().packages.len(), 1);
}

#[test]
fn an_input_that_is_no_whole_closure_is_refused() {
    let [list, object, newer, _] = forms();
    let cases = [
        (
            object.replacen(
                &format!(r#","/nix/store/{B}":{{"narHash":"{NAR}","references":[]}}"#),
                "",
                1,
            ),
            "not in it",
        ),
        (list.replace("sha256-C", "sha512-C"), "NAR hash"),
        (list.replace(&format!("{B}\",\"narHash"), &format!("{A}\",\"narHash")), "twice"),
        (newer.replace("\"version\":2}", "\"version\":4}"), "newer"),
        (list.replace("/nix/store/8", "/nix/store/e"), "no store path"),
        ("{}".into(), "--system"),
        ("[".repeat(100_000), "x: "),
    ];
    for (text, expected) in cases {
        let error = nix_path_info::parse(text.as_bytes(), "x", None).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(at in 0usize..700, with in any::<u8>(), cut in 0usize..700) {
        let mut status = STATUS.as_bytes().to_vec();
        let place = at % status.len();
        status[place] = with;
        status.truncate(cut.max(1));
        if let Ok(inventory) = dpkg::parse(Cursor::new(&status), "status", &debian()) {
            for format in [Format::Spdx, Format::CycloneDx] {
                inventory.document(format, &header()).unwrap();
            }
        }
        for form in forms() {
            let mut form = form.into_bytes();
            let place = at % form.len();
            form[place] = with;
            let _ = nix_path_info::parse(&form, "x", None);
        }
    }
}

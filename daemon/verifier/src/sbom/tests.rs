use provenance_core::record::coverage::{ATTESTATION, COVERAGE};

use super::*;

const SPDX: &str = r#"{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"n","documentNamespace":"https://x.example/1","creationInfo":{"creators":["Tool: t"],"created":"2026-11-21T00:00:00Z"},"packages":[{"SPDXID":"SPDXRef-a","name":"a","versionInfo":"1","downloadLocation":"NOASSERTION","supplier":"NOASSERTION","checksums":[{"algorithm":"SHA256","checksumValue":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}],"externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:nix/a@1?output=bin"}]}],"relationships":[{"spdxElementId":"SPDXRef-DOCUMENT","relatedSpdxElement":"SPDXRef-a","relationshipType":"DESCRIBES"}]}"#;
const CDX: &str = r#"{"bomFormat":"CycloneDX","specVersion":"1.6","serialNumber":"urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79","version":1,"metadata":{"timestamp":"2026-11-21T00:00:00Z","component":{"type":"operating-system","bom-ref":"s","name":"s"}},"components":[{"type":"library","bom-ref":"a","name":"a","version":"1","purl":"pkg:nix/a@1?output=bin","hashes":[{"alg":"SHA-256","content":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}],"dependencies":[{"ref":"s","dependsOn":["a"]}]}"#;

fn findings(text: &str) -> Vec<String> {
    let mut report = Report::new();
    check(text.as_bytes(), "f", &mut report);
    report.findings().iter().map(|finding| finding.message.clone()).collect()
}

#[test]
fn a_good_document_has_no_finding_and_each_defect_has_one() {
    assert_eq!(findings(SPDX), Vec::<String>::new());
    assert_eq!(findings(CDX), Vec::<String>::new());
    for (from, to) in [
        ("SPDX-2.3", "SPDX-2.2"),
        ("CC0-1.0", "MIT"),
        ("\"SPDXRef-DOCUMENT\",\"name\":\"n\"", "\"SPDXRef-D\",\"name\":\"n\""),
        ("\"name\":\"n\"", "\"name\":\"\""),
        ("https://x.example/1", "https://x.example/1#"),
        ("Tool: t", "t"),
        ("2026-11-21T00:00:00Z", "2026-11-31T00:00:00Z"),
        ("\"SPDXID\":\"SPDXRef-a\"", "\"SPDXID\":\"SPDXRef-a_\""),
        ("\"NOASSERTION\",\"supplier\"", "\"\",\"supplier\""),
        ("\"supplier\":\"NOASSERTION\"", "\"supplier\":\"me\""),
        ("7852b855", "7852b85"),
        ("pkg:nix", "pkg_nix"),
        ("\"relatedSpdxElement\":\"SPDXRef-a\"", "\"relatedSpdxElement\":\"SPDXRef-b\""),
        ("DESCRIBES", "CONTAINS"),
        ("{\"spdxVersion\"", "{\"spdxVersion\":\"SPDX-2.3\",\"spdxVersion\""),
    ] {
        let bad = SPDX.replacen(from, to, 1);
        assert_ne!(bad, SPDX, "{from}");
        assert!(!findings(&bad).is_empty(), "{from} to {to}");
    }
    for (from, to) in [
        ("\"1.6\"", "\"1.5\""),
        ("\"CycloneDX\"", "\"cyclonedx\""),
        ("urn:uuid:3", "urn:uuid:"),
        ("2026-11-21T00:00:00Z", "yesterday"),
        ("\"bom-ref\":\"a\"", "\"bom-ref\":\"s\""),
        ("\"library\"", "\"lib\""),
        ("\"name\":\"a\"", "\"nam\":\"a\""),
        ("\"pkg:nix/a", "\"nix/a"),
        ("7852b855", "7852b85"),
        ("\"dependsOn\":[\"a\"]", "\"dependsOn\":[\"b\"]"),
        ("\"component\":", "\"components\":"),
    ] {
        let bad = CDX.replacen(from, to, 1);
        assert_ne!(bad, CDX, "{from}");
        assert!(!findings(&bad).is_empty(), "{from} to {to}");
    }
    for bad in ["", "{}", "[]", "{\"spdxVersion\":\"SPDX-2.3\",\"bomFormat\":\"CycloneDX\"}"] {
        assert_eq!(findings(bad).len(), 1, "{bad}");
    }
}

#[test]
fn what_vouches_for_packages_is_counted_again() {
    let told = r#"{"ecosystem":"npm","kinds":{"provenance":"verified"},"level":"verified"}"#;
    let sum = r#"{"ecosystems":{"npm":{"verified":1}},"kinds":{"provenance":{"verified":1}}}"#;
    let quoted = |text: &str| text.replace('"', "\\\"");
    let spdx = |told: &str, sum: &str| {
        let note = |name: &str, text: &str| {
            format!(r#""annotations":[{{"comment":"{name} {}"}}],"#, quoted(text))
        };
        SPDX.replace(r#""versionInfo""#, &format!("{}\"versionInfo\"", note(ATTESTATION, told)))
            .replace(r#""packages""#, &format!("{}\"packages\"", note(COVERAGE, sum)))
    };
    let cdx = |told: &str, sum: &str| {
        let note = |name: &str, text: &str| {
            format!(r#""properties":[{{"name":"{name}","value":"{}"}}],"#, quoted(text))
        };
        CDX.replace(r#""purl""#, &format!("{}\"purl\"", note(ATTESTATION, told)))
            .replace(r#""timestamp""#, &format!("{}\"timestamp\"", note(COVERAGE, sum)))
    };
    let absent = told.replace(r#"level":"verified"#, r#"level":"absent"#);
    for form in [&spdx as &dyn Fn(&str, &str) -> String, &cdx] {
        assert_eq!(findings(&form(told, sum)), Vec::<String>::new());
        for (told, sum) in [
            (told, "{}"),
            ("{}", sum),
            (told, "x"),
            (&absent, sum),
            (told, &sum.replace('1', "2")),
            (told, &sum.replace("npm", "pypi")),
            (told, r#"{"ecosystems":{},"kinds":{}}"#),
        ] {
            assert!(!findings(&form(told, sum)).is_empty(), "{told} {sum}");
        }
        // One of the two alone.
        assert!(!findings(&form(told, sum).replace(COVERAGE, "x")).is_empty());
        assert!(!findings(&form(told, sum).replace(ATTESTATION, "x")).is_empty());
    }
}

#[test]
fn two_documents_are_compared_by_name_version_and_digest() {
    let compare = |a: &str, b: &str| {
        let names = |text: &str| names(text.as_bytes()).unwrap();
        compare(&names(a), &names(b))
    };
    let other = SPDX.replace("\"versionInfo\":\"1\"", "\"versionInfo\":\"2\"");
    let rebuilt = SPDX.replace("7852b855", "7852b850");
    let one = |name: &str, version: &str| (name.to_owned(), version.to_owned());
    assert_eq!(compare(SPDX, SPDX), Difference { same: 1, ..Difference::default() });
    let changed = vec![("a (bin)".into(), "1".into(), "2".into())];
    assert_eq!(compare(SPDX, &other), Difference { changed, ..Difference::default() });
    let expected = Difference { rebuilt: vec![one("a (bin)", "1")], ..Difference::default() };
    assert_eq!(compare(SPDX, &rebuilt), expected);
    let expected = Difference { added: vec![one("s", "")], same: 1, ..Difference::default() };
    assert_eq!(compare(SPDX, CDX), expected);
    assert!(names(b"{}").is_err());
}

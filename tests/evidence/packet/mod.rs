//! Compliance packets: made by the real daemon, verified, damaged, forged.

mod browser;
mod documents;
mod elsewhere;
mod harness;
mod hostile;
mod page;
mod verifier;

use std::{fs, process::Command};

use provenance_core::{
    encoding::digest::Digest,
    packet::{CHECKPOINT, MANIFEST, POPULATION, REGISTRY, SIGNATURE, SIGSTORE, VERIFY},
    report::Verdict,
};

use crate::common::peers;
use harness::{PacketFixture, codes, pack, resign, unpack};

#[test]
fn a_packet_is_the_same_twice_and_verifies_and_its_export_is_on_record() {
    let fixture = PacketFixture::new();
    let (a, b) = (fixture.packet("a.zip"), fixture.packet("b.zip"));
    assert_eq!(fs::read(&a).unwrap(), fs::read(&b).unwrap());
    let report = provenance_audit::packet::verify(&a, &fixture.trust(), &mut |_| {}).unwrap();
    assert_eq!(report.verdict(), Verdict::Verified, "{:?}", report.findings());
    assert_eq!(report.count_checked("bundles"), 2);
    assert_eq!(report.count_checked("documents"), 2);
    // The proof beside the one is of the other's bytes too, but of its own record.
    let proof = fixture.path("a.zip.proof.json");
    let text = fs::read_to_string(&proof).unwrap();
    assert!(text.contains(&Digest::sha256(&fs::read(&a).unwrap()).to_hex()));
    fs::write(&proof, text.replacen("\"path\":[\"", "\"path\":[\"0", 1)).unwrap();
    let report = provenance_audit::packet::verify(&a, &fixture.trust(), &mut |_| {}).unwrap();
    assert_eq!(codes(&report), ["proof.inclusion"]);
    // The state folder with these records verifies as before.
    let config = fixture.text("p.toml");
    let period = harness::period();
    let period: Vec<&str> = period.iter().map(String::as_str).collect();
    let out = fixture.text("a.zip");
    let command = ["packet", "--config", &config, "--out", &out];
    let again = fixture.try_daemon(&[&command[..], &period].concat());
    assert_eq!(again.status.code(), Some(64), "a packet is never overwritten");
    let due = fixture.daemon(&["packet", "--config", &config, "--due"]);
    assert!(String::from_utf8_lossy(&due.stdout).contains("no packet fell due"));
}

#[test]
fn each_changed_byte_is_found_and_placed() {
    let fixture = PacketFixture::new();
    let good = fs::read(fixture.packet("a.zip")).unwrap();
    let files = entries(&good);
    // Some two thousand places spread over all of it, and every byte of the
    // first header and of the end. FLIP_ALL=1 takes every byte.
    let all = std::env::var_os("FLIP_ALL").is_some();
    let spread = (0..2_000).map(|n| n * 2_654_435_761 % good.len());
    let places: std::collections::BTreeSet<usize> = if all {
        (0..good.len()).collect()
    } else {
        spread.chain(0..50).chain(good.len() - 100..good.len()).collect()
    };
    let mut tried = 0;
    for at in places {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        let report = fixture.verify(&bad);
        assert_eq!(report.verdict(), Verdict::Failed, "byte {at} of {}", good.len());
        let name = files.iter().find(|(_, from, to)| (*from..*to).contains(&at));
        let placed = report.findings().iter().any(|finding| {
            let span = finding.place.bytes;
            let near = span.is_some_and(|(from, to)| (from..to).contains(&(at as u64)));
            near || name.is_some_and(|(name, ..)| finding.place.file.as_ref() == Some(name))
        });
        assert!(placed, "byte {at} in {name:?}: {:?}", report.findings());
        tried += 1;
    }
    assert!(tried > 1_500, "{tried} bytes");
}

/// Name and span, header included, of each file.
fn entries(bytes: &[u8]) -> Vec<(String, usize, usize)> {
    use provenance_core::packet::zip::{END, Entry, read_end};
    let (_, length, offset) = read_end(&bytes[bytes.len() - END..]).unwrap();
    let mut rest = &bytes[offset as usize..][..length as usize];
    let mut found = vec![];
    while let Some((entry, behind)) = Entry::read_central(rest) {
        found.push((entry.name.clone(), entry.offset as usize, entry.end() as usize));
        rest = behind;
    }
    found
}

#[test]
fn a_missing_and_an_extra_file_are_found_each() {
    let fixture = PacketFixture::new();
    let files = unpack(&fixture.packet("a.zip"));
    let own = [MANIFEST, SIGNATURE, SIGSTORE];
    let list = |without: &str, more: Option<&str>| {
        let mut list: Vec<(String, Vec<u8>)> = files
            .iter()
            .filter(|(name, _)| !own.contains(&name.as_str()) && *name != without)
            .map(|(name, bytes)| (name.clone(), bytes.clone()))
            .collect();
        list.extend(more.map(|name| (name.to_owned(), b"x".to_vec())));
        list.sort();
        list.extend(own.map(|name| (name.to_owned(), files[name].clone())));
        list
    };
    for name in files.keys().filter(|name| !own.contains(&name.as_str())) {
        let report = fixture.verify(&pack(&list(name, None)));
        assert!(codes(&report).contains(&"packet.missing_file"), "{name}: {:?}", codes(&report));
        let placed = report.findings().iter().any(|f| f.place.file.as_deref() == Some(name));
        assert!(placed, "{name}");
    }
    for name in ["a", "chain/2026/11/99.jsonl", "bundles/EB-20261121-0009/statement.json", "z"] {
        let report = fixture.verify(&pack(&list("", Some(name))));
        assert!(codes(&report).contains(&"packet.extra_file"), "{name}: {:?}", codes(&report));
    }
    let unsigned =
        list("", None).into_iter().filter(|(name, _)| name != SIGNATURE).collect::<Vec<_>>();
    assert!(codes(&fixture.verify(&pack(&unsigned))).contains(&"packet.missing_file"));
    let without =
        list("", None).into_iter().filter(|(name, _)| name != MANIFEST).collect::<Vec<_>>();
    assert_eq!(codes(&fixture.verify(&pack(&without))), ["packet.missing_file"]);
}

type Files = std::collections::BTreeMap<String, Vec<u8>>;

#[test]
fn who_has_the_key_cannot_leave_out_or_change_what_the_registry_knows() {
    let fixture = PacketFixture::new();
    let files = unpack(&fixture.packet("a.zip"));
    let signer = fixture.signer("signing");
    let report = fixture.verify(&resign(&files, &signer, |_| {}));
    assert_eq!(codes(&report), Vec::<&str>::new(), "{:?}", report.findings());
    assert_eq!(report.verdict(), Verdict::Verified);
    let other = fixture.verify(&resign(&files, &fixture.signer("other"), |_| {}));
    assert_eq!(codes(&other), ["bundle.key"]);

    let change = |expected: &str, alter: &dyn Fn(&mut Files)| {
        let mut changed = files.clone();
        alter(&mut changed);
        let report = fixture.verify(&resign(&changed, &signer, |_| {}));
        assert!(codes(&report).contains(&expected), "{expected}: {:?}", codes(&report));
    };
    let bundle = files.keys().find(|name| name.starts_with("bundles/")).unwrap();
    let folder = bundle.split_inclusive('/').take(2).collect::<String>();
    change("registry.missing_bundle", &|files| files.retain(|name, _| !name.starts_with(&folder)));
    change("bundle.file", &|files| files.retain(|name, _| !name.contains("artifacts/status")));
    change("bundle.digest", &|files| {
        let artifact = files.iter_mut().find(|(name, _)| name.contains("artifacts/status"));
        artifact.unwrap().1.push(b'x');
    });
    change("packet.malformed", &|files| {
        let text = String::from_utf8(files[POPULATION].clone()).unwrap();
        files.insert(
            POPULATION.into(),
            text.replace("\"expired\":false", "\"expired\":true").into(),
        );
    });
    change("packet.malformed", &|files| {
        files.insert("reviews.json".into(), b"[]\n".to_vec());
    });
    change("packet.missing_file", &|files| files.retain(|name, _| !name.starts_with("sboms/")));
    change("sbom.invalid", &|files| {
        let document = files.iter_mut().find(|(name, _)| name.ends_with(".spdx.json"));
        document.unwrap().1.pop();
    });
    change("registry.root", &|files| {
        let lines = files[REGISTRY].clone();
        let last = lines[..lines.len() - 1].iter().rposition(|c| *c == b'\n').unwrap();
        files.insert(REGISTRY.into(), lines[..=last].to_vec());
    });
    // The last record: nothing was chained to it yet.
    change("registry.root", &|files| {
        let text = String::from_utf8(files[REGISTRY].clone()).unwrap();
        files.insert(REGISTRY.into(), text.replace("\"who\":\"anna\"", "\"who\":\"otto\"").into());
    });
    change("registry.broken", &|files| {
        let text = String::from_utf8(files[REGISTRY].clone()).unwrap();
        let altered = text.replacen("\"software\":\"p", "\"software\":\"q", 1);
        assert_ne!(altered, text);
        files.insert(REGISTRY.into(), altered.into());
    });
    change("checkpoint.signature", &|files| {
        let text = String::from_utf8(files[CHECKPOINT].clone()).unwrap();
        files
            .insert(CHECKPOINT.into(), text.replace("— msp-provenance/clinic-001/h", "— x").into());
    });
}

#[test]
fn a_chain_cut_by_who_has_the_key_is_found_by_the_registry() {
    let fixture = PacketFixture::new();
    let files = unpack(&fixture.packet("a.zip"));
    let chain = files.keys().rfind(|name| name.starts_with("chain/")).unwrap().clone();
    let text = String::from_utf8(files[&chain].clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let kept = &lines[..lines.len() - 3];
    let mut cut = files.clone();
    cut.insert(chain, (kept.join("\n") + "\n").into_bytes());
    let last = kept.last().unwrap();
    let report = fixture.verify(&resign(&cut, &fixture.signer("signing"), |manifest| {
        manifest.chain.last.seq = manifest.chain.first.seq + kept.len() as u64 - 1;
        manifest.chain.last.hash = Digest::sha256(last.as_bytes());
    }));
    assert!(codes(&report).contains(&"chain.truncated"), "{:?}", codes(&report));
}

#[test]
fn the_commands_of_verify_md_pass_and_find_a_change() {
    let (Some(_), Some(cosign)) = (peers::find("jq"), peers::find("cosign")) else { return };
    let fixture = PacketFixture::new();
    let files = unpack(&fixture.packet("a.zip"));
    let folder = fixture.path("unpacked");
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    files.iter().for_each(|(name, bytes)| put(name, bytes));
    let text = String::from_utf8(files[VERIFY].clone()).unwrap();
    let commands: Vec<&str> =
        text.split("```sh\n").skip(1).map(|block| block.split("\n```").next().unwrap()).collect();
    assert!(commands.len() >= 12, "{commands:?}");
    let path = format!("{}:{}", cosign.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let run = |command: &str| {
        let mut bash = Command::new("bash");
        bash.args(["-e", "-o", "pipefail", "-c", command]).current_dir(&folder);
        bash.env("KEY", fixture.path("keys/signing.pub")).env("PATH", &path);
        bash.output().unwrap()
    };
    for command in &commands {
        let ran = run(command);
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{command}\n{}{said}", String::from_utf8_lossy(&ran.stdout));
    }
    // Every file changed, one after the other: some command finds it.
    for (name, bytes) in &files {
        let mut bad = bytes.clone();
        let middle = bad.len() / 2;
        bad[middle] = if bad[middle] == b'0' { b'1' } else { b'0' };
        put(name, &bad);
        let found = commands.iter().filter(|c| !c.starts_with("cosign") || name == SIGSTORE);
        let found = found.filter(|command| !run(command).status.success()).count();
        assert!(found > 0, "{name}");
        put(name, bytes);
    }
    put("more", b"x");
    assert!(commands.iter().any(|command| !run(command).status.success()));
}

#[test]
fn what_others_read_is_what_the_manifest_names() {
    let fixture = PacketFixture::new();
    let path = fixture.packet("a.zip");
    let files = unpack(&path);
    let manifest = provenance_core::packet::Manifest::parse(&files[MANIFEST]).unwrap();
    assert_eq!(manifest.files.len() + 3, files.len());
    for (name, sha256, _) in &manifest.files {
        assert_eq!(Digest::sha256(&files[name]), *sha256, "{name}");
    }
    let archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    assert!(archive.comment().is_empty());
}

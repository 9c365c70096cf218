//! A folder as storage: what every storage has in common.

use std::{fs, path::Path};

use super::harness::{Answer, StoreFixture, files, run, set_mode};
use crate::common::{
    programs::{PROVCTL, PROVENANCED, json, output_text},
    wait::{PATIENCE, holds, wait_for},
};

fn fixture() -> (StoreFixture, String) {
    let dir = tempfile::tempdir().unwrap().keep();
    let worm = dir.join("worm").display().to_string();
    (StoreFixture::new(&format!("[store]\nlocal = \"{worm}\"\n")), worm)
}

/// The folder's files can be changed again.
fn unlock(root: &Path) {
    for name in files(root) {
        let path = root.join(name);
        let file = fs::File::open(&path).unwrap();
        if let Ok(flags) = rustix::fs::ioctl_getflags(&file) {
            let _ = rustix::fs::ioctl_setflags(&file, flags - rustix::fs::IFlags::IMMUTABLE);
        }
        set_mode(&path, 0o644);
    }
}

fn remove(root: &str) {
    unlock(Path::new(root));
    fs::remove_dir_all(Path::new(root).parent().unwrap()).unwrap();
}

#[test]
fn the_copies_alone_verify_and_a_second_call_copies_nothing() {
    let (fixture, worm) = fixture();
    let first = fixture.store();
    assert!(first.status.success(), "{}", output_text(&first));
    let answer = json(&first);
    assert_eq!(answer["stores"][0]["runs"][0]["run"], 0);
    assert!(answer["stores"][0]["where"].as_str().unwrap().starts_with("file:"));
    let second = json(&fixture.store());
    assert_eq!(second["stores"][0]["runs"].as_array().unwrap().len(), 0, "{second}");

    let here = fixture.audit_state("state");
    let there = fixture.audit(&worm, &[]);
    assert_eq!((here.code, there.code), (0, 0), "{here:?} {there:?}");
    assert_eq!((&there.verdict, &there.head), (&"verified".to_owned(), &here.head));
    assert_eq!(there.value["checked"]["bundles"], 2);

    // What comes later is in a run of its own, with what is new of each file.
    fixture.tick("four");
    let third = json(&fixture.store());
    assert_eq!(third["stores"][0]["runs"][0]["run"], 1);
    let (here, there) = (fixture.audit_state("state"), fixture.audit(&worm, &[]));
    assert_eq!((there.code, &there.head), (0, &here.head), "{there:?}");
    assert_eq!(there.value["checked"]["runs"], 2);
    remove(&worm);
}

#[test]
fn a_lost_state_folder_is_rebuilt_and_goes_on_where_the_copies_ended() {
    let (fixture, worm) = fixture();
    assert!(fixture.store().status.success());
    fixture.tick("four");
    assert!(fixture.store().status.success());
    let before = fixture.audit_state("state");
    fs::rename(fixture.path("state"), fixture.path("lost")).unwrap();
    let (state, policy) = (fixture.text("state"), fixture.text("policy.toml"));
    let args = ["restore", "--from", &worm, "--to", &state, "--policy", &policy, "--json"];
    let restored = run(PROVENANCED, &args);
    assert_eq!(restored.status.code(), Some(0), "{}", output_text(&restored));
    let after = fixture.audit_state("state");
    assert_eq!((after.code, &after.head), (0, &before.head));
    for name in ["bundles", "keys"] {
        let (lost, made) = (fixture.path("lost").join(name), fixture.path("state").join(name));
        assert_eq!(files(&lost), files(&made));
        for file in files(&lost) {
            assert_eq!(fs::read(lost.join(&file)).unwrap(), fs::read(made.join(&file)).unwrap());
        }
    }
    // It is an appliance's again: it records, and copies into the same storage.
    fixture.tick("five");
    let store = fixture.store();
    assert!(store.status.success(), "{}", output_text(&store));
    let (here, there) = (fixture.audit_state("state"), fixture.audit(&worm, &[]));
    assert_eq!((there.code, &there.head), (0, &here.head), "{there:?}");
    // Not over what is there.
    assert_eq!(run(PROVENANCED, &args).status.code(), Some(64));
    remove(&worm);
}

#[test]
fn each_object_that_is_altered_missing_or_added_is_found() {
    let (fixture, worm) = fixture();
    assert!(fixture.store().status.success());
    fixture.tick("four");
    assert!(fixture.store().status.success());
    let root = Path::new(&worm);
    unlock(root);
    let names = files(root);
    assert!(names.len() > 20, "{names:?}");
    for name in &names {
        let path = root.join(name);
        let bytes = fs::read(&path).unwrap();
        let mut bad = bytes.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(&path, &bad).unwrap();
        let altered = fixture.audit(&worm, &[]);
        assert_eq!(altered.code, 1, "{name} altered: {altered:?}");
        fs::remove_file(&path).unwrap();
        let missing = fixture.audit(&worm, &[]);
        // Without its end the last run is one that is not finished yet.
        let last = name.contains("/0000000001/");
        let end = last && (name.ends_with("/checkpoint") || name.ends_with("/manifest.json.sig"));
        match end && missing.code != 1 {
            true => assert!(unfinished(&missing), "{name} missing: {missing:?}"),
            false => assert_eq!(missing.code, 1, "{name} missing: {missing:?}"),
        }
        fs::write(&path, &bytes).unwrap();
    }
    let base = names[0].split('/').take(3).collect::<Vec<_>>().join("/");
    for (name, code) in [
        ("0000000000/bundles/EB-20261121-0009/statement.json", "store.extra"),
        ("0000000001/chain/2026/11/20.jsonl", "store.extra"),
        ("stray", "store.extra"),
        ("0000000007/stray", "store.missing"),
    ] {
        let path = root.join(&base).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        let added = fixture.audit(&worm, &[]);
        assert_eq!((added.code, added.errors()), (1, vec![code.to_owned()]), "{name}");
        fs::remove_file(&path).unwrap();
        if name.contains("0007") {
            fs::remove_dir(path.parent().unwrap()).unwrap();
        }
    }
    assert_eq!(fixture.audit(&worm, &[]).code, 0);
    remove(&worm);
}

fn unfinished(answer: &Answer) -> bool {
    let gaps = answer.value["not_checked"].as_array().unwrap();
    gaps.iter().any(|gap| gap["why"].as_str().unwrap().contains("not finished"))
}

#[test]
fn killed_at_any_moment_the_storage_verifies_and_the_next_call_goes_on() {
    let (fixture, worm) = fixture();
    for (line, objects) in [("four", 1), ("five", 4), ("six", 9), ("seven", 16)] {
        let before = Path::new(&worm).exists().then(|| files(Path::new(&worm)).len());
        fixture.tick(line);
        fixture.with("bundle", &[]);
        let mut store = fixture.start_store();
        let enough = before.unwrap_or_default() + objects;
        wait_for("objects come", PATIENCE, || {
            let there = Path::new(&worm).exists().then(|| files(Path::new(&worm)).len());
            let there = there.unwrap_or_default();
            holds(there >= enough || store.try_wait().unwrap().is_some(), there)
        });
        let _ = store.kill();
        store.wait().unwrap();
        if before.is_some() {
            let there = fixture.audit(&worm, &[]);
            assert_eq!(there.code, 0, "killed after {objects}: {there:?}");
        }
        let next = fixture.store();
        assert!(next.status.success(), "{}", output_text(&next));
        let (here, there) = (fixture.audit_state("state"), fixture.audit(&worm, &[]));
        assert_eq!((there.code, &there.head), (0, &here.head), "{there:?}");
    }
    remove(&worm);
}

#[test]
fn a_run_whose_files_changed_before_its_end_is_given_up_and_repeated() {
    let (fixture, worm) = fixture();
    assert!(fixture.store().status.success());
    fixture.tick("four");
    fixture.with("bundle", &[]);
    // Something is in the way of one object.
    let bundle = names(&fixture.path("state/bundles")).pop().unwrap();
    let run = files(Path::new(&worm))[0].split('/').take(3).collect::<Vec<_>>().join("/");
    let proof = format!("{run}/0000000001/bundles/{bundle}/proof.json");
    let in_the_way = Path::new(&worm).join(&proof);
    fs::create_dir_all(&in_the_way).unwrap();
    assert_eq!(fixture.store().status.code(), Some(74));
    assert_eq!(fixture.audit(&worm, &[]).code, 0);
    fs::remove_dir(&in_the_way).unwrap();
    // Before it is out of the way, the proof is another one.
    let here = fixture.path("state/bundles").join(&bundle).join("proof.json");
    let before = fs::read(&here).unwrap();
    fs::remove_file(&here).unwrap();
    fixture.tick("five");
    fixture.with("bundle", &[]);
    assert_ne!(fs::read(&here).unwrap(), before);
    let answer = json(&fixture.store());
    assert_eq!(answer["stores"][0]["given_up"], serde_json::json!([1]), "{answer}");
    assert_eq!(answer["stores"][0]["runs"][0]["run"], 2);
    let (state, there) = (fixture.audit_state("state"), fixture.audit(&worm, &[]));
    assert_eq!((there.code, &there.head), (0, &state.head), "{there:?}");
    let gaps = there.value["not_checked"].as_array().unwrap();
    assert!(gaps.iter().any(|gap| gap["what"] == "run 1 of the copies"), "{gaps:?}");
    remove(&worm);
}

#[test]
fn a_state_folder_that_was_put_back_does_not_go_on_in_the_same_storage() {
    let (fixture, worm) = fixture();
    assert!(fixture.store().status.success());
    let old = fixture.path("old");
    copy(&fixture.path("state"), &old);
    fixture.tick("four");
    assert!(fixture.store().status.success());
    fs::remove_dir_all(fixture.path("state")).unwrap();
    copy(&old, &fixture.path("state"));
    fixture.tick("other");
    let refused = fixture.store();
    assert_eq!(refused.status.code(), Some(65), "{}", output_text(&refused));
    assert!(output_text(&refused).contains("provenanced restore"), "{}", output_text(&refused));
    remove(&worm);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

#[test]
fn a_run_that_somebody_else_added_is_found_and_not_part_of_the_state() {
    let (fixture, worm) = fixture();
    assert!(fixture.store().status.success());
    let root = Path::new(&worm);
    unlock(root);
    let base = files(root)[0].split('/').take(3).collect::<Vec<_>>().join("/");
    let bytes = fs::read(root.join(&base).join("0000000000/manifest.json")).unwrap();
    let mut forged: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let to = forged["registry"]["to"].as_u64().unwrap();
    let record = b"{}\n";
    let file = serde_json::json!({
        "bytes": record.len(), "days": 1, "from": 0, "name": "registry.jsonl",
        "sha256": provenance_core::encoding::digest::Digest::sha256(record).to_hex(),
    });
    forged["files"] = serde_json::json!([file]);
    forged["follows"] = serde_json::json!({
        "run": 0, "sha256": provenance_core::encoding::digest::Digest::sha256(&bytes).to_hex(),
    });
    forged["registry"]["from"] = to.into();
    forged["registry"]["to"] = (to + 1).into();
    for (run, signed) in [(1, false), (1, true), (9_999_999_999_u64, false)] {
        forged["run"] = run.into();
        forged["signed"] = signed.into();
        let folder = root.join(&base).join(format!("{run:010}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("registry.jsonl"), record).unwrap();
        fs::write(folder.join("manifest.json"), serde_json::to_vec(&forged).unwrap()).unwrap();
        let there = fixture.audit(&worm, &[]);
        let code = if signed { "store.missing" } else { "bundle.unsigned" };
        assert_eq!(there.code, 1, "{there:?}");
        assert!(there.errors().contains(&code.to_owned()), "{there:?}");
        assert!(there.errors().len() <= 2, "the one before is there still: {there:?}");
        assert_eq!(there.head, fixture.audit_state("state").head);
        if run > 1 {
            fs::remove_dir_all(folder).unwrap();
        }
    }
    // It neither ends ours nor keeps anybody from a state folder of them.
    fixture.tick("four");
    let next = json(&fixture.store());
    assert_eq!(next["stores"][0]["runs"][0]["run"], 2, "{next}");
    let (to, policy) = (fixture.text("again"), fixture.text("policy.toml"));
    let args = ["restore", "--from", &worm, "--to", &to, "--policy", &policy, "--json"];
    assert_eq!(run(PROVENANCED, &args).status.code(), Some(1));
    let (state, again) = (fixture.audit_state("state"), fixture.audit_state("again"));
    assert_eq!((again.code, &again.head), (0, &state.head), "{again:?}");
    remove(&worm);
}

#[test]
fn a_fleet_is_verified_and_one_that_fails_hides_no_other() {
    let worm = tempfile::tempdir().unwrap().keep().join("worm");
    let store = format!("[store]\nlocal = \"{}\"\n", worm.display());
    let fixtures =
        [StoreFixture::new(&store), StoreFixture::new(&store), StoreFixture::new(&store)];
    let policies = fixtures[0].path("policies");
    fs::create_dir(&policies).unwrap();
    for (n, fixture) in fixtures.iter().enumerate() {
        let client = format!("clinic-{n}");
        for name in ["p.toml", "policy.toml"] {
            let text = fs::read_to_string(fixture.path(name)).unwrap();
            fs::write(fixture.path(name), text.replace("clinic-001", &client)).unwrap();
        }
        // The state folder is of another client now: a new one.
        fs::remove_dir_all(fixture.path("state")).unwrap();
        fixture.tick("x");
        assert!(fixture.store().status.success());
        fs::copy(fixture.path("policy.toml"), policies.join(format!("{client}.toml"))).unwrap();
    }
    let address = worm.display().to_string();
    let fleet = |policies: &Path| {
        let policies = policies.display().to_string();
        run(PROVCTL, &["verify-fleet", &address, "--policy", &policies, "--json"])
    };
    let all = fleet(&policies);
    assert_eq!(all.status.code(), Some(0), "{}", output_text(&all));
    assert_eq!(json(&all)["counts"]["verified"], 3);

    unlock(&worm);
    let of = |n: usize| {
        let start = format!("clinic-{n}/");
        files(&worm).into_iter().filter(move |name| name.starts_with(&start))
    };
    let bad = of(1).find(|name| name.contains("/chain/")).unwrap();
    let text = fs::read_to_string(worm.join(&bad)).unwrap();
    fs::write(worm.join(&bad), text.replace("\"kind\":\"start\"", "\"kind\":\"stxrt\"")).unwrap();
    // One whose copies cannot be read at all.
    for name in of(2).filter(|name| name.ends_with("manifest.json")) {
        fs::remove_file(worm.join(name)).unwrap();
    }
    let some = fleet(&policies);
    assert_eq!(some.status.code(), Some(1), "{}", output_text(&some));
    let answer = json(&some);
    let verdicts: Vec<_> = answer["appliances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["verified", "failed", "unread"], "{answer}");
    assert_eq!(answer["clients"]["clinic-1"]["failed"], 1);
    assert!(answer["appliances"][1]["findings"]["store.digest"].as_u64() > Some(0));
    // Without a policy of its own nobody says whose one is.
    fs::remove_file(policies.join("clinic-0.toml")).unwrap();
    let less = json(&fleet(&policies));
    assert_eq!(less["appliances"][0]["verdict"], "inconclusive");
    remove(&address);
}

//! What is told of a folder, and what is not.

use std::{fs, os::unix::fs::symlink, process::Command};

use provenance_core::statement::countersignature::SIGNING_FILE;
use tempfile::TempDir;

use super::*;

fn folder() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("package");
    fs::create_dir_all(path.join("lib")).unwrap();
    fs::write(path.join("package.json"), "{}").unwrap();
    fs::write(path.join("lib/index.js"), "1").unwrap();
    symlink("lib/index.js", path.join("main")).unwrap();
    (dir, path)
}

/// What it is, and its digest.
fn read(path: &Path) -> Result<(TreeRoot, Digest), ContentsError> {
    let place = find(path)?;
    let digest = place.digest()?;
    Ok((place, digest))
}

fn why(path: &Path) -> String {
    read(path).unwrap_err().to_string()
}

#[test]
fn a_folders_digest_leaves_out_the_signing_file_at_its_top_and_no_other() {
    let (_dir, path) = folder();
    let (place, digest) = read(&path).unwrap();
    assert_eq!((place.kind, &*place.name), (Kind::Nar, "package"));
    let whole = rehash::read(&path).unwrap().unwrap();
    assert_eq!(digest, whole.nar);
    fs::write(&place.signing_file, "{}\n").unwrap();
    assert_eq!(read(&path).unwrap(), (place, digest));
    assert_ne!(rehash::read(&path).unwrap().unwrap().nar, whole.nar);
    // One further down is like any other file.
    fs::write(path.join("lib").join(SIGNING_FILE), "{}\n").unwrap();
    assert_ne!(read(&path).unwrap().1, digest);
}

#[test]
fn nothing_can_be_hidden_under_the_name_of_the_signing_file() {
    let (_dir, path) = folder();
    let name = path.join(SIGNING_FILE);
    fs::create_dir(&name).unwrap();
    assert!(why(&path).contains("and no file"));
    fs::remove_dir(&name).unwrap();
    symlink("lib/index.js", &name).unwrap();
    assert!(why(&path).contains("and no file"));
    assert!(signatures(&name).is_err());
    fs::remove_file(&name).unwrap();
    File::create(&name).unwrap().set_len(MAX_FILE as u64 + 1).unwrap();
    assert!(why(&path).contains("too long"));
    assert!(signatures(&name).unwrap_err().to_string().contains("too long"));
    fs::remove_file(&name).unwrap();
    fs::write(path.join(format!("{SIGNING_FILE}.tmp")), "x").unwrap();
    assert!(why(&path).contains("interrupted"));
}

#[test]
fn a_link_to_a_thing_is_followed_and_none_within_it() {
    let (dir, path) = folder();
    let link = dir.path().join("result");
    symlink("package", &link).unwrap();
    assert_eq!(read(&link).unwrap(), read(&path).unwrap());
    let before = read(&path).unwrap().1;
    fs::write(path.join("lib/other.js"), "2").unwrap();
    let with = read(&path).unwrap().1;
    fs::remove_file(path.join("main")).unwrap();
    symlink("lib/other.js", path.join("main")).unwrap();
    assert!(before != with && with != read(&path).unwrap().1);
}

#[test]
fn a_file_is_told_by_its_bytes_and_its_signatures_lie_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("packet.zip");
    fs::write(&path, "bytes").unwrap();
    let (place, digest) = read(&path).unwrap();
    assert_eq!((place.kind, digest), (Kind::File, Digest::sha256(b"bytes")));
    let beside = place.path.with_file_name("packet.zip.countersignatures.jsonl");
    assert_eq!(place.signing_file, beside);
    assert_eq!(signatures(&beside).unwrap(), None);
    assert!(!place.holds(&beside));
}

#[test]
fn what_is_no_file_or_too_much_is_refused() {
    let (dir, path) = folder();
    assert!(Command::new("mkfifo").arg(path.join("pipe")).status().unwrap().success());
    assert!(why(&path).contains("neither a file, a folder nor a link"));
    assert!(why(&path.join("pipe")).contains("neither a file nor a folder"));
    fs::remove_file(path.join("pipe")).unwrap();
    // It says that it is long, and takes no room.
    let long = File::create(path.join("long")).unwrap();
    long.set_len(MAX_BYTES + 1).unwrap();
    assert!(why(&path).contains("too many bytes"));
    assert!(matches!(find(&dir.path().join("none")), Err(ContentsError::Io { .. })));
}

#[test]
fn what_is_written_into_a_folder_would_be_a_part_of_it_but_for_the_signing_file() {
    let (dir, path) = folder();
    let place = find(&path).unwrap();
    assert!(place.holds(&path.join("request.json")));
    assert!(place.holds(&path.join("lib/../lib/request.json")));
    assert!(!place.holds(&path.join(SIGNING_FILE)));
    assert!(!place.holds(&dir.path().join("request.json")));
}

#[test]
fn the_number_of_entries_is_limited_over_all_folders() {
    let (_dir, path) = folder();
    let bounds = |entries| RehashLimits { entries, ..RehashLimits::NONE };
    // package.json, lib, lib/index.js, main
    assert!(rehash::read_within(&path, bounds(4)).is_ok());
    assert!(rehash::read_within(&path, bounds(3)).is_err());
}

//! `requirements.txt` with hashes, as pip reads it: `name==version` and
//! `--hash=sha256:…`, over lines that end in `\`.

use super::{Lock, lock::MAX_FILES};
use crate::{Artifact, Digests, Ecosystem, package_name::python};

pub(super) fn parse(text: &str) -> Result<Lock, String> {
    let mut lock = Lock::default();
    let mut whole = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(part) = line.strip_suffix('\\') {
            whole.push_str(part);
            whole.push(' ');
            continue;
        }
        whole.push_str(line);
        take(&whole, &mut lock).map_err(|why| format!("line {number}: {why}"))?;
        whole.clear();
        lock.full()?;
    }
    take(&whole, &mut lock)?;
    Ok(lock)
}

fn take(line: &str, lock: &mut Lock) -> Result<(), String> {
    // A remark begins a line, or comes after white space.
    let line = match line.find(" #").or_else(|| line.find("\t#")) {
        _ if line.trim_start().starts_with('#') => "",
        Some(at) => line.get(..at).unwrap_or_default(),
        None => line,
    };
    let line = line.trim();
    if let Some(option) = line.strip_prefix('-') {
        return match option.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default() {
            "r" | "requirement" => Err("it includes another file: give that too".into()),
            "e" | "editable" => {
                lock.unpinned
                    .push((format!("pypi:{}", shown(line)), "it is a folder or repository"));
                Ok(())
            }
            // Where pip looks, and what it constrains, pins nothing.
            _ => Ok(()),
        };
    }
    let Some(first) = line.split_whitespace().next() else { return Ok(()) };
    let requirement = line.split(" --").next().unwrap_or(first);
    let requirement = requirement.split(';').next().unwrap_or(requirement).trim();
    let mut files = vec![];
    for hash in line.split("--hash").skip(1) {
        let hash = hash.trim_start_matches(['=', ' ']);
        let hash = hash.split_whitespace().next().unwrap_or_default();
        let Some((kind, digest)) = hash.split_once(':') else {
            return Err(format!("no hash: {}", shown(hash)));
        };
        let mut digests = Digests::default();
        if digests.insert_hex(kind, digest) {
            files.push(Artifact { file: None, digests });
        }
    }
    let exact = requirement.split_once("==").map(|(name, version)| (name, version.trim()));
    let (name, version) = match exact {
        Some((name, version)) if !version.contains(['*', ',', '=', ' ']) => (name, Some(version)),
        _ => (
            requirement.split(['=', '<', '>', '!', '~', '@', ' ']).next().unwrap_or_default(),
            None,
        ),
    };
    // Without its extras.
    let name = python(name.split('[').next().unwrap_or_default().trim());
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || !name.chars().all(fine) {
        return Err(format!("no requirement: {}", shown(line)));
    }
    if files.is_empty() {
        lock.unpinned.push((format!("pypi:{name}"), "it has no hash that counts"));
    }
    for file in files.into_iter().take(MAX_FILES) {
        lock.pin(Ecosystem::Pypi, &name, version, file);
    }
    Ok(())
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

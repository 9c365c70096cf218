//! What packages and their files are called.

use crate::{Artifact, Ecosystem, Package, npm};

/// A project's name as PyPI compares it: lower case, with one `-` for each run
/// of `-`, `_` and `.`.
pub(crate) fn python(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// Project and version of a wheel's or a source archive's name.
pub(crate) fn of_python_file(file: &str) -> Option<(String, String)> {
    let (name, version) = match file.strip_suffix(".whl") {
        Some(stem) => {
            let parts: Vec<&str> = stem.split('-').collect();
            match parts[..] {
                [name, version, _, _, _] | [name, version, _, _, _, _] => (name, version),
                _ => return None,
            }
        }
        None => {
            let stem = [".tar.gz", ".zip"].iter().find_map(|end| file.strip_suffix(end))?;
            stem.rsplit_once('-')?
        }
    };
    let fine = !name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit());
    fine.then(|| (python(name), version.to_owned()))
}

/// What `npm pack` calls the tarball of a version.
pub(crate) fn npm_tarball(name: &str, version: &str) -> String {
    format!("{}-{version}.tgz", name.trim_start_matches('@').replace('/', "-"))
}

/// Whether two names of Python's files mean one file: the project's name may
/// be spelled in several ways.
pub(crate) fn same_python_file(a: &str, b: &str) -> bool {
    let apart = |file: &str| {
        let (name, version) = of_python_file(file)?;
        let rest = file.split_once('-').map(|(_, rest)| rest.to_owned());
        let suffix = file.rsplit_once('.').map(|(_, suffix)| suffix.to_owned());
        Some((name, version, rest.filter(|_| file.ends_with(".whl")), suffix))
    };
    a == b || apart(a).is_some_and(|apart_a| apart(b) == Some(apart_a))
}

/// Whether an attestation's subject is this file's name, or the package's.
pub(crate) fn names(subject: &str, package: &Package, artifact: &Artifact) -> bool {
    if let Some((name, version)) = npm::of_purl(subject) {
        let file = npm_tarball(&name, &version);
        let same = package.name == name && package.version.as_ref() == Some(&version);
        return same && package.ecosystem == Ecosystem::Npm
            || artifact.file.as_ref() == Some(&file);
    }
    !subject.is_empty()
        && artifact.file.as_deref().is_some_and(|file| same_python_file(file, subject))
}

/// The package that a file of this name is, as far as names tell.
pub fn of_file(file: &str) -> Package {
    let artifact = Artifact { file: Some(file.into()), ..Artifact::default() };
    let (ecosystem, name, version) = if let Some((name, version)) = of_python_file(file) {
        (Ecosystem::Pypi, name, Some(version))
    } else if let Some((name, version)) = of_tarball(file) {
        (Ecosystem::Npm, name, Some(version))
    } else {
        (Ecosystem::File, file.to_owned(), None)
    };
    Package { ecosystem, name, version, files: vec![artifact], certain: false }
}

/// `name-1.2.3.tgz`, split before the first part that begins with a digit and
/// has a dot.
fn of_tarball(file: &str) -> Option<(String, String)> {
    let stem = file.strip_suffix(".tgz")?;
    let version = |at: usize| {
        let rest = stem.get(at + 1..)?;
        let first = rest.split('-').next()?;
        let digit = first.starts_with(|c: char| c.is_ascii_digit());
        (digit && first.contains('.')).then(|| (stem.get(..at).unwrap_or_default(), rest))
    };
    let (name, version) = stem.match_indices('-').find_map(|(at, _)| version(at))?;
    (!name.is_empty()).then(|| (name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_names_tell_project_and_version() {
        let of = |file| of_python_file(file).map(|(name, version)| format!("{name} {version}"));
        assert_eq!(of("rfc8785-0.1.2-py3-none-any.whl").unwrap(), "rfc8785 0.1.2");
        assert_eq!(of("Foo.Bar_baz-1.0-1-py3-none-any.whl").unwrap(), "foo-bar-baz 1.0");
        assert_eq!(of("pypi_attestations-0.0.19.tar.gz").unwrap(), "pypi-attestations 0.0.19");
        for bad in ["", "a.whl", "a-1.whl", "a.tar.gz", "a-b.tar.gz", "-1.0.tar.gz", "x-1.0.exe"] {
            assert_eq!(of(bad), None, "{bad}");
        }
        let file = |file| of_file(file).to_string();
        assert_eq!(file("sigstore-2.0.0.tgz"), "npm:sigstore@2.0.0");
        assert_eq!(file("left-pad-1.0.0-rc.1.tgz"), "npm:left-pad@1.0.0-rc.1");
        assert_eq!(file("notes.txt"), "file:notes.txt");
        assert_eq!(file("archive.tgz"), "file:archive.tgz");
        assert_eq!(npm_tarball("@sigstore/bundle", "4.0.0"), "sigstore-bundle-4.0.0.tgz");
    }

    #[test]
    fn one_file_may_be_spelled_in_several_ways() {
        assert!(same_python_file("Foo_Bar-1.0.tar.gz", "foo-bar-1.0.tar.gz"));
        assert!(same_python_file("foo_bar-1.0-py3-none-any.whl", "Foo_Bar-1.0-py3-none-any.whl"));
        assert!(!same_python_file("foo-1.0-py3-none-any.whl", "foo-1.0-cp310-none-any.whl"));
        assert!(!same_python_file("foo-1.0.zip", "foo-1.0.tar.gz"));
        assert!(!same_python_file("foo-1.0.tar.gz", "foo-1.1.tar.gz"));
        assert!(!same_python_file("notes.txt", "other.txt"));
    }
}

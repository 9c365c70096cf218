//! Store paths and what their names tell.

use provenance_core::{encoding::digest::Digest, nix::base32};

use crate::{Package, SbomError, inventory::purl_part};

const HASH: usize = 32;

/// The folder and the base name `<hash>-<name>` of a store path.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    let (store, base) = path.rsplit_once('/')?;
    // What stands between the parts of a signed text stands in no path.
    let plain = store.starts_with('/') && !store.contains([';', ',', '\n']);
    (plain && is_base(base)).then_some((store, base))
}

/// `<32 digits>-<name>`, the name as Nix allows it.
pub(super) fn is_base(base: &str) -> bool {
    let Some((hash, name)) = base.split_at_checked(HASH) else { return false };
    let letter = |c: u8| c.is_ascii_alphanumeric() || b"+-._?=".contains(&c);
    hash.bytes().all(|c| base32::DIGITS.contains(&c))
        && name
            .strip_prefix('-')
            .is_some_and(|name| (1..=211).contains(&name.len()) && name.bytes().all(letter))
}

/// The store path that `path` is, or lies in.
pub(super) fn within(path: &str) -> Option<&str> {
    let base = path.split('/').find(|part| is_base(part))?;
    let end = path.find(base)?.checked_add(base.len())?;
    path.get(..end)
}

/// A package by its path and, where it is known, the path of its derivation.
pub(super) fn package(
    path: &str,
    deriver: Option<&str>,
    nar_sha256: Option<Digest>,
) -> Result<Package, SbomError> {
    let odd = || SbomError::malformed(path.chars().take(300).collect::<String>(), "no store path");
    let name = |path| split(path).and_then(|(_, base)| base.get(HASH + 1..));
    let whole = name(path).ok_or_else(odd)?;
    // The derivation's name tells where the version ends and the output's
    // name begins: openssl-3.0.14-bin is the output bin of openssl-3.0.14.
    let drv = deriver.and_then(name).and_then(|name| name.strip_suffix(".drv"));
    let (full, output) = match drv {
        Some(drv) if whole == drv => (whole, None),
        Some(drv) => match whole.strip_prefix(drv).and_then(|rest| rest.strip_prefix('-')) {
            Some(output) => (drv, Some(output)),
            None => (whole, None),
        },
        None => (whole, None),
    };
    let (name, version) = name_and_version(full);
    let mut purl = format!("pkg:nix/{}", purl_part(name));
    if let Some(version) = version {
        purl.push_str(&format!("@{}", purl_part(version)));
    }
    if let Some(output) = output {
        purl.push_str(&format!("?output={}", purl_part(output)));
    }
    Ok(Package {
        id: path.to_owned(),
        name: name.to_owned(),
        version: version.map(str::to_owned),
        purl: Some(purl),
        nar_sha256,
        made_from: deriver.filter(|deriver| split(deriver).is_some()).map(str::to_owned),
        ..Package::default()
    })
}

/// As Nix's `builtins.parseDrvName`: the version begins behind the first dash
/// that no letter follows.
fn name_and_version(full: &str) -> (&str, Option<&str>) {
    let dashes = full.match_indices('-').filter(|(at, _)| *at > 0);
    for (at, _) in dashes {
        let (name, version) = (full.get(..at).unwrap_or(full), full.get(at + 1..).unwrap_or(""));
        if version.bytes().next().is_some_and(|c| !c.is_ascii_alphabetic()) {
            return (name, Some(version));
        }
    }
    (full, None)
}

/// A NAR hash in any of the spellings that Nix has for one: `sha256:` and 64
/// hex digits or 52 of base 32, or `sha256-` and base 64.
pub(super) fn nar_hash(text: &str) -> Option<Digest> {
    use base64ct::{Base64, Encoding};
    if let Some(base64) = text.strip_prefix("sha256-") {
        let mut bytes = [0; 32];
        let decoded = Base64::decode(base64, &mut bytes).ok()?;
        return Some(Digest(decoded.try_into().ok()?));
    }
    let digits = text.strip_prefix("sha256:")?;
    match digits.len() {
        64 => Digest::from_hex(digits.as_bytes()),
        52 => {
            let mut bytes = [0; 32];
            base32::decode(digits.as_bytes(), &mut bytes).then_some(Digest(bytes))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0c0y6gnrxzxyn8f6bd7ryxbyvrmnl7zi";

    fn read(name: &str, drv: Option<&str>) -> (String, Option<String>, String) {
        let path = |name: &str| format!("/nix/store/{HASH}-{name}");
        let drv = drv.map(path);
        let package = package(&path(name), drv.as_deref(), None).unwrap();
        (package.name, package.version, package.purl.unwrap())
    }

    #[test]
    fn a_name_is_parted_as_nix_parts_it_and_the_output_by_the_derivation() {
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            ("openssl-3.0.14", None, "openssl", some("3.0.14"), "pkg:nix/openssl@3.0.14"),
            (
                "openssl-3.0.14-bin",
                Some("openssl-3.0.14.drv"),
                "openssl",
                some("3.0.14"),
                "pkg:nix/openssl@3.0.14?output=bin",
            ),
            ("x-foo-1.0+git?=", None, "x-foo", some("1.0+git?="), "pkg:nix/x-foo@1.0%2Bgit%3F%3D"),
            ("etc", Some("etc.drv"), "etc", None, "pkg:nix/etc"),
            ("unit-a.service", Some("other.drv"), "unit-a.service", None, "pkg:nix/unit-a.service"),
        ];
        for (name, drv, expected, version, purl) in cases {
            assert_eq!(read(name, drv), (expected.into(), version, purl.into()), "{name}");
        }
    }

    #[test]
    fn what_is_no_store_path_is_refused() {
        let fine = format!("/nix/store/{HASH}-a");
        assert!(package(&fine, None, None).is_ok());
        for bad in [
            "".to_owned(),
            "/nix/store".into(),
            format!("/nix/store/{HASH}"),
            format!("/nix/store/{HASH}-"),
            format!("{HASH}-a"),
            format!("/nix/store/{HASH}-a b"),
            format!("/nix/store/{}-a", HASH.replace('0', "e")),
            format!("/nix/store/{HASH}-{}", "a".repeat(212)),
            format!("/nix/store/{HASH}-\u{e9}"),
        ] {
            assert!(package(&bad, None, None).is_err(), "{bad}");
        }
        assert_eq!(within(&format!("{fine}/bin/sh")), Some(&*fine));
        assert_eq!(within("/usr/bin/sh"), None);
    }

    #[test]
    fn every_spelling_of_a_nar_hash_is_one_digest() {
        // sha256 of nothing, as `nix hash convert` writes it.
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let expected = Digest::from_hex(hex.as_bytes());
        assert_eq!(nar_hash(&format!("sha256:{hex}")), expected);
        let base32 = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
        assert_eq!(nar_hash(base32), expected);
        assert_eq!(nar_hash("sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), expected);
        for bad in ["", "sha256:", "sha1:aa", "sha256-AAAA", &base32.replace("0m", "zm")] {
            assert_eq!(nar_hash(bad), None, "{bad}");
        }
    }
}

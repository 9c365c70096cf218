//! What an npm tarball says that it is: name and version in its `package.json`.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;

/// So much of an archive is looked through.
const MAX_BYTES: u64 = 256 << 20;
const MAX_ENTRIES: usize = 50_000;
/// A `package.json` is at most this long.
const MAX_MANIFEST: u64 = 1 << 20;
const BLOCK: u64 = 512;

#[derive(Deserialize)]
struct Manifest {
    name: String,
    version: String,
}

/// Name and version of the tarball's `package.json`; `None` where it is no
/// such tarball, or holds that file twice, so that who unpacks it decides.
pub fn npm_identity(tarball: impl Read) -> Option<(String, String)> {
    let mut tar = MultiGzDecoder::new(tarball).take(MAX_BYTES);
    let mut found: Option<Manifest> = None;
    for _ in 0..MAX_ENTRIES {
        let mut header = [0; BLOCK as usize];
        if tar.read_exact(&mut header).is_err() || header.iter().all(|byte| *byte == 0) {
            break;
        }
        let size = size(header.get(124..136)?)?;
        let file = matches!(header.get(156)?, b'0' | 0);
        let wanted = file && is_manifest(&header)?;
        if wanted && (found.is_some() || size > MAX_MANIFEST) {
            return None;
        }
        if wanted {
            let mut bytes = vec![];
            (&mut tar).take(size).read_to_end(&mut bytes).ok()?;
            found = Some(serde_json::from_slice(&bytes).ok()?);
        } else if !skip(&mut tar, size) {
            break;
        }
        if !skip(&mut tar, (BLOCK - size % BLOCK) % BLOCK) {
            break;
        }
    }
    found.map(|manifest| (manifest.name, manifest.version))
}

fn skip(tar: &mut impl Read, size: u64) -> bool {
    std::io::copy(&mut tar.take(size), &mut std::io::sink()).is_ok_and(|read| read == size)
}

/// A number in octal digits.
fn size(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    u64::from_str_radix(text, 8).ok()
}

/// Whether the entry is `package.json` one folder down, whatever the folder:
/// npm leaves the first part of a name away.
fn is_manifest(header: &[u8; BLOCK as usize]) -> Option<bool> {
    let text = |field: &[u8]| {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        field.get(..end).map(<[u8]>::to_vec)
    };
    let name = text(header.get(..100)?)?;
    let prefix = text(header.get(345..500)?)?;
    let whole = if prefix.is_empty() { name } else { [&prefix[..], b"/", &name].concat() };
    let mut parts =
        whole.split(|byte| *byte == b'/').filter(|part| *part != b"." && !part.is_empty());
    parts.next();
    Some(parts.next() == Some(&b"package.json"[..]) && parts.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    fn entry(name: &str, content: &[u8]) -> Vec<u8> {
        let mut header = vec![0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = b'0';
        let padding = vec![0; (512 - content.len() % 512) % 512];
        [&header[..], content, &padding].concat()
    }

    fn packed(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut gz = GzEncoder::new(vec![], Compression::fast());
        gz.write_all(&[&entries.concat()[..], &[0; 1024]].concat()).unwrap();
        gz.finish().unwrap()
    }

    const MANIFEST: &[u8] = br#"{"name":"@a/b","version":"1.2.3","x":[]}"#;

    #[test]
    fn a_tarball_says_its_name_and_version() {
        let readme = entry("package/README.md", &[b'x'; 1000]);
        let inner = entry("package/lib/package.json", b"{}");
        let manifest = entry("anything/package.json", MANIFEST);
        let of = |entries: &[Vec<u8>]| npm_identity(&packed(entries)[..]);
        let expected = Some(("@a/b".to_owned(), "1.2.3".to_owned()));
        assert_eq!(of(&[readme.clone(), inner.clone(), manifest.clone()]), expected);
        assert_eq!(of(&[manifest.clone(), readme.clone()]), expected);
        assert_eq!(of(&[manifest.clone(), readme.clone(), manifest]), None, "twice");
        assert_eq!(of(&[readme, inner]), None);
        assert_eq!(of(&[entry("package/package.json", b"{")]), None);
    }

    #[test]
    fn what_is_no_tarball_says_nothing_and_does_no_harm() {
        assert_eq!(npm_identity(&b""[..]), None);
        assert_eq!(npm_identity(&b"PK\x03\x04"[..]), None);
        let whole = packed(&[entry("package/package.json", MANIFEST)]);
        for end in 0..whole.len() {
            let _ = npm_identity(&whole[..end]);
        }
        let mut endless = entry("package/a", b"");
        endless[124..135].copy_from_slice(b"77777777777");
        assert_eq!(npm_identity(&packed(&[endless])[..]), None);
    }
}

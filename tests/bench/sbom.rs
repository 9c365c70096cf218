//! An SBOM of 3,000 store paths: reading them, writing SPDX and validating it,
//! against hashing as many bytes, and in milliseconds of CPU.
// A benchmark ends with whatever goes wrong in it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod measure;

use std::{fmt::Write as _, time::Duration};

use measure::{at_most, control, median, own_cpu};
use provenance_audit::sbom::defects;
use provenance_sbom::{Format, Header, nix_path_info};

fn main() {
    if !measure::is_asked() {
        return;
    }
    let paths = measure::setting("STORE_PATHS", 3_000) as usize;
    let told = path_info(paths);
    let mut times = vec![];
    let mut document = vec![];
    for _ in 0..21 {
        let (cpu, made) = own_cpu(|| {
            let inventory = nix_path_info::parse(told.as_bytes(), "bench", None).unwrap();
            let header = Header {
                client: "c".into(),
                host: "h".into(),
                created_s: 0,
                software: "bench 0".into(),
            };
            let made = inventory.document(Format::Spdx, &header).unwrap();
            assert_eq!(defects(&made), Vec::<String>::new());
            made
        });
        times.push(cpu);
        document = made;
    }
    assert!(times.iter().all(|time| *time > Duration::ZERO));
    println!("an SBOM of {paths} store paths, {} bytes:", document.len());
    at_most("  made and validated, ms of CPU", median(&mut times) * 1_000.0, 100.0, 30.0);
    // What must still fail, or the figures mean nothing.
    let text = String::from_utf8(document).unwrap();
    let changed =
        text.replacen("\"relatedSpdxElement\":\"", "\"relatedSpdxElement\":\"SPDXRef-no-", 1);
    assert_ne!(changed, text);
    control("a relation to nothing", !defects(changed.as_bytes()).is_empty());
    control("a document cut in two", !defects(&text.as_bytes()[..text.len() / 2]).is_empty());
    measure::end();
}

/// What `nix path-info --json -r` tells of a system: each path needs some six
/// of those before it, as in a closure of NixOS.
fn path_info(count: usize) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let name = |at: usize| {
        let mut rest = (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
        let digits: String = (0..32)
            .map(|_| {
                rest = rest.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(DIGITS[(rest >> 59) as usize])
            })
            .collect();
        match at + 1 == count {
            true => format!("/nix/store/{digits}-nixos-system-h-26.05"),
            false => format!("/nix/store/{digits}-package-{at}-1.{}.{}", at % 30, at % 7),
        }
    };
    let mut out = String::from("[");
    for at in 0..count {
        let step = (at / 7).max(1);
        let references: Vec<String> =
            (0..at).step_by(step).take(6).map(|below| format!("\"{}\"", name(below))).collect();
        // The system needs whatever nothing else needs.
        let all = || (0..at).map(|below| format!("\"{}\"", name(below))).collect::<Vec<_>>();
        let references = if at + 1 == count { all() } else { references };
        let hash = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        write!(
            out,
            "{}{{\"path\":\"{}\",\"narHash\":\"{hash}\",\"narSize\":{},\"references\":[{}]}}",
            if at == 0 { "" } else { "," },
            name(at),
            at * 100 + 96,
            references.join(",")
        )
        .unwrap();
    }
    out + "]"
}

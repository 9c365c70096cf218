use alloc::vec;

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signer, SigningKey};

use super::*;

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn trusted(name: &str, seed: u8) -> StoreKey {
    let base64 = Base64::encode_string(signing(seed).verifying_key().as_bytes());
    StoreKey::parse(&format!("{name}:{base64}")).unwrap()
}

fn info() -> PathInfo {
    PathInfo {
        path: "/nix/store/8awgsig3l0cm7s69ji0nd0vpg0128xix-a-1".into(),
        nar_hash: Some(Digest::sha256(b"x")),
        nar_size: Some(120),
        ..PathInfo::default()
    }
}

fn signed(info: &PathInfo, name: &str, seed: u8) -> String {
    let text = info.fingerprint(core::slice::from_ref(info)).unwrap();
    format!("{name}:{}", Base64::encode_string(&signing(seed).sign(&text).to_bytes()))
}

fn codes(info: PathInfo, trust: &Trust) -> (Vec<Code>, Report) {
    let mut report = Report::new();
    let bad = judge(&[info], trust, &mut report);
    (bad.into_iter().map(|(_, code)| code).collect(), report)
}

#[test]
fn the_fingerprint_is_that_of_nix() {
    let text = info().fingerprint(&[]).unwrap();
    let hash = crate::nix::base32::encode(&Digest::sha256(b"x").0);
    let path = "/nix/store/8awgsig3l0cm7s69ji0nd0vpg0128xix-a-1";
    assert_eq!(text, format!("1;{path};sha256:{hash};120;").into_bytes());
    let unknown = PathInfo { nar_size: Some(0), ..info() };
    assert_eq!(unknown.fingerprint(&[]), None);
}

#[test]
fn a_broken_signature_beside_enough_good_ones_is_a_warning() {
    let trust = Trust { keys: vec![trusted("a", 1), trusted("b", 2)], threshold: 1 };
    let mut path = info();
    path.signatures = vec![signed(&path, "a", 1), signed(&path, "b", 3)];
    let (bad, report) = codes(path.clone(), &trust);
    assert_eq!((bad, report.findings().len()), (vec![], 1));
    assert_eq!(report.findings()[0].severity, Severity::Warning);
    let (bad, _) = codes(path, &Trust { threshold: 2, ..trust });
    assert_eq!(bad, [Code::NixSignature]);
}

#[test]
fn the_same_signature_twice_is_one_and_a_repeated_key_is_one() {
    let trust = Trust { keys: vec![trusted("a", 1), trusted("b", 1)], threshold: 2 };
    let mut path = info();
    path.signatures = vec![signed(&path, "a", 1), signed(&path, "a", 1), signed(&path, "b", 1)];
    assert_eq!(codes(path, &trust).0, [Code::NixUntrusted]);
}

#[test]
fn a_broken_hash_vouches_for_nothing() {
    let ca = "fixed:r:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709";
    let mut path = PathInfo { ca: Some(ca.into()), ..info() };
    path.path = Address::parse(ca).unwrap().path(&path.path, [].into_iter()).unwrap();
    let trust = Trust { keys: vec![trusted("a", 1)], threshold: 1 };
    let (bad, report) = codes(path.clone(), &trust);
    assert_eq!(bad, [Code::NixUnsigned]);
    assert!(report.findings()[0].message.contains("sha1"));
    path.signatures = vec![signed(&path, "a", 1)];
    assert_eq!(codes(path, &trust).0, []);
}

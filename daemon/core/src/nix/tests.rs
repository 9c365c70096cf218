use proptest::prelude::*;

use super::*;

/// What `nix hash path --base16` says of a file that holds an x.
const X: &str = "2ca0b8ce996f865db37619bfe91023559305aad8158042fc6ddb0ef1d43c5b67";
/// sha256 of nothing, as `nix hash convert` writes it.
const NOTHING: &str = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";

#[test]
fn base_32_is_that_of_nix() {
    assert_eq!(base32::encode(&Digest::sha256(b"").0), NOTHING);
    let mut bytes = [0; 32];
    assert!(base32::decode(NOTHING.as_bytes(), &mut bytes));
    assert_eq!(Digest(bytes), Digest::sha256(b""));
    for bad in [&NOTHING[1..], &NOTHING.replace('q', "e"), &NOTHING.replacen('0', "z", 1)] {
        assert!(!base32::decode(bad.as_bytes(), &mut bytes), "{bad}");
    }
}

#[test]
fn addresses_of_every_method_are_read_and_others_are_not() {
    for (text, method) in [
        (alloc::format!("text:sha256:{NOTHING}"), Method::Text),
        (alloc::format!("fixed:sha256:{NOTHING}"), Method::Flat),
        (alloc::format!("fixed:r:sha256:{}", Digest::sha256(b"")), Method::Nar),
        ("fixed:git:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709".into(), Method::Git),
        ("fixed:r:sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".into(), Method::Nar),
    ] {
        let address = Address::parse(&text).unwrap();
        assert_eq!(address.method, method, "{text}");
        let sha256 = (method != Method::Git).then_some(Digest::sha256(b""));
        assert_eq!(address.sha256(), sha256, "{text}");
    }
    for bad in
        ["", "text:", "text:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", "fixed:r:sha256:"]
    {
        assert_eq!(Address::parse(bad), None, "{bad}");
    }
}

#[test]
fn a_file_told_in_pieces_is_the_nar_that_nix_makes() {
    let mut nar = NarHasher::new();
    nar.file(false, 1);
    assert!(nar.data(b"x") && nar.end_file());
    let (digest, size) = nar.finish();
    assert_eq!((digest.to_hex().as_str(), size), (X, 120));
    let mut short = NarHasher::new();
    short.file(false, 2);
    assert!(short.data(b"x") && !short.end_file());
    assert!(!short.data(b"xyz"));
}

proptest! {
    #[test]
    fn base_32_reads_what_it_writes(bytes: Vec<u8>) {
        let text = base32::encode(&bytes);
        let mut back = alloc::vec![0xff; bytes.len()];
        prop_assert!(base32::decode(text.as_bytes(), &mut back));
        prop_assert_eq!(back, bytes);
    }

    #[test]
    fn no_text_makes_a_reader_panic(text: String, path: String) {
        let _ = StoreKey::parse(&text);
        if let Some(address) = Address::parse(&text) {
            let _ = address.path(&path, [&*text].into_iter());
        }
    }
}

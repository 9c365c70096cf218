use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;

use super::*;

/// The example of golang.org/x/mod/sumdb/note, "PeterNeumann".
const PETER: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const PETER_KEY: &str = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

fn peter() -> PublicKey {
    let bytes = Base64::decode_vec(PETER_KEY).unwrap();
    PublicKey::from_bytes(bytes[1..].try_into().unwrap()).unwrap()
}

fn own() -> (SigningKey, PublicKey) {
    let secret = SigningKey::from_bytes(&[7; 32]);
    let public = PublicKey::from_bytes(&secret.verifying_key().to_bytes()).unwrap();
    (secret, public)
}

#[test]
fn the_example_of_the_go_library_verifies() {
    let note = Note::parse(PETER).unwrap();
    assert!(note.signed_by("PeterNeumann", &peter()));
    assert!(!note.signed_by("Peter", &peter()));
    assert!(!note.signed_by("PeterNeumann", &own().1));
    assert_eq!(note.signatures[0].key_id, [0xc7, 0x4f, 0x20, 0xa3]);
    let changed = PETER.replace("answer", "question");
    assert!(!Note::parse(&changed).unwrap().signed_by("PeterNeumann", &peter()));
}

#[test]
fn a_checkpoint_survives_its_note_and_cosignatures_are_let_be() {
    let (secret, public) = own();
    let origin = Checkpoint::origin("clinic-001", "h");
    let checkpoint = Checkpoint { origin: origin.clone(), size: 17, root: Digest::sha256(b"r") };
    let note = sign(&checkpoint.to_text(), &origin, &public, |m| secret.sign(m).to_bytes());
    let both = note.clone() + PETER.lines().last().unwrap() + "\n";
    for text in [&note, &both] {
        let note = Note::parse(text).unwrap();
        assert!(note.signed_by(&origin, &public));
        assert_eq!(Checkpoint::parse(note.text), Ok(checkpoint.clone()));
    }
}

#[test]
fn every_changed_byte_of_a_checkpoint_is_refused() {
    let (secret, public) = own();
    let checkpoint = Checkpoint { origin: "o".into(), size: 17, root: Digest::sha256(b"r") };
    let note = sign(&checkpoint.to_text(), "o", &public, |m| secret.sign(m).to_bytes());
    for at in 0..note.len() {
        for flip in [1_u8, 2, 0x20] {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= flip;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let good = Note::parse(&text).is_ok_and(|note| note.signed_by("o", &public));
            assert!(!good, "byte {at}");
        }
    }
}

#[test]
fn what_is_no_note_or_checkpoint_is_refused() {
    for text in [
        "",
        "text\n",
        "text\n\n",
        "text\n\n\u{2014} name\n",
        "text\n\n\u{2014} name !!!!\n",
        "text\n\n\u{2014} na+me AAAAAAAA\n",
        "text\n\n- name AAAAAAAA\n",
        "text\n\n\u{2014} name AAAAAAAA",
        "text\r\n\n\u{2014} name AAAAAAAA\n",
        "text\n\n\u{2014} name AAAA\n",
    ] {
        assert!(Note::parse(text).is_err(), "{text:?}");
    }
    let root = Base64::encode_string(&[0; 32]);
    for text in [
        format!("\n1\n{root}\n"),
        format!("o\n01\n{root}\n"),
        format!("o\n-1\n{root}\n"),
        format!("o\n+1\n{root}\n"),
        format!("o\n1\n{root}"),
        format!("o\n1\n{root}\n\nx\n"),
        format!("o\n1\n{}\n", &root[4..]),
        "o\n1\n".into(),
    ] {
        assert!(Checkpoint::parse(&text).is_err(), "{text:?}");
    }
    assert!(Checkpoint::parse(&format!("o\n1\n{root}\nextension\n")).is_ok());
    assert_eq!(Note::parse(&"x".repeat(MAX_NOTE + 1)), Err(NoteError::TooLong));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[\u{2014} a-z0-9\n=+/]{0,200}") {
        let _ = Note::parse(&text);
        let _ = Checkpoint::parse(&text);
    }
}

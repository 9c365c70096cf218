use std::{os::unix::fs::MetadataExt, process::Command};

use super::*;

fn openssl(args: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").args(args).output().expect("openssl is installed");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn openssl_reads_our_keys_and_we_read_those_of_openssl() {
    let dir = tempfile::tempdir().unwrap();
    let (key, public_path, public) = keygen(dir.path(), "a").unwrap();
    let (ok, text) = openssl(&["pkey", "-in", key.to_str().unwrap(), "-pubout"]);
    assert!(ok, "{text}");
    assert_eq!(text, fs::read_to_string(&public_path).unwrap());
    assert_eq!(PublicKey::parse(&text).unwrap(), public);
    let theirs = dir.path().join("b.key");
    let (ok, text) =
        openssl(&["genpkey", "-algorithm", "ed25519", "-out", theirs.to_str().unwrap()]);
    assert!(ok, "{text}");
    let signer = Signer::load(theirs.to_str().unwrap()).unwrap();
    assert!(signer.public().verifies(b"m", &signer.sign(b"m")));
    let (_, text) = openssl(&["pkey", "-in", theirs.to_str().unwrap(), "-pubout"]);
    assert_eq!(text, signer.public().to_pem());
}

#[test]
fn a_key_is_never_overwritten_and_no_half_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let (key, _, _) = keygen(dir.path(), "a").unwrap();
    let before = fs::read(&key).unwrap();
    assert!(matches!(keygen(dir.path(), "a"), Err(SignerError::Exists(_))));
    assert_eq!(fs::read(&key).unwrap(), before);
    fs::write(dir.path().join("b.pub"), "").unwrap();
    assert!(matches!(keygen(dir.path(), "b"), Err(SignerError::Exists(_))));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_key_that_others_can_read_or_that_is_none_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (key, _, _) = keygen(dir.path(), "a").unwrap();
    let load = || Signer::load(key.to_str().unwrap());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(load(), Err(SignerError::Secret(SecretError::Mode { mode: 0o640, .. }))));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(load().is_ok());
    for text in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "\u{fe}"] {
        fs::write(&key, text).unwrap();
        let error = load().unwrap_err();
        assert!(matches!(error, SignerError::Form(_)), "{error}");
    }
    let (ok, _) = openssl(&["genpkey", "-algorithm", "x25519", "-out", key.to_str().unwrap()]);
    assert!(ok && matches!(load(), Err(SignerError::Form(_))));
    let secret = |setting| match Signer::load(setting) {
        Err(SignerError::Secret(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(secret("/nonexistent"), SecretError::Read { .. }));
    assert!(matches!(secret("credential:x"), SecretError::NoCredential { .. }));
}

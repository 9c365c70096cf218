use std::os::unix::fs::symlink;

use super::*;

fn at(path: &Path) -> Listen {
    format!("unix:{}", path.display()).parse().unwrap()
}

fn kind(bound: io::Result<Listener>) -> io::ErrorKind {
    bound.unwrap_err().kind()
}

#[test]
fn addresses_are_read_and_written_alike_and_only_loopback_is_local() {
    for (text, local) in [
        ("127.0.0.1:9469", true),
        ("127.9.9.9:1", true),
        ("[::1]:80", true),
        ("unix:/run/x.sock", true),
        ("0.0.0.0:80", false),
        ("[::]:80", false),
        ("192.0.2.1:80", false),
        ("[::ffff:127.0.0.1]:80", false),
    ] {
        let listen: Listen = text.parse().unwrap();
        assert_eq!((listen.to_string().as_str(), listen.is_local()), (text, local));
    }
    for text in ["", "localhost:80", "127.0.0.1", "unix:", "unix:x.sock", "127.0.0.1:65536"] {
        assert!(text.parse::<Listen>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_one_in_use_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    let first = at(&path).bind(Some(0o660)).await.unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(kind(at(&path).bind(None).await), io::ErrorKind::AddrInUse);
    drop(first);
    assert!(path.exists(), "the file stays behind");
    let second = at(&path).bind(Some(0o600)).await.unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    second.accept().await.unwrap();
}

#[tokio::test]
async fn what_is_no_socket_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "kept").unwrap();
    symlink(&file, &link).unwrap();
    for path in [&file, &link] {
        assert_eq!(kind(at(path).bind(Some(0o660)).await), io::ErrorKind::AddrInUse);
    }
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    assert_ne!(file.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    let missing = folder.path().join("none/s.sock");
    assert_eq!(kind(at(&missing).bind(None).await), io::ErrorKind::NotFound);
}

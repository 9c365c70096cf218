use std::os::unix::fs::symlink;

use super::*;

fn at(path: &Path) -> Listen {
    format!("unix:{}", path.display()).parse().unwrap()
}

fn kind(bound: io::Result<Listener>) -> io::ErrorKind {
    bound.unwrap_err().kind()
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_one_in_use_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    let first = bind(&at(&path), Some(0o660)).await.unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(kind(bind(&at(&path), None).await), io::ErrorKind::AddrInUse);
    drop(first);
    assert!(path.exists(), "the file stays behind");
    let second = bind(&at(&path), Some(0o600)).await.unwrap();
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
        assert_eq!(kind(bind(&at(path), Some(0o660)).await), io::ErrorKind::AddrInUse);
    }
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    assert_ne!(file.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    let missing = folder.path().join("none/s.sock");
    assert_eq!(kind(bind(&at(&missing), None).await), io::ErrorKind::NotFound);
}

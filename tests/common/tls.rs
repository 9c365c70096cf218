//! Certificates for servers on this machine, by a CA that nobody else trusts.

use std::{path::Path, process::Command};

/// Makes `ca.pem`, and `cert.pem` with `key.pem` for `localhost`.
pub(crate) fn certificates(openssl: &Path, folder: &Path) {
    let make = |args: &[&str]| {
        let common = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let mut command = Command::new(openssl);
        command.args(["req", "-x509", "-days", "2"]).args(common).args(args);
        let made = command.current_dir(folder).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    make(&["-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"]);
    make(&[
        "-subj",
        "/CN=localhost",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]);
}

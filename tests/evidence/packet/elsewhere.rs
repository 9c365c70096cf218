//! The same state gives the same packet on another machine: another name,
//! user, file system, order of files, folder, time zone, locale and umask.

use std::{fs, path::Path, process::Command};

use super::{
    harness::{PacketFixture, period},
    peers,
};

/// Runs in namespaces of its own. Prints the packet.
const ELSEWHERE: &str = r#"
set -euo pipefail
mount -t tmpfs -o mode=0755 none "$NEW"
hostname another-machine
cd "$OLD"
find . -type d | sort -r | while read -r path; do mkdir -p "$NEW/w/$path"; done
# Made in another order, so that a folder lists them in another.
find . -type f | sort -r | while read -r path; do cp "$path" "$NEW/w/$path"; done
sed -i "s|$OLD|$NEW/w|g" "$NEW/w/p.toml"
cp "$PROVENANCED" "$NEW/provenanced"
chown -R 65534:65534 "$NEW/w"
cd /
umask 0077
exec >"$NEW/w/said"
setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs \
  env -i TZ=Pacific/Kiritimati LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8 HOME="$NEW/w" USER=anna \
  "$NEW/provenanced" packet --config "$NEW/w/p.toml" --out "$NEW/w/there.zip" "$@" >&2
cat "$NEW/w/there.zip" >&3
"#;

#[test]
fn the_same_state_gives_the_same_bytes_on_another_machine() {
    let fixture = PacketFixture::new();
    let new = tempfile::tempdir().unwrap();
    let made = Command::new("unshare")
        .args(["--mount", "--uts", "bash", "-c"])
        .arg(format!("exec 3>&1\n{ELSEWHERE}"))
        .arg("elsewhere")
        .args(period())
        .env("OLD", fixture.path("").to_str().unwrap().trim_end_matches('/'))
        .env("NEW", new.path())
        .env("PROVENANCED", env!("CARGO_BIN_EXE_provenanced"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    if !made.status.success() && !is_root() {
        peers::missing("another machine takes namespaces, which take root");
        return;
    }
    assert!(made.status.success(), "{said}");
    assert!(said.contains("there.zip"), "{said}");
    // A second later, by another user, in the folder where the state was made.
    let here = fs::read(fixture.packet("here.zip")).unwrap();
    assert!(here.len() > 10_000);
    assert!(here == made.stdout, "{} and {} bytes", here.len(), made.stdout.len());
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(Path::new("/proc/self")).unwrap().uid() == 0
}

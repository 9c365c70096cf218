//! The real programs that tests run against: from the peers' folder that
//! `tests/peers/get-sid` fills, else from `PATH`.

use std::{env, io::Write as _, path::PathBuf};

/// The program `name`. Where it is missing, a run with `CI=true` (so does
/// `make test`) fails, and any other says that the test was skipped.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let found = folders().map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        missing(&format!("`{name}` is missing; tests/scripts/setup installs it"));
    }
    found
}

/// Says that something is not there: fails with `CI=true`, else tells that
/// the test was skipped.
pub(crate) fn missing(what: &str) {
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{what}");
    // Past the test harness, which keeps what a passing test prints.
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED, NOTHING WAS TESTED: {what} ***\n");
}

fn folders() -> impl Iterator<Item = PathBuf> {
    let peers = env::var_os("MSP_PEERS").map(PathBuf::from).or_else(|| {
        let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
        Some(cache.join("msp-provenance/peers"))
    });
    let path = env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = env::split_paths(&path).collect();
    peers.map(|peers| peers.join("bin")).into_iter().chain(path)
}

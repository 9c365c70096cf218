//! A real Bitcoin node on regtest, which asks nobody and whom nobody asks.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{
    peers,
    wait::{PATIENCE, wait_for},
};

pub(crate) struct Bitcoind {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) port: u16,
    child: Child,
    daemon: PathBuf,
    cli: PathBuf,
}

impl Drop for Bitcoind {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(daemon: &Path, dir: &Path, port: u16, more: &[&str]) -> Child {
    Command::new(daemon)
        .arg("-regtest")
        .arg(format!("-datadir={}", dir.display()))
        .arg(format!("-rpcport={port}"))
        .args(["-listen=0", "-connect=0", "-dnsseed=0", "-server=1"])
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Bitcoind {
    /// `None` where it is not installed.
    pub(crate) fn start(more: &[&str]) -> Option<Self> {
        let (daemon, cli) = (peers::find("bitcoind")?, peers::find("bitcoin-cli")?);
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = spawn(&daemon, dir.path(), port, more);
        let node = Self { dir, port, child, daemon, cli };
        node.until_up();
        Some(node)
    }

    /// After [`Self::stop`] or [`Self::kill`], with the same data and a new cookie.
    pub(crate) fn restart(&mut self, more: &[&str]) {
        self.child = spawn(&self.daemon, self.dir.path(), self.port, more);
        self.until_up();
    }

    fn until_up(&self) {
        wait_for("bitcoind answers", PATIENCE, || {
            self.try_ask(&["getblockcount"]).ok_or("no block count")
        });
    }

    pub(crate) fn stop(&mut self) {
        self.ask(&["stop"]);
        self.child.wait().unwrap();
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What `bitcoin-cli` answers, where it succeeds.
    pub(crate) fn try_ask(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new(&self.cli)
            .arg("-regtest")
            .arg(format!("-datadir={}", self.dir.path().display()))
            .arg(format!("-rpcport={}", self.port))
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| text.trim().to_owned())
    }

    #[track_caller]
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        self.try_ask(arguments).unwrap_or_else(|| panic!("{arguments:?}"))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn cookie(&self) -> PathBuf {
        self.dir.path().join("regtest/.cookie")
    }
}

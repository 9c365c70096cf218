//! A real chronyd and the servers that it asks, each in a network namespace of
//! its own. None of them touches the machine's clock or network.

use std::{
    env, fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use provenance_core::{
    encoding::{json::Value, time::Timestamp},
    record::time_attestation::{Claim, Source, State},
};
use provenance_host::clock::{Clock as _, SystemClock};
use provenance_time_sources::chrony;

use crate::common::{
    peers,
    wait::{PATIENCE, holds, wait_for},
};

pub(crate) struct ChronyFixture {
    dir: tempfile::TempDir,
    programs: Programs,
    client: Space,
    servers: Vec<Space>,
    daemons: Vec<Killed>,
}

struct Programs {
    chronyd: PathBuf,
    chronyc: PathBuf,
    ip: PathBuf,
    nsenter: PathBuf,
}

/// A network namespace: that of a sleeping process, with which it goes.
struct Space(Killed);

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl ChronyFixture {
    /// Servers that say what the system clock says, and a client that knows
    /// them and does not run yet. `None` where that cannot be had.
    pub(crate) fn new(servers: usize) -> Option<Self> {
        let programs = Programs {
            chronyd: peers::find("chronyd")?,
            chronyc: peers::find("chronyc")?,
            ip: peers::find("ip")?,
            nsenter: peers::find("nsenter")?,
        };
        let unshare = peers::find("unshare")?;
        let client = Space::new(&unshare)?;
        let spaces = (0..servers).map(|_| Space::new(&unshare)).collect::<Option<Vec<_>>>()?;
        let dir = tempfile::tempdir().unwrap();
        fs::DirBuilder::new().mode(0o750).create(dir.path().join("run")).unwrap();
        let mut fixture = Self { dir, programs, client, servers: spaces, daemons: Vec::new() };
        fixture.ip(&fixture.client, "link set lo up");
        for at in 0..servers {
            fixture.connect(at);
            let settings = "local stratum 2\nallow all\nmanual\ncmdport 0\n";
            fixture.chronyd(&format!("server{at}"), settings, Some(at));
        }
        for at in 0..servers {
            wait_for("a server", PATIENCE, || fixture.chronyc(at, &["tracking"]));
        }
        Some(fixture)
    }

    /// A cable from the client to this server.
    fn connect(&self, at: usize) {
        let (server, pid) = (&self.servers[at], self.servers[at].pid());
        self.ip(&self.client, &format!("link add to{at} type veth peer name eth0 netns {pid}"));
        self.ip(&self.client, &format!("addr add 10.99.{at}.1/24 dev to{at}"));
        self.ip(&self.client, &format!("link set to{at} up"));
        self.ip(server, &format!("addr add {}/24 dev eth0", Self::address(at)));
        self.ip(server, "link set eth0 up");
    }

    /// The address of a server: its name to the client.
    pub(crate) fn address(at: usize) -> String {
        format!("10.99.{at}.2")
    }

    pub(crate) fn start_client(&mut self) {
        let polls = "iburst minpoll -2 maxpoll -2";
        let servers = (0..self.servers.len()).map(Self::address);
        let settings: String = servers.map(|name| format!("server {name} {polls}\n")).collect();
        self.chronyd("client", &settings, None);
    }

    /// Ends the last chronyd that was started, without a chance to tidy up.
    pub(crate) fn kill_client(&mut self) {
        self.daemons.pop().unwrap();
    }

    /// The server's clock is this much ahead from now on, give or take a
    /// second.
    pub(crate) fn lie(&self, at: usize, seconds: i64) {
        let time = now().plus_nanos(seconds * 1_000_000_000).to_string();
        self.chronyc(at, &["settime", &time[..10], &time[11..19]]).unwrap();
    }

    pub(crate) fn cut_all(&self) {
        for at in 0..self.servers.len() {
            self.ip(&self.client, &format!("link set to{at} down"));
        }
    }

    /// Where the client's chronyd takes commands.
    pub(crate) fn client(&self) -> String {
        self.socket("client")
    }

    pub(crate) fn socket(&self, name: &str) -> String {
        format!("unix:{}/run/{name}.sock", self.dir.path().display())
    }

    /// What is in the folder of the sockets.
    pub(crate) fn sockets(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("run")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A probe that runs in the client's network.
    pub(crate) fn probe_inside(&self) -> PathBuf {
        let script = format!(
            "exec {} --net=/proc/{}/ns/net {} \"$@\"",
            self.programs.nsenter.display(),
            self.client.pid(),
            probe().display()
        );
        self::script(self.dir.path(), &script)
    }

    pub(crate) fn ask(&self) -> Source<'static> {
        ask(&probe(), &self.client())
    }

    /// Asks until the answer is as wanted.
    pub(crate) fn until(&self, wanted: impl Fn(&Source<'static>) -> bool) -> Source<'static> {
        wait_for("chronyd", PATIENCE, || {
            let source = self.ask();
            if wanted(&source) { Ok(source) } else { Err(source) }
        })
    }

    fn chronyd(&mut self, name: &str, settings: &str, server: Option<usize>) {
        let at = |file: String| self.dir.path().join(file).display().to_string();
        let own = format!(
            "{settings}bindcmdaddress {}\npidfile {}\n",
            at(format!("run/{name}.sock")),
            at(format!("{name}.pid"))
        );
        let conf = self.dir.path().join(format!("{name}.conf"));
        fs::write(&conf, own).unwrap();
        let log = fs::File::create(self.dir.path().join(format!("{name}.log"))).unwrap();
        let space = server.map_or(&self.client, |at| &self.servers[at]);
        // -x: it never touches the system clock.
        let mut chronyd = self.inside(space, &self.programs.chronyd);
        chronyd.args(["-x", "-d", "-u", "root", "-f"]).arg(conf);
        chronyd.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.daemons.push(Killed(chronyd.spawn().unwrap()));
    }

    fn chronyc(&self, at: usize, words: &[&str]) -> Result<(), Output> {
        let socket = self.dir.path().join(format!("run/server{at}.sock"));
        let mut chronyc = Command::new(&self.programs.chronyc);
        // Newer ones give up root's rights, with which they reach this folder.
        let help = Command::new(&self.programs.chronyc).arg("--help").output().unwrap();
        if String::from_utf8_lossy(&help.stdout).contains("-u USER") {
            chronyc.args(["-u", "root"]);
        }
        chronyc.env("TZ", "UTC").arg("-h").arg(socket).args(words);
        let output = chronyc.output().unwrap();
        if output.status.success() { Ok(()) } else { Err(output) }
    }

    fn ip(&self, space: &Space, words: &str) {
        let output = self.inside(space, &self.programs.ip).args(words.split(' ')).output().unwrap();
        assert!(output.status.success(), "ip {words}: {output:?}");
    }

    fn inside(&self, space: &Space, program: &Path) -> Command {
        let mut command = Command::new(&self.programs.nsenter);
        command.arg(format!("--net=/proc/{}/ns/net", space.pid())).arg(program);
        command
    }
}

impl Space {
    fn new(unshare: &Path) -> Option<Self> {
        let mut command = Command::new(unshare);
        command.args(["--net", "sleep", "600"]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut space = Self(Killed(command.spawn().unwrap()));
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let pid = space.pid().to_string();
        // It is there once the process is in another than ours.
        let own = of("self");
        let there = wait_for("a network namespace", PATIENCE, || {
            if space.0.0.try_wait().unwrap().is_some() {
                return Ok(false);
            }
            let its = of(&pid);
            holds(its.is_some() && its != own, its).map(|()| true)
        });
        if !there {
            peers::missing("network namespaces: run as root");
            return None;
        }
        Some(space)
    }

    fn pid(&self) -> u32 {
        self.0.0.id()
    }
}

/// The probe as it is built from this source.
pub(crate) fn probe() -> PathBuf {
    let profile = env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--locked", "-p", "chrony-probe"]);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    build.arg("--target-dir").arg(profile.parent().unwrap());
    let output = build.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    profile.join("chrony-probe")
}

pub(crate) fn ask(probe: &Path, address: &str) -> Source<'static> {
    chrony::ask(probe, address, Duration::from_secs(10), now)
}

pub(crate) fn now() -> Timestamp {
    SystemClock::new().unwrap().now().time
}

/// An executable file in `folder` that the shell runs.
pub(crate) fn script(folder: &Path, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("script");
    // Renamed into its place: a file that is open for writing is not run.
    fs::write(folder.join("draft"), format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(folder.join("draft"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(folder.join("draft"), &path).unwrap();
    path
}

/// Offset and bound of a claim.
pub(crate) fn interval(source: &Source<'_>) -> Option<(i64, i64)> {
    match &source.state {
        State::Ok(Claim::Interval { offset_ns, bound_ns, .. }) => Some((*offset_ns, *bound_ns)),
        _ => None,
    }
}

pub(crate) fn detail(source: &Source<'_>, name: &str) -> Option<Value> {
    Value::parse(source.detail.as_deref()?).unwrap().get(name).cloned()
}

/// A number in the detail.
pub(crate) fn number(source: &Source<'_>, name: &str) -> i64 {
    detail(source, name).and_then(|value| value.as_int()).unwrap()
}

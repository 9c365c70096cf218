//! `provctl mcp --listen` at work, and requests to it as they go over the wire.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::server;
use crate::common::{
    test_appliance::TestAppliance,
    wait::{PATIENCE, holds, wait_for},
};

/// A server of this folder; killed where the test ends before it does.
pub(crate) struct Http {
    child: Child,
    pub(crate) url: String,
    pub(crate) at: Option<SocketAddr>,
}

impl Http {
    /// Listens at any free port, or at a socket file.
    pub(crate) fn of(appliance: &TestAppliance, listen: Option<&str>, more: &[&str]) -> Self {
        let said = appliance.path("mcp.stderr");
        let mut command = server(appliance, more);
        command.extend(["--listen".into(), listen.unwrap_or("127.0.0.1:0").into()]);
        let child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .stderr(File::create(&said).unwrap())
            .spawn()
            .unwrap();
        let mut http = Self { child, url: String::new(), at: None };
        http.url = wait_for("it listens", PATIENCE, || {
            let text = fs::read_to_string(&said).unwrap();
            let url = text.strip_suffix('\n').and_then(|line| line.split_once("listens at "));
            url.map(|(_, url)| url.to_owned()).ok_or(text.clone())
        });
        let address = http.url.strip_prefix("http://").and_then(|it| it.strip_suffix("/mcp"));
        http.at = address.map(|address| address.parse().unwrap());
        http
    }

    pub(crate) fn port(&self) -> u16 {
        self.at.unwrap().port()
    }

    /// Sends a request and leaves the connection open.
    pub(crate) fn send(&self, head: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.at.unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let length = body.len();
        let request = format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// A request with these headers in place of the usual ones of their name.
    pub(crate) fn post(&self, headers: &[(&str, &str)], body: &Value) -> (u16, String) {
        said(self.open(headers, body))
    }

    pub(crate) fn open(&self, headers: &[(&str, &str)], body: &Value) -> TcpStream {
        let host = format!("127.0.0.1:{}", self.port());
        let mut all = vec![
            ("Host", host.as_str()),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("Connection", "close"),
        ];
        all.retain(|(name, _)| headers.iter().all(|(other, _)| other != name));
        all.extend(headers);
        let lines: Vec<String> =
            all.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        self.send(&format!("POST /mcp HTTP/1.1\r\n{}", lines.join("\r\n")), &body.to_string())
    }

    /// Seconds of processor time that it took until now.
    fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        #[allow(clippy::cast_precision_loss, reason = "a few seconds")]
        let seconds = ticks as f64 / 100.0;
        seconds
    }

    pub(crate) fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[track_caller]
    pub(crate) fn works(&self) {
        let before = self.cpu();
        wait_for("something is being verified", PATIENCE, || {
            let spent = self.cpu() - before;
            holds(spent >= 0.3, spent)
        });
    }

    #[track_caller]
    pub(crate) fn rests(&self) {
        wait_for("the work ends", Duration::from_secs(8), || {
            let before = self.cpu();
            // What it spends in half a second is what is asked.
            std::thread::sleep(Duration::from_millis(500));
            let spent = self.cpu() - before;
            holds(spent < 0.05, spent)
        });
    }

    /// Ends it by SIGTERM; how long that took.
    pub(crate) fn stop(mut self) -> Duration {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let begin = Instant::now();
        kill_process(pid, Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        begin.elapsed()
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status, and head and body as they came.
pub(crate) fn said(mut stream: TcpStream) -> (u16, String) {
    let mut bytes = vec![];
    // Who is cut off says no more; what came before counts.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.unwrap_or_default(), text)
}

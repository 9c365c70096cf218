//! The calendar: submissions a second, each on disk before it is answered,
//! against appends to a file with an fdatasync each; and its CPU for one.
//!
//! The clients run on the same machine, and take their part of it.
//! `SUBMISSIONS` says how many.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark ends where wrong")]

mod measure;
#[path = "../common/wait.rs"]
#[allow(dead_code, clippy::panic, reason = "made for the tests")]
mod wait;

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use measure::{at_least, at_most, control, median};
use provenance_core::{
    encoding::digest::to_hex,
    opentimestamps::{Commitment, ways},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use wait::{PATIENCE, wait_for};

/// As many clients as the settings' default lets in.
const CLIENTS: u64 = 512;

fn main() {
    if !measure::is_asked() {
        return;
    }
    let each = measure::setting("SUBMISSIONS", 51_200) / CLIENTS;
    let folder = tempfile::tempdir_in(measure::folder()).unwrap();
    let plain = plain(folder.path());
    let mut calendar = Calendar::start(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Once round, so that all connections were made before.
    runtime.block_on(all(calendar.port, 1, 0));
    let (before, begin) = (calendar.cpu(), Instant::now());
    let commitments = runtime.block_on(all(calendar.port, each, 1));
    let (cpu, took) = (calendar.cpu() - before, begin.elapsed());
    let count = (CLIENTS * each) as f64;
    println!(
        "{count} submissions by {CLIENTS} clients, {:.0} a second:",
        count / took.as_secs_f64()
    );
    let one = took.as_secs_f64() / count;
    at_most("  a submission against append + fdatasync", one / plain, 1.0, 0.2);
    at_least("  thousands a second", 1e-3 / one, 1.0, 5.0);
    at_most("  CPU of the calendar for one, in ms", cpu.as_secs_f64() * 1e3 / count, 0.5, 0.1);

    calendar.kill();
    calendar.serve();
    let known =
        |commitment: &str| runtime.block_on(get(calendar.port, commitment)).contains("Pend");
    assert_eq!(commitments.len() as u64, CLIENTS * each);
    let mut distinct = commitments.clone();
    distinct.sort();
    distinct.dedup();
    assert!(distinct.iter().all(|commitment| known(commitment)), "a promise was lost");
    println!("  after a kill all {} batches are there", distinct.len());
    let mut other = Commitment::from_hex(&distinct[0]).unwrap();
    other.root.0[0] ^= 1;
    control("a commitment that it never made", !known(&other.to_hex()));
    measure::end();
}

/// Seconds of an append with fdatasync.
fn plain(folder: &Path) -> f64 {
    let mut file = fs::File::create(folder.join("plain")).unwrap();
    let mut times: Vec<Duration> = (0..400)
        .map(|_| {
            let begin = Instant::now();
            file.write_all(&[b'x'; 40]).unwrap();
            file.sync_data().unwrap();
            begin.elapsed()
        })
        .collect();
    median(&mut times)
}

/// Every client's submissions, one after the other on one connection; gives
/// the commitments.
async fn all(port: u16, each: u64, round: u64) -> Vec<String> {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            tokio::task::spawn(async move {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let mut commitments = vec![];
                for number in 0..each {
                    let mut digest = [0; 32];
                    for (at, part) in [round, client, number].into_iter().enumerate() {
                        digest[at * 8..][..8].copy_from_slice(&part.to_be_bytes());
                    }
                    commitments.push(submit(&mut stream, &digest).await);
                }
                commitments
            })
        })
        .collect();
    let mut commitments = vec![];
    for client in clients {
        commitments.extend(client.await.unwrap());
    }
    commitments
}

async fn submit(stream: &mut TcpStream, digest: &[u8; 32]) -> String {
    let head = b"POST /digest HTTP/1.1\r\nHost: c\r\nContent-Length: 32\r\n\r\n";
    stream.write_all(&[&head[..], digest].concat()).await.unwrap();
    let mut answer = vec![];
    let body = loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.unwrap();
        assert_ne!(count, 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&chunk[..count]);
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if answer.len() == end + 4 + length.unwrap().parse::<usize>().unwrap() {
            break answer.split_off(end + 4);
        }
    };
    to_hex(&ways(digest, &body).unwrap()[0].message)
}

async fn get(port: u16, commitment: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request =
        format!("GET /timestamp/{commitment} HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

struct Calendar {
    port: u16,
    settings: std::path::PathBuf,
    child: Option<Child>,
}

impl Drop for Calendar {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Calendar {
    fn start(folder: &Path) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let settings = folder.join("p.toml");
        let text = format!(
            "client = \"msp\"\ntier = \"essential\"\nstate_dir = \"{}/state\"\n[aggregate]\n\
             listen = \"127.0.0.1:{port}\"\nurl = \"http://127.0.0.1:{port}\"\n",
            folder.display()
        );
        fs::write(&settings, text).unwrap();
        let mut calendar = Self { port, settings, child: None };
        calendar.serve();
        calendar
    }

    fn serve(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provenanced"));
        command.args(["aggregate", "--config"]).arg(&self.settings);
        self.child = Some(command.spawn().unwrap());
        let port = self.port;
        wait_for("the calendar serves", PATIENCE, || {
            std::net::TcpStream::connect(("127.0.0.1", port)).map(drop)
        });
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// CPU time so far, in ticks of a hundredth of a second.
    fn cpu(&self) -> Duration {
        let pid = self.child.as_ref().unwrap().id();
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let behind = text.rsplit_once(") ").unwrap().1;
        let ticks = behind.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }
}

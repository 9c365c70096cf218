//! A webhook's receiver: plain TCP, so that it can be as bad as a real one.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;

use super::peers;
use crate::common::wait::{PATIENCE, holds, wait_for};

/// What it does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Reads it and answers with these bytes.
    Says(&'static str),
    /// Reads it and never answers.
    Hangs,
    /// Answers, a byte of the head each 100 ms, without an end.
    Drips,
    /// Closes the connection unread.
    Closes,
}

pub(crate) const OK: Answer = Answer::Says("HTTP/1.1 204 No Content\r\n\r\n");

/// A message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: String,
    /// Whether it was told that all is well.
    pub(crate) taken: bool,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        });
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// An address of this machine that no other test has.
pub(crate) fn address() -> SocketAddr {
    let mut bytes = [0; 2];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    let [a, b] = bytes;
    TcpListener::bind(SocketAddr::from(([127, 100, a, b.max(1)], 0))).unwrap().local_addr().unwrap()
}

/// A receiver at work, until it is dropped.
pub(crate) struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Mutex<Answer>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    pub(crate) fn start(address: SocketAddr, answer: Answer) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let received = Arc::new(Mutex::new(vec![]));
        let (answer, ends) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicBool::new(false)));
        let shared = (received.clone(), answer.clone(), ends.clone());
        let thread = thread::spawn(move || {
            let (received, answer, ends) = shared;
            while !ends.load(Ordering::Relaxed) {
                let (stream, _) = listener.accept().unwrap();
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let (received, answer, ends) = (received.clone(), answer.clone(), ends.clone());
                thread::spawn(move || serve(stream, &received, &answer, &ends));
            }
        });
        Self { address, received, answer, ends, thread: Some(thread) }
    }

    pub(crate) fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Everything that came.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The ids of what it took, each once, in the order in which they came.
    pub(crate) fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = vec![];
        for message in self.received().iter().filter(|message| message.taken) {
            let id = message.header("webhook-id").to_owned();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// Waits until it holds.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut condition: impl FnMut(&[Received]) -> bool) {
        wait_for(what, PATIENCE, || {
            let received = self.received();
            holds(condition(&received), received)
        });
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // It waits for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut stream: TcpStream,
    received: &Mutex<Vec<Received>>,
    answer: &Mutex<Answer>,
    ends: &AtomicBool,
) {
    let answer = answer.lock().unwrap().clone();
    if matches!(answer, Answer::Closes) {
        return;
    }
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut bytes, mut buffer) = (vec![], [0; 4096]);
    let message = loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
        let text = String::from_utf8(bytes.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let taken = matches!(answer, Answer::Says(text) if text.starts_with("HTTP/1.1 2"));
        let message = Received { head: head.into(), body: body.into(), taken };
        if body.len() >= message.header("content-length").parse::<usize>().unwrap() {
            break message;
        }
    };
    received.lock().unwrap().push(message);
    match answer {
        Answer::Says(text) => drop(stream.write_all(text.as_bytes())),
        Answer::Drips => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ");
            while !ends.load(Ordering::Relaxed) && stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        }
        Answer::Hangs | Answer::Closes => {
            while !ends.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// The page of Python that any receiver could write: by the specification,
/// with nothing of ours.
const VERIFIER: &str = r#"
import base64, hashlib, hmac, json, sys
given = json.load(sys.stdin)
key = base64.b64decode(given["secret"].removeprefix("whsec_"))
for m in given["messages"]:
    signed = f'{m["id"]}.{m["timestamp"]}.{m["body"]}'.encode()
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    print("good" if m["signature"] == "v1," + expected else "BAD")
"#;

/// Verifies each signature independently; `None` without python3.
pub(crate) fn verify(secret: &str, messages: &[Received]) -> Option<Vec<bool>> {
    let python = peers::find("python3")?;
    let messages: Vec<Value> = messages
        .iter()
        .map(|message| {
            serde_json::json!({
                "id": message.header("webhook-id"),
                "timestamp": message.header("webhook-timestamp"),
                "signature": message.header("webhook-signature"),
                "body": message.body,
            })
        })
        .collect();
    let mut child = Command::new(python)
        .args(["-c", VERIFIER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = serde_json::json!({"secret": secret, "messages": messages}).to_string();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|line| line == "good").collect())
}

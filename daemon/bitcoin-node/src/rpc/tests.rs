use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::mpsc,
};

use provenance_host::config::Typed;

use super::*;

/// A node that gives this answer once, and what it was asked.
fn node(answer: impl Into<Vec<u8>>) -> (Node, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (send, asked) = mpsc::channel();
    let answer = answer.into();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let from = head.len();
            reader.read_line(&mut head).unwrap();
            if let Some(text) = head[from..].to_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        send.send(head + &String::from_utf8(body).unwrap()).unwrap();
        let _ = stream.write_all(&answer);
    });
    (Node::new(&url, Access::Typed(Typed("user:SECRET".into()))), asked)
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_question_is_asked_and_answered_inside_a_runtime_and_outside() {
    let (first, asked) = node(http("200 OK", r#"{"result":7,"error":null,"id":1}"#));
    assert_eq!(first.call("getblockcount", &[]).unwrap(), 7);
    let asked = asked.recv().unwrap().to_lowercase();
    assert!(asked.contains("authorization: basic dxnlcjptrunsrvq="), "{asked}");
    assert!(asked.contains("getblockcount"), "{asked}");
    let (second, _asked) = node(http("200 OK", r#"{"result":8,"error":null,"id":1}"#));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let inside = runtime.block_on(async { second.call("getblockcount", &[]) });
    assert_eq!(inside.unwrap(), 8);
}

#[test]
fn what_is_no_answer_is_told_without_the_password() {
    let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(MAX_ANSWER + 1));
    let away = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    for (answer, said) in [
        (long, "an answer of over 4 MiB"),
        (away.to_owned(), "HTTP status 302"),
        (http("401 Unauthorized", ""), "refuses user or password"),
        (http("200 OK", "{"), "no JSON"),
        ("nonsense".into(), "does not answer"),
        (
            http(
                "500 Internal Server Error",
                r#"{"result":null,"error":{"code":-28,"message":"Loading"},"id":1}"#,
            ),
            "Loading (-28)",
        ),
    ] {
        let (node, _asked) = node(answer);
        let error = node.call("getblockcount", &[]).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(said), "{said}: {text}");
        assert!(!text.contains("SECRET") && !text.contains("dXNlc"), "{text}");
    }
}

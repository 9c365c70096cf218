//! A calendar behind TLS, as appliances reach one: by a proxy in front of it.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{appliance::Appliance, harness::Calendar, node::Node};
use crate::common::{
    peers, tls,
    wait::{PATIENCE, wait_for},
};

/// Ends TLS and passes on what comes, both ways: a port of its own, which it
/// writes to a file.
const PROXY: &str = r#"
import socket, ssl, sys, threading
cert, key, port, behind = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
listener = socket.create_server(("127.0.0.1", 0))
with open(port, "w") as out:
    out.write(str(listener.getsockname()[1]))

def serve(client):
    with context.wrap_socket(client, server_side=True) as client, \
         socket.create_connection(("127.0.0.1", int(behind))) as server:
        def back():
            while data := server.recv(4096):
                client.sendall(data)
            client.close()
        threading.Thread(target=back, daemon=True).start()
        while data := client.recv(4096):
            server.sendall(data)

while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

struct Proxy {
    child: Child,
    port: u16,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    fn start(python: &Path, folder: &Path, behind: u16) -> Self {
        let file = folder.join("port");
        let child = Command::new(python)
            .args(["-c", PROXY])
            .args(["cert.pem", "key.pem", "port", &behind.to_string()])
            .current_dir(folder)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let port = wait_for("the proxy's port", PATIENCE, || {
            let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            text.parse().map_err(|_| text)
        });
        Self { child, port }
    }
}

#[test]
fn over_tls_a_calendar_needs_a_trusted_certificate() {
    let (Some(python), Some(openssl)) = (peers::find("python3"), peers::find("openssl")) else {
        return;
    };
    let Some(node) = Node::start() else { return };
    let mut calendar = Calendar::start(Some(&node), "msp", "");
    let folder = tempfile::tempdir().unwrap();
    tls::certificates(&openssl, folder.path());
    let proxy = Proxy::start(&python, folder.path(), calendar.port);
    let url = format!("https://localhost:{}", proxy.port);
    // Promises name it as clients reach it.
    calendar.change(&format!("url = \"{}\"", calendar.url()), &format!("url = \"{url}\""));
    let mut appliance = Appliance::new(None);
    appliance.settings(&[&url]);
    let bundle = appliance.bundle();
    let refused = appliance.command(&["anchor"]);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(75), "{message}");
    assert!(message.contains("certificate"), "{message}");
    // The machine's store, or whom SSL_CERT_FILE names.
    appliance.ca = Some(folder.path().join("ca.pem"));
    // Of another name than the certificate's it is another.
    let other = url.replace("localhost", "127.0.0.1");
    appliance.settings(&[&other]);
    let refused = appliance.command(&["anchor"]);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(message.contains("certificate"), "{message}");
    appliance.settings(&[&url]);
    assert_eq!(appliance.anchor(&[]).0, ["promised"]);
    calendar.anchor_finally();
    let (states, answer) = appliance.anchor_until_news();
    assert_eq!(states, ["attested"], "{answer:#}");
    assert!(bundle.join("statement.json.ots").exists());
}

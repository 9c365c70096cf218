//! A real browser, driven over the Chrome DevTools Protocol: messages of JSON,
//! each ended by a zero byte, over two pipes.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

pub(crate) struct Browser {
    child: Child,
    to: File,
    from: File,
    behind: Vec<u8>,
    next: u64,
    session: String,
    /// What it told without being asked.
    events: Vec<Value>,
    _dir: tempfile::TempDir,
}

/// What a page was seen to do.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Every address that was asked for.
    pub(crate) requests: Vec<String>,
    /// Errors and warnings on the console.
    pub(crate) console: Vec<String>,
}

impl Browser {
    /// `None` where there is no Chromium: said aloud, or a failure under `CI`.
    pub(crate) fn start() -> Option<Self> {
        let chromium = super::peers::find("chromium")?;
        let dir = tempfile::tempdir().unwrap();
        let (to, from) = (dir.path().join("to"), dir.path().join("from"));
        assert!(Command::new("mkfifo").args([&to, &from]).status().unwrap().success());
        let child = Command::new("bash")
            .args(["-c", "exec \"$0\" \"$@\" 3<\"$TO\" 4>\"$FROM\""])
            .arg(chromium)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--remote-debugging-pipe", "--no-first-run", "--disable-extensions"])
            .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
            .arg("about:blank")
            .env("TO", &to)
            .env("FROM", &from)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // In the order in which the shell opens them.
        let to = File::options().write(true).open(to).unwrap();
        let from = File::open(from).unwrap();
        let mut browser = Self {
            child,
            to,
            from,
            behind: vec![],
            next: 0,
            session: String::new(),
            events: vec![],
            _dir: dir,
        };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", &attach);
        browser.session = session["sessionId"].as_str().unwrap().into();
        for domain in ["Page", "Network", "Log", "Runtime", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Another screen for the page as it is.
    pub(crate) fn screen(&mut self, width: u32) {
        let screen = json!({"width": width, "height": 800, "deviceScaleFactor": 2,
            "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &screen);
    }

    /// Opens a file on a screen of this width.
    pub(crate) fn open(&mut self, path: &Path, width: u32) -> Seen {
        self.screen(width);
        self.events.clear();
        let url = format!("file://{}", path.display());
        self.call("Page.navigate", &json!({"url": url}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let message = self.read();
            self.events.push(message);
        }
        // What it still does behind that is told before this answer.
        self.eval("new Promise(done => setTimeout(done, 300))");
        self.seen()
    }

    /// Gives a file to the input of this id, as a person would by choosing it.
    pub(crate) fn choose(&mut self, id: &str, path: &Path) {
        let ask = json!({"expression": format!("document.getElementById('{id}')")});
        let input = self.call("Runtime.evaluate", &ask);
        let files = json!({"files": [path], "objectId": input["result"]["objectId"]});
        self.call("DOM.setFileInputFiles", &files);
    }

    /// What the page was seen to do since it was opened.
    pub(crate) fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        for event in &self.events {
            let params = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Network.requestWillBeSent" => {
                    seen.requests.push(params["request"]["url"].as_str().unwrap().into());
                }
                "Log.entryAdded" => seen.console.push(params["entry"]["text"].to_string()),
                "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" => {
                    seen.console.push(params.to_string());
                }
                _ => {}
            }
        }
        seen
    }

    /// The value of a script's expression in the page.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let ask = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &ask);
        assert!(answer.get("exceptionDetails").is_none(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// Light or dark, screen or print.
    pub(crate) fn media(&mut self, media: &str, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let wanted = json!({"media": media, "features": features});
        self.call("Emulation.setEmulatedMedia", &wanted);
    }

    /// A picture of the whole page, for who wants to look at it.
    pub(crate) fn picture(&mut self, path: &Path) {
        let size = self.call("Page.getLayoutMetrics", &json!({}));
        let size = &size["cssContentSize"];
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": size["height"],
            "scale": 0.5});
        let wanted = json!({"captureBeyondViewport": true, "clip": clip});
        let shot = self.call("Page.captureScreenshot", &wanted);
        let bytes = decode(shot["data"].as_str().unwrap());
        assert!(bytes.starts_with(b"\x89PNG"));
        std::fs::write(path, bytes).unwrap();
    }

    /// The page as a printer gets it.
    pub(crate) fn print(&mut self) -> Vec<u8> {
        let paper = json!({"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": true});
        let printed = self.call("Page.printToPDF", &paper);
        decode(printed["data"].as_str().unwrap())
    }

    /// The roles and names that assistive technology is told.
    pub(crate) fn roles(&mut self) -> Vec<(String, String)> {
        let tree = self.call("Accessibility.getFullAXTree", &json!({}));
        let nodes =
            tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] == false);
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        nodes.map(|node| (text(&node["role"]), text(&node["name"]))).collect()
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let message = self.read();
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn read(&mut self) -> Value {
        loop {
            if let Some(end) = self.behind.iter().position(|byte| *byte == 0) {
                let message = serde_json::from_slice(&self.behind[..end]).unwrap();
                self.behind.drain(..=end);
                return message;
            }
            let mut buffer = vec![0; 64 << 10];
            let count = self.from.read(&mut buffer).unwrap();
            assert!(count > 0, "the browser ended");
            self.behind.extend(&buffer[..count]);
        }
    }
}

fn decode(text: &str) -> Vec<u8> {
    use base64ct::{Base64, Encoding as _};
    Base64::decode_vec(text).unwrap()
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

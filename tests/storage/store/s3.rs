//! Somebody else's client of the bucket: curl, which signs by itself.

use std::{fs, process::Command};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// With all rights of the user "test".
pub(crate) struct S3 {
    root: String,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().filter_map(|line| line.split_once(": "));
        found.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    fn well(self, what: &str) -> Self {
        let said = String::from_utf8_lossy(&self.body);
        assert!((200..300).contains(&self.status), "{what}: {} {said}", self.status);
        self
    }
}

impl S3 {
    pub(crate) fn new(port: u16) -> Self {
        Self { root: format!("http://127.0.0.1:{port}") }
    }

    /// `query` by name, each with its `=`: curl signs it as it is.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[&str],
        body: Option<&[u8]>,
    ) -> Answer {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        let encode = |text| utf8_percent_encode(text, ENCODED).to_string();
        let path: Vec<String> = path.split('/').map(encode).collect();
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let url = format!("{}/{}{mark}{}", self.root, path.join("/"), query.join("&"));
        let mut curl = Command::new("curl");
        curl.args(["-q", "-sS", "--max-time", "60", "--noproxy", "*"]);
        curl.args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "test:testtest"]);
        curl.args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-D"]).arg(file("head"));
        curl.args(headers.iter().flat_map(|header| ["-H", *header]));
        if let Some(body) = body {
            fs::write(file("sent"), body).unwrap();
            curl.arg("-T").arg(file("sent"));
        }
        match method {
            "HEAD" => curl.arg("--head"),
            method => curl.args(["-X", method]),
        };
        let ran = curl.arg("-o").arg(file("body")).arg(&url).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{method} {url}: {said}");
        let head = fs::read_to_string(file("head")).unwrap();
        // The last one's, after any `100 Continue`.
        let head = head.trim_end().rsplit("\r\n\r\n").next().unwrap();
        let mut lines = head.lines().map(str::to_owned);
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            headers: lines.collect(),
            body: fs::read(file("body")).unwrap_or_default(),
        }
    }

    pub(crate) fn make(&self, bucket: &str, lock: bool) {
        let header = format!("x-amz-bucket-object-lock-enabled: {lock}");
        self.ask("PUT", bucket, &[], &[&header], None).well("make");
    }

    /// Every version: its name, its version, the newest of a name first.
    pub(crate) fn versions(&self, bucket: &str) -> Vec<(String, String)> {
        let (mut found, mut marker, mut version) = (vec![], String::new(), String::new());
        loop {
            let mut query = vec![("versions", "")];
            if !marker.is_empty() {
                query = vec![("key-marker", &*marker), ("version-id-marker", &version)];
                query.push(("versions", ""));
            }
            let page = self.ask("GET", bucket, &query, &[], None).well("versions");
            let page = String::from_utf8(page.body).unwrap();
            let each = page.split("<Version>").skip(1);
            found.extend(each.map(|text| (between(text, "Key"), between(text, "VersionId"))));
            if between(&page, "IsTruncated") != "true" {
                return found;
            }
            (marker, version) =
                (between(&page, "NextKeyMarker"), between(&page, "NextVersionIdMarker"));
        }
    }

    pub(crate) fn get(&self, bucket: &str, key: &str) -> Vec<u8> {
        self.ask("GET", &format!("{bucket}/{key}"), &[], &[], None).well("get").body
    }

    pub(crate) fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        self.ask("PUT", &format!("{bucket}/{key}"), &[], &[], Some(bytes)).well("put");
    }

    pub(crate) fn remove(&self, bucket: &str, key: &str) {
        self.ask("DELETE", &format!("{bucket}/{key}"), &[], &[], None).well("remove");
    }

    /// The same objects in a bucket that keeps nothing.
    pub(crate) fn mirror(&self, from: &str, to: &str) {
        self.make(to, false);
        for (key, _) in self.versions(from) {
            self.put(to, &key, &self.get(from, &key));
        }
    }
}

/// The text of the first element of this name.
fn between(text: &str, name: &str) -> String {
    let (_, rest) = text.split_once(&format!("<{name}>")).unwrap_or_default();
    rest.split('<').next().unwrap_or_default().to_owned()
}

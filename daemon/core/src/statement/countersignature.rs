//! Counter-signatures: somebody else than its author vouches for a folder, a
//! file or a build, by the digest of what they saw (docs/format.md §19).

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use super::{Subject, text, time};
use crate::{
    encoding::{
        digest::Digest,
        json::Value,
        json_scanner::{ScanError, Scanner},
        time::Timestamp,
    },
    signing::public_key::PublicKey,
    statement,
};

/// The `predicateType`.
pub const PREDICATE_TYPE: &str = "https://msp-provenance.dev/countersign/v1";
/// The `type` of a request.
pub const REQUEST_TYPE: &str = "https://msp-provenance.dev/countersign-request/v1";
/// What the file of signatures is called: at the top of a folder, which is
/// signed without it, or behind the name of a file and a full stop.
pub const SIGNING_FILE: &str = "countersignatures.jsonl";
/// A request is at most so long.
pub const MAX_REQUEST: usize = 16 << 10;
/// What is signed is at most so long.
pub const MAX_STATEMENT: usize = 32 << 10;
/// A file of signatures is at most so long.
pub const MAX_FILE: usize = 4 << 20;

/// The longest name, author, version or signer.
const MAX_NAME: usize = 1024;
/// The longest reason.
const MAX_REASON: usize = 4096;

/// Of what the digest is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tree {
    /// Of a folder's NAR serialisation, without the signing file at its top.
    Nar,
    /// Of a file's bytes.
    File,
}

/// Somebody asks for signatures. It is not signed itself: who signs looks at
/// what is there, and believes nothing of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Who made it, in their own words.
    pub author: String,
    /// The key of whoever asks: a signature by it would count for nothing.
    pub key: PublicKey,
    /// What it is called, and its digest.
    pub subject: Subject,
    /// When it was asked, by the clock of whoever asked.
    pub time: Timestamp,
    /// Of what the digest is.
    pub tree: Tree,
    /// Which version this is, where it has one.
    pub version: Option<String>,
}

/// What a counter-signer signs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Countersignature {
    /// What was asked.
    pub request: Request,
    /// Why it was signed.
    pub reason: Option<String>,
    /// The client whose appliance signed.
    pub client: String,
    /// The appliance.
    pub host: String,
    /// The person.
    pub who: String,
    /// When it was signed, by the signer's clock.
    pub time: Timestamp,
}

/// Why bytes are no request or counter-signature, or it cannot be written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CountersignError {
    /// Over [`MAX_REQUEST`] or [`MAX_STATEMENT`].
    #[error("{0} bytes are over the limit of {1}")]
    TooLong(usize, usize),
    /// Not of this type.
    #[error("the statement is no counter-signature of version 1")]
    UnknownType,
    /// Not the one canonical form.
    #[error("not in canonical form: {0}")]
    Malformed(#[from] ScanError),
    /// A text that is empty, too long, or has control characters in it.
    #[error("{0} is empty, too long, or has control characters in it")]
    Text(&'static str),
    /// Not about exactly one thing.
    #[error("a counter-signature is about one thing, and this statement is about {0}")]
    Subjects(usize),
    /// The digest of the request is not that of the request that it repeats.
    #[error("it names another request than the one that it repeats")]
    Request,
}

impl Tree {
    /// `nar` or `file`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nar => "nar",
            Self::File => "file",
        }
    }

    /// Reads what [`Self::as_str`] gives.
    pub fn find(text: &str) -> Option<Self> {
        [Self::Nar, Self::File].into_iter().find(|tree| tree.as_str() == text)
    }
}

impl Request {
    /// The canonical bytes.
    ///
    /// # Errors
    /// Where [`Self::parse`] would refuse them.
    pub fn encode(&self) -> Result<Vec<u8>, CountersignError> {
        let bytes = self.bytes();
        Self::parse(&bytes)?;
        Ok(bytes)
    }

    fn bytes(&self) -> Vec<u8> {
        Value::object([
            ("author", self.author.as_str().into()),
            ("key", self.key.spki_base64().into()),
            ("subject", self.subject.to_value()),
            ("time", self.time.into()),
            ("tree", self.tree.as_str().into()),
            ("type", REQUEST_TYPE.into()),
        ])
        .with_some("version", self.version.as_deref())
        .encode()
    }

    /// Reads exactly what [`Self::encode`] writes.
    ///
    /// # Errors
    /// [`CountersignError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CountersignError> {
        limit(bytes, MAX_REQUEST)?;
        let mut scan = Scanner::new(bytes);
        let request = Self::read(&mut scan)?;
        scan.finish()?;
        request.check()?;
        Ok(request)
    }

    fn read(scan: &mut Scanner<'_>) -> Result<Self, ScanError> {
        scan.open()?;
        let author = text(scan, "author")?;
        let key = read_key(scan)?;
        scan.key("subject")?;
        let subject = Subject::read(scan)?;
        let time = time(scan, "time")?;
        let tree = read_tree(scan)?;
        if text(scan, "type")? != REQUEST_TYPE {
            return scan.fail("no request for a counter-signature");
        }
        let version = maybe_text(scan, "version")?;
        scan.close()?;
        Ok(Self { author, key, subject, time, tree, version })
    }

    fn check(&self) -> Result<(), CountersignError> {
        fits("the name", &self.subject.name, MAX_NAME)?;
        fits("the author", &self.author, MAX_NAME)?;
        self.version.as_deref().map_or(Ok(()), |version| fits("the version", version, MAX_NAME))
    }

    /// The digest of its bytes.
    pub fn sha256(&self) -> Digest {
        Digest::sha256(&self.bytes())
    }

    /// Whether both ask for the same, whenever they did.
    pub fn same(&self, other: &Self) -> bool {
        let parts = |of: &Self| (of.tree, of.subject.sha256);
        parts(self) == parts(other)
            && self.key == other.key
            && (&self.author, &self.version) == (&other.author, &other.version)
    }
}

impl Countersignature {
    /// The canonical bytes: what is signed.
    ///
    /// # Errors
    /// Where [`Self::parse`] would refuse them.
    pub fn encode(&self) -> Result<Vec<u8>, CountersignError> {
        let subject = &self.request.subject;
        let subject = (&*subject.name, subject.sha256);
        let bytes = statement::encode(PREDICATE_TYPE, self.predicate(), [subject].into_iter());
        Self::parse(&bytes)?;
        Ok(bytes)
    }

    fn predicate(&self) -> Value {
        let request = &self.request;
        let asked = Value::object([
            ("key", request.key.spki_base64().into()),
            ("sha256", request.sha256().into()),
            ("time", request.time.into()),
        ]);
        let signer = Value::object([
            ("client", self.client.as_str().into()),
            ("host", self.host.as_str().into()),
            ("who", self.who.as_str().into()),
        ]);
        Value::object([
            ("author", request.author.as_str().into()),
            ("request", asked),
            ("signer", signer),
            ("time", self.time.into()),
            ("tree", request.tree.as_str().into()),
        ])
        .with_some("reason", self.reason.as_deref())
        .with_some("version", request.version.as_deref())
    }

    /// Reads exactly what [`Self::encode`] writes.
    ///
    /// # Errors
    /// [`CountersignError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CountersignError> {
        limit(bytes, MAX_STATEMENT)?;
        let ((mut this, asked), subjects) =
            statement::parse(bytes, PREDICATE_TYPE, read_predicate)?
                .ok_or(CountersignError::UnknownType)?;
        let count = subjects.len();
        let mut subjects = subjects.into_iter();
        this.request.subject = match (subjects.next(), subjects.next()) {
            (Some(subject), None) => subject,
            _ => return Err(CountersignError::Subjects(count)),
        };
        this.check()?;
        // It holds all of the request, and so the digest says nothing new.
        if this.request.sha256() == asked { Ok(this) } else { Err(CountersignError::Request) }
    }

    fn check(&self) -> Result<(), CountersignError> {
        self.request.check()?;
        fits("the client", &self.client, MAX_NAME)?;
        fits("the host", &self.host, MAX_NAME)?;
        fits("the signer's name", &self.who, MAX_NAME)?;
        self.reason.as_deref().map_or(Ok(()), |reason| fits("the reason", reason, MAX_REASON))
    }
}

/// All but the subject, and the digest of the request.
fn read_predicate(scan: &mut Scanner<'_>) -> Result<(Countersignature, Digest), ScanError> {
    scan.open()?;
    let author = text(scan, "author")?;
    let reason = maybe_text(scan, "reason")?;
    scan.key("request")?;
    scan.open()?;
    let key = read_key(scan)?;
    scan.key("sha256")?;
    let asked = crate::record::log_entry::read_digest(scan)?;
    let asked_at = time(scan, "time")?;
    scan.close()?;
    scan.key("signer")?;
    scan.open()?;
    let (client, host, who) = (text(scan, "client")?, text(scan, "host")?, text(scan, "who")?);
    scan.close()?;
    let time = time(scan, "time")?;
    let tree = read_tree(scan)?;
    let version = maybe_text(scan, "version")?;
    scan.close()?;
    let subject = Subject { name: String::new(), sha256: Digest::ZERO };
    let request = Request { author, key, subject, time: asked_at, tree, version };
    Ok((Countersignature { request, reason, client, host, who, time }, asked))
}

/// The lines of a file of signatures, each a Sigstore bundle, from 1; the
/// last ends with LF too, or is torn.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = (u64, Option<&[u8]>)> {
    (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n")))
}

fn read_key(scan: &mut Scanner<'_>) -> Result<PublicKey, ScanError> {
    scan.key("key")?;
    let spki = scan.plain()?;
    match PublicKey::parse(spki) {
        // Only as it is written: PEM would be read as well.
        Ok(key) if key.spki_base64() == spki => Ok(key),
        _ => scan.fail("not an Ed25519 public key (base64 of its SPKI)"),
    }
}

fn read_tree(scan: &mut Scanner<'_>) -> Result<Tree, ScanError> {
    scan.key("tree")?;
    match Tree::find(scan.plain()?) {
        Some(tree) => Ok(tree),
        None => scan.fail("expected nar or file"),
    }
}

fn maybe_text(scan: &mut Scanner<'_>, name: &str) -> Result<Option<String>, ScanError> {
    if scan.maybe_key(name) { Ok(Some(scan.string()?.to_string())) } else { Ok(None) }
}

fn limit(bytes: &[u8], limit: usize) -> Result<(), CountersignError> {
    let length = bytes.len();
    if length > limit { Err(CountersignError::TooLong(length, limit)) } else { Ok(()) }
}

fn fits(what: &'static str, text: &str, limit: usize) -> Result<(), CountersignError> {
    let fine = !text.is_empty() && text.len() <= limit && !text.chars().any(char::is_control);
    if fine { Ok(()) } else { Err(CountersignError::Text(what)) }
}

#[cfg(test)]
pub(crate) mod tests;

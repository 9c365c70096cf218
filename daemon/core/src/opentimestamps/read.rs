//! Reads a proof and carries it out.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use super::{Attestation, BITCOIN, MAGIC, MAX_URI, OtsError, PENDING, VERSION, is_uri, op};
use crate::encoding::digest::{Digest, to_hex};

/// A proof is at most this long.
pub const MAX_OTS: usize = 1 << 20;
/// A calendar's answer is at most this long.
pub const MAX_ANSWER: usize = 10_000;
/// A message, and what is added to one, is at most this long.
pub const MAX_MESSAGE: usize = 4096;
/// What an attestation says is at most this long.
const MAX_PAYLOAD: usize = 8192;
/// So many operations may follow one another.
pub const MAX_DEPTH: usize = 256;
/// So many operations and attestations there may be in all.
pub const MAX_STEPS: usize = 10_000;

/// A proof that was read and carried out. That it is of the right file, and
/// that the blocks are Bitcoin's, remains to be seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ots {
    /// The digest that it begins with.
    pub digest: Digest,
    /// Where its ways end.
    pub attestations: Vec<Attestation>,
}

/// What the operations have made so far; `None` behind one that is not
/// carried out.
type Message = Option<Vec<u8>>;

/// One way through a proof: operations in a row, and where they end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperationPath {
    /// The operations, as they are written.
    pub operations: Vec<u8>,
    /// What they lead to.
    pub message: Vec<u8>,
    /// What is said of that.
    pub attestation: Attestation,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    steps: usize,
    attestations: Vec<Attestation>,
    /// The operations from the beginning to here, and the ways that ended:
    /// where they are asked for.
    ways: Option<(Vec<u8>, Vec<OperationPath>)>,
}

type Result<T> = core::result::Result<T, OtsError>;

impl Ots {
    /// Reads a proof of a SHA-256 digest, to its last byte.
    ///
    /// # Errors
    /// [`OtsError`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        if bytes.len() > MAX_OTS {
            return reader.fail("over 1 MiB");
        }
        if reader.take(MAGIC.len()).ok() != Some(MAGIC) {
            return reader.fail("it does not begin as one");
        }
        if reader.number()? != u64::from(VERSION) {
            return reader.fail("another version than 1");
        }
        if reader.byte()? != op::SHA256 {
            return reader.fail("it is not of a SHA-256 digest");
        }
        let digest: Option<[u8; 32]> = reader.take(32)?.try_into().ok();
        let Some(digest) = digest else { return reader.fail("it ends early") };
        reader.run(Some(digest.to_vec()))?;
        if reader.at != bytes.len() {
            return reader.fail("bytes behind its end");
        }
        Ok(Self { digest: Digest(digest), attestations: reader.attestations })
    }
}

/// The ways from `message` through a calendar's answer: a proof without what a
/// file begins with. What is not carried out is left away.
///
/// # Errors
/// [`OtsError`].
pub fn ways(message: &[u8], answer: &[u8]) -> Result<Vec<OperationPath>> {
    let mut reader = Reader { ways: Some((Vec::new(), Vec::new())), ..Reader::new(answer) };
    if answer.len() > MAX_ANSWER {
        return reader.fail("a calendar's answer of over 10,000 bytes");
    }
    reader.run(Some(message.to_vec()))?;
    if reader.at != answer.len() {
        return reader.fail("bytes behind its end");
    }
    Ok(reader.ways.map(|(_, ways)| ways).unwrap_or_default())
}

/// Carries out operations in a row, as [`OperationPath::operations`] has them.
///
/// # Errors
/// [`OtsError`], also where one of them is not carried out.
pub fn follow(message: &[u8], operations: &[u8]) -> Result<Vec<u8>> {
    let mut reader = Reader::new(operations);
    if operations.len() > MAX_ANSWER {
        return reader.fail("operations of over 10,000 bytes");
    }
    let mut message = Some(message.to_vec());
    for _ in 0..MAX_DEPTH {
        if reader.at == operations.len() {
            break;
        }
        let tag = reader.byte()?;
        message = reader.operation(tag, message)?;
    }
    match message {
        Some(message) if reader.at == operations.len() => Ok(message),
        Some(_) => reader.fail("over 256 operations in a row"),
        None => reader.fail("an operation that is not carried out"),
    }
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, steps: 0, attestations: Vec::new(), ways: None }
    }

    /// Carries out the tree. Where it forks, the message waits in `open` for
    /// the branches behind: no recursion, and no more there than was read.
    fn run(&mut self, message: Message) -> Result<()> {
        let mut open: Vec<(Message, usize, usize)> = Vec::new();
        let (mut message, mut depth) = (message, 0);
        loop {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return self.fail("over 10,000 operations");
            }
            match self.byte()? {
                op::FORK => {
                    // What waits counts towards the depth: it bounds memory.
                    if open.len() >= MAX_DEPTH {
                        return self.fail("it forks over 256 times");
                    }
                    let trail = self.ways.as_ref().map_or(0, |(trail, _)| trail.len());
                    open.push((message.clone(), depth, trail));
                    // A fork is followed by a branch.
                    if self.bytes.get(self.at) == Some(&op::FORK) {
                        return self.fail("a fork behind a fork");
                    }
                }
                op::ATTESTATION => {
                    self.attestation(message.as_deref())?;
                    match open.pop() {
                        Some((waiting, at, trail)) => {
                            (message, depth) = (waiting, at);
                            self.ways.iter_mut().for_each(|(way, _)| way.truncate(trail));
                        }
                        None => return Ok(()),
                    }
                }
                tag => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return self.fail("over 256 operations in a row");
                    }
                    let from = self.at - 1;
                    message = self.operation(tag, message)?;
                    let done = self.bytes.get(from..self.at).unwrap_or_default();
                    self.ways.iter_mut().for_each(|(way, _)| way.extend(done));
                }
            }
        }
    }

    fn operation(&mut self, tag: u8, message: Message) -> Result<Message> {
        let message = match tag {
            op::APPEND | op::PREPEND => {
                let more = self.prefixed(MAX_MESSAGE)?;
                if more.is_empty() {
                    return self.fail("nothing is appended or prepended");
                }
                message.map(|message| match tag {
                    op::APPEND => [&message, more].concat(),
                    _ => [more, &message].concat(),
                })
            }
            op::SHA256 => message.map(|message| Digest::sha256(&message).0.to_vec()),
            op::REVERSE => message.map(|message| message.into_iter().rev().collect()),
            op::HEXLIFY => message.map(|message| to_hex(&message).into_bytes()),
            // Weak, or not used on the way to a Bitcoin block: what is behind
            // them is kept, and shows nothing.
            op::SHA1 | op::RIPEMD160 | op::KECCAK256 => None,
            _ => return self.fail("an operation that there is not"),
        };
        match message {
            Some(message) if message.len() > MAX_MESSAGE => self.fail("a message over 4096 bytes"),
            message => Ok(message),
        }
    }

    fn attestation(&mut self, message: Option<&[u8]>) -> Result<()> {
        let Ok(tag) = <[u8; 8]>::try_from(self.take(8)?) else {
            return self.fail("it ends early");
        };
        let payload = self.prefixed(MAX_PAYLOAD)?;
        let mut inner = Reader::new(payload);
        let known = match (tag, message) {
            (BITCOIN, Some(message)) => {
                let height = inner.number()?;
                let Ok(height) = u32::try_from(height) else {
                    return self.fail("a block's height of 2^32 or more");
                };
                let root = message.try_into().ok().map(Digest);
                Some(Attestation::Bitcoin { height, root })
            }
            (PENDING, _) => {
                let uri = inner.prefixed(MAX_URI)?;
                Some(Attestation::Pending { uri: self.uri(uri)? })
            }
            _ => None,
        };
        if known.is_some() && inner.at != payload.len() {
            return self.fail("an attestation that holds more than it should");
        }
        let unknown = || Attestation::Unknown { tag, payload: payload.to_owned() };
        let attestation = known.unwrap_or_else(unknown);
        if let (Some((way, ways)), Some(message)) = (&mut self.ways, message) {
            let (operations, message) = (way.clone(), message.to_owned());
            ways.push(OperationPath { operations, message, attestation: attestation.clone() });
        }
        self.attestations.push(attestation);
        Ok(())
    }

    /// A calendar's address, of the characters that the format allows.
    fn uri(&self, uri: &[u8]) -> Result<String> {
        match core::str::from_utf8(uri) {
            Ok(text) if is_uri(text) => Ok(text.into()),
            _ => self.fail("a calendar's address with other characters than it may have"),
        }
    }

    fn byte(&mut self) -> Result<u8> {
        let [byte] = *self.take(1)? else { return self.fail("it ends early") };
        Ok(byte)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let Some(taken) = taken else { return self.fail("it ends early") };
        self.at += count;
        Ok(taken)
    }

    fn prefixed(&mut self, most: usize) -> Result<&'a [u8]> {
        match usize::try_from(self.number()?) {
            Ok(count) if count <= most => self.take(count),
            _ => self.fail("longer than it may be"),
        }
    }

    /// A number in groups of seven bits, the lowest first, in its shortest form.
    fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return match byte == 0 && shift > 0 {
                    true => self.fail("a number that is not in its shortest form"),
                    false => Ok(number),
                };
            }
        }
        self.fail("a number over 63 bits")
    }

    fn fail<T>(&self, what: &'static str) -> Result<T> {
        Err(OtsError { what, at: self.at })
    }
}

//! A derivation, as Nix writes it into its store (ATerm): what a build was
//! made from (docs/format.md §14).

use alloc::{
    collections::BTreeSet,
    string::{String, ToString},
    vec::Vec,
};

use super::Address;
use crate::encoding::digest::Digest;

/// A derivation is at most so long.
pub const MAX_DERIVATION: usize = 16 << 20;

/// What a build is made from, and what it is to make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Derivation {
    /// Name and path of each output; no path where it follows from contents.
    pub outputs: Vec<(String, String)>,
    /// The derivations that it needs, and which of their outputs.
    pub derivations: Vec<(String, Vec<String>)>,
    /// The paths that it needs as they are.
    pub sources: Vec<String>,
    /// The system that builds it, such as `x86_64-linux`.
    pub system: String,
}

/// Why bytes are no derivation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a derivation that is known here: {what} expected at byte {at}")]
pub struct DerivationError {
    /// What should have come.
    pub what: &'static str,
    /// Where.
    pub at: usize,
}

impl Derivation {
    /// Reads the bytes of a `.drv` file.
    ///
    /// # Errors
    /// [`DerivationError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DerivationError> {
        let mut scan = Scan { bytes, at: 0 };
        if bytes.len() > MAX_DERIVATION {
            return scan.fail("at most 16 MiB");
        }
        scan.token(b"Derive(", "Derive(")?;
        let mut outputs = Vec::new();
        scan.list(|scan| {
            scan.token(b"(", "an output")?;
            outputs.push((scan.next_string()?, scan.next_string()?));
            scan.skip()?;
            scan.comma()?;
            scan.skip()?;
            scan.token(b")", "an output's end")
        })?;
        scan.comma()?;
        let mut derivations = Vec::new();
        scan.list(|scan| {
            scan.token(b"(", "a derivation")?;
            let path = scan.next_string()?;
            let mut names = Vec::new();
            scan.list(|scan| {
                names.push(scan.string()?);
                Ok(())
            })?;
            derivations.push((path, names));
            scan.token(b")", "a derivation's end")
        })?;
        scan.comma()?;
        let mut sources = Vec::new();
        scan.list(|scan| {
            sources.push(scan.string()?);
            Ok(())
        })?;
        scan.comma()?;
        let system = scan.next_string()?;
        // The builder, its arguments, its environment.
        scan.skip()?;
        scan.comma()?;
        scan.list(Scan::skip)?;
        scan.comma()?;
        scan.list(|scan| {
            scan.token(b"(", "a variable")?;
            scan.skip()?;
            scan.comma()?;
            scan.skip()?;
            scan.token(b")", "a variable's end")
        })?;
        scan.token(b")", "the end")?;
        if scan.at != bytes.len() {
            return scan.fail("nothing behind the end");
        }
        Ok(Self { outputs, derivations, sources, system })
    }

    /// Whether `path` is where Nix keeps a derivation of these bytes: its name
    /// holds their digest and all that they need.
    pub fn is_at(&self, bytes: &[u8], path: &str) -> bool {
        let needs: BTreeSet<&str> = self
            .derivations
            .iter()
            .map(|(path, _)| path.as_str())
            .chain(self.sources.iter().map(String::as_str))
            .collect();
        let address =
            Address::parse(&("text:sha256:".to_string() + &Digest::sha256(bytes).to_hex()));
        path.ends_with(".drv")
            && address.and_then(|address| address.path(path, needs.into_iter())).as_deref()
                == Some(path)
    }

    /// The name of the output that is at `path`.
    pub fn output(&self, path: &str) -> Option<&str> {
        self.outputs.iter().find(|(_, at)| at == path).map(|(name, _)| name.as_str())
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn fail<T>(&self, what: &'static str) -> Result<T, DerivationError> {
        Err(DerivationError { what, at: self.at })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn token(&mut self, token: &[u8], what: &'static str) -> Result<(), DerivationError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(token) {
            return self.fail(what);
        }
        self.at += token.len();
        Ok(())
    }

    fn comma(&mut self) -> Result<(), DerivationError> {
        self.token(b",", "a comma")
    }

    fn list(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), DerivationError>,
    ) -> Result<(), DerivationError> {
        self.token(b"[", "a list")?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.fail("a comma or a list's end"),
            }
        }
    }

    /// A string, and the comma behind it.
    fn next_string(&mut self) -> Result<String, DerivationError> {
        let text = self.string()?;
        self.comma()?;
        Ok(text)
    }

    fn string(&mut self) -> Result<String, DerivationError> {
        let start = self.at;
        let mut bytes = Vec::new();
        self.each_byte(|byte| bytes.push(byte))?;
        String::from_utf8(bytes).map_err(|_| DerivationError { what: "a text in UTF-8", at: start })
    }

    /// A string that is not looked at: it may be long, and need not be UTF-8.
    fn skip(&mut self) -> Result<(), DerivationError> {
        self.each_byte(|_| ())
    }

    fn each_byte(&mut self, mut byte: impl FnMut(u8)) -> Result<(), DerivationError> {
        self.token(b"\"", "a string")?;
        loop {
            let next = self.peek();
            self.at += 1;
            match next {
                Some(b'"') => return Ok(()),
                Some(b'\\') => {
                    let escaped = match self.peek() {
                        Some(b'n') => b'\n',
                        Some(b'r') => b'\r',
                        Some(b't') => b'\t',
                        Some(other) => other,
                        None => return self.fail("a string's end"),
                    };
                    byte(escaped);
                    self.at += 1;
                }
                Some(other) => byte(other),
                None => return self.fail("a string's end"),
            }
        }
    }
}

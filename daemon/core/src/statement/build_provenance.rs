//! What a Nix store path was built from, and by whom: SLSA provenance v1
//! (<https://slsa.dev/spec/v1.0/provenance>) as an in-toto statement in
//! canonical JSON (docs/format.md §14).
//!
//! The subject's digest is that of the path's NAR serialisation, so that
//! `nix-store --dump PATH | sha256sum` gives it.

use alloc::{format, string::String, vec::Vec};

use super::{MAX_STATEMENT, Subject, text, time};
use crate::{
    encoding::{
        digest::Digest,
        json::Value,
        json_scanner::{ScanError, Scanner},
        time::Timestamp,
    },
    statement,
};

/// The `predicateType`; `cosign --type slsaprovenance1` takes it.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// The `buildType`: a build of a derivation by Nix.
pub const BUILD_TYPE: &str = "https://msp-provenance.dev/nix-build/v1";
/// How a builder's id begins; client and host follow.
const BUILDER: &str = "https://msp-provenance.dev/appliance/";

/// How a store path came to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Provenance {
    /// The store path, and the digest of its NAR serialisation.
    pub subject: Subject,
    /// The derivation's path, and the digest of that file.
    pub derivation: Subject,
    /// Which of its outputs the path is.
    pub output: String,
    /// The system that it was built for, such as `x86_64-linux`.
    pub system: String,
    /// What the build was given: store paths and their NARs' digests, by
    /// name, none twice.
    pub dependencies: Vec<Subject>,
    /// Whose appliance built it.
    pub client: String,
    /// Which appliance.
    pub host: String,
    /// The version of the program that says so.
    pub version: String,
    /// When the path was registered in the store.
    pub finished: Timestamp,
}

/// Why bytes are no provenance, or it cannot be written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProvenanceError {
    /// Over [`MAX_STATEMENT`].
    #[error("provenance of {0} bytes is over the limit of 8 MiB")]
    TooLong(usize),
    /// Not of this type.
    #[error("the statement is no SLSA provenance v1 of a Nix build")]
    UnknownType,
    /// Not the one canonical form.
    #[error("not SLSA provenance in canonical form: {0}")]
    Malformed(#[from] ScanError),
    /// Not about exactly one path.
    #[error("provenance is about one store path, and this statement is about {0}")]
    Subjects(usize),
    /// A name repeated, or before its predecessor.
    #[error("dependency {0} is repeated or out of order")]
    Order(usize),
}

impl Provenance {
    /// The canonical bytes: what is signed.
    ///
    /// # Errors
    /// Where [`Self::parse`] would refuse them.
    pub fn encode(&self) -> Result<Vec<u8>, ProvenanceError> {
        let subject = (&*self.subject.name, self.subject.sha256);
        let bytes = statement::encode(PREDICATE_TYPE, self.predicate(), [subject].into_iter());
        Self::parse(&bytes)?;
        Ok(bytes)
    }

    fn predicate(&self) -> Value {
        let dependencies: Vec<Value> = self.dependencies.iter().map(Subject::to_value).collect();
        let parameters = Value::object([
            ("derivation", self.derivation.to_value()),
            ("output", self.output.as_str().into()),
            ("system", self.system.as_str().into()),
        ]);
        let build = Value::object([
            ("buildType", BUILD_TYPE.into()),
            ("externalParameters", parameters),
            ("resolvedDependencies", dependencies.into()),
        ]);
        let builder = Value::object([
            ("id", format!("{BUILDER}{}/{}", self.client, self.host).into()),
            ("version", Value::object([("provenanced", self.version.as_str().into())])),
        ]);
        let metadata = Value::object([("finishedOn", self.finished.into())]);
        let run = Value::object([("builder", builder), ("metadata", metadata)]);
        Value::object([("buildDefinition", build), ("runDetails", run)])
    }

    /// Reads exactly what [`Self::encode`] writes.
    ///
    /// # Errors
    /// [`ProvenanceError`]; dependencies are counted from 0.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProvenanceError> {
        if bytes.len() > MAX_STATEMENT {
            return Err(ProvenanceError::TooLong(bytes.len()));
        }
        let (mut provenance, subjects) = statement::parse(bytes, PREDICATE_TYPE, read_predicate)?
            .ok_or(ProvenanceError::UnknownType)?;
        let count = subjects.len();
        let mut subjects = subjects.into_iter();
        provenance.subject = match (subjects.next(), subjects.next()) {
            (Some(subject), None) => subject,
            _ => return Err(ProvenanceError::Subjects(count)),
        };
        let pairs = provenance.dependencies.windows(2);
        let mut pairs = pairs.map(|pair| matches!(pair, [a, b] if a.name < b.name));
        match pairs.position(|ordered| !ordered) {
            Some(at) => Err(ProvenanceError::Order(at + 1)),
            None => Ok(provenance),
        }
    }
}

/// All but the subject.
fn read_predicate(scan: &mut Scanner<'_>) -> Result<Provenance, ScanError> {
    scan.open()?;
    scan.key("buildDefinition")?;
    scan.open()?;
    if text(scan, "buildType")? != BUILD_TYPE {
        return scan.fail("not a build by Nix");
    }
    scan.key("externalParameters")?;
    scan.open()?;
    scan.key("derivation")?;
    let derivation = Subject::read(scan)?;
    let (output, system) = (text(scan, "output")?, text(scan, "system")?);
    scan.close()?;
    scan.key("resolvedDependencies")?;
    let mut dependencies = Vec::new();
    scan.array(|scan| {
        dependencies.push(Subject::read(scan)?);
        Ok(())
    })?;
    scan.close()?;
    scan.key("runDetails")?;
    scan.open()?;
    scan.key("builder")?;
    scan.open()?;
    let id = text(scan, "id")?;
    let Some((client, host)) = id.strip_prefix(BUILDER).and_then(|id| id.split_once('/')) else {
        return scan.fail("the builder is no appliance");
    };
    scan.key("version")?;
    scan.open()?;
    let version = text(scan, "provenanced")?;
    scan.close()?;
    scan.close()?;
    scan.key("metadata")?;
    scan.open()?;
    let finished = time(scan, "finishedOn")?;
    scan.close()?;
    scan.close()?;
    scan.close()?;
    let subject = Subject { name: String::new(), sha256: Digest::ZERO };
    let (client, host) = (client.into(), host.into());
    Ok(Provenance {
        subject,
        derivation,
        output,
        system,
        dependencies,
        client,
        host,
        version,
        finished,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn subject(name: &str) -> Subject {
        Subject { name: name.into(), sha256: Digest::sha256(name.as_bytes()) }
    }

    pub(crate) fn example() -> Provenance {
        Provenance {
            subject: subject("/nix/store/a-x"),
            derivation: subject("/nix/store/b-x.drv"),
            output: "out".into(),
            system: "x86_64-linux".into(),
            dependencies: vec![subject("/nix/store/c"), subject("/nix/store/d")],
            client: "clinic-001".into(),
            host: "gate-1".into(),
            version: "0.1.0".into(),
            finished: Timestamp::from_nanos(1),
        }
    }

    #[test]
    fn it_survives_its_bytes_and_no_byte_more_passes() {
        let bytes = example().encode().unwrap();
        assert_eq!(Provenance::parse(&bytes), Ok(example()));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad.remove(at);
            let read = Provenance::parse(&bad);
            assert!(read.is_err() || read.unwrap().encode() == Ok(bad), "without byte {at}");
        }
        let text = String::from_utf8(bytes).unwrap();
        for (from, to) in [
            ("slsa.dev/provenance/v1", "slsa.dev/provenance/v2"),
            ("nix-build/v1", "nix-build/v2"),
            ("/appliance/clinic-001/", "/appliance/clinic-001"),
            ("/nix/store/d", "/nix/store/b"),
            ("/nix/store/d", "/nix/store/c"),
            ("\"subject\":[", "\"subject\":[],\"s\":["),
        ] {
            assert!(Provenance::parse(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
        }
    }

    #[test]
    fn only_one_path_is_attested_at_a_time() {
        let (a, b) = (subject("/nix/store/a"), subject("/nix/store/b"));
        for (count, subjects) in [(0, vec![]), (2, vec![a, b])] {
            let subjects = subjects.iter().map(|s: &Subject| (&*s.name, s.sha256));
            let bytes = statement::encode(PREDICATE_TYPE, example().predicate(), subjects);
            assert_eq!(Provenance::parse(&bytes), Err(ProvenanceError::Subjects(count)));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Provenance::parse(&bytes);
        }
    }
}

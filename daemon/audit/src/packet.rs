//! `provctl verify PACKET.zip` (docs/format.md §13), on a file.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use provenance_core::{merkle::inclusion_proof::MAX_PROOF, report::Report};
use provenance_host::durable;
use provenance_verifier::{
    Progress, Source, Trust,
    packet::{self, Packet},
};

use crate::error::AuditError;

struct Opened(File);

impl Source for Opened {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(into, at)
    }
}

/// Whether the file at `path` begins as a ZIP file does, or is named as one.
pub fn is_packet(path: &Path) -> bool {
    let mut start = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    let named = path.extension().is_some_and(|extension| extension == "zip");
    path.is_file()
        && (read.is_ok() && (start == *b"PK\x03\x04" || start == *b"PK\x05\x06") || named)
}

/// Verifies the packet at `path`, with the proof beside it.
///
/// # Errors
/// [`AuditError`] where it cannot be read; what is wrong with it is in the
/// report.
pub fn verify(path: &Path, trust: &Trust, progress: Progress<'_>) -> Result<Report, AuditError> {
    let source = Opened(File::open(path).map_err(AuditError::io(path))?);
    let mut beside = path.as_os_str().to_owned();
    beside.push(".proof.json");
    let beside = Path::new(&beside);
    let proof = match durable::read_limited(beside, MAX_PROOF as u64) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(AuditError::io(beside)(error)),
    };
    let proof_name = beside.file_name().unwrap_or_default().to_string_lossy();
    let packet = Packet { source: &source, proof_name: &proof_name, proof: proof.as_deref() };
    Ok(packet::verify(&packet, trust, progress)?)
}

//! Packages: the attestation of each of many judged, against the signature
//! checks that one needs and against cosign; the API's answers over a registry of
//! many certificates and events, against one of few and against an answer that
//! asks the registry nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark ends where wrong")]

mod measure;
#[path = "../common/wait.rs"]
#[allow(dead_code, clippy::panic, reason = "made for the tests")]
mod wait;
mod years;

use std::{
    fs,
    io::{BufRead, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use measure::{at_most, control, cpu_of, median};
use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    registry::{CertificateEntry, Entry, Governance, Issued, PackageEntry, SubjectKind},
};
use provenance_host::state_dir::StateDir;
use provenanced::ledger::{Ledger, signer::Signer};

use wait::{PATIENCE, wait_for};

const PROVCTL: &str = env!("CARGO_BIN_EXE_provctl");
const PACKAGE: &str = "npm/sigstore-2.0.0.tgz";
const ATTESTATION: &str = "npm/sigstore-2.0.0.provenance.sigstore.json";

fn main() {
    if !measure::is_asked() {
        return;
    }
    let folder = tempfile::tempdir_in(measure::folder()).unwrap();
    attestations(folder.path());
    api(folder.path());
    measure::end();
}

/// A folder of packages, each with its attestation.
fn attestations(folder: &Path) {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/packages");
    let spec = folder.join("spec.toml");
    let rule = "[[package]]\nname = \"npm:sigstore\"\n\
                repository = \"https://github.com/sigstore/sigstore-js\"\n";
    fs::write(&spec, rule).unwrap();
    let make = |count: u64| {
        let packages = folder.join(format!("packages-{count}"));
        fs::create_dir_all(&packages).unwrap();
        for n in 0..count {
            fs::copy(vectors.join(PACKAGE), packages.join(format!("{n}.tgz"))).unwrap();
        }
        packages
    };
    let (few, many) = (20, measure::setting("PACKAGES", 400));
    let of = |packages: &Path| {
        format!(
            "{PROVCTL} verify-package --folder {} --attestations {} --expect {} --json",
            packages.display(),
            vectors.join(ATTESTATION).display(),
            spec.display()
        )
    };
    let (small, large) = (make(few), make(many));
    let (mut one, mut each, mut checks) = (vec![], vec![], vec![]);
    for _ in 0..measure::setting("BENCH_RUNS", 5) {
        let (cpu, code) = cpu_of(&of(&small));
        assert_eq!(code, 0);
        one.push(cpu / u32::try_from(few).unwrap());
        let (cpu, code) = cpu_of(&of(&large));
        assert_eq!(code, 0);
        each.push(cpu / u32::try_from(many).unwrap());
        checks.push(signature_checks());
    }
    let (one, each, checks) = (median(&mut one), median(&mut each), median(&mut checks));
    println!("{many} packages with provenance, {:.2} ms of CPU each:", each * 1e3);
    at_most("  against openssl's checks of as many signatures", each / checks, 4.0, 1.0);
    at_most("  against as much for a twentieth of them", each / one, 1.1, 0.9);
    if let Some(cosign) = cosign(&vectors, folder) {
        let (single, code) = cpu_of(&of(&make(1)));
        assert_eq!(code, 0);
        let ratio = single.as_secs_f64() / cosign.as_secs_f64();
        at_most("  one alone, with its start, against cosign", ratio, 1.0, 0.2);
    }
    let bad = small.join("7.tgz");
    let mut bytes = fs::read(&bad).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&bad, bytes).unwrap();
    control("one changed package among others", cpu_of(&of(&small)).1 == 1);
}

/// What a package's attestation needs at least: the statement, the certificate's
/// log and the transparency log by P-256, two certificates by P-384.
fn signature_checks() -> Duration {
    let rate = |curve: &str| {
        let said = Command::new("openssl")
            .args(["speed", "-seconds", "1", "-mr", curve])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        // +F4:…:signatures a second:checks a second
        let line = text.lines().find(|line| line.starts_with("+F4:")).unwrap().to_owned();
        line.rsplit(':').next().unwrap().parse::<f64>().unwrap()
    };
    Duration::from_secs_f64(3.0 / rate("ecdsap256") + 2.0 / rate("ecdsap384"))
}

/// CPU of cosign for the same.
fn cosign(vectors: &Path, folder: &Path) -> Option<Duration> {
    let root = folder.join("root.json");
    fs::write(&root, sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT).unwrap();
    let peers = std::env::var_os("MSP_PEERS").map(PathBuf::from).or_else(|| {
        Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/msp-provenance/peers"))
    })?;
    let known = peers.join("bin/cosign");
    let cosign = if known.exists() { known } else { "cosign".into() };
    let digest = Command::new("sha512sum").arg(vectors.join(PACKAGE)).output().unwrap();
    let digest = String::from_utf8_lossy(&digest.stdout).split(' ').next()?.to_owned();
    let command = format!(
        "{} verify-blob-attestation --bundle {} --new-bundle-format --trusted-root {} \
         --type slsaprovenance1 --certificate-identity-regexp . --certificate-oidc-issuer-regexp . \
         --offline --digestAlg sha512 --digest {digest} 2>/dev/null",
        cosign.display(),
        vectors.join(ATTESTATION).display(),
        root.display()
    );
    let (cpu, code) = cpu_of(&command);
    if code != 0 {
        println!("  cosign is missing or does not verify it: not compared");
        return None;
    }
    Some(cpu)
}

/// The API over registries of few and of many records.
fn api(folder: &Path) {
    let many = measure::setting("CERTIFICATES", 10_000);
    let mut few = Api::start(&folder.join("few"), many / 20);
    let mut large = Api::start(&folder.join("many"), many);
    let ids = |n: u64| format!("{n:032x}");
    let paths = |count: u64| {
        [
            format!("/v1/certificates/verify/{}", ids(count / 2)),
            format!("/chronicle/events/{}", ids(count / 2)),
            "/chronicle/packages/package-3/events?limit=10".into(),
            "/registry/packages?limit=20".to_owned(),
        ]
    };
    println!("the API, {many} certificates and as many events:");
    let first = Instant::now();
    assert_eq!(large.get(&paths(many)[0]).0, 200);
    println!("  the first answer, {:.0} ms", first.elapsed().as_secs_f64() * 1e3);
    assert_eq!(few.get(&paths(many / 20)[0]).0, 200);
    let names = ["a certificate", "an event", "a package's events", "a page of packages"];
    for (at, name) in names.iter().enumerate() {
        let (mut over_few, mut over_many, mut nothing) = (vec![], vec![], vec![]);
        for _ in 0..200 {
            nothing.push(large.timed("/openapi.json", 200));
            over_many.push(large.timed(&paths(many)[at], 200));
            over_few.push(few.timed(&paths(many / 20)[at], 200));
        }
        let [few, many, nothing] = [over_few, over_many, nothing].map(|mut t| median(&mut t));
        at_most(&format!("  {name}, of many against of few"), many / few, 1.3, 1.0);
        at_most(&format!("  {name}, against an answer from memory"), many / nothing, 20.0, 3.0);
    }
    control("a certificate that is none", large.get(&paths(many * 4)[0]).0 == 404);
}

struct Api {
    child: Child,
    stream: BufReader<UnixStream>,
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Api {
    fn start(root: &Path, records: u64) -> Self {
        fs::create_dir_all(root).unwrap();
        years::live(root, ("c", "h"), 60);
        fill(root, records);
        let settings = fs::read_to_string(root.join("p.toml")).unwrap();
        let socket = root.join("api.sock");
        let settings = format!("{settings}[api]\nlisten = \"unix:{}\"\n", socket.display());
        fs::write(root.join("p.toml"), settings).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_provenanced"))
            .args(["api", "--config", root.join("p.toml").to_str().unwrap()])
            .spawn()
            .unwrap();
        let stream = wait_for("the API serves", PATIENCE, || UnixStream::connect(&socket));
        Self { child, stream: BufReader::new(stream) }
    }

    fn get(&mut self, path: &str) -> (u16, Vec<u8>) {
        write!(self.stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.get(..3).unwrap().parse().unwrap();
            }
            if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (status, body)
    }

    fn timed(&mut self, path: &str, expected: u16) -> Duration {
        let begin = Instant::now();
        let (status, _) = self.get(path);
        let took = begin.elapsed();
        assert_eq!(status, expected, "{path}");
        took
    }
}

/// So many certificates, and as many events: ten of each package.
fn fill(root: &Path, records: u64) {
    let config = years::settings(root, ("c", "h"));
    let state = StateDir::new(&config.state_dir);
    let signer = Signer::load(config.signing_key.as_deref().unwrap()).unwrap();
    let now = Timestamp::parse(b"2026-11-21T00:00:00.000000000Z").unwrap();
    let mut evidence = Ledger::open(&config, &state, Some(signer), now).unwrap();
    let all: Vec<u64> = (1..=records).collect();
    for some in all.chunks(1_000) {
        let entries = some.iter().flat_map(|n| [certificate(*n, now), event(*n, records / 10)]);
        evidence.record(now, &entries.collect::<Vec<_>>()).unwrap();
    }
}

fn certificate(n: u64, now: Timestamp) -> Entry {
    // As long as one of Ed25519 with the governance fields.
    let der: Vec<u8> = (0..500u64).map(|at| (at * 7 + n) as u8).collect();
    let sha256 = Digest::sha256(&der);
    Entry::Certificate(CertificateEntry::Issued(Box::new(Issued {
        id: format!("{n:032x}"),
        subject: SubjectKind::Package,
        name: format!("package-{}", n % 100),
        version: Some(format!("1.0.{n}")),
        der,
        sha256,
        key: sha256,
        issuer: sha256,
        not_before: now,
        not_after: now,
        artifact_sha256: Some(sha256),
        renews: None,
        governance: Governance {
            approved_by: "anna".into(),
            approved_at: now,
            place: "Ulm".into(),
            policy_version: "3".into(),
        },
    })))
}

fn event(n: u64, packages: u64) -> Entry {
    Entry::Package(PackageEntry {
        id: format!("{n:032x}"),
        event: "package.registered".into(),
        package: format!("package-{}", n % packages),
        version: format!("1.0.{n}"),
        who: "ci".into(),
        details: [("commit".to_owned(), "0123456789abcdef".repeat(2))].into(),
        sha256: Some(Digest::sha256(&n.to_be_bytes())),
        certificate: None,
    })
}

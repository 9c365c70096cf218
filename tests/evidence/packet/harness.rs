//! A state folder of a real daemon, its packet, and packets made from its
//! parts as an enemy, or an operator with the key, would make them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use provenance_audit::{packet, policy_file::Policy};
use provenance_core::{
    encoding::digest::Digest,
    packet::{
        MANIFEST, Manifest, SIGNATURE, SIGSTORE,
        zip::{self, Entry, Method},
    },
    report::Report,
    signing::{dsse, sigstore_bundle},
};
use provenance_verifier::Trust;
use provenanced::ledger::signer::Signer;

use crate::common::{
    programs::{PROVENANCED, assert_success},
    settings::{settings, trusted_key},
};

/// What `provctl verify-package --json` may have found.
const PACKAGES: &str = r#"{"packages":[
    {"ecosystem":"npm","name":"@acme/agent","version":"1.0.0","level":"verified","files":[],
     "evidence":[{"kind":"provenance","result":"verified"},{"kind":"publish","result":"detected"}]},
    {"ecosystem":"npm","name":"@acme/agent","version":"1.0.0","level":"absent","files":[],"evidence":[]},
    {"ecosystem":"file","name":"tool.zip","level":"mismatch","files":[],"evidence":[{"result":"mismatch"}]}]}"#;
/// The period: all that these tests record.
pub(crate) fn period() -> [String; 4] {
    const DAY: u64 = 86_400;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let day = |seconds: u64| {
        let nanos = i64::try_from(seconds * 1_000_000_000).unwrap();
        provenance_core::encoding::time::Timestamp::from_nanos(nanos).day().to_string()
    };
    let (from, to) = (day(now.as_secs() - DAY), day(now.as_secs() + 2 * DAY));
    ["--from".into(), from, "--to".into(), to]
}

pub(crate) struct PacketFixture {
    dir: tempfile::TempDir,
}

impl PacketFixture {
    /// Six ticks, two bundles, a review, an inventory.
    pub(crate) fn new() -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(fixture.path("log")).unwrap();
        fs::write(fixture.path("log/a.log"), "one\n").unwrap();
        fixture.daemon(&["keygen", "--out", &fixture.text("keys")]);
        fixture.daemon(&["keygen", "--out", &fixture.text("keys"), "--name", "other"]);
        let (key, watch) = (fixture.path("keys/signing.key"), fixture.path("log/**"));
        let (who, state) = (("clinic-001", "h"), fixture.path("state"));
        let settings = settings(who, "enterprise", &state, Some(&key), &watch);
        fs::write(fixture.path("p.toml"), settings).unwrap();
        let status = "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n";
        fs::write(fixture.path("status"), status).unwrap();
        let (config, out) = (fixture.text("p.toml"), fixture.text("out"));
        let with = |command: &str, more: &[&str]| {
            fixture.daemon(&[&[command, "--config", &config], more].concat());
        };
        with("run", &["--ticks", "1"]);
        with("bundle", &[]);
        fs::write(fixture.path("log/a.log"), "one\ntwo\n").unwrap();
        with("run", &["--ticks", "1"]);
        with("bundle", &["--artifact", &fixture.text("status")]);
        fs::write(fixture.path("packages.json"), PACKAGES).unwrap();
        let report = ["--package-report", &fixture.text("packages.json")];
        with("sbom", &[&["--dpkg", &fixture.text("status"), "--out", &out], &report[..]].concat());
        with("review", &["--what", "EB", "--outcome", "fine", "--who", "anna"]);
        fixture
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn daemon(&self, args: &[&str]) -> Output {
        let ran = self.try_daemon(args);
        assert_success(&ran);
        ran
    }

    pub(crate) fn try_daemon(&self, args: &[&str]) -> Output {
        Command::new(PROVENANCED).args(args).env_remove("CREDENTIALS_DIRECTORY").output().unwrap()
    }

    /// A packet of everything.
    pub(crate) fn packet(&self, name: &str) -> PathBuf {
        let (config, out) = (self.text("p.toml"), self.text(name));
        let period = period();
        let period: Vec<&str> = period.iter().map(String::as_str).collect();
        self.daemon(&[&["packet", "--config", &config, "--out", &out][..], &period].concat());
        self.path(name)
    }

    /// The policy of who trusts this key.
    pub(crate) fn policy(&self, name: &str) -> String {
        let key = fs::read_to_string(self.path(&format!("keys/{name}.pub"))).unwrap();
        format!(
            "client = \"clinic-001\"
{}",
            trusted_key(name, &key)
        )
    }

    pub(crate) fn trust(&self) -> Trust {
        let policy = Policy::parse(&self.policy("signing")).unwrap();
        Trust { policy: Some(policy), ..Trust::default() }
    }

    pub(crate) fn signer(&self, name: &str) -> Signer {
        Signer::load(&self.text(&format!("keys/{name}.key"))).unwrap()
    }

    /// The report on a file of these bytes, without a proof beside it.
    pub(crate) fn verify(&self, bytes: &[u8]) -> Report {
        let file = tempfile::NamedTempFile::new_in(self.dir.path()).unwrap();
        fs::write(file.path(), bytes).unwrap();
        packet::verify(file.path(), &self.trust(), &mut |_| {}).unwrap()
    }
}

/// The files of a packet but the manifest's, by the library that others use.
pub(crate) fn unpack(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = ::zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let mut files = BTreeMap::new();
    for at in 0..archive.len() {
        let mut file = archive.by_index(at).unwrap();
        let name = file.name().unwrap().into_owned();
        let mut bytes = vec![];
        std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        files.insert(name, bytes);
    }
    files
}

/// A ZIP file of stored files of a packet's form.
pub(crate) fn pack(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let entries = files.iter().map(|(name, bytes)| (entry(name, bytes), bytes.clone()));
    assemble(entries.collect())
}

pub(crate) fn entry(name: &str, bytes: &[u8]) -> Entry {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    let length = bytes.len() as u32;
    Entry {
        name: name.into(),
        method: Method::Stored,
        crc: crc.sum(),
        packed: length,
        bytes: length,
        offset: 0,
    }
}

/// Entries with what lies behind each local header.
pub(crate) fn assemble(files: Vec<(Entry, Vec<u8>)>) -> Vec<u8> {
    let (mut out, mut headers) = (vec![], vec![]);
    let count = files.len();
    for (mut entry, packed) in files {
        entry.offset = out.len() as u32;
        out.extend(entry.local());
        out.extend(packed);
        headers.extend(entry.central());
    }
    let offset = out.len() as u32;
    out.extend(&headers);
    out.extend(zip::end(count, headers.len() as u32, offset));
    out
}

/// The files with a manifest that fits them, signed again.
pub(crate) fn resign(
    files: &BTreeMap<String, Vec<u8>>,
    signer: &Signer,
    change: impl FnOnce(&mut Manifest),
) -> Vec<u8> {
    let mut manifest = Manifest::parse(&files[MANIFEST]).unwrap();
    let own = [MANIFEST, SIGNATURE, SIGSTORE];
    let others = files.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let mut all: Vec<(String, Vec<u8>)> =
        others.map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
    manifest.files = all
        .iter()
        .map(|(name, bytes)| (name.clone(), Digest::sha256(bytes), Digest::sha256(bytes)))
        .collect();
    change(&mut manifest);
    let bytes = manifest.encode().unwrap();
    let sign = |message: &[u8]| signer.sign(message);
    let signature = dsse::sign_detached(&bytes, &sign).into_bytes();
    let envelope = sigstore_bundle::sign(&bytes, &signer.public().fingerprint(), &sign);
    all.extend([
        (MANIFEST.into(), bytes),
        (SIGNATURE.into(), signature),
        (SIGSTORE.into(), envelope),
    ]);
    pack(&all)
}

pub(crate) fn codes(report: &Report) -> Vec<&'static str> {
    let errors = report
        .findings()
        .iter()
        .filter(|finding| finding.severity == provenance_core::report::Severity::Error);
    let mut codes: Vec<_> = errors.map(|finding| finding.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

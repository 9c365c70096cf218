//! The registry's side of a tick: heads, checkpoints, closed files, keys.

pub mod registry_writer;
pub mod signer;

use std::{fs, io};

use provenance_core::{
    encoding::{
        json::Value,
        time::{Day, Timestamp},
    },
    record::Record,
    registry::{Entry, KeyAction, KeyEntry},
    report::{Head, Report},
    signing::{
        checkpoint::{self, Checkpoint, Note},
        public_key::PublicKey,
    },
    verify::chain::{ChainVerifier, FileSummary},
};
use provenance_host::{
    chain_files::{self, ChainFile},
    clock,
    config::Config,
    durable,
    state_dir::StateDir,
};
use provenance_registry::Reader;
use provenance_verifier::line_reader;

use crate::{PROGRAM_VERSION, error::ServiceError};
use registry_writer::{Appended, TreeHead, Writer};
use signer::Signer;

/// A checkpoint file is at most this long.
const MAX_CHECKPOINT: u64 = 64 << 10;

/// The registry with the key that signs its checkpoints.
#[derive(Debug)]
pub struct Ledger {
    state: StateDir,
    registry: Writer,
    signer: Option<Signer>,
    origin: String,
    chain: String,
}

impl Ledger {
    /// Opens the registry, or begins one; its key becomes part of it.
    ///
    /// # Errors
    /// [`ServiceError`]; a registry of another client or host is one.
    pub fn open(
        config: &Config,
        state: &StateDir,
        signer: Option<Signer>,
        now: Timestamp,
    ) -> Result<Self, ServiceError> {
        durable::create_dirs(state.root())
            .map_err(ServiceError::io(format!("cannot make {}", state.root().display())))?;
        let mut registry = Writer::open(&state.registry())?;
        if registry.tail()?.size == 0 {
            registry.append(now, &[("genesis", genesis(config)?.to_value())])?;
        }
        let reader = Reader::open(&state.registry())?;
        let chain = chain_id(&reader, config)?;
        let origin = Checkpoint::origin(&config.client, &config.host);
        let mut evidence = Self { state: state.clone(), registry, signer, origin, chain };
        evidence.register_key(&reader, now)?;
        Ok(evidence)
    }

    /// The log chain's id.
    pub fn chain(&self) -> &str {
        &self.chain
    }

    /// The signing key, where there is one.
    pub(crate) fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// A reader of the registry.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn reader(&self) -> Result<Reader, ServiceError> {
        Ok(Reader::open(&self.state.registry())?)
    }

    /// How many records the registry has, those of other processes too.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub(crate) fn size(&mut self) -> Result<u64, ServiceError> {
        Ok(self.registry.tail()?.size)
    }

    /// Whether the chain that ends with `head` is as long as the registry
    /// knows it was: a head is recorded after its record was on disk, so no
    /// crash explains a shorter chain.
    ///
    /// # Errors
    /// [`ServiceError::State`] where it is not.
    pub(crate) fn reaches(&self, head: Option<Head>) -> Result<(), ServiceError> {
        let row = self.reader()?.last_of_kind("head")?;
        let Some(Entry::Head { seq, hash }) = row.and_then(|row| read_entry(&row.body)) else {
            return Ok(());
        };
        let fits = head.is_some_and(|head| head.seq > seq || head.seq == seq && head.hash == hash);
        if fits {
            return Ok(());
        }
        Err(ServiceError::State(format!(
            "the registry knows record {seq} of the chain, and {} ends before it or otherwise: \
             run `provctl verify-chain`, keep a copy of the state folder as evidence, and put \
             the chain back, or begin with a new state_dir",
            self.state.chain().display()
        )))
    }

    /// Commits the chain's head together with `entries`, and makes a
    /// checkpoint over all of it, where there is a key.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn commit(
        &mut self,
        now: Timestamp,
        head: Head,
        entries: &[Entry],
    ) -> Result<(Vec<Appended>, TreeHead, Option<String>), ServiceError> {
        let head = Entry::Head { seq: head.seq, hash: head.hash };
        let rows: Vec<(&str, Value)> = std::iter::once(&head)
            .chain(entries)
            .map(|entry| (entry.kind(), entry.to_value()))
            .collect();
        let (appended, tail) = self.registry.append(now, &rows)?;
        let note = self.checkpoint(tail)?;
        Ok((appended, tail, note))
    }

    /// Records every chain file of a day before `day` that is not recorded
    /// as closed yet.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn close_days(&mut self, now: Timestamp, day: Day) -> Result<(), ServiceError> {
        let last = self.reader()?.last_of_kind("segment")?;
        let last = last.and_then(|row| match read_entry(&row.body) {
            Some(Entry::Segment(segment)) => Some(segment.name),
            _ => None,
        });
        let listing = chain_files::list(&self.state.chain())
            .map_err(ServiceError::io("cannot list the chain's files"))?;
        let mut rows = vec![];
        for file in listing.files {
            let closed = last.as_deref().is_some_and(|last| &*file.name <= last);
            if !closed && file.day.is_some_and(|of| of < day) {
                let summary = summarise(&file).map_err(ServiceError::io(file.name.clone()))?;
                rows.extend(segment(summary).map(|entry| ("segment", entry.to_value())));
            }
        }
        if !rows.is_empty() {
            self.registry.append(now, &rows)?;
        }
        Ok(())
    }

    /// Appends entries without a head of their own.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn record(&mut self, now: Timestamp, entries: &[Entry]) -> Result<(), ServiceError> {
        let rows: Vec<_> = entries.iter().map(|entry| (entry.kind(), entry.to_value())).collect();
        let (_, tail) = self.registry.append(now, &rows)?;
        self.checkpoint(tail)?;
        Ok(())
    }

    /// Appends entries that the next checkpoint will cover: for records of
    /// which there are many.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub(crate) fn append(&mut self, now: Timestamp, entries: &[Entry]) -> Result<(), ServiceError> {
        let rows: Vec<_> = entries.iter().map(|entry| (entry.kind(), entry.to_value())).collect();
        self.registry.append(now, &rows)?;
        Ok(())
    }

    /// Appends one entry and gives its place; a checkpoint covers it.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub(crate) fn record_at(&mut self, now: Timestamp, entry: &Entry) -> Result<u64, ServiceError> {
        let (appended, tail) = self.registry.append(now, &[(entry.kind(), entry.to_value())])?;
        self.checkpoint(tail)?;
        let last = appended.last().map(|record| record.seq);
        last.ok_or_else(|| ServiceError::State("nothing was appended".into()))
    }

    /// Appends alerts. That no checkpoint could be made over them is no
    /// failure: they are on record, and the next one covers them.
    ///
    /// # Errors
    /// [`ServiceError`]; then none of them is on record.
    pub(crate) fn record_alerts(
        &mut self,
        now: Timestamp,
        alerts: &[Entry],
    ) -> Result<(), ServiceError> {
        let rows: Vec<_> = alerts.iter().map(|entry| (entry.kind(), entry.to_value())).collect();
        let (_, tail) = self.registry.append(now, &rows)?;
        if let Err(error) = self.checkpoint(tail) {
            tracing::warn!("no checkpoint over an alert: {error}");
        }
        Ok(())
    }

    /// Records that a key signs nothing from here on. Only its successor can
    /// say so: the record is under a checkpoint that the revoked key did not
    /// sign.
    ///
    /// # Errors
    /// [`ServiceError`]: no such key, or it is the one in use.
    pub(crate) fn revoke(
        &mut self,
        now: Timestamp,
        key: &PublicKey,
        reason: String,
    ) -> Result<(), ServiceError> {
        let refuse = |message: &str| Err(ServiceError::Request(message.into()));
        if self.signer.as_ref().is_none_or(|signer| signer.public() == key) {
            return refuse(
                "the key in use cannot revoke itself: set signing_key to another key, restart the daemon, and then revoke the old one",
            );
        }
        let keys = keys_on_record(&self.reader()?)?;
        let Some(last) = keys.iter().rev().find(|entry| entry.key == *key) else {
            return refuse("the registry has never named this key");
        };
        if last.action == KeyAction::Revoke {
            return refuse("this key is revoked already");
        }
        let name = last.name.clone();
        let (action, key) = (KeyAction::Revoke, key.clone());
        let entry = KeyEntry { action, key, name, reason: Some(reason), succeeds: None };
        self.record(now, &[Entry::Key(entry)])
    }

    /// The newest checkpoint, whoever of our processes made it.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn newest_checkpoint(&self) -> Result<Option<String>, ServiceError> {
        let path = self.state.checkpoint();
        match durable::read_limited(&path, MAX_CHECKPOINT) {
            Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ServiceError::io(format!("cannot read {}", path.display()))(error)),
        }
    }

    /// A checkpoint that covers the registry's record `index`: the newest, or,
    /// where a crash or a full disk kept it from being made, a new one. `None`
    /// without a key.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub(crate) fn covering(&mut self, index: u64) -> Result<Option<String>, ServiceError> {
        match self.newest_checkpoint()? {
            Some(note) if size_of(&note).is_some_and(|size| size > index) => Ok(Some(note)),
            _ => {
                let tail = self.registry.tail()?;
                self.checkpoint(tail)
            }
        }
    }

    /// The tree as it is, with its checkpoint; without a key there is none.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub(crate) fn signed_tree(&mut self) -> Result<(Option<String>, TreeHead), ServiceError> {
        let tail = self.registry.tail()?;
        Ok((self.checkpoint(tail)?, tail))
    }

    /// Signs the tree and keeps the note as the newest, unless another
    /// process kept one of a larger tree meanwhile.
    fn checkpoint(&self, tail: TreeHead) -> Result<Option<String>, ServiceError> {
        let Some(note) = self.checkpoint_at(tail) else { return Ok(None) };
        // From the look at the kept one until this one is in its place, no other
        // process may keep one.
        let _turn =
            self.checkpoint_turn().map_err(ServiceError::io("cannot lock the checkpoint"))?;
        let newest = self.newest_checkpoint()?.and_then(|note| size_of(&note));
        if newest.is_none_or(|size| size <= tail.size) {
            durable::replace(&self.state.checkpoint(), note.as_bytes(), 0o640)
                .map_err(ServiceError::io("cannot write the checkpoint"))?;
        }
        Ok(Some(note))
    }

    /// A checkpoint over the first records; it is kept nowhere. `None` without a
    /// key.
    pub(crate) fn checkpoint_at(&self, tail: TreeHead) -> Option<String> {
        let signer = self.signer.as_ref()?;
        let origin = self.origin.clone();
        let text = Checkpoint { origin, size: tail.size, root: tail.root }.to_text();
        Some(checkpoint::sign(&text, &self.origin, signer.public(), |m| signer.sign(m)))
    }

    fn checkpoint_turn(&self) -> io::Result<fs::File> {
        durable::create_dirs(&self.state.cache())?;
        let path = self.state.cache().join("checkpoint.lock");
        let file = fs::File::options().create(true).append(true).open(path)?;
        file.lock()?;
        Ok(file)
    }

    /// The key in use is in the registry before it signs anything there.
    fn register_key(&mut self, reader: &Reader, now: Timestamp) -> Result<(), ServiceError> {
        let Some(signer) = &self.signer else { return Ok(()) };
        let key = signer.public().clone();
        let keys = keys_on_record(reader)?;
        let current = keys.iter().rev().find(|entry| entry.action != KeyAction::Revoke);
        let (action, succeeds) = match current {
            // A key that another took the place of, or that was revoked, does
            // not come back: what it signed in between could not be told.
            _ if keys.iter().any(|entry| entry.key == key)
                && current.is_none_or(|current| current.key != key) =>
            {
                return Err(retired());
            }
            Some(current) if current.key == key => {
                let revoked =
                    |entry: &KeyEntry| entry.key == key && entry.action == KeyAction::Revoke;
                return if keys.iter().any(revoked) {
                    Err(retired())
                } else {
                    self.keep_public(&key)
                };
            }
            Some(current) => (KeyAction::Succeed, Some(current.key.fingerprint())),
            None => (KeyAction::Begin, None),
        };
        self.keep_public(&key)?;
        let name = self.origin.clone();
        let entry = Entry::Key(KeyEntry { action, key, name, reason: None, succeeds });
        self.record(now, &[entry])
    }

    /// `keys/<fingerprint>.pub`: for people; a verifier trusts its policy.
    fn keep_public(&self, key: &PublicKey) -> Result<(), ServiceError> {
        let path = self.state.keys().join(format!("{}.pub", key.fingerprint()));
        if path.is_file() {
            return Ok(());
        }
        durable::create_dirs(&self.state.keys())
            .and_then(|()| durable::replace(&path, key.to_pem().as_bytes(), 0o644))
            .map_err(ServiceError::io("cannot keep the public key"))
    }
}

/// The tree size of a checkpoint's note.
pub(crate) fn size_of(note: &str) -> Option<u64> {
    let note = Note::parse(note).ok()?;
    Checkpoint::parse(note.text).ok().map(|checkpoint| checkpoint.size)
}

/// The entry of a registry record, where it is one.
pub fn read_entry(body: &[u8]) -> Option<Entry> {
    let record = Record::parse(body).ok()?;
    Entry::read(record.kind, record.data).ok()
}

/// Hands out the bodies of the registry's records `from` up to `to`; no more
/// than a page of them is in memory.
///
/// # Errors
/// [`ServiceError`], those of `each` too; a missing record is one.
pub(crate) fn each_row(
    reader: &Reader,
    from: u64,
    to: u64,
    mut each: impl FnMut(&[u8]) -> Result<(), ServiceError>,
) -> Result<(), ServiceError> {
    let mut due = from;
    for row in reader.rows(from) {
        let row = row?;
        if due >= to || row.seq >= to {
            break;
        }
        due = row.seq.saturating_add(1);
        each(&row.body)?;
    }
    if due < to {
        let message = format!("registry record {due} is missing; run `provctl verify-chain`");
        return Err(ServiceError::State(message));
    }
    Ok(())
}

/// Every key event of the registry, in order.
pub(super) fn keys_on_record(reader: &Reader) -> Result<Vec<KeyEntry>, ServiceError> {
    let mut keys = vec![];
    for row in reader.rows_of_kind("key", 0) {
        let row = row?;
        if let Some(Entry::Key(entry)) = read_entry(&row.body) {
            keys.push(entry);
        }
    }
    Ok(keys)
}

fn retired() -> ServiceError {
    let message = "the signing key was revoked or succeeded by another and does not come back: \
                   make a new one with `provenanced keygen`";
    ServiceError::Request(message.into())
}

fn genesis(config: &Config) -> Result<Entry, ServiceError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|error| ServiceError::State(format!("no random bytes: {error}")))?;
    Ok(Entry::Genesis {
        chain: provenance_core::encoding::digest::to_hex(&id),
        client: config.client.clone(),
        host: config.host.clone(),
        machine: clock::machine_id(),
        software: PROGRAM_VERSION.into(),
    })
}

fn chain_id(reader: &Reader, config: &Config) -> Result<String, ServiceError> {
    let first = reader.record(0)?.and_then(|row| read_entry(&row.body));
    let Some(Entry::Genesis { chain, client, host, .. }) = first else {
        let message = "the registry's record 0 is no genesis; run `provctl verify-chain`";
        return Err(ServiceError::State(message.into()));
    };
    if (&client, &host) != (&config.client, &config.host) {
        return Err(ServiceError::State(format!(
            "the state folder belongs to {client}/{host}, and the settings name {}/{}: \
             correct the settings, or use another state_dir",
            config.client, config.host
        )));
    }
    Ok(chain)
}

fn segment(summary: FileSummary) -> Option<Entry> {
    let (first, last) = summary.first.zip(summary.last)?;
    Some(Entry::Segment(provenance_core::registry::Segment {
        name: summary.name,
        bytes: summary.bytes,
        sha256: summary.sha256?,
        first: first.hash,
        first_seq: first.seq,
        last: last.hash,
        count: summary.count,
    }))
}

fn summarise(file: &ChainFile) -> io::Result<FileSummary> {
    let (mut verifier, mut report) = (ChainVerifier::new(true, true), Report::new());
    verifier.begin_file(&file.name, file.day);
    line_reader::for_each_line::<io::Error>(fs::File::open(&file.path)?, |line| {
        verifier.line(line, &mut report);
        Ok(())
    })?;
    Ok(verifier.end_file())
}

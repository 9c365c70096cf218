//! Appending to the registry: several records in one transaction, fsynced at
//! its end, safe from several processes at once.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::{Duration, Instant},
};

use provenance_core::{
    encoding::{digest::Digest, json::Value, time::Timestamp},
    merkle::{Frontier, frontier_nodes, leaf_hash, node_hash},
    record::{self, MAX_RECORD, Record},
};
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params,
};

use provenance_host::durable;
use provenance_registry::{
    RegistryError,
    connection::{harden, signed},
    schema,
};

/// How long an append waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two attempts at what SQLite does not wait for by itself.
const RETRY: Duration = Duration::from_millis(10);

/// A record that was committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Appended {
    pub seq: u64,
    pub hash: Digest,
    pub body: Vec<u8>,
}

/// The tree after an append, or at opening.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TreeHead {
    /// How many records.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

#[derive(Debug)]
pub struct Writer {
    connection: Connection,
}

impl Writer {
    /// Opens the registry at `path`, making it where there is none.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn open(path: &Path) -> Result<Self, RegistryError> {
        let fresh = create_file(path)?;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        harden(&connection)?;
        let objects: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        // Before anything is written: another program's file stays as it is.
        if objects > 0 {
            provenance_registry::connection::identify(&connection, path)?;
        }
        switch_to_wal(&connection)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        if objects == 0 {
            schema::create(&mut connection)?;
        }
        if fresh {
            durable::sync_parent(path)?;
        }
        provenance_registry::connection::identify(&connection, path)?;
        let differences = schema::differences(&connection)?;
        if !differences.is_empty() {
            return Err(RegistryError::Foreign { path: path.into(), why: differences.join(", ") });
        }
        Ok(Self { connection })
    }

    /// Appends records of these kinds and data in one transaction.
    ///
    /// # Errors
    /// [`RegistryError`]; then none of them was appended.
    pub fn append(
        &mut self,
        now: Timestamp,
        entries: &[(&str, Value)],
    ) -> Result<(Vec<Appended>, TreeHead), RegistryError> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut frontier, mut prev) = tail(&transaction)?;
        let mut appended = vec![];
        for (kind, data) in entries {
            let record = push(&transaction, &mut frontier, prev, now, kind, data)?;
            prev = record.hash;
            appended.push(record);
        }
        transaction.commit()?;
        Ok((appended, TreeHead { size: frontier.size(), root: frontier.root() }))
    }

    /// How many records there are, and their root.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn tail(&mut self) -> Result<TreeHead, RegistryError> {
        let transaction = self.connection.transaction()?;
        let (frontier, _) = tail(&transaction)?;
        Ok(TreeHead { size: frontier.size(), root: frontier.root() })
    }
}

/// Whether the file had to be made. The mode keeps others out: the registry
/// names hosts, clients and files.
fn create_file(path: &Path) -> io::Result<bool> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o640).open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// SQLite does not wait for another process here, whatever the busy timeout:
/// of several that open a new registry at once, all but one are told `Busy`.
fn switch_to_wal(connection: &Connection) -> Result<(), RegistryError> {
    let begin = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && begin.elapsed() < BUSY_TIMEOUT =>
            {
                std::thread::sleep(RETRY);
            }
            result => return Ok(result?),
        }
    }
}

/// The tree and the last record's hash. The last record is held against its
/// stored hash and its leaf, so that nothing is built upon a changed one.
fn tail(transaction: &Transaction<'_>) -> Result<(Frontier, Digest), RegistryError> {
    let last = transaction
        .prepare_cached("SELECT seq, hash, body FROM records ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, String>(2)?))
        })
        .optional()?;
    let Some((seq, hash, body)) = last else { return Ok((Frontier::new(), Digest::ZERO)) };
    let seq = u64::try_from(seq).unwrap_or_default();
    let damaged = |why: &str| RegistryError::Damaged { seq, why: why.into() };
    let record = Record::parse(body.as_bytes()).map_err(|error| damaged(&error.to_string()))?;
    if record.seq != seq || record.hash().0[..] != hash[..] {
        return Err(damaged("its stored hash or number is not that of its body"));
    }
    if provenance_registry::connection::node(transaction, 0, seq)?
        != Some(leaf_hash(body.as_bytes()))
    {
        return Err(damaged("its leaf in the tree is another one"));
    }
    let size = seq.saturating_add(1);
    let subtrees = frontier_nodes(size)
        .map(|node| {
            provenance_registry::connection::node(transaction, node.level, node.index).transpose()
        })
        .collect::<Option<Result<Vec<_>, _>>>()
        .ok_or_else(|| damaged("a node of the tree is missing"))??;
    climb(transaction, seq, leaf_hash(body.as_bytes()))?
        .then_some(())
        .ok_or_else(|| damaged("the nodes above its leaf are not those of the tree"))?;
    let frontier = Frontier::from_subtrees(size, subtrees)
        .ok_or_else(|| damaged("a node of the tree is missing"))?;
    Ok((frontier, record.hash()))
}

/// Whether the nodes that leaf `seq`, the last one, completed are the hashes
/// over it and its siblings. The other large subtrees are left to a verifier,
/// which has all bodies.
fn climb(transaction: &Transaction<'_>, seq: u64, leaf: Digest) -> rusqlite::Result<bool> {
    let (mut hash, mut index) = (leaf, seq);
    for level in 0..63 {
        if index & 1 == 0 {
            break;
        }
        let Some(left) = provenance_registry::connection::node(transaction, level, index - 1)?
        else {
            return Ok(false);
        };
        hash = node_hash(left, hash);
        index >>= 1;
        if provenance_registry::connection::node(transaction, level + 1, index)? != Some(hash) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn push(
    transaction: &Transaction<'_>,
    frontier: &mut Frontier,
    prev: Digest,
    now: Timestamp,
    kind: &str,
    data: &Value,
) -> Result<Appended, RegistryError> {
    let seq = frontier.size();
    let body = record::encode(kind, seq, prev, now, data);
    if body.len() > MAX_RECORD {
        return Err(RegistryError::TooLong(body.len()));
    }
    let hash = Digest::sha256(&body);
    let text = String::from_utf8_lossy(&body);
    transaction
        .prepare_cached("INSERT INTO records(seq, hash, body) VALUES (?1, ?2, ?3)")?
        .execute(params![signed(seq), hash.0, text])?;
    let mut insert =
        transaction.prepare_cached("INSERT INTO nodes(level, idx, hash) VALUES (?1, ?2, ?3)")?;
    let mut inserted = Ok(0);
    frontier.push(leaf_hash(&body), |node, hash| {
        if inserted.is_ok() {
            inserted = insert.execute(params![node.level, signed(node.index), hash.0]);
        }
    });
    inserted?;
    Ok(Appended { seq, hash, body })
}

#[cfg(test)]
mod tests {
    use provenance_core::encoding::{json::Value, time::Timestamp};

    use super::*;
    use provenance_registry::{Reader, rebuild::Rebuild};

    #[test]
    fn it_is_the_registry_that_its_records_are_of() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old.db"), dir.path().join("new.db"));
        let mut writer = Writer::open(&old).unwrap();
        for n in 0..13_u64 {
            let data = Value::object([("n", n.into())]);
            writer.append(Timestamp::from_nanos(5), &[("review", data)]).unwrap();
        }
        let tail = writer.tail().unwrap();
        let rows = Reader::open(&old).unwrap().page(0, 100).unwrap();
        let mut rebuild = Rebuild::begin(&new).unwrap();
        for row in &rows {
            rebuild.push(&row.body).unwrap();
        }
        assert_eq!(rebuild.size(), 13);
        rebuild.finish(&new).unwrap();
        let reader = Reader::open_for_audit(&new).unwrap();
        assert_eq!(reader.page(0, 100).unwrap(), rows);
        assert!(reader.schema_differences().unwrap().is_empty());
        assert!(reader.structure_problems().unwrap().is_empty());
        assert_eq!((reader.surplus_nodes().unwrap(), reader.root_at(13).unwrap()), (0, tail.root));
        drop(reader);
        // The writer goes on with it.
        assert_eq!(Writer::open(&new).unwrap().tail().unwrap(), tail);
        assert!(Rebuild::begin(&new).is_err());
    }

    #[test]
    fn rows_are_read_in_order_over_pages_by_count_and_by_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry.db");
        let mut writer = Writer::open(&path).unwrap();
        let long = "x".repeat(1 << 20);
        for n in 0..600_u64 {
            let kind = if n % 3 == 0 { "expire" } else { "review" };
            let text = if n < 9 { long.as_str() } else { "" };
            let data = Value::object([("n", n.into()), ("text", text.into())]);
            writer.append(Timestamp::from_nanos(5), &[(kind, data)]).unwrap();
        }
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.page(0, 600).unwrap().len(), 4, "a page ends after 4 MiB");
        let numbers = |rows: provenance_registry::Rows<'_>| -> Vec<u64> {
            rows.map(|row| row.unwrap().seq).collect()
        };
        assert_eq!(numbers(reader.rows(0)), (0..600).collect::<Vec<_>>());
        assert_eq!(numbers(reader.rows(597)), [597, 598, 599]);
        assert_eq!(numbers(reader.rows(600)), Vec::<u64>::new());
        let expired: Vec<u64> = (0..600).filter(|n| n % 3 == 0).collect();
        assert_eq!(numbers(reader.rows_of_kind("expire", 0)), expired);
        assert_eq!(numbers(reader.rows_of_kind("expire", 1)), expired[1..]);
        assert_eq!(numbers(reader.rows_of_kind("nothing", 0)), Vec::<u64>::new());
    }
}

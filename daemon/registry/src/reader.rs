//! Reading a registry that anybody may have written.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use provenance_core::{
    encoding::digest::Digest,
    merkle::{self, Node, Nodes},
    record::{MAX_RECORD, Record},
};
use rusqlite::{Connection, OpenFlags, limits::Limit};

pub use crate::error::RegistryError;

use crate::{
    connection::{beside, harden, identify, is_there, signed, usable},
    schema,
};

/// A page of rows ends after so many bytes of bodies: the file is anybody's, and a
/// body may have 8 MiB.
const MAX_PAGE: usize = 4 << 20;

/// A row as it is stored; nothing of it has been verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The row's number.
    pub seq: u64,
    /// The stored hash.
    pub hash: Vec<u8>,
    /// The record's bytes.
    pub body: Vec<u8>,
}

/// A registry opened for reading.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
    /// The file's stamp, where it was opened as one that nobody writes.
    still: Option<(u64, std::time::SystemTime)>,
    /// The private copy that is read, removed when this is dropped.
    _copy: Option<tempfile::TempDir>,
}

impl Reader {
    /// Opens the registry at `path` beside whoever writes it.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn open(path: &Path) -> Result<Self, RegistryError> {
        is_there(path)?;
        Self::with(path, connect(path)?, None, None)
    }

    /// Opens the registry at `path` for an audit: where nobody writes it,
    /// nothing is put beside it either; where the folder is read-only and a
    /// log lies beside the database, a private copy is read.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn open_for_audit(path: &Path) -> Result<Self, RegistryError> {
        is_there(path)?;
        if is_closed(path) {
            let before = stamp(path);
            return Self::with(path, connect_still(path)?, before, None);
        }
        match connect(path) {
            Err(error) if is_shut_out(&error) => {
                let (folder, connection) = copy(path)?;
                Self::with(path, connection, None, Some(folder))
            }
            connection => Self::with(path, connection?, None, None),
        }
    }

    /// Whether somebody began to write what was opened as written by nobody:
    /// then what was read may not be of one moment, and is read again.
    pub fn is_stale(&self) -> bool {
        self.still.is_some() && (self.still != stamp(&self.path) || !is_closed(&self.path))
    }

    fn with(
        path: &Path,
        connection: Connection,
        still: Option<(u64, std::time::SystemTime)>,
        copy: Option<tempfile::TempDir>,
    ) -> Result<Self, RegistryError> {
        for (limit, value) in [
            (Limit::SQLITE_LIMIT_LENGTH, 2 * MAX_RECORD),
            (Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 16),
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
        ] {
            connection.set_limit(limit, i32::try_from(value).unwrap_or(i32::MAX))?;
        }
        harden(&connection)?;
        connection.pragma_update(None, "query_only", true)?;
        // KiB: the tree's upper nodes are what is read again and again.
        connection.pragma_update(None, "cache_size", -512)?;
        identify(&connection, path)?;
        Ok(Self { connection, path: path.into(), still, _copy: copy })
    }

    /// How many records there are, by the last row's number.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn len(&self) -> Result<u64, RegistryError> {
        let last: Option<i64> =
            self.connection.query_row("SELECT max(seq) FROM records", [], |row| row.get(0))?;
        Ok(last.and_then(|last| u64::try_from(last).ok()).map_or(0, |last| last + 1))
    }

    /// Whether there is no record.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn is_empty(&self) -> Result<bool, RegistryError> {
        Ok(self.len()? == 0)
    }

    /// Up to `count` rows from number `from` on, fewer where they are long. A body over the limit comes
    /// cut to one byte over it, which no record survives.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn page(&self, from: u64, count: u32) -> Result<Vec<Row>, RegistryError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, CAST(hash AS BLOB), substr(CAST(body AS BLOB), 1, ?3) FROM records \
             WHERE seq >= ?1 ORDER BY seq LIMIT ?2",
        )?;
        let limit = i64::try_from(MAX_RECORD + 1).unwrap_or(i64::MAX);
        // No record has a number below 0; a forged row with one is shown too.
        let start = match i64::try_from(from) {
            Ok(0) => i64::MIN,
            Ok(from) => from,
            Err(_) => return Ok(vec![]),
        };
        let (mut page, mut due, mut bytes) = (vec![], from, 0);
        for row in statement.query_map((start, count, limit), read_row)? {
            let row = row?;
            // A damaged tree of SQLite's gives rows in any order, and whoever
            // goes on behind the last one would go round for ever.
            if row.seq < due {
                let why = "its row is out of order".into();
                return Err(RegistryError::Damaged { seq: row.seq, why });
            }
            // A forged negative number reads as the largest, and comes first.
            if row.seq != u64::MAX {
                due = row.seq.saturating_add(1);
            }
            bytes += row.body.len();
            page.push(row);
            if bytes >= MAX_PAGE {
                break;
            }
        }
        Ok(page)
    }

    /// The record with this number.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn record(&self, seq: u64) -> Result<Option<Row>, RegistryError> {
        Ok(self.page(seq, 1)?.into_iter().find(|row| row.seq == seq))
    }

    /// The last record of a kind.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn last_of_kind(&self, kind: &str) -> Result<Option<Row>, RegistryError> {
        self.last_such(kind, |_| true)
    }

    /// The last record of a kind that is such as is wanted.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn last_such(
        &self,
        kind: &str,
        such: impl Fn(&Record<'_>) -> bool,
    ) -> Result<Option<Row>, RegistryError> {
        // The envelope decides, never what the data holds; rows are walked
        // from the newest on.
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, CAST(hash AS BLOB), substr(CAST(body AS BLOB), 1, ?1) FROM records \
             ORDER BY seq DESC",
        )?;
        let limit = i64::try_from(MAX_RECORD + 1).unwrap_or(i64::MAX);
        for row in statement.query_map([limit], read_row)? {
            let row = row?;
            if Record::parse(&row.body).is_ok_and(|record| record.kind == kind && such(&record)) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Up to `count` records of a kind from number `from` on, in order, fewer where
    /// they are long.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub(crate) fn page_of_kind(
        &self,
        kind: &str,
        from: u64,
        count: u32,
    ) -> Result<Vec<Row>, RegistryError> {
        let pattern = format!("%,\"kind\":\"{kind}\",\"prev\":\"%");
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, CAST(hash AS BLOB), substr(CAST(body AS BLOB), 1, ?3) FROM records \
             WHERE seq >= ?1 AND body LIKE ?2 ORDER BY seq",
        )?;
        let limit = i64::try_from(MAX_RECORD + 1).unwrap_or(i64::MAX);
        let (mut page, mut bytes) = (vec![], 0);
        for row in statement.query_map((signed(from), pattern, limit), read_row)? {
            let row = row?;
            if Record::parse(&row.body).is_ok_and(|record| record.kind == kind) {
                bytes += row.body.len();
                page.push(row);
            }
            if page.len() >= count as usize || bytes >= MAX_PAGE {
                break;
            }
        }
        Ok(page)
    }

    /// The ids of all bundles on record, each with its record's number.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn bundle_ids(&self) -> Result<BTreeMap<String, u64>, RegistryError> {
        let mut statement = self.connection.prepare("SELECT id, seq FROM bundles")?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default()))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The hash of a complete subtree as stored.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn stored_node(&self, node: Node) -> Result<Option<Digest>, RegistryError> {
        Ok(crate::connection::node(&self.connection, node.level, node.index)?)
    }

    /// Whether both tables are exactly as they must be: rows of others could be
    /// computed, and a view may never end.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn has_tables(&self) -> Result<bool, RegistryError> {
        schema::has_tables(&self.connection)
    }

    /// How many nodes are stored.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn count_nodes(&self) -> Result<u64, RegistryError> {
        let count: i64 =
            self.connection.query_row("SELECT count(*) FROM nodes", [], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// How many nodes are stored that the records do not make, or are missing:
    /// a tree over `n` records has `n >> level` complete nodes at each level.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn surplus_nodes(&self) -> Result<u64, RegistryError> {
        // One statement sees one state, also beside a writer.
        let (last, nodes): (Option<i64>, i64) = self.connection.query_row(
            "SELECT (SELECT max(seq) FROM records), (SELECT count(*) FROM nodes)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let records = last.map_or(0, |last| i128::from(last) + 1).max(0);
        let complete: i128 = (0..64).map(|level| records >> level).sum();
        Ok(u64::try_from((i128::from(nodes) - complete).unsigned_abs()).unwrap_or(u64::MAX))
    }

    /// The root of the first `size` records, from stored nodes.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn root_at(&self, size: u64) -> Result<Digest, RegistryError> {
        merkle::root(self, size)
    }

    /// The inclusion proof of record `index` in the tree of `size`.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Digest>, RegistryError> {
        merkle::inclusion(self, index, size)
    }

    /// The proof that the tree of `new` continues that of `old`.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Digest>, RegistryError> {
        merkle::consistency(self, old, new)
    }

    /// Every table, trigger and view that is missing, altered or added.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn schema_differences(&self) -> Result<Vec<String>, RegistryError> {
        schema::differences(&self.connection)
    }

    /// What SQLite's own check of the file's structure finds.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn structure_problems(&self) -> Result<Vec<String>, RegistryError> {
        let mut statement = self.connection.prepare("PRAGMA integrity_check(20)")?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        let lines: Vec<String> = lines.collect::<Result<_, _>>()?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }
}

impl Nodes for Reader {
    type Error = RegistryError;

    fn node(&self, node: Node) -> Result<Digest, RegistryError> {
        let seq = node.index << node.level;
        self.stored_node(node)?.ok_or_else(|| RegistryError::Damaged {
            seq,
            why: format!("the tree's node at level {} is missing", node.level),
        })
    }
}

const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// Read-only, beside whoever writes.
fn connect(path: &Path) -> Result<Connection, RegistryError> {
    let connection = Connection::open_with_flags(path, FLAGS)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    usable(&connection)?;
    Ok(connection)
}

/// As a file that nobody changes: SQLite puts nothing beside it.
fn connect_still(path: &Path) -> Result<Connection, RegistryError> {
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
    let uri = provenance_core::encoding::file_uri::encode(bytes) + "?immutable=1";
    let connection = Connection::open_with_flags(uri, FLAGS.union(OpenFlags::SQLITE_OPEN_URI))?;
    usable(&connection)?;
    Ok(connection)
}

/// A private copy with its log: for evidence on a read-only medium that a
/// killed daemon left with a log beside it.
fn copy(path: &Path) -> Result<(tempfile::TempDir, Connection), RegistryError> {
    let folder = tempfile::tempdir()?;
    let to = folder.path().join("registry.db");
    fs::copy(path, &to)?;
    let log = beside(path, "-wal");
    if log.exists() {
        fs::copy(log, beside(&to, "-wal"))?;
    }
    // Its own folder may be read-only, and the copy's mode with it.
    fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let connection = connect(&to)?;
    Ok((folder, connection))
}

fn is_shut_out(error: &RegistryError) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    matches!(error, RegistryError::Sqlite(error)
        if matches!(error.sqlite_error_code(), Some(CannotOpen | ReadOnly)))
}

/// What tells that a file was written.
fn stamp(path: &Path) -> Option<(u64, std::time::SystemTime)> {
    let metadata = path.metadata().ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// Whether nobody has the database open and all of it is in the one file: no
/// index of a log beside it, and no log, or an empty one.
fn is_closed(path: &Path) -> bool {
    let log = beside(path, "-wal").metadata();
    log.map_or(true, |log| log.len() == 0) && !beside(path, "-shm").exists()
}

fn read_row(row: &rusqlite::Row<'_>) -> Result<Row, rusqlite::Error> {
    let seq: i64 = row.get(0)?;
    Ok(Row { seq: u64::try_from(seq).unwrap_or(u64::MAX), hash: row.get(1)?, body: row.get(2)? })
}

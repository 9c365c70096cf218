//! The Nix store's database: `ValidPaths` and `Refs`, read and never written.
//! Whoever owns the store writes it; what it holds is checked before use.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use provenance_core::{encoding::digest::Digest, nix::PathInfo};
use rusqlite::{Connection, OpenFlags, OptionalExtension, limits::Limit};

use crate::{
    Inventory, MAX_PACKAGES, MAX_REFERENCES, SbomError,
    closure::{Closure, check},
    nix_store_path,
};

/// Where a Nix store's database is.
pub const DATABASE: &str = "/nix/var/nix/db/db.sqlite";
/// A path, a hash or the signatures of one row are at most so long.
const MAX_VALUE: i32 = 1 << 20;

/// What is installed with `system`: a store path, something in one, or a link
/// to one.
///
/// # Errors
/// [`SbomError`].
pub fn closure(database: &Path, system: &Path) -> Result<Inventory, SbomError> {
    paths(database, system)?.inventory()
}

/// The closure of `system`, with all that is registered of its paths.
///
/// # Errors
/// [`SbomError`].
pub fn paths(database: &Path, system: &Path) -> Result<Closure, SbomError> {
    let failed = |source| SbomError::Database { path: database.into(), source };
    let connection = open(database)?;
    let root = find(&connection, system).map_err(failed)?;
    let Some(root) = root else { return Err(SbomError::Unknown(system.display().to_string())) };
    let rows = walk(&connection, database, root)?;
    let mut by_path = BTreeMap::new();
    for (id, (info, _)) in &rows {
        by_path.insert(info.path.clone(), *id);
    }
    let places: BTreeMap<i64, usize> =
        by_path.values().enumerate().map(|(place, id)| (*id, place)).collect();
    let system = places.get(&root).copied().unwrap_or_default();
    let mut rows = rows;
    let mut paths = Vec::with_capacity(by_path.len());
    for id in by_path.values() {
        let Some((mut info, references)) = rows.remove(id) else { continue };
        info.references = references.iter().filter_map(|to| places.get(to)).copied().collect();
        info.references.sort_unstable();
        paths.push(info);
    }
    Ok(Closure { paths, system })
}

pub(super) fn open(database: &Path) -> Result<Connection, SbomError> {
    let failed = |source| SbomError::Database { path: database.into(), source };
    fs::metadata(database).map_err(SbomError::io(database))?;
    let connection = match connect(database, "?mode=ro") {
        // Read-only all around: a database in WAL mode then needs files beside
        // it that cannot be made. Without a log nothing is missed.
        Err(_) if !has_log(database) => connect(database, "?immutable=1"),
        connection => connection,
    };
    let connection = connection.map_err(failed)?;
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 16),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
    ] {
        connection.set_limit(limit, value).map_err(failed)?;
    }
    for (pragma, value) in
        [("trusted_schema", false), ("cell_size_check", true), ("query_only", true)]
    {
        connection.pragma_update(None, pragma, value).map_err(failed)?;
    }
    // A view of that name could compute for ever.
    let tables: i64 = connection
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('ValidPaths', 'Refs') \
             AND sql NOT LIKE '%virtual%' AND sql NOT LIKE '%generated%'",
            [],
            |row| row.get(0),
        )
        .map_err(failed)?;
    if tables != 2 {
        let why = "not the database of a Nix store: its tables are missing";
        return Err(SbomError::malformed(database.display().to_string(), why));
    }
    Ok(connection)
}

fn connect(database: &Path, query: &str) -> rusqlite::Result<Connection> {
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(database.as_os_str());
    let uri = provenance_core::encoding::file_uri::encode(bytes) + query;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    // The first read tells whether it can be read at all.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

fn has_log(database: &Path) -> bool {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).is_ok_and(|metadata| metadata.len() > 0)
}

/// The row of the store path that `system` is, lies in, or leads to.
fn find(connection: &Connection, system: &Path) -> rusqlite::Result<Option<i64>> {
    let target = fs::canonicalize(system).ok();
    for path in [Some(system), target.as_deref()].into_iter().flatten() {
        let Some(path) = path.to_str().and_then(nix_store_path::within) else { continue };
        let row = connection
            .query_row("SELECT id FROM ValidPaths WHERE path = ?1", [path], |row| row.get(0))
            .optional()?;
        if row.is_some() {
            return Ok(row);
        }
    }
    Ok(None)
}

/// What is registered of one path by itself.
pub(super) struct Registered {
    pub(super) nar_hash: Digest,
    pub(super) deriver: Option<String>,
    /// Whether it was built here.
    pub(super) ultimate: bool,
    /// When it was registered, in seconds since 1970.
    pub(super) time_s: i64,
}

/// The row of exactly this path; `None` where it is not valid.
pub(super) fn registered(
    connection: &Connection,
    database: &Path,
    path: &str,
) -> Result<Option<Registered>, SbomError> {
    let query = "SELECT hash, deriver, ultimate, registrationTime FROM ValidPaths WHERE path = ?1";
    let row = connection.prepare_cached(query).and_then(|mut statement| {
        let row = |row: &rusqlite::Row<'_>| {
            let ultimate = row.get::<_, Option<i64>>(2)?.is_some_and(|flag| flag != 0);
            Ok((row.get::<_, String>(0)?, row.get(1)?, ultimate, row.get(3)?))
        };
        statement.query_row([path], row).optional()
    });
    let row = row.map_err(|source| SbomError::Database { path: database.into(), source })?;
    let Some((hash, deriver, ultimate, time_s)) = row else { return Ok(None) };
    let nar_hash = nix_store_path::nar_hash(&hash)
        .ok_or_else(|| SbomError::malformed(path, "its NAR hash is no SHA-256"))?;
    Ok(Some(Registered { nar_hash, deriver, ultimate, time_s }))
}

type Rows = BTreeMap<i64, (PathInfo, Vec<i64>)>;

fn walk(connection: &Connection, database: &Path, root: i64) -> Result<Rows, SbomError> {
    let failed = |source| SbomError::Database { path: database.into(), source };
    let what = || database.display().to_string();
    let mut path_of = connection
        .prepare(
            "SELECT path, hash, deriver, narSize, ultimate, sigs, ca FROM ValidPaths WHERE id = ?1",
        )
        .map_err(failed)?;
    let mut references_of = connection
        .prepare("SELECT DISTINCT reference FROM Refs WHERE referrer = ?1 ORDER BY reference")
        .map_err(failed)?;
    let (mut rows, mut due) = (Rows::new(), BTreeSet::from([root]));
    let mut count = 0;
    while let Some(id) = due.pop_first() {
        let row = path_of.query_row([id], |row| {
            let signatures = row.get::<_, Option<String>>(5)?.unwrap_or_default();
            let info = PathInfo {
                path: row.get(0)?,
                deriver: row.get(2)?,
                nar_size: row.get::<_, Option<i64>>(3)?.and_then(|size| size.try_into().ok()),
                ultimate: row.get::<_, Option<i64>>(4)?.is_some_and(|flag| flag != 0),
                signatures: signatures.split_whitespace().map(str::to_owned).collect(),
                ca: row.get::<_, Option<String>>(6)?.filter(|ca| !ca.is_empty()),
                ..PathInfo::default()
            };
            Ok((info, row.get::<_, String>(1)?))
        });
        let (mut info, hash) = row.map_err(failed)?;
        let nar = nix_store_path::nar_hash(&hash)
            .ok_or_else(|| SbomError::malformed(info.path.clone(), "its NAR hash is no SHA-256"))?;
        info.nar_hash = Some(nar);
        check(&info)?;
        let mut references = vec![];
        for reference in references_of.query_map([id], |row| row.get(0)).map_err(failed)? {
            let reference: i64 = reference.map_err(failed)?;
            count += 1;
            if count > MAX_REFERENCES {
                let (what, limit) = (what(), MAX_REFERENCES);
                return Err(SbomError::TooMuch { what, limit, of: "references" });
            }
            references.push(reference);
            if reference != id && !rows.contains_key(&reference) {
                due.insert(reference);
            }
        }
        rows.insert(id, (info, references));
        if rows.len() + due.len() > MAX_PACKAGES {
            return Err(SbomError::TooMuch { what: what(), limit: MAX_PACKAGES, of: "paths" });
        }
    }
    let paths: BTreeSet<&str> = rows.values().map(|(info, _)| info.path.as_str()).collect();
    if paths.len() != rows.len() {
        return Err(SbomError::malformed(what(), "a path stands in it twice"));
    }
    Ok(rows)
}

//! What reader, rebuild and the daemon's writer share about a connection to the
//! registry's database.

use std::path::{Path, PathBuf};

use provenance_core::encoding::digest::Digest;
use rusqlite::{Connection, OptionalExtension as _};

use crate::{RegistryError, schema};

/// Hardens a connection: the file may have been written by anybody.
///
/// # Errors
/// As SQLite has it.
pub fn harden(connection: &Connection) -> Result<(), RegistryError> {
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "recursive_triggers", true)?;
    Ok(())
}

/// Refuses a file that is not a registry, and a registry of a later version.
///
/// # Errors
/// [`RegistryError`].
pub fn identify(connection: &Connection, path: &Path) -> Result<(), RegistryError> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("application_id")? != schema::APPLICATION_ID {
        if usable(connection)? == 0 {
            return Err(RegistryError::Empty(path.into()));
        }
        let why = "its application_id is another one".into();
        return Err(RegistryError::Foreign { path: path.into(), why });
    }
    match pragma("user_version")? {
        schema::VERSION => Ok(()),
        found if found > schema::VERSION => {
            Err(RegistryError::Newer { path: path.into(), found, known: schema::VERSION })
        }
        found => {
            let why = format!("its user_version is {found}");
            Err(RegistryError::Foreign { path: path.into(), why })
        }
    }
}

pub(crate) fn usable(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
}

pub(crate) fn is_there(path: &Path) -> Result<(), RegistryError> {
    if path.is_file() { Ok(()) } else { Err(RegistryError::Missing(path.into())) }
}

/// The stored hash of a node; one of another length counts as missing.
///
/// # Errors
/// As SQLite has it.
pub fn node(
    connection: &Connection,
    level: u8,
    index: u64,
) -> Result<Option<Digest>, rusqlite::Error> {
    let mut statement =
        connection.prepare_cached("SELECT hash FROM nodes WHERE level = ?1 AND idx = ?2")?;
    let hash = statement
        .query_row((level, crate::connection::signed(index)), |row| row.get::<_, Vec<u8>>(0))
        .optional()?;
    Ok(hash.and_then(|hash| hash.try_into().ok()).map(Digest))
}

/// SQLite's integers are signed; a registry never has 2^63 records.
pub fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Where the registry's files are: SQLite keeps two more beside a database.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

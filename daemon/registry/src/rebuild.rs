//! A registry's file made anew from its records: from a copy that somebody else
//! keeps. It only makes a file where there is none. Nothing is judged here; a
//! verifier finds in the new file what it would have found in the old one.

use std::path::Path;

use provenance_core::{
    encoding::digest::Digest,
    merkle::{Frontier, leaf_hash},
};
use rusqlite::{Connection, OpenFlags, params};

use crate::{
    RegistryError,
    connection::{harden, identify, signed},
    schema,
};

/// A registry in the making.
#[derive(Debug)]
pub struct Rebuild {
    connection: Connection,
    frontier: Frontier,
}

impl Rebuild {
    /// Begins a registry at `path`, where there is no file.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn begin(path: &Path) -> Result<Self, RegistryError> {
        let made = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
        drop(made);
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        harden(&connection)?;
        // Nothing is lost by a power cut that a second attempt would not bring
        // back; whoever wants to keep the file sees to its being on disk.
        connection.pragma_update(None, "journal_mode", "OFF")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        schema::create_tables(&connection)?;
        connection.execute_batch("BEGIN")?;
        Ok(Self { connection, frontier: Frontier::new() })
    }

    /// How many records there are.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Adds a record, whatever is in it.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn push(&mut self, body: &[u8]) -> Result<(), RegistryError> {
        let seq = signed(self.frontier.size());
        self.connection
            .prepare_cached(
                "INSERT INTO records(seq, hash, body) VALUES (?1, ?2, CAST(?3 AS TEXT))",
            )?
            .execute(params![seq, Digest::sha256(body).0, body])?;
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO nodes(level, idx, hash) VALUES (?1, ?2, ?3)")?;
        let mut inserted = Ok(0);
        self.frontier.push(leaf_hash(body), |node, hash| {
            if inserted.is_ok() {
                inserted = insert.execute(params![node.level, signed(node.index), hash.0]);
            }
        });
        inserted?;
        Ok(())
    }

    /// Ends it: triggers and views as they must be. It may not be on disk yet.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn finish(self, path: &Path) -> Result<(), RegistryError> {
        schema::create_rest(&self.connection)?;
        self.connection.execute_batch("COMMIT")?;
        identify(&self.connection, path)?;
        self.connection.close().map_err(|(_, error)| error)?;
        Ok(())
    }
}

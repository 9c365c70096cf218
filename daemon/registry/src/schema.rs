//! The registry's tables, triggers and views, and the check that a file has
//! exactly these.

use rusqlite::Connection;

use crate::RegistryError;

/// "MSPR": what sqlite's `application_id` says of a registry.
pub(crate) const APPLICATION_ID: i64 = 0x4d53_5052;
/// The newest format known, in sqlite's `user_version`.
pub(crate) const VERSION: i64 = 1;

/// Name and SQL of everything in `sqlite_schema`.
///
/// INSERT OR REPLACE deletes the old row without firing a delete trigger
/// (unless `recursive_triggers` is on), but it fires the BEFORE INSERT trigger
/// first, which refuses every `seq` but the next and every `hash` already
/// there; UPDATE OR REPLACE fires the UPDATE trigger.
const OBJECTS: [(&str, &str); 11] = [
    (
        "records",
        "CREATE TABLE records(seq INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, body TEXT NOT NULL) STRICT",
    ),
    (
        "nodes",
        "CREATE TABLE nodes(level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY(level, idx)) STRICT, WITHOUT ROWID",
    ),
    (
        "records_successor",
        "CREATE TRIGGER records_successor BEFORE INSERT ON records WHEN new.seq IS NOT (SELECT coalesce(max(seq) + 1, 0) FROM records) OR length(new.hash) != 32 OR EXISTS (SELECT 1 FROM records WHERE hash = new.hash) OR json_extract(new.body, '$.seq') IS NOT new.seq OR json_extract(new.body, '$.prev') IS NOT coalesce((SELECT lower(hex(hash)) FROM records ORDER BY seq DESC LIMIT 1), '0000000000000000000000000000000000000000000000000000000000000000') BEGIN SELECT RAISE(ABORT, 'records are append-only: not the successor of the last record'); END",
    ),
    (
        "records_no_update",
        "CREATE TRIGGER records_no_update BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'records are append-only: no update'); END",
    ),
    (
        "records_no_delete",
        "CREATE TRIGGER records_no_delete BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'records are append-only: no delete'); END",
    ),
    (
        "nodes_new",
        "CREATE TRIGGER nodes_new BEFORE INSERT ON nodes WHEN length(new.hash) != 32 OR new.level NOT BETWEEN 0 AND 52 OR new.idx IS NOT (SELECT coalesce(max(idx) + 1, 0) FROM nodes WHERE level = new.level) OR (new.idx + 1) << new.level > (SELECT coalesce(max(seq) + 1, 0) FROM records) BEGIN SELECT RAISE(ABORT, 'nodes are append-only: not the next complete node of its level'); END",
    ),
    (
        "nodes_no_update",
        "CREATE TRIGGER nodes_no_update BEFORE UPDATE ON nodes BEGIN SELECT RAISE(ABORT, 'nodes are append-only: no update'); END",
    ),
    (
        "nodes_no_delete",
        "CREATE TRIGGER nodes_no_delete BEFORE DELETE ON nodes BEGIN SELECT RAISE(ABORT, 'nodes are append-only: no delete'); END",
    ),
    (
        "bundles",
        "CREATE VIEW bundles AS SELECT seq, json_extract(body, '$.data.id') AS id, json_extract(body, '$.time') AS time, json_extract(body, '$.data.from') AS period_from, json_extract(body, '$.data.to') AS period_to, json_extract(body, '$.data.signed') AS signed FROM records WHERE json_extract(body, '$.kind') = 'bundle'",
    ),
    (
        // An alert's records have one id; the newer one says whether it is open.
        "alerts_open",
        "CREATE VIEW alerts_open AS SELECT max(seq) AS seq, json_extract(body, '$.data.alert') AS alert, json_extract(body, '$.data.code') AS code, json_extract(body, '$.data.subject') AS subject, json_extract(body, '$.data.severity') AS severity, json_extract(body, '$.data.since') AS since, json_extract(body, '$.data.message') AS message FROM records WHERE json_extract(body, '$.kind') = 'alert' GROUP BY alert HAVING json_extract(body, '$.data.state') = 'raised'",
    ),
    (
        "keys",
        "CREATE VIEW keys AS SELECT seq, json_extract(body, '$.data.action') AS action, json_extract(body, '$.data.fingerprint') AS fingerprint, json_extract(body, '$.data.name') AS name, json_extract(body, '$.time') AS time FROM records WHERE json_extract(body, '$.kind') = 'key'",
    ),
];

/// Makes the schema in an empty database, in one transaction.
pub fn create(connection: &mut Connection) -> Result<(), RegistryError> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let objects: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    // Another process may have been first.
    if objects == 0 {
        create_tables(&transaction)?;
        create_rest(&transaction)?;
    }
    transaction.commit()?;
    Ok(())
}

/// The tables alone: what is put into them is looked at by nobody.
pub(crate) fn create_tables(connection: &Connection) -> Result<(), RegistryError> {
    for (_, sql) in OBJECTS.iter().filter(|(_, sql)| is_table(sql)) {
        connection.execute_batch(sql)?;
    }
    Ok(())
}

/// Triggers, views and what tells that the file is a registry.
pub(crate) fn create_rest(connection: &Connection) -> Result<(), RegistryError> {
    for (_, sql) in OBJECTS.iter().filter(|(_, sql)| !is_table(sql)) {
        connection.execute_batch(sql)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}

fn is_table(sql: &str) -> bool {
    sql.starts_with("CREATE TABLE")
}

/// Whether both tables are exactly as they must be.
pub(crate) fn has_tables(connection: &Connection) -> Result<bool, RegistryError> {
    let mut statement =
        connection.prepare("SELECT coalesce(sql, '') FROM sqlite_schema WHERE name = ?1")?;
    for (name, sql) in OBJECTS.iter().filter(|(_, sql)| is_table(sql)) {
        let rows = statement.query_map([name], |row| row.get::<_, String>(0))?;
        if rows.collect::<Result<Vec<_>, _>>()? != [*sql] {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Names every object that is missing, altered or added.
pub fn differences(connection: &Connection) -> Result<Vec<String>, RegistryError> {
    let mut statement = connection.prepare(
        // Only the index that a UNIQUE makes has no SQL of its own: a name
        // alone, such as sqlite_autoindex_x, can hide a trigger.
        "SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE NOT (type = 'index' \
         AND name = 'sqlite_autoindex_records_1' AND tbl_name = 'records' AND sql IS NULL) \
         ORDER BY name LIMIT 1000",
    )?;
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    // A list, for a file that was not made by SQLite may have a name twice.
    let mut found: Vec<(String, String)> = rows.collect::<Result<_, _>>()?;
    let mut differences = vec![];
    for (name, sql) in OBJECTS {
        match found.iter().position(|(other, _)| other == name) {
            None => differences.push(format!("{name} is missing")),
            Some(at) => {
                if found.swap_remove(at).1 != sql {
                    differences.push(format!("{name} was altered"));
                }
            }
        }
    }
    differences.extend(found.into_iter().map(|(name, _)| format!("{name:?} was added")));
    Ok(differences)
}

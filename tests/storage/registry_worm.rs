//! What raw SQL can do to a registry: every statement that would change,
//! remove or forge a row is refused and leaves all rows as they were.

use std::path::{Path, PathBuf};

use provenance_core::encoding::{json::Value, time::Timestamp};
use provenance_registry::Reader;
use provenanced::ledger::registry_writer::Writer;
use rusqlite::Connection;

fn registry(folder: &Path, records: u64) -> PathBuf {
    let path = folder.join("registry.db");
    let mut writer = Writer::open(&path).unwrap();
    for i in 0..records {
        let data = Value::object([("i", i.into())]);
        writer.append(Timestamp::from_nanos(1), &[("test", data)]).unwrap();
    }
    path
}

fn dump(connection: &Connection) -> Vec<String> {
    let mut all = vec![];
    for sql in [
        "SELECT seq || hex(hash) || body FROM records ORDER BY seq",
        "SELECT level || '/' || idx || hex(hash) FROM nodes ORDER BY level, idx",
    ] {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        all.extend(rows.map(Result::unwrap));
    }
    all
}

/// 5 records, so the next is 5; H is a fresh hash, P the right `prev`.
const ATTACKS: &[&str] = &[
    "UPDATE records SET body = '{}'",
    "UPDATE records SET body = '{}' WHERE seq = 2",
    "UPDATE records SET seq = 9 WHERE seq = 4",
    "UPDATE records SET rowid = 9 WHERE rowid = 4",
    "UPDATE records SET hash = randomblob(32) WHERE seq = 4",
    "UPDATE OR REPLACE records SET seq = 3 WHERE seq = 4",
    "UPDATE OR IGNORE records SET body = '{}' WHERE seq = 4",
    "UPDATE OR FAIL records SET body = '{}' WHERE seq = 4",
    "UPDATE OR ROLLBACK records SET body = '{}' WHERE seq = 4",
    "UPDATE records SET body = n.level FROM nodes n WHERE seq = n.idx",
    "WITH x AS (SELECT 4 s) UPDATE records SET body = '{}' WHERE seq IN (SELECT s FROM x)",
    "DELETE FROM records",
    "DELETE FROM records WHERE seq = 4",
    "DELETE FROM records WHERE seq = 0",
    "DELETE FROM records WHERE seq = 4 RETURNING seq",
    "INSERT INTO records VALUES(5, H, json_object('seq', 5, 'prev', 'x'))",
    "INSERT INTO records VALUES(5, H, json_object('seq', 6, 'prev', P))",
    "INSERT INTO records VALUES(6, H, json_object('seq', 6, 'prev', P))",
    "INSERT INTO records VALUES(-1, H, json_object('seq', -1, 'prev', P))",
    "INSERT INTO records VALUES(NULL, H, json_object('seq', 5, 'prev', P))",
    "INSERT INTO records(hash, body) VALUES(H, json_object('seq', 5, 'prev', P))",
    "INSERT INTO records VALUES(5, randomblob(31), json_object('seq', 5, 'prev', P))",
    "INSERT INTO records VALUES(5, H, 'not json')",
    "INSERT INTO records VALUES(5, H, '[]')",
    "INSERT INTO records VALUES(4, H, json_object('seq', 4, 'prev', P))",
    "INSERT OR REPLACE INTO records VALUES(4, H, json_object('seq', 4, 'prev', P))",
    "REPLACE INTO records VALUES(0, H, json_object('seq', 0, 'prev', P))",
    "INSERT OR REPLACE INTO records SELECT 5, hash, json_object('seq', 5, 'prev', P) FROM records WHERE seq = 1",
    "INSERT OR IGNORE INTO records VALUES(4, H, json_object('seq', 4, 'prev', P))",
    "INSERT INTO records VALUES(4, H, '{}') ON CONFLICT(seq) DO UPDATE SET body = '{}'",
    "INSERT INTO records SELECT 5, hash, json_object('seq', 5, 'prev', P) FROM records WHERE seq = 1 ON CONFLICT(hash) DO UPDATE SET body = '{}'",
    "INSERT INTO records VALUES(4, H, '{}') ON CONFLICT DO NOTHING",
    "INSERT INTO records SELECT * FROM records",
    "UPDATE nodes SET hash = randomblob(32)",
    "UPDATE OR REPLACE nodes SET idx = 0 WHERE level = 0 AND idx = 1",
    "DELETE FROM nodes",
    "DELETE FROM nodes WHERE level = 2",
    "INSERT OR REPLACE INTO nodes VALUES(0, 4, H)",
    "REPLACE INTO nodes VALUES(2, 0, H)",
    "INSERT INTO nodes VALUES(0, 4, H) ON CONFLICT DO UPDATE SET hash = excluded.hash",
    "INSERT INTO nodes VALUES(0, 6, H)",
    "INSERT INTO nodes VALUES(1, 0, H)",
    // The node behind the last record, and levels that no record reaches:
    "INSERT INTO nodes VALUES(0, 5, H)",
    "INSERT INTO nodes VALUES(1, 2, H)",
    "INSERT INTO nodes VALUES(2, 1, H)",
    "INSERT INTO nodes VALUES(3, 0, H)",
    "INSERT INTO nodes VALUES(-1, 0, H)",
    "INSERT INTO nodes VALUES(63, 0, H)",
    "UPDATE bundles SET id = 'x'",
    "DELETE FROM keys",
];

#[test]
fn raw_sql_can_change_nothing() {
    let mut through = vec![];
    for recursive in [false, true] {
        for attack in ATTACKS {
            let folder = tempfile::tempdir().unwrap();
            let path = registry(folder.path(), 5);
            let connection = Connection::open(&path).unwrap();
            connection.pragma_update(None, "recursive_triggers", recursive).unwrap();
            let before = dump(&connection);
            let prev = "(SELECT lower(hex(hash)) FROM records ORDER BY seq DESC LIMIT 1)";
            let sql = attack.replace("'prev', P", &format!("'prev', {prev}"));
            let sql = sql.replace("H,", "randomblob(32),").replace("H)", "randomblob(32))");
            let result = connection.execute_batch(&sql);
            if dump(&connection) != before || result.is_ok() {
                through.push(format!("recursive={recursive}: {attack} -> {result:?}"));
            }
        }
    }
    assert!(through.is_empty(), "{through:#?}");
}

#[test]
fn after_a_forged_node_the_writer_can_still_append() {
    let folder = tempfile::tempdir().unwrap();
    let path = registry(folder.path(), 5);
    let _ = Connection::open(&path)
        .unwrap()
        .execute_batch("INSERT INTO nodes VALUES(0, 5, randomblob(32))");
    let mut writer = Writer::open(&path).unwrap();
    let entries = [("test", Value::object([]))];
    writer.append(Timestamp::from_nanos(2), &entries).unwrap();
}

#[test]
fn a_changed_inner_node_is_not_built_upon() {
    let folder = tempfile::tempdir().unwrap();
    let path = registry(folder.path(), 4);
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "DROP TRIGGER nodes_no_update; UPDATE nodes SET hash = randomblob(32) WHERE level = 2;
             CREATE TRIGGER nodes_no_update BEFORE UPDATE ON nodes BEGIN SELECT RAISE(ABORT, 'nodes are append-only: no update'); END;",
        )
        .unwrap();
    let mut writer = Writer::open(&path).unwrap();
    let entries = [("test", Value::object([]))];
    assert!(writer.append(Timestamp::from_nanos(2), &entries).is_err(), "a false root was built");
}

#[test]
fn a_trigger_hidden_under_sqlites_own_prefix_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = registry(folder.path(), 2);
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "PRAGMA writable_schema = ON;
             INSERT INTO sqlite_schema VALUES('trigger', 'sqlite_autoindex_x', 'records', 0,
               'CREATE TRIGGER sqlite_autoindex_x AFTER INSERT ON records BEGIN SELECT RAISE(ABORT, ''hidden''); END');",
        )
        .unwrap();
    let insert = "INSERT INTO records VALUES(2, randomblob(32), json_object('seq', 2, 'prev', \
        (SELECT lower(hex(hash)) FROM records WHERE seq = 1)))";
    let refused = Connection::open(&path).unwrap().execute_batch(insert).unwrap_err();
    assert!(refused.to_string().contains("hidden"), "the trigger is at work: {refused}");
    assert_ne!(Reader::open(&path).unwrap().schema_differences().unwrap(), Vec::<String>::new());
}

#[test]
fn a_database_of_another_program_is_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(x)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(Writer::open(&path).is_err());
    assert!(std::fs::read(&path).unwrap() == before, "the foreign file was changed");
}

#[test]
fn a_row_with_a_negative_number_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = registry(folder.path(), 2);
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "DROP TRIGGER records_no_update; UPDATE records SET seq = -1 WHERE seq = 1;
             CREATE TRIGGER records_no_update BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'records are append-only: no update'); END;",
        )
        .unwrap();
    assert_eq!(Reader::open(&path).unwrap().page(0, 10).unwrap().len(), 2);
}

#[test]
fn the_last_of_a_kind_is_found_by_the_envelope_and_not_by_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = registry(folder.path(), 1);
    let inner = Value::object([("a", 1_u64.into()), ("kind", "head".into()), ("prev", "x".into())]);
    let entries = [("export", Value::object([("x", inner)]))];
    Writer::open(&path).unwrap().append(Timestamp::from_nanos(2), &entries).unwrap();
    assert_eq!(Reader::open(&path).unwrap().last_of_kind("head").unwrap(), None);
}

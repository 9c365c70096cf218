//! Databases that SQLite opens and our writer never made.

use provenance_audit::trust::trust_by;
use std::time::{Duration, Instant};

use provenance_audit::{error::AuditError, state};
use provenance_core::report::Verdict;
use rusqlite::Connection;

use super::harness::{StateFixture, errors, files};

/// Each of these is more or other than tables, triggers and views must be.
const SCHEMAS: &[&str] = &[
    // Rows out of a view that never ends.
    "ALTER TABLE records RENAME TO hidden;
     CREATE VIEW records AS WITH RECURSIVE n(seq) AS (SELECT 0 UNION ALL SELECT seq + 1 FROM n)
       SELECT seq, zeroblob(32) AS hash, '{}' AS body FROM n",
    "ALTER TABLE records RENAME TO hidden; CREATE VIEW records AS SELECT * FROM hidden",
    "PRAGMA legacy_alter_table = ON; CREATE TABLE copy(seq INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, raw TEXT NOT NULL,
       body TEXT GENERATED ALWAYS AS (raw) VIRTUAL) STRICT;
     INSERT INTO copy(seq, hash, raw) SELECT seq, hash, body FROM records;
     DROP VIEW bundles; DROP VIEW keys; DROP TABLE records; ALTER TABLE copy RENAME TO records",
    "ALTER TABLE records ADD COLUMN more TEXT",
    "ALTER TABLE records RENAME COLUMN body TO text",
    "PRAGMA legacy_alter_table = ON; CREATE TABLE copy(seq INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,
       body TEXT NOT NULL COLLATE NOCASE) STRICT;
     INSERT INTO copy SELECT * FROM records;
     DROP VIEW bundles; DROP VIEW keys; DROP TABLE records; ALTER TABLE copy RENAME TO records",
    "CREATE INDEX extra ON records(body)",
    "CREATE TRIGGER extra AFTER INSERT ON records BEGIN SELECT 1; END",
    "CREATE VIEW extra AS SELECT 1",
    "CREATE TEMP TABLE t(x); CREATE TABLE sneaky(x); INSERT INTO sneaky VALUES (zeroblob(100000))",
    "PRAGMA writable_schema = ON;
     UPDATE sqlite_schema SET sql = replace(sql, 'STRICT', '') WHERE name = 'records'",
    "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'records_no_update'",
    "PRAGMA writable_schema = ON;
     INSERT INTO sqlite_schema SELECT type, name, tbl_name, rootpage, 'CREATE TRIGGER x' FROM
       sqlite_schema WHERE name = 'records_no_update'",
];

/// Each of these leaves the schema alone (triggers go and come back).
const ROWS: &[&str] = &[
    "INSERT INTO records VALUES (1000000, zeroblob(32), '{}')",
    "INSERT INTO records VALUES (9223372036854775807, zeroblob(32), '{}')",
    "INSERT INTO records VALUES (-9223372036854775808, zeroblob(32), '{}')",
    "UPDATE records SET body = body || char(0) WHERE seq = 3",
    "UPDATE records SET body = body || char(0) || 'hidden' WHERE seq = 3",
    "UPDATE records SET body = char(0) WHERE seq = 3",
    "UPDATE records SET body = '' WHERE seq = 3",
    "UPDATE records SET body = CAST(x'ff' AS TEXT) WHERE seq = 3",
    "UPDATE records SET hash = x'' WHERE seq = 3",
    "UPDATE records SET hash = zeroblob(1000000) WHERE seq = 3",
    // Over what a record may have, and over what is read at once.
    "UPDATE records SET body = CAST(zeroblob(9000000) AS TEXT) WHERE seq = 3",
    "UPDATE records SET body = CAST(zeroblob(20000000) AS TEXT) WHERE seq = 3",
    "INSERT INTO nodes VALUES (0, 1000000, zeroblob(32))",
    "INSERT INTO nodes VALUES (62, 0, zeroblob(32))",
    "INSERT INTO nodes VALUES (-1, -1, zeroblob(32))",
    "UPDATE nodes SET hash = x'' WHERE level = 0 AND idx = 0",
    "DELETE FROM records; DELETE FROM nodes",
    "DELETE FROM records WHERE seq = 0",
];

#[test]
fn another_schema_is_found_and_never_followed() {
    let fixture = StateFixture::new();
    for sql in SCHEMAS {
        let copy = fixture.copy();
        let database = Connection::open(copy.path().join("registry.db")).unwrap();
        // What SQLite itself refuses is no attack.
        database.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        drop(database);
        let begin = Instant::now();
        let report = fixture.verify(copy.path());
        assert_eq!(report.verdict(), Verdict::Failed, "{sql}");
        let found = errors(&report);
        let codes = ["registry.triggers", "registry.missing", "registry.broken"];
        assert!(found.iter().any(|code| codes.contains(code)), "{sql}: {found:?}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{sql}");
    }
}

#[test]
fn rows_that_no_writer_makes_are_found() {
    let fixture = StateFixture::new();
    for sql in ROWS {
        let copy = fixture.copy();
        let database = Connection::open(copy.path().join("registry.db")).unwrap();
        super::registry::without_triggers(&database, |database| {
            database.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        });
        drop(database);
        let report = fixture.verify(copy.path());
        let found = errors(&report);
        let codes = ["registry.broken", "registry.root", "record.malformed"];
        assert!(found.iter().any(|code| codes.contains(code)), "{sql}: {found:?}");
        assert!(!found.contains(&"registry.missing"), "{sql}: {found:?}");
    }
}

#[test]
fn a_later_format_is_no_verdict_and_another_file_is_no_registry() {
    let fixture = StateFixture::new();
    let copy = fixture.copy();
    let path = copy.path().join("registry.db");
    let pragma = |text: &str| Connection::open(&path).unwrap().execute_batch(text).unwrap();
    pragma("PRAGMA user_version = 2");
    let trust = trust_by(Some(fixture.policy.clone())).unwrap();
    let later =
        state::verify(copy.path(), &trust, &state::Options::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(later, AuditError::Registry(_)) && later.to_string().contains("newer"));
    pragma("PRAGMA user_version = 0");
    assert!(errors(&fixture.verify(copy.path())).contains(&"registry.missing"));
    pragma("PRAGMA user_version = 1; PRAGMA application_id = 1");
    assert!(errors(&fixture.verify(copy.path())).contains(&"registry.missing"));
    for garbage in [&b""[..], b"SQLite format 3\0", &[0; 4096], b"not a database at all"] {
        std::fs::write(&path, garbage).unwrap();
        assert_eq!(fixture.verify(copy.path()).verdict(), Verdict::Failed);
    }
}

#[test]
fn what_is_no_file_in_a_files_place_is_found_and_keeps_nobody() {
    let fixture = StateFixture::new();
    let all = files(&fixture.state());
    assert!(all.len() > 10, "{all:?}");
    for name in all {
        for kind in ["pipe", "folder", "loop"] {
            let copy = fixture.copy();
            let path = copy.path().join(&name);
            std::fs::remove_file(&path).unwrap();
            match kind {
                "pipe" => {
                    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
                    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
                }
                "folder" => std::fs::create_dir(&path).unwrap(),
                _ => std::os::unix::fs::symlink(&path, &path).unwrap(),
            }
            let (policy, state) = (fixture.policy.clone(), copy.path().to_owned());
            let (send, answer) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                let trust = trust_by(Some(policy)).unwrap();
                let options = state::Options::default();
                let judged = state::verify(&state, &trust, &options, &mut |_| {});
                let _ = send.send(judged.map(|report| report.verdict()));
                let _ = provenance_audit::status::read(&state);
                let _ = send.send(Ok(Verdict::Inconclusive));
            });
            let within = Duration::from_secs(20);
            let verdict = answer.recv_timeout(within);
            let verdict = verdict.unwrap_or_else(|_| panic!("{name:?} as {kind} keeps us"));
            let verdict = verdict.unwrap_or_else(|error| panic!("{name:?} as {kind}: {error}"));
            assert_eq!(verdict, Verdict::Failed, "{name:?} as {kind}");
            assert!(answer.recv_timeout(within).is_ok(), "status: {name:?} as {kind} keeps us");
        }
    }
}

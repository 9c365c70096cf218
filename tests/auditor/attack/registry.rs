//! Rows changed, removed, added and renumbered by who writes the file, with
//! triggers dropped and with hashes and nodes made new.

use std::path::Path;

use provenance_core::{
    encoding::digest::Digest,
    merkle::{Frontier, leaf_hash},
    report::Verdict,
};
use rusqlite::Connection;

use super::harness::{StateFixture, errors};

const TRIGGERS: [&str; 6] = [
    "records_successor",
    "records_no_update",
    "records_no_delete",
    "nodes_new",
    "nodes_no_update",
    "nodes_no_delete",
];

fn open(state: &Path) -> Connection {
    Connection::open(state.join("registry.db")).unwrap()
}

/// Runs `change` with all triggers out of the way and puts them back.
pub(super) fn without_triggers(database: &Connection, change: impl Fn(&Connection)) {
    let sql = |name: &str| -> String {
        let select = "SELECT sql FROM sqlite_schema WHERE name = ?1";
        database.query_row(select, [name], |row| row.get(0)).unwrap()
    };
    let kept: Vec<String> = TRIGGERS.iter().map(|name| sql(name)).collect();
    for name in TRIGGERS {
        database.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    change(database);
    for sql in kept {
        database.execute_batch(&sql).unwrap();
    }
}

/// The errors found after `change` ran on a copy without triggers.
fn attacked(fixture: &StateFixture, change: impl Fn(&Connection)) -> Vec<&'static str> {
    let copy = fixture.copy();
    without_triggers(&open(copy.path()), change);
    let report = fixture.verify(copy.path());
    assert_eq!(report.verdict(), Verdict::Failed, "{:#?}", report.findings());
    errors(&report)
}

fn rows(database: &Connection) -> i64 {
    database.query_row("SELECT count(*) FROM records", [], |row| row.get(0)).unwrap()
}

#[test]
fn each_dropped_or_altered_trigger_is_named() {
    let fixture = StateFixture::new();
    for name in TRIGGERS.into_iter().chain(["bundles", "keys"]) {
        let kind = if TRIGGERS.contains(&name) { "TRIGGER" } else { "VIEW" };
        let copy = fixture.copy();
        let sql: String = open(copy.path())
            .query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [name], |row| row.get(0))
            .unwrap();
        open(copy.path()).execute_batch(&format!("DROP {kind} {name}")).unwrap();
        let report = fixture.verify(copy.path());
        let finding = report.findings().iter().find(|f| f.code.as_str() == "registry.triggers");
        assert!(finding.is_some_and(|f| f.message.contains(name)), "{name}: {report:?}");
        let altered = sql
            .replacen("WHEN ", "WHEN 0 AND ", 1)
            .replacen("BEGIN SELECT RAISE(ABORT", "BEGIN SELECT iif(0, 1", 1)
            .replacen("AS SELECT ", "AS SELECT 1 AS one, ", 1);
        assert_ne!(altered, sql);
        if open(copy.path()).execute_batch(&altered).is_ok() {
            assert!(errors(&fixture.verify(copy.path())).contains(&"registry.triggers"), "{name}");
        }
    }
    let copy = fixture.copy();
    open(copy.path()).execute_batch("CREATE TABLE extra(x)").unwrap();
    assert_eq!(errors(&fixture.verify(copy.path())), ["registry.triggers"]);
}

#[test]
fn each_changed_deleted_or_renumbered_row_is_found() {
    let fixture = StateFixture::new();
    let count = rows(&open(&fixture.copy().keep()));
    assert!(count >= 8, "{count}");
    for seq in 0..count {
        let update = |what: &str| format!("UPDATE records SET {what} WHERE seq = {seq}");
        let body = update("body = replace(body, '\"v\":1', '\"v\":1 ')");
        let found = attacked(&fixture, |db| db.execute_batch(&body).unwrap());
        assert!(found.contains(&"registry.broken"), "{seq}: {found:?}");
        let time = update("body = replace(body, '\"time\":\"2026', '\"time\":\"2027')");
        let found = attacked(&fixture, |db| db.execute_batch(&time).unwrap());
        assert!(found.contains(&"registry.broken") && found.contains(&"registry.root"), "{seq}");
        let hash = update("hash = zeroblob(32)");
        let found = attacked(&fixture, |db| db.execute_batch(&hash).unwrap());
        assert!(found.contains(&"registry.broken"), "{seq}: {found:?}");
        let delete = format!("DELETE FROM records WHERE seq = {seq}");
        let found = attacked(&fixture, |db| db.execute_batch(&delete).unwrap());
        assert!(found.contains(&"registry.broken") || found.contains(&"registry.root"), "{seq}");
        let renumber = update(&format!("seq = {}", 1000 + seq));
        let found = attacked(&fixture, |db| db.execute_batch(&renumber).unwrap());
        assert!(found.contains(&"registry.broken"), "{seq}: {found:?}");
        let negative = update(&format!("seq = {}", -1 - seq));
        let found = attacked(&fixture, |db| db.execute_batch(&negative).unwrap());
        assert!(!found.is_empty(), "{seq}");
    }
}

#[test]
fn each_node_of_the_tree_is_held_against_the_records() {
    let fixture = StateFixture::new();
    let copy = fixture.copy();
    let nodes: Vec<(i64, i64)> = {
        let database = open(copy.path());
        let mut select = database.prepare("SELECT level, idx FROM nodes").unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    for (level, index) in nodes {
        let place = format!("WHERE level = {level} AND idx = {index}");
        for change in [
            format!("UPDATE nodes SET hash = zeroblob(32) {place}"),
            format!("DELETE FROM nodes {place}"),
        ] {
            let found = attacked(&fixture, |db| db.execute_batch(&change).unwrap());
            assert!(found.contains(&"registry.root"), "{change}: {found:?}");
        }
    }
}

/// Everything that can be recomputed is: only the signature cannot.
#[test]
fn a_registry_with_all_hashes_recomputed_misses_the_signature() {
    let fixture = StateFixture::new();
    let count = rows(&open(fixture.copy().path()));
    for at in 0..count {
        let found = attacked(&fixture, |database| {
            let mut select = database.prepare("SELECT body FROM records ORDER BY seq").unwrap();
            let bodies: Vec<String> =
                select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            drop(select);
            database.execute_batch("DELETE FROM records; DELETE FROM nodes").unwrap();
            let (mut frontier, mut prev) = (Frontier::new(), None::<(Digest, Digest)>);
            for (seq, mut body) in bodies.into_iter().enumerate() {
                if let Some((old, new)) = prev {
                    body = body.replace(&old.to_hex(), &new.to_hex());
                }
                let old = Digest::sha256(body.as_bytes());
                let original = old;
                if seq as i64 == at {
                    body = body.replacen("\"time\":\"2026", "\"time\":\"2025", 1);
                }
                let new = Digest::sha256(body.as_bytes());
                // The next record's `prev` still names the hash before.
                let named = match prev {
                    Some((before, after)) => Digest::sha256(
                        body.replace(&after.to_hex(), &before.to_hex())
                            .replacen("\"time\":\"2025", "\"time\":\"2026", 1)
                            .as_bytes(),
                    ),
                    None => Digest::sha256(
                        body.replacen("\"time\":\"2025", "\"time\":\"2026", 1).as_bytes(),
                    ),
                };
                let _ = original;
                prev = Some((named, new));
                let insert = "INSERT INTO records VALUES (?1, ?2, ?3)";
                database.execute(insert, (seq as i64, new.0, &body)).unwrap();
                frontier.push(leaf_hash(body.as_bytes()), |node, hash| {
                    let insert = "INSERT INTO nodes VALUES (?1, ?2, ?3)";
                    database.execute(insert, (node.level, node.index as i64, hash.0)).unwrap();
                });
            }
        });
        assert!(found.contains(&"registry.root"), "{at}: {found:?}");
        assert!(
            !found.contains(&"registry.broken"),
            "{at}: the rewrite is not consistent: {found:?}"
        );
    }
}

#[test]
fn a_cut_registry_and_a_cut_registry_with_its_nodes_are_found() {
    let fixture = StateFixture::new();
    let count = rows(&open(fixture.copy().path()));
    for keep in 0..count {
        let found = attacked(&fixture, |database| {
            let cut = format!(
                "DELETE FROM records WHERE seq >= {keep}; \
                 DELETE FROM nodes WHERE (idx + 1) << level > {keep}"
            );
            database.execute_batch(&cut).unwrap();
        });
        assert!(found.contains(&"registry.root"), "{keep}: {found:?}");
    }
}

#[test]
fn a_missing_registry_checkpoint_or_chain_is_found() {
    let fixture = StateFixture::new();
    for (name, code) in [
        ("registry.db", "registry.missing"),
        ("checkpoint", "checkpoint.invalid"),
        ("chain", "chain.truncated"),
    ] {
        let copy = fixture.copy();
        let path = copy.path().join(name);
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
        let report = fixture.verify(copy.path());
        assert_eq!(report.verdict(), Verdict::Failed, "{name}");
        assert!(errors(&report).contains(&code), "{name}: {:?}", errors(&report));
    }
}

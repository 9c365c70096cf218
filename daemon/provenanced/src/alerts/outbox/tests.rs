use proptest::prelude::*;

use super::*;

fn message(seq: u64) -> Message {
    Message::parse(format!("{{\"id\":\"m-{seq}\"}}").into_bytes()).unwrap()
}

fn open(dir: &tempfile::TempDir) -> Outbox {
    Outbox::open(&dir.path().join("outbox"), 0).unwrap()
}

/// Where a process can die between two steps.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many records are written to the registry.
    Raise(u8),
    /// All that fit are taken over.
    TakeOver,
    /// Files are written, and then it dies before it notes that.
    TakeOverAndDie,
    /// The first is sent and removed.
    Deliver,
    /// The first is sent, and then it dies.
    DeliverAndDie,
    /// It dies while it writes a file.
    DieWriting,
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4u8).prop_map(Step::Raise),
        Just(Step::TakeOver),
        Just(Step::TakeOverAndDie),
        Just(Step::Deliver),
        Just(Step::Deliver),
        Just(Step::DeliverAndDie),
        Just(Step::DieWriting),
        Just(Step::Fail),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn wherever_it_dies_each_message_arrives_in_order_and_once_by_id(
        steps in proptest::collection::vec(step(), 0..40)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut outbox, mut raised, mut seen) = (open(&dir), 0_u64, Vec::<String>::new());
        let mut deliver = |outbox: &mut Outbox, remove: bool| {
            if let Some((seq, message)) = outbox.first().unwrap() {
                let id = message.unwrap().id;
                if !seen.contains(&id) {
                    seen.push(id);
                }
                if remove {
                    outbox.remove_delivered(seq).unwrap();
                    assert_eq!(outbox.progress().failures, 0);
                }
            }
        };
        let take = |outbox: &mut Outbox, raised: u64| {
            for seq in outbox.progress().upto..raised {
                assert_eq!(outbox.put(seq, &message(seq)).unwrap(), Placement::Kept);
            }
        };
        for step in steps {
            match step {
                Step::Raise(count) => raised += u64::from(count),
                Step::TakeOver => {
                    take(&mut outbox, raised);
                    outbox.set_progress(raised).unwrap();
                }
                Step::TakeOverAndDie => {
                    take(&mut outbox, raised);
                    outbox = open(&dir);
                }
                Step::Deliver => deliver(&mut outbox, true),
                Step::DeliverAndDie => {
                    deliver(&mut outbox, false);
                    outbox = open(&dir);
                }
                Step::DieWriting => {
                    let torn = outbox.path(raised).with_extension("json.tmp");
                    fs::write(&torn, "{\"id\":").unwrap();
                    outbox = open(&dir);
                    assert!(!torn.exists());
                }
                Step::Fail => {
                    let failures = outbox.progress().failures;
                    let then = Timestamp::from_nanos(5);
                    outbox.failed(then, false).unwrap();
                    outbox = open(&dir);
                    assert_eq!(outbox.progress().failures, failures + 1, "kept across a restart");
                    assert_eq!(outbox.progress().not_before, Some(then));
                }
            }
        }
        take(&mut outbox, raised);
        outbox.set_progress(raised).unwrap();
        while !outbox.is_empty() {
            deliver(&mut outbox, true);
        }
        let all: Vec<String> = (0..raised).map(|seq| format!("m-{seq}")).collect();
        // What died between sending and removing may come again, never first.
        prop_assert_eq!(seen, all);
    }
}

#[test]
fn a_full_outbox_keeps_the_oldest_and_takes_more_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut outbox = open(&dir);
    // Written here without fsync, a thousand times.
    for seq in 0..MAX_FILES as u64 {
        fs::write(outbox.path(seq), message(seq).body).unwrap();
    }
    outbox = open(&dir);
    assert_eq!(outbox.len(), MAX_FILES);
    assert_eq!(outbox.put(1_000, &message(1_000)).unwrap(), Placement::Full);
    assert_eq!(outbox.put(5, &message(5)).unwrap(), Placement::Kept, "it is there already");
    assert_eq!(outbox.first().unwrap().unwrap().0, 0);
    outbox.remove_delivered(0).unwrap();
    assert_eq!(outbox.put(1_000, &message(1_000)).unwrap(), Placement::Kept);
}

#[test]
fn what_is_refused_is_put_aside_and_only_the_newest_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut outbox = open(&dir);
    let aside = dir.path().join("outbox/refused");
    for seq in 0..=MAX_REFUSED as u64 + 1 {
        outbox.put(seq, &message(seq)).unwrap();
        outbox.failed(Timestamp::from_nanos(1), true).unwrap();
        assert_eq!(outbox.progress().refusals, 1);
        outbox.refused(seq).unwrap();
        assert_eq!((outbox.progress().refusals, outbox.len()), (0, 0));
    }
    let kept = fs::read_dir(&aside).unwrap().count();
    assert_eq!((kept, aside.join(name(1)).exists()), (MAX_REFUSED, false));
    assert!(aside.join(name(2)).exists());
    assert_eq!(open(&dir).len(), 0);
}

#[test]
fn damaged_and_foreign_files_are_told_apart_from_messages() {
    let dir = tempfile::tempdir().unwrap();
    let mut outbox = open(&dir);
    outbox.put(3, &message(3)).unwrap();
    let folder = dir.path().join("outbox");
    for foreign in ["3.json", "00000000000000000003.json.bak", "x", "-0000000000000000003.json"] {
        fs::write(folder.join(foreign), "x").unwrap();
    }
    fs::write(outbox.path(1), "").unwrap();
    fs::write(outbox.path(2), vec![b' '; 200 << 10]).unwrap();
    outbox = open(&dir);
    for damaged in [1, 2] {
        assert_eq!(outbox.first().unwrap(), Some((damaged, None)));
        outbox.remove_delivered(damaged).unwrap();
    }
    assert_eq!(outbox.first().unwrap(), Some((3, Some(message(3)))));
    outbox.remove_delivered(3).unwrap();
    assert_eq!(outbox.first().unwrap(), None);
    fs::write(folder.join("progress"), "{\"upto\":-1}").unwrap();
    assert_eq!(Outbox::open(&folder, 9).unwrap().progress().upto, 9);
}

//! Against the public crate `opentimestamps`: what either writes, the other
//! reads as it was meant.

use opentimestamps::{
    DetachedTimestampFile, Timestamp,
    attestation::Attestation as Theirs,
    op::Op,
    ser::{Deserializer, DigestType},
    timestamp::{Step, StepData},
};

use super::*;

fn read(bytes: &[u8]) -> DetachedTimestampFile {
    DetachedTimestampFile::from_reader(bytes).unwrap()
}

fn written_by(file: &DetachedTimestampFile) -> Vec<u8> {
    let mut bytes = vec![];
    file.to_writer(&mut bytes).unwrap();
    bytes
}

/// Where its ways end, in the order of the bytes; `None` where a message on
/// the way is longer than operations may make one.
fn ends(step: &Step, dark: bool) -> Option<Vec<Attestation>> {
    let dark = dark || matches!(&step.data, StepData::Op(Op::Sha1 | Op::Ripemd160));
    if !dark && step.output.len() > MAX_MESSAGE {
        return None;
    }
    let StepData::Attestation(attestation) = &step.data else {
        let below: Option<Vec<_>> = step.next.iter().map(|next| ends(next, dark)).collect();
        return below.map(|below| below.concat());
    };
    let number = |number: usize| match number {
        0..0x80 => vec![number as u8],
        _ => vec![number as u8 | 0x80, (number >> 7) as u8],
    };
    Some(vec![match attestation.clone() {
        // Behind what is not carried out nothing is shown.
        Theirs::Bitcoin { height } if dark => {
            Attestation::Unknown { tag: BITCOIN, payload: number(height) }
        }
        Theirs::Bitcoin { height } => Attestation::Bitcoin {
            height: height as u32,
            root: step.output[..].try_into().ok().map(Digest),
        },
        Theirs::Pending { uri } => Attestation::Pending { uri },
        Theirs::Unknown { tag, data } => {
            Attestation::Unknown { tag: tag[..].try_into().unwrap(), payload: data }
        }
    }])
}

/// What the steps lead to in one way without forks, and what is said of that.
fn end(step: &Step) -> (Vec<u8>, Theirs) {
    match (&step.data, &step.next[..]) {
        (StepData::Attestation(attestation), []) => (step.output.clone(), attestation.clone()),
        (StepData::Op(_), [next]) => end(next),
        _ => panic!("{step:?}"),
    }
}

#[test]
fn it_reads_our_proofs_as_we_mean_them() {
    for size in 1..20 {
        for index in 0..size {
            let (body, anchor) = anchored(&statement(), index, size);
            let bytes = of_statement(&statement(), &body, index, &anchor).unwrap();
            let file = read(&bytes);
            assert_eq!(file.digest_type, DigestType::Sha256);
            assert_eq!(file.timestamp.start_digest, statement().0);
            let root = anchor.proof.header.merkle_root().0.to_vec();
            assert_eq!(end(&file.timestamp.first_step), (root, Theirs::Bitcoin { height: 111 }));
            assert_eq!(written_by(&file), bytes);
        }
    }
}

#[test]
fn it_reads_our_calendars_answers_as_we_mean_them() {
    let of = submissions(9);
    let batch = batch(7, &of);
    for (index, (digest, nonce)) in of.iter().enumerate() {
        let promise = batch.promise(index, nonce, "https://c.example").unwrap();
        let mut bytes = Deserializer::new(&promise[..]);
        let read = Timestamp::deserialize(&mut bytes, digest.clone()).unwrap();
        bytes.check_eof().unwrap();
        let pending = Theirs::Pending { uri: "https://c.example".into() };
        assert_eq!(end(&read.first_step), (batch.commitment().to_bytes(), pending));
    }
}

/// A proof by a calendar, of another's root: with the operations that it gave.
#[test]
fn it_reads_our_proofs_by_calendars_as_we_mean_them() {
    let (body, anchor) = anchored(&statement(), 5, 7);
    let root = root_by(leaf_hash(body.as_bytes()), 5, 7, &anchor.path).unwrap();
    let operations = [&[op::APPEND, 3, 1, 2, 3, op::SHA256][..], &[op::REVERSE]].concat();
    let mut message = Digest::sha256(&[&root.0[..], &[1, 2, 3]].concat()).0;
    message.reverse();
    for height in [0, 127, 128, u32::MAX] {
        let (path, operations) = (anchor.path.clone(), operations.clone());
        let attested = Attested { path, size: 7, root, operations, height };
        let bytes = of_attested(&statement(), &body, 5, &attested).unwrap();
        let file = read(&bytes);
        let attestation = Theirs::Bitcoin { height: height as usize };
        assert_eq!(end(&file.timestamp.first_step), (message.to_vec(), attestation));
        assert_eq!(written_by(&file), bytes);
    }
}

fn attestation() -> impl Strategy<Value = Theirs> {
    prop_oneof![
        (0..1_usize << 14).prop_map(|height| Theirs::Bitcoin { height }),
        "[a-zA-Z0-9._/:-]{0,60}".prop_map(|uri| Theirs::Pending { uri }),
        // No tag of theirs or ours begins so.
        prop::collection::vec(any::<u8>(), 0..200)
            .prop_map(|data| { Theirs::Unknown { tag: b"8 bytes!".to_vec(), data } }),
    ]
}

fn operation() -> impl Strategy<Value = Op> {
    let bytes = || {
        prop_oneof![
            8 => prop::collection::vec(any::<u8>(), 1..80),
            1 => prop::collection::vec(any::<u8>(), 1_900..4_097),
        ]
    };
    prop_oneof![
        1 => Just(Op::Sha1),
        1 => Just(Op::Ripemd160),
        8 => Just(Op::Sha256),
        3 => Just(Op::Hexlify),
        3 => Just(Op::Reverse),
        6 => bytes().prop_map(Op::Append),
        6 => bytes().prop_map(Op::Prepend),
    ]
}

/// Random operations in a row, which end or fork.
fn tree() -> impl Strategy<Value = Step> {
    let step = |data, next| Step { data, output: vec![], next };
    let row = move |operations: Vec<Op>, last: Step| {
        operations
            .into_iter()
            .rev()
            .fold(last, |next, operation| step(StepData::Op(operation), vec![next]))
    };
    let operations = |least| prop::collection::vec(operation(), least..8);
    let leaf = (operations(0), attestation()).prop_map(move |(operations, attestation)| {
        row(operations, step(StepData::Attestation(attestation), vec![]))
    });
    leaf.prop_recursive(4, 40, 5, move |inner| {
        // A fork behind a fork is the same fork: no bytes tell them apart.
        let branch =
            (operations(1), inner).prop_map(move |(operations, last)| row(operations, last));
        (operations(0), prop::collection::vec(branch, 2..5))
            .prop_map(move |(operations, next)| row(operations, step(StepData::Fork, next)))
    })
}

proptest! {
    #[test]
    fn we_read_its_proofs_as_it_does(first_step in tree(), digest in any::<[u8; 32]>()) {
        let timestamp = Timestamp { start_digest: digest.to_vec(), first_step };
        let bytes = written_by(&DetachedTimestampFile { digest_type: DigestType::Sha256, timestamp });
        // Read again, it has carried the operations out.
        let ends = ends(&read(&bytes).timestamp.first_step, false);
        let ours = Ots::parse(&bytes);
        match ends {
            Some(attestations) => {
                prop_assert_eq!(ours, Ok(Ots { digest: Digest(digest), attestations }));
            }
            None => prop_assert_eq!(ours.unwrap_err().what, "a message over 4096 bytes"),
        }
    }
}

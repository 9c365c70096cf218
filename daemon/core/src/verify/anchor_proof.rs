//! A bundle's anchor (docs/format.md §7, steps 7.5 to 7.9): from the record to
//! the block's header, and on what the header is trusted.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    bitcoin::{AnchorError, Anchored, Block, ChainWork, Header},
    encoding::digest::Digest,
    merkle::{inclusion_proof::Proof, leaf_hash},
    opentimestamps::{Attestation, Ots},
    report::{Basis, BlockReference, Code, Finding, Location, Report, Severity},
};

impl AnchorError {
    /// The finding that this is.
    pub fn code(&self) -> Code {
        match self {
            Self::Path => Code::ProofInclusion,
            Self::Form(_) | Self::Payload(_) => Code::AnchorPayload,
            Self::Transaction(_) | Self::OtherTransaction => Code::AnchorTxid,
            Self::Branch(_) => Code::AnchorBranch,
            Self::Header(_) => Code::AnchorHeader,
        }
    }
}

/// What the auditor's sources say of a height.
#[derive(Clone, Debug)]
pub enum BlockAnswer {
    /// This block, by this source; with the work on top where it is known.
    Block(Block, Basis, Option<ChainWork>),
    /// They know no such block, or cannot tell; why, and what would help.
    Unknown(String),
    /// There is no source.
    NoSource,
}

/// Asks the auditor's sources for the block of a height.
pub type BlockLookup<'a> = &'a dyn Fn(u32) -> Vec<BlockAnswer>;

/// What of the verdict rests on anchors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnchorDemand {
    /// The auditor asked for anchors: a missing one is decisive.
    pub demanded: bool,
    /// An anchor whose block nobody vouches for is decisive.
    pub decisive: bool,
}

/// A block that some proof names.
struct Named {
    place: Location,
    height: u32,
    root: Digest,
    header: Option<Header>,
    shown: Option<Anchored>,
}

/// The anchor of a bundle by `proof.json` and `statement.json.ots`. Gives the
/// size of the anchored tree and its root, which the registry must have.
pub fn verify_bundle_anchor(
    statement: &[u8],
    proof: Option<&[u8]>,
    ots: Option<&[u8]>,
    ask: BlockLookup<'_>,
    weight: AnchorDemand,
    report: &mut Report,
) -> Option<(u64, Digest)> {
    let proof = proof.and_then(|bytes| Proof::parse(bytes).ok());
    let anchor = proof.as_ref().and_then(|proof| proof.anchor.as_ref());
    let place = Location::file("proof.json");
    let mut shown = None;
    if let (Some(proof), Some(anchor)) = (&proof, anchor) {
        match anchor.verify(leaf_hash(proof.body.as_bytes()), proof.index) {
            Ok(anchored) => shown = Some(anchored),
            Err(error) => {
                let message = format!("the anchor: {error}");
                report.add_finding(Finding::new(error.code(), place.clone(), message));
            }
        }
    }
    if let Some(shown) = shown {
        let (header, height, place) = (Some(shown.header), shown.height, place.clone());
        let root = shown.header.merkle_root();
        check_block(
            Named { place, height, root, header, shown: Some(shown) },
            (ask, weight.decisive),
            report,
        );
    }
    let pending = ots.is_some_and(|ots| {
        stamped((statement, ots), shown.as_ref(), (ask, weight.decisive), report)
    });
    if pending || anchor.is_none() && ots.is_none() {
        let message = match pending {
            true => "a calendar has the statement, and there is no block yet",
            false => "the bundle is in no anchor yet",
        };
        if pending || weight.demanded {
            report.add_finding(Finding::new(Code::AnchorPending, place, message));
            report.not_checked_decisive("the anchor in Bitcoin", message);
        } else if weight.decisive {
            report.not_checked("an anchor in Bitcoin", message);
        }
    }
    Some((anchor?.size, shown?.root))
}

/// `statement.json.ots`; whether it only waits for a calendar.
fn stamped(
    (statement, ots): (&[u8], &[u8]),
    shown: Option<&Anchored>,
    ask: (BlockLookup<'_>, bool),
    report: &mut Report,
) -> bool {
    let place = Location::file("statement.json.ots");
    let mut find = |message: String| {
        report.add_finding(Finding::new(Code::AnchorOts, place.clone(), message));
    };
    let ots = match Ots::parse(ots) {
        Ok(ots) => ots,
        Err(error) => {
            find(error.to_string());
            return false;
        }
    };
    if ots.digest != Digest::sha256(statement) {
        find("it is of another file than statement.json".into());
        return false;
    }
    let (mut blocks, mut pending, mut same) = (Vec::new(), false, false);
    for attestation in &ots.attestations {
        match attestation {
            Attestation::Bitcoin { height, root: Some(root) } => {
                let of_anchor = shown.is_some_and(|shown| {
                    (shown.height, shown.header.merkle_root()) == (*height, *root)
                });
                same |= of_anchor;
                blocks.extend((!of_anchor).then_some((*height, *root)));
            }
            Attestation::Bitcoin { root: None, .. } => {
                find("it leads to something that is no block's root".into());
                return false;
            }
            Attestation::Pending { .. } => pending = true,
            Attestation::Unknown { .. } => {}
        }
    }
    if shown.is_some() && !same {
        find("it does not lead to the block of the anchor in proof.json".into());
        return false;
    }
    report.checked("OpenTimestamps proofs", 1);
    let none = blocks.is_empty() && !same;
    for (height, root) in blocks {
        let place = place.clone();
        check_block(Named { place, height, root, header: None, shown: None }, ask, report);
    }
    if none && !pending {
        let why = "it names nothing that this version can check; try `ots verify`";
        report.not_checked_decisive("statement.json.ots", why);
    }
    none && pending
}

/// An anchor whose proof holds: is its header one of Bitcoin's? With `ask`:
/// whether the verdict rests on it.
pub fn verify_registry_anchor(
    place: Location,
    shown: &Anchored,
    ask: (BlockLookup<'_>, bool),
    report: &mut Report,
) {
    let (header, root) = (Some(shown.header), shown.header.merkle_root());
    let named = Named { place, height: shown.height, root, header, shown: Some(*shown) };
    check_block(named, ask, report);
}

/// An anchor that a calendar's operations lead to a block: does Bitcoin's
/// chain have it? With `ask`: whether the verdict rests on it.
pub fn verify_calendar_anchor(
    place: Location,
    (height, root): (u32, Digest),
    ask: (BlockLookup<'_>, bool),
    report: &mut Report,
) {
    check_block(Named { place, height, root, header: None, shown: None }, ask, report);
}

fn check_block(named: Named, (ask, decisive): (BlockLookup<'_>, bool), report: &mut Report) {
    let (mut held, mut unknown, mut asked) = (None, Vec::new(), false);
    for answer in ask(named.height) {
        match answer {
            BlockAnswer::NoSource => continue,
            BlockAnswer::Unknown(why) => unknown.push(why),
            BlockAnswer::Block(block, basis, work) => match compare(&named, &block) {
                Ok(header) => {
                    held.get_or_insert((header, basis, work));
                }
                Err(Some((expected, got))) => {
                    let message = format!(
                        "the {} has another block at height {}: this one is not in the chain, or \
                         the height is wrong",
                        basis.as_str(),
                        named.height
                    );
                    let finding =
                        Finding::new(Code::AnchorUntrustedHeader, named.place.clone(), message);
                    report.add_finding(finding.values(expected, got));
                    return;
                }
                Err(None) => unknown.push(
                    "only the block's hash is known, and the proof does not \
                                           hold its header"
                        .into(),
                ),
            },
        }
        asked = true;
    }
    let own = named.header.map(|header| header.check().unwrap_or_default());
    let (header, basis, work) = match (held, named.header) {
        (Some((header, basis, work)), _) => {
            (header, basis, work.or(own).unwrap_or_else(|| header.check().unwrap_or_default()))
        }
        (None, Some(header)) => (header, Basis::ProofOfWork, own.unwrap_or_default()),
        (None, None) => {
            let why = unknown.pop().unwrap_or_else(|| BLOCK_SOURCE_ADVICE.into());
            let what = format!("the block of height {}", named.height);
            return match decisive || asked {
                true => report.not_checked_decisive(what, why),
                false => report.not_checked(what, why),
            };
        }
    };
    if basis == Basis::ProofOfWork {
        let message = format!(
            "nobody you trust vouches for block {} at height {}: shown is its own work alone, {work}",
            header.hash(),
            named.height
        );
        let finding = Finding::new(Code::AnchorUntrustedHeader, named.place.clone(), message);
        report.add_finding(finding.severity(Severity::Info));
        let what = format!("whether Bitcoin's chain has the block of height {}", named.height);
        let why = unknown.pop().unwrap_or_else(|| BLOCK_SOURCE_ADVICE.into());
        match decisive || asked {
            true => report.not_checked_decisive(what, why),
            false => report.not_checked(what, why),
        }
    } else {
        report.checked("anchors", 1);
    }
    let (txid, root) = (named.shown.map(|it| it.txid), named.shown.map(|it| it.root));
    let Named { place, height, .. } = named;
    report.anchor(BlockReference { place, height, header, txid, root, basis, work });
}

const BLOCK_SOURCE_ADVICE: &str =
    "give --headers FILE or --bitcoin-rpc URL, or pin the block in the policy";

/// The header, where the block is the one named; else what is expected and
/// found, or nothing where that cannot be told.
fn compare(named: &Named, block: &Block) -> Result<Header, Option<(String, String)>> {
    match (block, named.header) {
        (_, Some(header)) if header.hash() == block.hash() => Ok(header),
        (_, Some(header)) => Err(Some((block.hash().to_string(), header.hash().to_string()))),
        (Block::Header(header), None) if header.merkle_root() == named.root => Ok(*header),
        (Block::Header(header), None) => {
            Err(Some((header.merkle_root().to_string(), named.root.to_string())))
        }
        (Block::Hash(_), None) => Err(None),
    }
}

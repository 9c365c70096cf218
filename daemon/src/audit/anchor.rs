//! What an auditor knows of Bitcoin's blocks, and the anchors held against it
//! (docs/format.md §7).

use std::{fmt, path::Path};

use provenance_core::{
    anchor::{Block, BlockHash, Header, Headers, MAX_HEADERS},
    digest::Digest,
    merkle::leaf_hash,
    proof::Proof,
    report::{Code, Finding, Place, Report},
    verify::{
        anchor::{self, Answer, Basis, Weight},
        anchors::Known,
        registry::FILE,
    },
};

use super::{AuditError, Trust, join::Join};
use crate::host::{durable, policy::AnchorPolicy};

/// The auditor's sources for Bitcoin's blocks.
#[derive(Debug, Default)]
pub struct Blocks {
    /// By file, and by the policy's hashes.
    headers: Headers,
    /// The blocks that the policy names, whatever a file says of them.
    pinned: Vec<(u32, BlockHash)>,
    /// A node of the auditor's.
    node: Option<NodeSource>,
    /// Whether the auditor asked for anchors.
    demanded: bool,
}

/// Gives the header that the node's best chain has at a height; `None` where
/// it is not that high.
type AskNode = dyn Fn(u32) -> Result<Option<Header>, String>;

struct NodeSource(Box<AskNode>);

impl fmt::Debug for NodeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeSource")
    }
}

impl Blocks {
    /// What the policy says.
    pub(super) fn take(&mut self, policy: &AnchorPolicy) -> Result<(), AuditError> {
        if let Some(path) = &policy.headers {
            self.read(path)?;
        }
        self.pinned.extend(policy.blocks.iter().copied());
        self.pin();
        self.demanded |= policy.required;
        Ok(())
    }

    /// Takes the auditor's file of headers in place of the policy's.
    ///
    /// # Errors
    /// [`AuditError`] where it cannot be read, or is none.
    pub fn read(&mut self, path: &Path) -> Result<(), AuditError> {
        let bytes =
            durable::read_limited(path, MAX_HEADERS as u64).map_err(AuditError::io(path))?;
        let not = |why: String| AuditError::NotEvidence { path: path.into(), why };
        let text = String::from_utf8(bytes).map_err(|_| not("not UTF-8".into()))?;
        self.headers =
            Headers::parse(&text).map_err(|error| not(format!("not a header file: {error}")))?;
        self.pin();
        Ok(())
    }

    fn pin(&mut self) {
        self.pinned.iter().for_each(|(height, hash)| self.headers.pin(*height, *hash));
    }

    /// Asks the auditor's node too.
    pub fn ask_node(&mut self, ask: impl Fn(u32) -> Result<Option<Header>, String> + 'static) {
        self.node = Some(NodeSource(Box::new(ask)));
    }

    /// Makes a missing anchor decisive: the auditor asked for it.
    pub fn demand(&mut self) {
        self.demanded = true;
    }

    fn ask(&self, height: u32) -> Vec<Answer> {
        let mut answers = vec![];
        if let Some(NodeSource(ask)) = &self.node {
            answers.push(match ask(height) {
                Ok(Some(header)) => Answer::Block(Block::Header(header), Basis::Node, None),
                Ok(None) => Answer::Unknown("your node has no block of that height yet".into()),
                Err(why) => Answer::Unknown(why),
            });
        }
        answers.push(match self.headers.get(height) {
            Some(block @ Block::Header(_)) => {
                let (_, work) = self.headers.work_from(height);
                Answer::Block(block, Basis::HeaderFile, Some(work))
            }
            Some(block) => Answer::Block(block, Basis::PinnedHash, None),
            None if self.headers.is_empty() => Answer::NoSource,
            None => Answer::Unknown(format!(
                "your headers do not have it: add the line `{height} $(bitcoin-cli getblockheader \
                 $(bitcoin-cli getblockhash {height}) false)`"
            )),
        });
        answers
    }
}

/// Steps 7.5 to 7.9 of a bundle by itself (`alone`), or within its state folder.
pub(super) fn of_bundle(
    files: (&[u8], Option<&[u8]>, Option<&[u8]>),
    (trust, alone): (&Trust, bool),
    report: &mut Report,
) -> Option<(u64, Digest)> {
    let demanded = trust.blocks.demanded;
    let weight = Weight { demanded: demanded && alone, decisive: demanded || alone };
    anchor::of_bundle(files, (&|height| trust.blocks.ask(height), weight), report)
}

/// The anchors on record: what is pending, and whether the blocks of the
/// others are Bitcoin's.
pub(super) fn on_record(join: &Join<'_>, trust: &Trust, report: &mut Report) {
    let demanded = trust.blocks.demanded;
    let ask = |height| trust.blocks.ask(height);
    for (size, known) in join.anchors().iter() {
        let place = Place::file(FILE).at_seq(known.row);
        if let Some(shown) = &known.proved {
            anchor::of_registry(place, shown, (&ask, demanded), report);
        } else if let Some(block) = known.attested {
            anchor::of_calendar(place, block, (&ask, demanded), report);
        } else if known.state.is_open() {
            let state = format!("{:?}", known.state).to_lowercase();
            let message = format!("the anchor of {size} records is {state}, and not final yet");
            report.find(Finding::new(Code::AnchorPending, place, message));
        }
    }
    let shown = |known: &Known| known.proved.is_some() || known.attested.is_some();
    let covered = join.anchors().iter().filter(|(_, known)| shown(known));
    let covered = covered.map(|(size, _)| size).max().unwrap_or_default();
    let newest = join.bundles.values().map(|(_, row)| *row).max();
    if demanded && newest.is_some_and(|row| row >= covered) {
        let why = "the newest bundles are in no final anchor yet";
        report.undecided("the anchors in Bitcoin", why);
    }
}

/// A proof that the auditor holds from an earlier visit.
pub(super) fn held(proof: &Proof, (join, trust): (Option<&Join<'_>>, &Trust), report: &mut Report) {
    let place = Place::file("the proof given");
    let Some(anchor) = &proof.anchor else { return };
    match (anchor.verify(leaf_hash(proof.body.as_bytes()), proof.index), join) {
        (Err(error), _) => {
            report.find(Finding::new(error.code(), place, format!("its anchor: {error}")));
        }
        (Ok(_), None) => {
            report.undecided("the proof given", "there is no registry here that could continue it");
        }
        (Ok(shown), Some(join)) => {
            let ask = |height| trust.blocks.ask(height);
            anchor::of_registry(place.clone(), &shown, (&ask, true), report);
            continues(join, (anchor.size, shown.root), place, report);
        }
    }
}

/// What a bundle was anchored under is what the registry was then.
pub(super) fn continues(
    join: &Join<'_>,
    (size, root): (u64, Digest),
    place: Place,
    report: &mut Report,
) {
    report.checked("anchored trees", 1);
    let message = "the registry does not continue what was anchored: it was written anew since";
    let finding = Finding::new(Code::ProofConsistency, place, message);
    match join.root_at(size) {
        Some(now) if now == root => {}
        Some(now) => report.find(finding.values(root, now)),
        None => report.find(finding.values(size, join.tree().size())),
    }
}

//! What an auditor knows of Bitcoin's blocks (docs/format.md §7).

use std::fmt;

use provenance_core::{
    bitcoin::{Block, BlockHash, Header, Headers, HeadersError},
    encoding::digest::Digest,
    report::{Basis, Code, Finding, Location, Report},
    verify::{
        anchor_history::{AnchorHistory, AnchorState},
        anchor_proof::{self, AnchorDemand, BlockAnswer},
    },
};

use crate::policy::AnchorPolicy;

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

/// Why a file is not one of block headers.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderFileError {
    /// It is not text.
    #[error("not UTF-8")]
    NotUtf8,
    /// A line is not a header, or does not follow from the one before it.
    #[error("not a header file: {0}")]
    Headers(#[from] HeadersError),
}

impl Blocks {
    /// What the policy says, but for the file that it names.
    pub fn merge_policy(&mut self, policy: &AnchorPolicy) {
        self.pinned.extend(policy.blocks.iter().copied());
        self.pin();
        self.demanded |= policy.required;
    }

    /// Takes these headers in place of those before.
    ///
    /// # Errors
    /// [`HeaderFileError`].
    pub fn read(&mut self, bytes: Vec<u8>) -> Result<(), HeaderFileError> {
        let text = String::from_utf8(bytes).map_err(|_| HeaderFileError::NotUtf8)?;
        self.headers = Headers::parse(&text)?;
        self.pin();
        Ok(())
    }

    fn pin(&mut self) {
        self.pinned.iter().for_each(|(height, hash)| self.headers.pin(*height, *hash));
    }

    /// Asks the auditor's node too.
    pub fn ask_node<E: ToString>(
        &mut self,
        ask: impl Fn(u32) -> Result<Option<Header>, E> + 'static,
    ) {
        let ask = move |height| ask(height).map_err(|error| error.to_string());
        self.node = Some(NodeSource(Box::new(ask)));
    }

    /// Whether a missing anchor is decisive.
    pub fn demanded(&self) -> bool {
        self.demanded
    }

    /// Makes a missing anchor decisive: the auditor asked for it.
    pub fn demand(&mut self) {
        self.demanded = true;
    }

    /// What they say of a height.
    pub fn lookup(&self, height: u32) -> Vec<BlockAnswer> {
        let mut answers = vec![];
        if let Some(NodeSource(ask)) = &self.node {
            answers.push(match ask(height) {
                Ok(Some(header)) => BlockAnswer::Block(Block::Header(header), Basis::Node, None),
                Ok(None) => {
                    BlockAnswer::Unknown("your node has no block of that height yet".into())
                }
                Err(why) => BlockAnswer::Unknown(why),
            });
        }
        answers.push(match self.headers.get(height) {
            Some(block @ Block::Header(_)) => {
                let (_, work) = self.headers.work_from(height);
                BlockAnswer::Block(block, Basis::HeaderFile, Some(work))
            }
            Some(block) => BlockAnswer::Block(block, Basis::PinnedHash, None),
            None if self.headers.is_empty() => BlockAnswer::NoSource,
            None => BlockAnswer::Unknown(format!(
                "your headers do not have it: add the line `{height} $(bitcoin-cli getblockheader \
                 $(bitcoin-cli getblockhash {height}) false)`"
            )),
        });
        answers
    }
}

/// Steps 7.5 to 7.9 of a bundle by itself (`alone`), or within its state folder.
pub fn of_bundle(
    files: (&[u8], Option<&[u8]>, Option<&[u8]>),
    blocks: &Blocks,
    alone: bool,
    report: &mut Report,
) -> Option<(u64, Digest)> {
    let demanded = blocks.demanded;
    let weight = AnchorDemand { demanded: demanded && alone, decisive: demanded || alone };
    anchor_proof::verify_bundle_anchor(
        files.0,
        files.1,
        files.2,
        &|height| blocks.lookup(height),
        weight,
        report,
    )
}

/// The anchors on record in a registry, which is called `file`: what is
/// pending, and whether the blocks of the others are Bitcoin's. With the record
/// of the newest bundle, which an anchor should cover where they are asked for.
pub fn check_registered_anchors(
    (anchors, file, newest): (&AnchorHistory, &str, Option<u64>),
    blocks: &Blocks,
    report: &mut Report,
) {
    let demanded = blocks.demanded;
    let ask = |height| blocks.lookup(height);
    for (size, known) in anchors.iter() {
        let place = Location::file(file).at_seq(known.row);
        if let Some(shown) = &known.proved {
            anchor_proof::verify_registry_anchor(place, shown, (&ask, demanded), report);
        } else if let Some(block) = known.attested {
            anchor_proof::verify_calendar_anchor(place, block, (&ask, demanded), report);
        } else if known.state.is_open() {
            let state = format!("{:?}", known.state).to_lowercase();
            let message = format!("the anchor of {size} records is {state}, and not final yet");
            report.add_finding(Finding::new(Code::AnchorPending, place, message));
        }
    }
    let shown = |known: &AnchorState| known.proved.is_some() || known.attested.is_some();
    let covered = anchors.iter().filter(|(_, known)| shown(known));
    let covered = covered.map(|(size, _)| size).max().unwrap_or_default();
    if demanded && newest.is_some_and(|row| row >= covered) {
        let why = "the newest bundles are in no final anchor yet";
        report.not_checked_decisive("the anchors in Bitcoin", why);
    }
}

//! What an anchor's transaction carries: `MSP1` and the root.

use crate::encoding::digest::Digest;

/// What the payload begins with.
pub const MAGIC: [u8; 4] = *b"MSP1";
/// How long the payload is.
pub const PAYLOAD: usize = 36;
/// OP_RETURN, and a push of [`PAYLOAD`] bytes.
pub(super) const SCRIPT_HEAD: [u8; 2] = [OP_RETURN, PAYLOAD as u8];
pub(super) const OP_RETURN: u8 = 0x6a;

/// The payload for `root`: what `createrawtransaction` takes as `data`.
pub fn payload(root: &Digest) -> [u8; PAYLOAD] {
    let mut payload = [0; PAYLOAD];
    payload.iter_mut().zip(MAGIC.iter().chain(&root.0)).for_each(|(to, from)| *to = *from);
    payload
}

/// The output's script for `root`.
pub fn script(root: &Digest) -> [u8; PAYLOAD + 2] {
    let mut script = [0; PAYLOAD + 2];
    let bytes = SCRIPT_HEAD.iter().copied().chain(payload(root));
    script.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    script
}

/// The root in a script, if it is exactly one of ours.
pub fn root_of(script: &[u8]) -> Option<Digest> {
    let root = script.strip_prefix(&SCRIPT_HEAD)?.strip_prefix(&MAGIC)?;
    root.try_into().ok().map(Digest)
}

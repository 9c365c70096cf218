//! Who vouches for each path of a Nix closure (docs/format.md §14).

use alloc::{boxed::Box, collections::BTreeSet, format, string::String, vec::Vec};

use crate::{
    encoding::digest::Digest,
    nix::{Address, Method, PathInfo, StoreKey},
    report::{Code, Finding, Location, Report, Severity},
};

/// So many signatures of one path are looked at.
const MAX_SIGNATURES: usize = 64;

/// Whom an auditor trusts to sign store paths.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The keys.
    pub keys: Vec<StoreKey>,
    /// How many different ones of them each path needs.
    pub threshold: usize,
}

/// What is in a path that is content-addressed, as far as that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contents {
    /// Digest of the NAR serialisation.
    pub nar: Digest,
    /// Its length.
    pub size: u64,
    /// Digest of the bytes, where it is one file.
    pub flat: Option<Digest>,
}

/// What vouches for a path.
enum Voucher {
    /// Its content address.
    Contents,
    /// Signatures of enough trusted keys.
    Signatures,
    /// Nobody that the auditor could judge: there is no trusted key.
    Unjudged,
    /// Nothing.
    None(Box<Finding>),
}

/// Judges every path of the closure, and gives the places and codes of those
/// that nothing vouches for: a report keeps only some findings of each code.
pub fn judge(closure: &[PathInfo], trust: &Trust, report: &mut Report) -> Vec<(usize, Code)> {
    let (mut unjudged, mut bad) = (0_u64, Vec::new());
    for (place, info) in closure.iter().enumerate() {
        report.checked("store paths", 1);
        if info.ultimate {
            report.checked("paths built on this machine", 1);
        }
        match voucher(info, closure, trust, report) {
            Voucher::Contents => report.checked("content-addressed paths", 1),
            Voucher::Signatures => report.checked("signed paths", 1),
            Voucher::Unjudged => unjudged += 1,
            Voucher::None(finding) => {
                bad.push((place, finding.code));
                report.add_finding(*finding);
            }
        }
    }
    if unjudged > 0 {
        let why = "no trusted key: give --trusted-keys NAME:BASE64 or a file of such";
        report.not_checked_decisive(format!("the signatures of {unjudged} store paths"), why);
    }
    bad
}

fn voucher(info: &PathInfo, closure: &[PathInfo], trust: &Trust, report: &mut Report) -> Voucher {
    let mut weak = None;
    if let Some(text) = &info.ca {
        match address(info, closure, text) {
            Ok(address) if address.algorithm.is_strong() => return Voucher::Contents,
            Ok(address) => weak = Some(address.algorithm),
            Err(finding) => return Voucher::None(finding),
        }
    }
    let at = || Location::file(&*info.path);
    let Some(fingerprint) = info.fingerprint(closure) else {
        let message = "nothing to sign: its NAR hash or size is not registered";
        return Voucher::None(Finding::new(Code::NixUnsigned, at(), message).into());
    };
    let (signers, broken) = signers(info, &fingerprint, trust);
    let enough = signers >= trust.threshold;
    if let Some(signature) = broken {
        let name = signature.split(':').next().unwrap_or_default();
        let message = format!(
            "the signature in the name of {name} does not verify: what is registered of this \
             path was changed, or another key signed"
        );
        let finding = Finding::new(Code::NixSignature, at(), message);
        if !enough {
            return Voucher::None(finding.into());
        }
        // Others vouch for it.
        report.add_finding(finding.severity(Severity::Warning));
    }
    if enough {
        return Voucher::Signatures;
    }
    if trust.keys.is_empty() && !info.signatures.is_empty() && !info.ultimate {
        return Voucher::Unjudged;
    }
    let code = match (info.ultimate && signers == 0, info.signatures.is_empty()) {
        (true, _) => Code::NixLocal,
        (false, true) => Code::NixUnsigned,
        (false, false) => Code::NixUntrusted,
    };
    let mut message: String = match code {
        Code::NixLocal => "built on this machine, and no trusted key signed it".into(),
        Code::NixUnsigned => "nobody signed it".into(),
        _ => format!("signed by {}", names(info)),
    };
    if let Some(algorithm) = weak {
        message.push_str("; its content address is by ");
        message.push_str(algorithm.as_str());
        message.push_str(", which vouches for nothing");
    }
    let wanted = format!("{} of the trusted keys", trust.threshold);
    Voucher::None(Finding::new(code, at(), message).values(wanted, signers).into())
}

/// How many trusted keys signed, and a signature in the name of one that is
/// not by it. A key under two names is one key.
fn signers<'a>(
    info: &'a PathInfo,
    fingerprint: &[u8],
    trust: &Trust,
) -> (usize, Option<&'a String>) {
    let (mut signers, mut broken) = (BTreeSet::<[u8; 32]>::new(), None);
    for signature in info.signatures.iter().take(MAX_SIGNATURES) {
        let mut named = trust.keys.iter().filter(|key| key.is_named_by(signature)).peekable();
        if named.peek().is_none() {
            continue;
        }
        match named.find(|key| key.verifies(fingerprint, signature)) {
            Some(key) => {
                signers.insert(key.key.to_bytes());
            }
            None => broken = Some(signature),
        }
    }
    (signers.len(), broken)
}

/// The content address, if it leads to the path.
fn address(info: &PathInfo, closure: &[PathInfo], text: &str) -> Result<Address, Box<Finding>> {
    let wrong =
        |message: &str| Finding::new(Code::NixAddress, Location::file(&*info.path), message);
    let short = || text.chars().take(200).collect::<String>();
    let address = Address::parse(text)
        .ok_or_else(|| wrong("its content address is none").values("a content address", short()))?;
    match address.path(&info.path, info.named(closure)) {
        Some(path) if path == info.path => {}
        Some(path) => {
            let finding = wrong("its content address, with what it needs, is that of another path");
            return Err(finding.values(path, &info.path).into());
        }
        None => return Err(wrong("such a content address can have no references").into()),
    }
    // Without itself in it, the NAR that is hashed is the one registered.
    if let (Method::Nar, Some(hash), false) =
        (address.method, address.sha256(), needs_itself(info, closure))
        && info.nar_hash.is_some_and(|nar| nar != hash)
    {
        let finding = wrong("its content address is of other contents than those registered");
        return Err(finding.values(hash, info.nar_hash.unwrap_or(Digest::ZERO)).into());
    }
    Ok(address)
}

fn is_signed(info: &PathInfo, closure: &[PathInfo], trust: &Trust) -> bool {
    info.fingerprint(closure)
        .is_some_and(|text| signers(info, &text, trust).0 >= trust.threshold.max(1))
}

fn needs_itself(info: &PathInfo, closure: &[PathInfo]) -> bool {
    info.named(closure).any(|path| path == info.path)
}

fn names(info: &PathInfo) -> String {
    let names: BTreeSet<&str> =
        info.signatures.iter().filter_map(|text| text.split(':').next()).collect();
    let list: Vec<&str> = names.into_iter().take(8).collect();
    list.join(", ").chars().take(300).collect()
}

/// Holds what lies on disk against what is registered: the code of what is
/// wrong. `found` is `None` for a path that is not there.
pub fn hold(
    info: &PathInfo,
    closure: &[PathInfo],
    trust: &Trust,
    found: Option<&Contents>,
    report: &mut Report,
) -> Option<Code> {
    let at = || Location::file(&*info.path);
    let Some(found) = found else {
        report.add_finding(Finding::new(Code::NixMissing, at(), "registered, and not there"));
        return Some(Code::NixMissing);
    };
    report.checked("contents", 1);
    let registered = (info.nar_hash, info.nar_size);
    if registered != (Some(found.nar), Some(found.size)) {
        let message = "its contents are not those that were registered";
        let told = |hash: Option<Digest>, size: Option<u64>| match (hash, size) {
            (Some(hash), Some(size)) => format!("{hash}, {size} bytes"),
            _ => "nothing".into(),
        };
        let finding = Finding::new(Code::NixAltered, at(), message)
            .values(told(registered.0, registered.1), told(Some(found.nar), Some(found.size)));
        report.add_finding(finding);
        return Some(Code::NixAltered);
    }
    let address = Address::parse(info.ca.as_deref()?)?;
    let (method, own) = (address.method, needs_itself(info, closure));
    match (method, address.sha256()) {
        (Method::Text | Method::Flat, Some(hash)) if found.flat != Some(hash) => {
            let got = found.flat.map_or_else(|| "no single file".into(), Digest::to_hex);
            let message = "its content address is of other contents";
            report.add_finding(Finding::new(Code::NixAddress, at(), message).values(hash, got));
            Some(Code::NixAddress)
        }
        (Method::Text | Method::Flat, Some(_)) => None,
        (Method::Nar, Some(_)) if !own => None,
        _ if !address.algorithm.is_strong() || is_signed(info, closure, trust) => None,
        // Hashed in a way that is not done here: nothing binds its contents.
        _ => {
            let what = format!("whether {} has the contents of its address", info.path);
            let why = "by a method that is not checked here (Git, SHA-512, or with itself in it)";
            report.not_checked_decisive(what, why);
            None
        }
    }
}

/// Says that a path holds what Nix puts in none.
pub fn foreign(info: &PathInfo, name: &str, why: &str, report: &mut Report) {
    let message = format!("it holds what Nix stores in no path: {name}: {why}");
    report.add_finding(Finding::new(Code::NixAltered, Location::file(&*info.path), message));
}

#[cfg(test)]
mod tests;

//! The stable codes of findings (docs/format.md §9).

use super::Severity;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal, $severity:ident;)*) => {
        /// The stable codes of findings.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Code { $($(#[doc = $doc])* $name,)* }

        impl Code {
            /// Every code, for the documentation's test.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as scripts see it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it means, in words that no input can change.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*).trim_ascii(),)* }
            }

            /// What a finding of this code does to the verdict.
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }
        }
    };
}

codes! {
    /// A line is no record, or its data are not of its kind's form.
    RecordMalformed = "record.malformed", Error;
    /// A line is JSON but not its canonical form.
    RecordNoncanonical = "record.noncanonical", Error;
    /// Record 0 is missing, repeated or not of kind `genesis`.
    ChainGenesis = "chain.genesis", Error;
    /// A sequence number is not the successor of the one before it.
    ChainSeq = "chain.seq", Error;
    /// `prev` is not the hash of the record before.
    ChainBroken = "chain.broken", Error;
    /// The chain at some place is another one than a head, segment or
    /// checkpoint recorded.
    ChainForked = "chain.forked", Error;
    /// The chain ends before a record that a head or checkpoint names.
    ChainTruncated = "chain.truncated", Error;
    /// A record stands in the file of another day, or a file is out of place.
    ChainFile = "chain.file", Error;
    /// No tick for over two intervals without a `stop`.
    ChainGap = "chain.gap", Warning;
    /// Bytes behind the last line's end: an append that never finished.
    ChainTorn = "chain.torn", Warning;
    /// A record's time is before its predecessor's.
    ChainTimeBackwards = "chain.time_backwards", Warning;
    /// A range or generation does not follow from those before it.
    LogRange = "log.range", Error;
    /// Bytes on disk differ from a recorded range.
    LogModified = "log.modified", Error;
    /// A file that is recorded as present is not there.
    LogMissing = "log.missing", Error;
    /// A log that only grows became shorter.
    LogShrunk = "log.shrunk", Warning;
    /// Recorded bytes are no longer on this machine.
    LogUnverifiable = "log.unverifiable", Info;
    /// A source could not be read for a time.
    LogUnreadable = "log.unreadable", Warning;
    /// The recorded clock verdict does not follow from its sources.
    ClockVerdict = "clock.verdict", Error;
    /// The system clock jumped between two records.
    ClockStepped = "clock.stepped", Warning;
    /// No source vouched for the clock.
    ClockUnsynchronised = "clock.unsynchronised", Warning;
    /// A time source disagreed with the others.
    ClockDisputed = "clock.disputed", Warning;
    /// The sources agree that the clock is off by more than the threshold.
    ClockAnomalous = "clock.anomalous", Warning;
    /// A registry record does not follow from the one before it, or its
    /// stored hash is not the hash of its body.
    RegistryBroken = "registry.broken", Error;
    /// A trigger, table or view is missing, altered or added.
    RegistryTriggers = "registry.triggers", Error;
    /// The tree over the records has another root than recorded or signed.
    RegistryRoot = "registry.root", Error;
    /// The registry is not there, or not readable as one.
    RegistryMissing = "registry.missing", Error;
    /// A bundle is recorded, and its folder is not there.
    RegistryMissingBundle = "registry.missing_bundle", Error;
    /// The newest checkpoint is missing or is no checkpoint of this log.
    CheckpointInvalid = "checkpoint.invalid", Error;
    /// A checkpoint's signature is not by a key of the policy.
    CheckpointSignature = "checkpoint.signature", Error;
    /// A file's bytes are not those that the statement names.
    BundleDigest = "bundle.digest", Error;
    /// A bundle's file is missing, added or unreadable.
    BundleFile = "bundle.file", Error;
    /// A signature does not verify.
    BundleSignature = "bundle.signature", Error;
    /// Nobody signed.
    BundleUnsigned = "bundle.unsigned", Error;
    /// The key is not in the policy, revoked, or outside its span.
    BundleKey = "bundle.key", Error;
    /// The statement's chain range is not in the chain that the bundle holds.
    BundleChain = "bundle.chain", Error;
    /// A bundle folder that the registry does not know.
    BundleUnregistered = "bundle.unregistered", Error;
    /// The statement is no statement of the stated form.
    BundleMalformed = "bundle.malformed", Error;
    /// The artifacts were removed because their retention ended.
    BundleExpired = "bundle.expired", Info;
    /// A record is not shown to be in the tree.
    ProofInclusion = "proof.inclusion", Error;
    /// A tree is not shown to continue an earlier one.
    ProofConsistency = "proof.consistency", Error;
    /// An anchor is not in a block yet, or there is none yet.
    AnchorPending = "anchor.pending", Info;
    /// An anchor's transaction does not carry the registry's root.
    AnchorPayload = "anchor.payload", Error;
    /// A transaction is not the one that is named.
    AnchorTxid = "anchor.txid", Error;
    /// A transaction is not shown to be in the block.
    AnchorBranch = "anchor.branch", Error;
    /// A block's header is none, does not meet its target, or is of another
    /// block than named.
    AnchorHeader = "anchor.header", Error;
    /// The header is not in the chain that the auditor trusts.
    AnchorUntrustedHeader = "anchor.untrusted_header", Error;
    /// An OpenTimestamps proof is none, or is of other bytes.
    AnchorOts = "anchor.ots", Error;
    /// What lies there is no packet: not a ZIP file of exactly the form that
    /// packets have.
    PacketContainer = "packet.container", Error;
    /// A file's bytes are not those that the packet's manifest names.
    PacketDigest = "packet.digest", Error;
    /// The packet holds a file that its manifest does not name.
    PacketExtraFile = "packet.extra_file", Error;
    /// A file that the packet must hold is not in it.
    PacketMissingFile = "packet.missing_file", Error;
    /// The manifest, or a file that follows from the rest, is not of the
    /// stated form or does not follow.
    PacketMalformed = "packet.malformed", Error;
    /// A software bill of materials is no valid document, or not the one on
    /// record.
    SbomInvalid = "sbom.invalid", Error;
    /// A document is recorded, and it is not there.
    SbomMissing = "sbom.missing", Error;
    /// A document that the registry does not know.
    SbomUnregistered = "sbom.unregistered", Error;
    /// A store path that nobody signed, and that is not content-addressed.
    NixUnsigned = "nix.unsigned", Error;
    /// A store path that was built on this machine, without enough signatures.
    NixLocal = "nix.local", Error;
    /// A store path with signatures by fewer trusted keys than asked for.
    NixUntrusted = "nix.untrusted", Error;
    /// A signature in the name of a trusted key does not verify.
    NixSignature = "nix.signature", Error;
    /// A content address is none, leads to another path, or is of other
    /// contents.
    NixAddress = "nix.address", Error;
    /// The contents of a store path are not those that were registered.
    NixAltered = "nix.altered", Error;
    /// A registered store path is not there.
    NixMissing = "nix.missing", Error;
    /// A run's manifest in WORM storage is missing, malformed, or does not
    /// follow from the one before it.
    StoreManifest = "store.manifest", Error;
    /// An object in WORM storage is not the one that its manifest names.
    StoreDigest = "store.digest", Error;
    /// An object that a manifest names is not in the storage.
    StoreMissing = "store.missing", Error;
    /// An object in the storage that no manifest names.
    StoreExtra = "store.extra", Error;
    /// An object was written anew with other bytes, or marked as deleted.
    StoreVersion = "store.version", Error;
    /// The storage does not say that an object is kept as long as it should be.
    StoreUnlocked = "store.unlocked", Warning;
    /// A certificate on record is none, is not what its record says, was not
    /// signed by its authority, or cannot follow from the records before it.
    CertificateRecord = "certificate.record", Error;
    /// A certificate or revocation list is none, or not of that authority.
    CertificateInvalid = "certificate.invalid", Error;
    /// A certificate is not valid at that time.
    CertificateExpired = "certificate.expired", Error;
    /// A certificate was revoked.
    CertificateRevoked = "certificate.revoked", Error;
    /// A certificate is not for that package, version or file.
    CertificateSubject = "certificate.subject", Error;
    /// An event of a package cannot follow from those before it.
    PackageEvent = "package.event", Error;
    /// A published archive is not the one on record.
    PackageAltered = "package.altered", Error;
    /// A published archive is not there.
    PackageMissing = "package.missing", Error;
    /// A version is there, and should not be used any more.
    PackageDeprecated = "package.deprecated", Warning;
    /// A version is not published, or was taken back.
    PackageUnpublished = "package.unpublished", Error;
    /// Counter-signatures by fewer different trusted keys than asked for.
    CountersignFew = "countersign.few", Error;
    /// A line, or the file, is no counter-signature.
    CountersignMalformed = "countersign.malformed", Error;
    /// A counter-signature in the name of a trusted key does not verify.
    CountersignSignature = "countersign.signature", Error;
    /// A counter-signature of other contents: it counts for nothing.
    CountersignAltered = "countersign.altered", Warning;
    /// A counter-signature of another version: it counts for nothing.
    CountersignVersion = "countersign.version", Warning;
    /// A counter-signature by the key of whoever asked for it: it counts for
    /// nothing.
    CountersignSelf = "countersign.self", Warning;
    /// A counter-signature that somebody else asked for: it counts for nothing.
    CountersignRequester = "countersign.requester", Warning;
    /// A signature by RSA with SHA-1: it counts for nothing.
    CountersignWeak = "countersign.weak", Warning;
    /// A counter-signature by a key that the policy does not know: it counts
    /// for nothing.
    CountersignUntrusted = "countersign.untrusted", Info;
    /// An attestation of a package, or the file it is in, is not of its form.
    PackageMalformed = "package.malformed", Error;
    /// An attestation is about other contents than the package's.
    PackageDigest = "package.digest", Error;
    /// An attestation that was given for a package is about another one.
    PackageSubject = "package.subject", Error;
    /// A signature over a package, or over what is said of it, does not verify.
    PackageSignature = "package.signature", Error;
    /// A log's entry or a registry's signature belongs to another signature,
    /// another package or another version.
    PackageReplayed = "package.replayed", Error;
    /// An attestation is of a transparency log that the trusted root does not
    /// name: of another Sigstore, or newer than the root.
    PackageRoot = "package.root", Warning;
    /// A signer's certificate leads to no trusted authority.
    PackageCertificate = "package.certificate", Error;
    /// A certificate, key or authority did not count at the time of signing.
    PackageExpired = "package.expired", Error;
    /// Nobody who is trusted says when an attestation was signed.
    PackageTime = "package.time", Error;
    /// An attestation is not shown to be in the transparency log.
    PackageLog = "package.log", Error;
    /// Who signed is proved, and is not who should have.
    PackageIdentity = "package.identity", Error;
    /// A statement, or an index, says something else than the signer's
    /// certificate proves.
    PackageStatement = "package.statement", Error;
    /// A signature is by a key that nobody brought.
    PackageKey = "package.key", Info;
    /// An attestation is of a kind that cannot be verified here.
    PackageUnsupported = "package.unsupported", Info;
    /// An attestation verifies, and nobody said who should have signed it.
    PackageUnidentified = "package.unidentified", Info;
    /// Nothing vouches for a package.
    PackageAbsent = "package.absent", Info;
    /// A lock file does not say what a package's contents are.
    PackageUnpinned = "package.unpinned", Warning;
    /// A package is vouched for less than the spec asks.
    PackageLevel = "package.level", Error;
    /// A package is vouched for less than it was.
    PackageDowngraded = "package.downgraded", Error;
    /// The records come less often than the policy asks.
    PolicyCadence = "policy.cadence", Error;
    /// The records are of another client or host than the policy names.
    PolicyClient = "policy.client", Error;
}

//! The client that Sigstore's public conformance suite drives, by its protocol
//! (`docs/cli_protocol.md` of sigstore-conformance), over this project's own
//! verification. For tests only; it is not shipped. `sign-bundle` is refused:
//! nothing here signs for Sigstore.

use std::{collections::BTreeMap, env, fs, fs::File, io, io::Read, process::ExitCode};

use provenance_attestations::{
    Contents, Digests, Hasher, Signer, evidence::Content, parse, trusted_root::Roots,
};
use sigstore_types::DerPublicKey;

fn main() -> ExitCode {
    match run(env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<(), String> {
    let mut arguments = arguments.into_iter();
    if arguments.next().as_deref() != Some("verify-bundle") {
        return Err("only verify-bundle is known here".into());
    }
    let (mut options, mut artifact, mut staging) = (BTreeMap::new(), None, false);
    while let Some(word) = arguments.next() {
        match word.strip_prefix("--") {
            Some("staging") => staging = true,
            Some(name) => {
                let value = arguments.next().ok_or(format!("--{name} without a value"))?;
                options.insert(name.to_owned(), value);
            }
            None => artifact = Some(word),
        }
    }
    let text = |path: &String| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let option = |name: &str| options.get(name).ok_or(format!("no --{name}"));
    let roots = match (options.get("trusted-root"), staging) {
        (Some(path), _) => Roots::from_json(&text(path)?),
        (None, true) => Roots::from_json(sigstore_trust_root::SIGSTORE_STAGING_TRUSTED_ROOT),
        (None, false) => Roots::embedded(),
    };
    let roots = roots.map_err(|error| error.to_string())?;
    let mut pieces = parse::read("bundle", text(option("bundle")?)?.as_bytes());
    let piece = pieces.pop().filter(|_| pieces.is_empty()).ok_or("not one bundle")?;
    let Content::Bundle(signed) = piece.map_err(|malformed| malformed.why)?.content else {
        return Err("no bundle".into());
    };
    let artifact = artifact.ok_or("no artifact")?;
    let (digests, open) = contents(&artifact)?;
    let contents = Contents {
        digests: &digests,
        open: open.as_ref().map(|open| open as &dyn Fn() -> io::Result<Box<dyn Read>>),
    };
    let refused = |refusal: provenance_attestations::Refusal| {
        format!("{:?}: {}", refusal.code.map(|code| code.as_str()), refusal.message)
    };
    if let Some(path) = options.get("key") {
        let key = DerPublicKey::from_pem(&text(path)?).map_err(|error| error.to_string())?;
        return roots
            .verify(&signed.bundle, contents, Signer::Key(&key))
            .map(drop)
            .map_err(refused);
    }
    let proved = roots.verify(&signed.bundle, contents, Signer::Certificate).map_err(refused)?;
    let claims = proved.claims.ok_or("no certificate")?;
    for (name, proved) in
        [("certificate-identity", claims.identity), ("certificate-oidc-issuer", claims.issuer)]
    {
        let expected = option(name)?;
        if proved.as_ref() != Some(expected) {
            return Err(format!("package.identity: {name} is {proved:?} and not {expected}"));
        }
    }
    Ok(())
}

type Opener = Box<dyn Fn() -> io::Result<Box<dyn Read>>>;

/// A digest, where it looks like one and is no file, else a file.
fn contents(artifact: &str) -> Result<(Digests, Option<Opener>), String> {
    let mut digests = Digests::default();
    let hex = artifact.strip_prefix("sha256:").filter(|_| !fs::exists(artifact).unwrap_or(false));
    if hex.is_some_and(|hex| digests.insert_hex("sha256", hex)) {
        return Ok((digests, None));
    }
    let mut hasher = Hasher::default();
    hasher.update(&fs::read(artifact).map_err(|error| format!("{artifact}: {error}"))?);
    let path = artifact.to_owned();
    Ok((hasher.finish(), Some(Box::new(move || Ok(Box::new(File::open(&path)?))))))
}

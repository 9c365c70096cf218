//! Certificates, revocation lists and publications: what is read of a certificate is
//! exactly its bytes, and nothing counts for a key that signed nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::{signing::public_key::PublicKey, statement::publication::Publication};
use provenance_x509::{Crl, ParsedCertificate, authority, governance};
use provenanced::package_registry::metadata;

fuzz_target!(|bytes: &[u8]| {
    // The example of RFC 8410 §10.1.
    let spki = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    let Ok(key) = PublicKey::parse(spki) else { return };
    if let Ok(certified) = ParsedCertificate::parse(bytes) {
        assert!(bytes.starts_with(b"-----") || certified.issued.der == bytes);
        let said = governance::GovernanceExtension::from(&certified.issued);
        assert_eq!(governance::read(&governance::write(&said)), Ok(said));
        assert!(certified.issued.key == key.fingerprint() || certified.verify(&key).is_err());
    }
    let _ = authority(bytes);
    assert!(Crl::parse(bytes, &key).is_err());
    if let Ok(publication) = Publication::parse(bytes) {
        assert_eq!(publication.encode().as_deref(), Ok(bytes));
    }
    let text = String::from_utf8_lossy(bytes);
    if let Ok(once) = metadata::put(&text, &Default::default()) {
        assert_eq!(metadata::put(&once, &Default::default()), Ok(once.clone()));
    }
});

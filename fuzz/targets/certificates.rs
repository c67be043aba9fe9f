//! OpenPGP certificates, as people register them.
//!
//! Whatever the input:
//!
//! * what is taken has one form, which is read back as the same and as nothing else;
//! * no private key is taken: behind every packet of what is published stands a public one;
//! * adding what is there already changes nothing, and what is added stays, in either order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wheelmark_packaging::DetachedSignature;
use wheelmark_provenance::openpgp::Certificates;

fuzz_target!(|input: &[u8]| {
    // Of a signature there is nothing to say but that it is taken as it came.
    if let Ok(signature) = DetachedSignature::parse(input) {
        assert_eq!(signature.as_bytes(), input);
    }
    let middle = input
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(input.len());
    let (one, other) = input.split_at(middle);
    let Ok(certificates) = Certificates::parse(input) else {
        if let (Ok(mut one), Ok(other)) = (Certificates::parse(one), Certificates::parse(other)) {
            let before: Vec<_> = one.iter().map(|one| one.fingerprint().clone()).collect();
            one.add(other.clone());
            for fingerprint in &before {
                assert!(one.iter().any(|one| one.fingerprint() == fingerprint));
            }
            let again = one.add(other);
            assert!(again.new.is_empty() && again.updated.is_empty());
        }
        return;
    };
    for certificate in certificates.iter() {
        for id in certificate.user_ids() {
            assert!(!id.contains(char::is_control));
        }
    }
    if let Ok(text) = certificates.to_armor() {
        let read = Certificates::from_armor(&text).expect("what is written can be read");
        assert_eq!(read.to_armor().as_ref(), Ok(&text));
        assert!(Certificates::from_armor(&format!("{text}\n")).is_none());
        let mut same = certificates.clone();
        let again = same.add(read);
        assert!(again.new.is_empty() && again.updated.is_empty());
        assert_eq!(same, certificates);
    }
});

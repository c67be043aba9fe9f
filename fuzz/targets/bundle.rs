//! Sigstore bundles, and whatever else somebody names as evidence.
//!
//! Whatever the input: a bundle that is read is an attestation that can be written and read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wheelmark_provenance::{Attestation, Evidence};

fuzz_target!(|input: &[u8]| {
    let bundle = Attestation::from_bundle(input);
    if let Ok(attestation) = &bundle {
        let written = attestation.to_json();
        let read = Attestation::parse(&written).expect("what is written can be read");
        assert_eq!(&read, attestation);
    }
    if let Ok(Evidence::Attestations(read)) = Evidence::parse(input) {
        assert!(!read.is_empty());
        if let Ok(attestation) = bundle {
            assert_eq!(read, [attestation]);
        }
    }
});

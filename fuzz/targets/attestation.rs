//! Attestations, as they come with an upload.
//!
//! Whatever the input:
//!
//! * what is read is written, and read back as the same;
//! * nothing verifies that was not signed: an input that does says what the real one says.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wheelmark_fuzz::attested;
use wheelmark_provenance::{Attestation, TrustedRoots, verify};

static ROOTS: LazyLock<TrustedRoots> =
    LazyLock::new(|| TrustedRoots::public_good().expect("the root that is built in"));

fuzz_target!(|input: &[u8]| {
    if let Ok(list) = Attestation::parse_list(input) {
        assert!((1..=2).contains(&list.len()));
    }
    let Ok(attestation) = Attestation::parse(input) else {
        return;
    };
    let written = attestation.to_json();
    let read = Attestation::parse(&written).expect("what is written can be read");
    assert_eq!(read, attestation);
    assert_eq!(read.to_json(), written);
    for file in attested::files() {
        let check = |attestation: &Attestation| {
            verify(
                &file.name,
                &file.sha256,
                attestation,
                &ROOTS,
                attested::now(),
            )
        };
        if let Ok(verified) = check(&attestation) {
            let real = check(&file.attestation).expect("what PyPI serves holds");
            assert_eq!(verified, real);
        }
    }
});

//! Provenance objects and publishers, as other indexes, policies and lock files have them.
//!
//! Whatever the input:
//!
//! * a provenance object that is read is written in one form, which is read back as the same;
//! * a publisher has one spelling and one object, each read back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wheelmark_provenance::{Provenance, Publisher, TrustedRoots};

fn same(publisher: &Publisher) {
    if matches!(publisher, Publisher::Unknown(_)) {
        return;
    }
    let spelling = publisher.to_string();
    assert!(!spelling.contains(char::is_control));
    assert_eq!(spelling.parse().as_ref(), Ok(publisher));
    let object = serde_json::to_vec(publisher).expect("a publisher can be written");
    let read: Publisher = serde_json::from_slice(&object).expect("what is written can be read");
    assert_eq!(&read, publisher);
}

fuzz_target!(|input: &[u8]| {
    if let Ok(provenance) = Provenance::parse(input) {
        let written = provenance.to_json();
        let read = Provenance::parse(&written).expect("what is written can be read");
        assert_eq!(read.to_json(), written);
        for bundle in provenance.bundles() {
            same(&bundle.publisher);
        }
    }
    if let Ok(publisher) = serde_json::from_slice::<Publisher>(input) {
        same(&publisher);
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(publisher) = text.parse::<Publisher>()
    {
        same(&publisher);
    }
    drop(TrustedRoots::empty().with("a root", input));
});

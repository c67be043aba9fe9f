//! Canonical JSON: what is read is written in one way, and reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wheelmark_tuf::canonical;

fuzz_target!(|input: &[u8]| {
    let Ok(value) = canonical::parse(input) else {
        return;
    };
    let bytes = canonical::encode(&value);
    // Control characters stand in canonical JSON as they are, which JSON does not allow.
    if !bytes.iter().any(|byte| *byte < b' ') {
        assert_eq!(
            canonical::parse(&bytes).expect("what was written can be read"),
            value
        );
    }
    // A reader that is less strict agrees on what it says.
    let lenient: serde_json::Value = serde_json::from_slice(input).expect("strict JSON is JSON");
    assert_eq!(lenient, value);
});

//! The `Accept` header: whoever does not ask for JSON does not get it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wheelmark_packaging::simple::{Format, negotiate};

fuzz_target!(|input: &str| {
    let asked = |word: &str| input.to_ascii_lowercase().contains(word);
    match negotiate(Some(input)) {
        Format::Json => assert!(asked("json") || asked("*")),
        Format::Html => assert!(asked("simple") || asked("*")),
        Format::LegacyHtml => {}
    }
});

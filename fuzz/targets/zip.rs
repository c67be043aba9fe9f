//! Zip archives, byte for byte: as a wheel and as a source distribution.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use wheelmark_packaging::inspect;

fuzz_target!(|input: &[u8]| {
    for filename in ["demo-1.0-py3-none-any.whl", "demo-1.0.zip"] {
        let filename = filename.parse().expect("the name is well-formed");
        if let Ok(inspected) = inspect(Cursor::new(input), &filename) {
            assert_eq!(inspected.metadata.name, *filename.project());
            assert_eq!(inspect(Cursor::new(input), &filename).ok(), Some(inspected));
        }
    }
});

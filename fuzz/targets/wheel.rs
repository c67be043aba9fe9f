//! Wheels in archives that are well-formed: the input is their files, as `PATH LF CONTENTS NUL`.
//! Without a `RECORD` among them, they get a right one.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use wheelmark_fuzz::archive::{self, File};
use wheelmark_packaging::inspect;

fuzz_target!(|input: &[u8]| {
    let mut files: Vec<File<'_>> = input
        .split(|byte| *byte == 0)
        .filter_map(|file| {
            let at = file.iter().position(|byte| *byte == b'\n')?;
            Some((&file[..at], &file[at + 1..]))
        })
        .collect();
    let record = archive::record(&files);
    let has_record = |(path, _): &File<'_>| path.ends_with(b"RECORD");
    if !files.iter().any(has_record) {
        files.push((b"demo-1.0.dist-info/RECORD", &record));
    }
    let filename = "demo-1.0-py3-none-any.whl"
        .parse()
        .expect("the name is well-formed");
    let stored = inspect(Cursor::new(archive::zip(&files, false)), &filename);
    if let Ok(inspected) = stored {
        let packed = inspect(Cursor::new(archive::zip(&files, true)), &filename);
        assert_eq!(
            packed.ok(),
            Some(inspected),
            "how it is packed makes no difference"
        );
        let unsafe_path = |path: &[u8]| {
            path.starts_with(b"/") || path.split(|b| *b == b'/').any(|part| part == b"..")
        };
        assert!(!files.iter().any(|(path, _)| unsafe_path(path)));
    }
});

//! Lock files of every format, by the first byte: no name that is read leads anywhere, what is
//! read is bounded, and the URLs in the text stand where they are said to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wheelmark_packaging::lock::{
    LockFile, LockFormat, MAX_LOCKED_FILES, MAX_LOCKED_PACKAGES, named_urls,
};

const FORMATS: [LockFormat; 5] = [
    LockFormat::Uv,
    LockFormat::Pylock,
    LockFormat::Poetry,
    LockFormat::Pdm,
    LockFormat::Requirements,
];

fuzz_target!(|input: &[u8]| {
    let Some((first, bytes)) = input.split_first() else {
        return;
    };
    let format = FORMATS[usize::from(*first) % FORMATS.len()];
    if let Ok(lock) = LockFile::parse(format, bytes) {
        assert!(lock.packages.len() + lock.elsewhere.len() <= MAX_LOCKED_PACKAGES);
        let files = || lock.packages.iter().flat_map(|package| &package.files);
        assert!(files().count() <= MAX_LOCKED_FILES);
        for name in files().filter_map(|file| file.filename.as_deref()) {
            assert!(!name.is_empty() && name != "." && name != "..");
            assert!(!name.contains(['/', '\\', '\0']));
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let mut end = 0;
        for found in named_urls(text) {
            assert!(found.range.start >= end);
            end = found.range.end;
            assert_eq!(&text[found.range], found.url);
        }
    }
});

//! Lock files of every format, by the first byte: no name that is read leads anywhere, what is
//! read is bounded, the URLs in the text stand where they are said to, and attestation identities are
//! read as somebody or refused, and written without a change to anything else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wheelmark_packaging::lock::{
    AttestedPackage, Beside, LockFile, LockFormat, MAX_LOCKED_FILES, MAX_LOCKED_IDENTITIES,
    MAX_LOCKED_PACKAGES, named_urls, with_identities,
};
use wheelmark_provenance::Publisher;
use wheelmark_provenance::policy::PolicyFile;

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
        identities(&lock, bytes);
    }
    if let Ok(beside) = Beside::parse(bytes) {
        drop(PolicyFile::beside_lock(&beside, "x"));
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

/// Those that are read name somebody, and the first package can be given one.
fn identities(lock: &LockFile, bytes: &[u8]) {
    for package in &lock.packages {
        assert!(package.identities.len() <= MAX_LOCKED_IDENTITIES);
        for identity in &package.identities {
            if let Ok(publisher) = Publisher::of_lock(&identity.members)
                && !matches!(publisher, Publisher::Unknown(_))
            {
                let members = publisher.members().into_iter();
                let members = members.map(|(member, value)| (member, value.into()));
                assert_eq!(Publisher::of_lock(&members.collect()), Ok(publisher));
            }
        }
    }
    drop(PolicyFile::of_lock(lock, "x"));
    let (Some(package), Ok(text)) = (lock.packages.first(), std::str::from_utf8(bytes)) else {
        return;
    };
    let given = |identities| AttestedPackage {
        project: package.project.clone(),
        version: package.version.clone(),
        identities,
    };
    let one = [("kind", "x\"\n]")].map(|(member, value)| (member.to_owned(), value.to_owned()));
    if lock.format == LockFormat::Pylock
        && let Ok(written) = with_identities(text, &[given(vec![one.into()])])
    {
        let read = LockFile::parse(LockFormat::Pylock, written.as_bytes());
        let read = read.unwrap_or_else(|error| panic!("{error}: {written}"));
        assert_eq!(read.packages[0].identities.len(), 1);
        assert_eq!(read.packages.len(), lock.packages.len());
    }
}

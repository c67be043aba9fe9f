//! What an index takes away from projects that sign for themselves.
//!
//! Whatever the input:
//!
//! * what is taken has one form, byte for byte;
//! * taken away from a page, it leaves files of that page alone, with the digests that they had.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::{Hashes, PageFile, ProjectPage, TakenAway};

fuzz_target!(|input: &[u8]| {
    let project = "demo".parse().expect("a name");
    let Ok(list) = TakenAway::parse(input, &project) else {
        return;
    };
    assert_eq!(list.to_json(), input);
    let mut page = ProjectPage::new(project.clone());
    let named = list.withdrawn.iter().chain(&list.yanked);
    let mut names: Vec<(&String, [u8; 32])> = named
        .map(|(name, file)| (name, *file.sha256.as_bytes()))
        .collect();
    names.sort();
    names.dedup_by_key(|(name, _)| *name);
    for (name, sha256) in names.into_iter().take(100) {
        let filename = DistributionFilename::parse_for(&project, name).expect("it was checked");
        let hashes = Hashes::of_sha256(sha256);
        page.files.push(PageFile::new(&project, filename, hashes));
    }
    let shown = list.apply(&page);
    for file in &shown.files {
        let signed = page.file(file.filename.as_str()).expect("no file is new");
        assert_eq!((&file.hashes, file.size), (&signed.hashes, signed.size));
        assert!(list.withdrawn(file).is_none());
    }
    assert!(!list.is_quarantined() || shown.files.is_empty());
    let rendered = shown.to_json();
    let again = ProjectPage::parse(&rendered).expect("what is left is a page");
    assert_eq!(again.to_json(), rendered);
});

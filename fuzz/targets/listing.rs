//! Pages and lists of other indexes: whatever they hold, a file is one of its project, and each
//! name comes once.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{Listing, Names};

fuzz_target!(|input: &[u8]| {
    let project: ProjectName = "flask".parse().expect("a name");
    let html = Listing::from_html(&project, input).ok();
    let json = Listing::from_json(&project, input).ok();
    for listing in html.into_iter().chain(json) {
        let mut names = BTreeSet::new();
        for file in &listing.files {
            assert_eq!(*file.filename.project(), project);
            assert!(names.insert(file.filename.as_str().to_owned()));
        }
    }
    for names in [Names::from_html(input), Names::from_json(input)]
        .into_iter()
        .flatten()
    {
        let distinct: BTreeSet<_> = names.projects.iter().map(|named| &named.name).collect();
        assert_eq!(distinct.len(), names.projects.len());
    }
});

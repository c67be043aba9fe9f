//! Simple pages: what is read renders in one way, and reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wheelmark_packaging::simple::{ProjectList, ProjectPage};

fuzz_target!(|input: &[u8]| {
    if let Ok(page) = ProjectPage::parse(input) {
        let rendered = page.to_json();
        let again = ProjectPage::parse(&rendered).expect("what was rendered can be read");
        assert_eq!(again.to_json(), rendered);
        assert_eq!(again.files, page.files);
        let html = page.to_html();
        assert_eq!(html.matches("<a ").count(), page.files.len());
        assert_eq!(html.matches('<').count(), html.matches('>').count());
    }
    if let Ok(list) = ProjectList::parse(input) {
        let rendered = list.to_json();
        assert_eq!(
            ProjectList::parse(&rendered).expect("what was rendered can be read"),
            list
        );
        assert_eq!(list.to_html().matches("<a ").count(), list.projects.len());
    }
});

//! The page that stands in for one that was refused.
//!
//! An error here would make pip say "no matching distribution", and an older version that is
//! installed already would look like a success. So the page lists the files that the last
//! verified one listed, and one above them all; each of them is answered with the refusal. Where
//! nothing is known of the project, or what was kept is damaged, one entry is above whatever can
//! be installed, and a low one is for those who ask for less.

use wheelmark_packaging::simple::{Hashes, PageFile, ProjectPage};
use wheelmark_packaging::{DistributionFilename, ProjectName, Version};

/// Above every release: nobody counts epochs that far.
const ABOVE_ALL: &str = "9999!1";

/// What the version of an entry of ours ends with, so that people see what it is.
const LABEL: &str = "+refused.by.wheelmark";

/// Makes the page. It carries no digests: nothing in it is ever served.
pub(super) fn page(project: &ProjectName, remembered: &[String]) -> ProjectPage {
    let known = remembered
        .iter()
        .filter_map(|name| DistributionFilename::parse_for(project, name).ok());
    let mut names: Vec<DistributionFilename> = known.collect();
    let ours = match names.iter().map(DistributionFilename::version).max() {
        Some(highest) => vec![above(highest)],
        None => vec!["1".to_owned(), ABOVE_ALL.to_owned()],
    };
    for version in ours {
        let name = format!("{}-{version}{LABEL}-py3-none-any.whl", project.escaped());
        names.extend(DistributionFilename::parse_for(project, &name));
    }
    let mut page = ProjectPage::new(project.clone());
    page.files = names
        .into_iter()
        .map(|name| {
            let wheel = matches!(name, DistributionFilename::Wheel(_));
            let mut file = PageFile::new(project, name, Hashes::new());
            // So that installers ask for the metadata, and get the refusal before a download.
            file.core_metadata = wheel.then(Hashes::new);
            file
        })
        .collect();
    page
}

/// A version above the given one.
fn above(highest: &Version) -> String {
    let first = highest.release().first().copied().unwrap_or(0);
    let next = first.saturating_add(1);
    match highest.epoch() {
        0 => next.to_string(),
        epoch => format!("{epoch}!{next}"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn check(project: &str, remembered: &[&str], highest: &str) {
        let remembered: Vec<String> = remembered.iter().map(|&name| name.to_owned()).collect();
        let page = page(&project.parse().unwrap(), &remembered);
        let last = page
            .files
            .iter()
            .max_by(|a, b| a.filename.version().cmp(b.filename.version()))
            .unwrap();
        assert_eq!(last.filename.as_str(), highest);
        for name in &remembered {
            let listed = page.file(name).is_some();
            let ours = DistributionFilename::parse_for(&page.name, name).is_ok();
            assert_eq!(listed, ours, "{name}");
        }
    }

    #[test]
    fn one_entry_is_above_all_others() {
        // Whatever is installed, it is below that.
        let nothing_is_known = "zope_interface-9999!1+refused.by.wheelmark-py3-none-any.whl";
        check("zope-interface", &[], nothing_is_known);
        check("zope-interface", &["other-9.tar.gz"], nothing_is_known);
        check(
            "a",
            &[
                "a-3.1.2-py3-none-any.whl",
                "a-3.2.tar.gz",
                "b-9.tar.gz",
                "../x",
            ],
            "a-4+refused.by.wheelmark-py3-none-any.whl",
        );
        check(
            "a",
            &["a-1!2.0.tar.gz", "a-2026.11.tar.gz"],
            "a-1!3+refused.by.wheelmark-py3-none-any.whl",
        );
        check(
            "a",
            &["a-4.0rc1.tar.gz", "a-4.5.post3+x.1.tar.gz"],
            "a-5+refused.by.wheelmark-py3-none-any.whl",
        );
    }
}

//! The listing of a project's source archives, for those who package them for a distribution.

use super::html::{Attribute, Escaped, document};
use super::{PageFile, ProjectPage};
use crate::DistributionFilename;

impl ProjectPage {
    /// Renders links to the source archives and their OpenPGP signatures, oldest version first.
    ///
    /// The links have no `#sha256=…`, unlike those of [`ProjectPage::to_html`]: tools that append
    /// `.asc` to a link find the signature. What was yanked is left out, as nobody should move to
    /// it.
    pub fn to_sources_html(&self) -> String {
        let mut body = String::new();
        for file in self.by_version() {
            let is_source = matches!(file.filename, DistributionFilename::Sdist(_));
            if is_source && !file.yanked.is_yanked() {
                body.push_str(&links(file));
            }
        }
        document(&format!("Source archives of {}", self.name), &[], &body)
    }
}

fn links(file: &PageFile) -> String {
    let url = file.url.split('#').next().unwrap_or_default();
    let link = |suffix: &str| {
        format!(
            "<a{}>{}{suffix}</a>",
            Attribute("href", Some(&format!("{url}{suffix}"))),
            Escaped(file.filename.as_str())
        )
    };
    let signature = match file.has_signature() {
        true => format!(" {}", link(".asc")),
        false => String::new(),
    };
    format!("{}{signature}<br>\n", link(""))
}

//! The HTML form of pages (PEP 503 and those after it, PEP 792 for the `meta` elements).

use std::fmt::{self, Write as _};

use super::{API_VERSION, Hashes, PageFile, ProjectList, ProjectPage, Yanked};

/// Text made safe for an element's content and for a double-quoted attribute alike.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#x27;")?,
                // HTML has no way to write it.
                '\0' => f.write_char('\u{fffd}')?,
                // A parser would turn it into a line feed.
                '\r' => f.write_str("&#xd;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A `<meta name="pypi:…">` element, or nothing.
pub(super) struct Meta<'a>(&'a str, Option<&'a str>);

impl fmt::Display for Meta<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(content) => writeln!(
                f,
                "<meta name=\"pypi:{}\" content=\"{}\">",
                self.0,
                Escaped(content)
            ),
            None => Ok(()),
        }
    }
}

/// An attribute with a space before it, or nothing.
pub(super) struct Attribute<'a>(pub(super) &'a str, pub(super) Option<&'a str>);

impl fmt::Display for Attribute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(value) => write!(f, " {}=\"{}\"", self.0, Escaped(value)),
            None => Ok(()),
        }
    }
}

pub(super) fn page(page: &ProjectPage, files: &[&PageFile]) -> String {
    let status = page.project_status.as_ref();
    let mut body = String::new();
    for file in files {
        body.push_str(&anchor(file));
    }
    document(
        &format!("Links for {}", page.name),
        &[
            Meta(
                "project-status",
                status.map(|status| status.status.as_str()),
            ),
            Meta(
                "project-status-reason",
                status.and_then(|status| status.reason.as_deref()),
            ),
        ],
        &body,
    )
}

pub(super) fn list(list: &ProjectList) -> String {
    let links = list.sorted().map(|project| {
        let name = &project.name;
        format!("<a href=\"{name}/\">{name}</a><br>\n")
    });
    document("Projects", &[], &links.collect::<String>())
}

pub(super) fn document(title: &str, metas: &[Meta<'_>], body: &str) -> String {
    let version = Meta("repository-version", Some(API_VERSION));
    let metas: String = std::iter::once(&version)
        .chain(metas)
        .map(Meta::to_string)
        .collect();
    let title = Escaped(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{metas}<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    )
}

fn anchor(file: &PageFile) -> String {
    let (url, _) = file.url.split_once('#').unwrap_or((&file.url, ""));
    let href = match file.hashes.fragment() {
        Some(digest) => format!("{url}#{digest}"),
        None => url.to_owned(),
    };
    let core_metadata = file
        .core_metadata
        .as_ref()
        .map(|hashes: &Hashes| hashes.fragment().unwrap_or_else(|| "true".to_owned()));
    let yanked = match &file.yanked {
        Yanked::No => None,
        Yanked::Yes => Some(""),
        Yanked::Because(reason) => Some(reason.as_str()),
    };
    // On every link, if on one (PEP 503): an index that states what a signature is has none where
    // it states none, also on entries that are older than that.
    let none = file.wheelmark.as_ref().map(|_| false);
    let gpg_sig = file.gpg_sig.or(none);
    let gpg_sig = gpg_sig.map(|there| if there { "true" } else { "false" });
    format!(
        "<a{}{}{}{}{}{}>{}</a><br>\n",
        Attribute("href", Some(&href)),
        Attribute("data-requires-python", file.requires_python.as_deref()),
        Attribute("data-core-metadata", core_metadata.as_deref()),
        Attribute("data-yanked", yanked),
        Attribute("data-gpg-sig", gpg_sig),
        Attribute("data-provenance", file.provenance.as_deref()),
        Escaped(file.filename.as_str()),
    )
}

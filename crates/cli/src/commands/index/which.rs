//! Which files of a project a command is about.

use std::convert::Infallible;
use std::str::FromStr;

use anyhow::anyhow;
use jiff::Timestamp;
use wheelmark_packaging::simple::{PageFile, ProjectPage};
use wheelmark_packaging::{ProjectName, Version};
use wheelmark_tuf::without_controls;

use crate::logging::WithHint as _;

/// A version, or a file by its name.
#[derive(Clone, Debug)]
pub(super) enum Which {
    Version(Version),
    File(String),
}

impl FromStr for Which {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let version = text.parse().map(Self::Version);
        Ok(version.unwrap_or_else(|_| Self::File(text.to_owned())))
    }
}

impl Which {
    fn is(&self, file: &PageFile) -> bool {
        match self {
            Self::Version(version) => file.filename.version() == version,
            Self::File(name) => file.filename.as_str() == name,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Version(version) => format!("version {version}"),
            Self::File(name) => without_controls(name),
        }
    }
}

/// The names of the files that are there, withheld ones among them; all of them without `which`.
pub(super) fn there(page: &ProjectPage, which: Option<&Which>) -> anyhow::Result<Vec<String>> {
    let files = page.files.iter().chain(&page.wheelmark.withheld);
    chosen(&page.name, files, which, "has")
}

/// The names of the files that came in at a moment or later, or of which nobody knows when; withheld ones
/// among them. Where a file went live later than it was uploaded, that later time counts.
pub(super) fn since(page: &ProjectPage, moment: Timestamp) -> anyhow::Result<Vec<String>> {
    let files = page.files.iter().chain(&page.wheelmark.withheld);
    let late = files.filter(|file| file.upload_time.is_none_or(|time| time >= moment));
    let late: Vec<String> = late.map(|file| file.filename.as_str().to_owned()).collect();
    if late.is_empty() {
        let project = &page.name;
        return Err(anyhow!("{project} has no file that came in since {moment}")).hint(format!(
            "`wheelmark index files {project}` says when each of them came"
        ));
    }
    Ok(late)
}

/// The names of the files that were removed; all of them without `which`.
pub(super) fn removed(page: &ProjectPage, which: Option<&Which>) -> anyhow::Result<Vec<String>> {
    let removed = page.wheelmark.removed.values();
    let files = removed.map(|removed| &removed.entry);
    chosen(&page.name, files, which, "remembers")
}

fn chosen<'a>(
    project: &ProjectName,
    files: impl Iterator<Item = &'a PageFile>,
    which: Option<&Which>,
    verb: &str,
) -> anyhow::Result<Vec<String>> {
    let chosen = files.filter(|file| which.is_none_or(|which| which.is(file)));
    let chosen: Vec<String> = chosen
        .map(|file| file.filename.as_str().to_owned())
        .collect();
    if chosen.is_empty() {
        let what = which.map_or_else(|| "file".to_owned(), Which::shown);
        return Err(anyhow!("{project} {verb} no {what}")).hint(format!(
            "`wheelmark index files {project}` lists what there is"
        ));
    }
    Ok(chosen)
}

//! Which projects, and which of their files, are copied.
//!
//! Names and meanings are those of bandersnatch's filters where there is one. All of it is about
//! files: the metadata is always whole, and the page of a project that was chosen is the signed
//! one, so it also lists files that are not here.

mod form;
mod platform;
mod requirement;

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use pep440_rs::Version;
use regex::Regex;
use wheelmark_packaging::simple::{PageFile, ProjectPage};
use wheelmark_packaging::{DistributionFilename, ProjectName};

pub use self::form::{SelectionError, bytes};
pub use self::platform::Platform;
pub use self::requirement::Requirement;

/// Days, as ages of files are counted.
const DAY: i64 = 24 * 60 * 60;

/// What is copied. [`Default`] is everything.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// If there are any: only these projects, and only these of their versions.
    pub allow: Vec<Requirement>,
    /// Never these projects, or never these of their versions.
    pub block: Vec<Requirement>,
    /// Never projects whose name one of these matches, from its beginning.
    pub block_projects: Vec<Regex>,
    /// Never versions that one of these matches, from their beginning.
    pub block_versions: Vec<Regex>,
    /// No wheels that are for these alone.
    pub platforms: BTreeSet<Platform>,
    /// Only so many versions of each project: the highest.
    pub latest: Option<usize>,
    /// No pre-releases.
    pub no_prereleases: bool,
    /// Only files that the index received within so many days.
    pub newer_than_days: Option<u32>,
    /// Only files of at most so many bytes.
    pub max_file_size: Option<u64>,
}

impl Selection {
    /// Whether it leaves nothing out.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.description() == "everything"
    }

    /// The selection in one line. It is remembered with a copy: one that differs is another
    /// selection, and every page is gone through again.
    #[must_use]
    pub fn description(&self) -> String {
        let mut parts = Vec::new();
        let mut list = |name: &str, items: Vec<String>| {
            if !items.is_empty() {
                parts.push(format!("{name} {}", items.join(", ")));
            }
        };
        list("only", strings(&self.allow));
        list("not", strings(&self.block));
        list("not projects like", strings(&self.block_projects));
        list("not versions like", strings(&self.block_versions));
        list("not for", strings(&self.platforms));
        list("latest", strings(self.latest));
        if self.no_prereleases {
            parts.push("no pre-releases".to_owned());
        }
        if let Some(days) = self.newer_than_days {
            parts.push(format!("newer than {days} days"));
        }
        if let Some(bytes) = self.max_file_size {
            parts.push(format!("files up to {bytes} bytes"));
        }
        if parts.is_empty() {
            return "everything".to_owned();
        }
        parts.join("; ")
    }

    /// The selection as it is today: files grow older, and so a selection by age is another one
    /// each day.
    pub(crate) fn as_of(&self, now: Timestamp) -> String {
        match self.newer_than_days {
            Some(_) => format!("{} (day {})", self.description(), now.as_second() / DAY),
            None => self.description(),
        }
    }

    /// Whether a project is chosen.
    #[must_use]
    pub fn chooses(&self, project: &ProjectName) -> bool {
        let named = |list: &[Requirement]| list.iter().any(|entry| entry.project == *project);
        let blocked = self
            .block
            .iter()
            .any(|entry| entry.project == *project && entry.versions.is_none())
            || self
                .block_projects
                .iter()
                .any(|pattern| matches_from_start(pattern, project.as_str()));
        !blocked && (self.allow.is_empty() || named(&self.allow))
    }

    /// The files of a chosen project's page that are chosen, in the page's order.
    #[must_use]
    pub fn files<'a>(&self, page: &'a ProjectPage, now: Timestamp) -> Vec<&'a PageFile> {
        let chosen: Vec<&PageFile> = page
            .files
            .iter()
            .filter(|file| self.chooses_file(&page.name, file, now))
            .collect();
        let Some(latest) = self.latest else {
            return chosen;
        };
        let mut versions: Vec<&Version> =
            chosen.iter().map(|file| file.filename.version()).collect();
        versions.sort_by(|a, b| b.cmp(a));
        versions.dedup();
        versions.truncate(latest);
        let kept: HashSet<&Version> = versions.into_iter().collect();
        let is_kept = |file: &&PageFile| kept.contains(file.filename.version());
        chosen.into_iter().filter(is_kept).collect()
    }

    fn chooses_file(&self, project: &ProjectName, file: &PageFile, now: Timestamp) -> bool {
        let version = file.filename.version();
        let of_project = |list: &[Requirement]| -> Vec<Requirement> {
            let of_it = list.iter().filter(|entry| entry.project == *project);
            of_it.cloned().collect()
        };
        let (allowed, blocked) = (of_project(&self.allow), of_project(&self.block));
        let by_version = (allowed.is_empty() || allowed.iter().any(|entry| entry.covers(version)))
            && !blocked.iter().any(|entry| entry.covers(version))
            && !(self.no_prereleases && version.any_prerelease())
            && !self
                .block_versions
                .iter()
                .any(|pattern| matches_from_start(pattern, &version.to_string()));
        let by_platform = match &file.filename {
            DistributionFilename::Wheel(wheel) => {
                self.platforms.is_empty() || !platform::is_only_for(wheel, &self.platforms)
            }
            DistributionFilename::Sdist(_) => true,
        };
        let by_size = match (self.max_file_size, file.size) {
            (Some(most), Some(size)) => size <= most,
            _ => true,
        };
        let by_age = match (self.newer_than_days, file.upload_time) {
            (Some(days), Some(uploaded)) => {
                now.as_second() - uploaded.as_second() <= i64::from(days) * DAY
            }
            _ => true,
        };
        by_version && by_platform && by_size && by_age
    }
}

fn strings<T: ToString>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

fn matches_from_start(pattern: &Regex, text: &str) -> bool {
    pattern.find(text).is_some_and(|found| found.start() == 0)
}

#[cfg(test)]
mod tests;

//! What there is to say of a file that an index does not list any more since it was broken into.
//!
//! ```text
//! the signed page: which files a recovery has dropped, by their bytes ─▶ Withdrawn: this very file
//! the statement of the recovery, as it was taken in                   ─▶ since when nobody can tell
//! ```
//!
//! A page says it of files of projects that are still there, as far as there was room; of those that went
//! whole, and of projects that sign for themselves, the dates alone are known.

use std::fmt;

use jiff::Timestamp;
use url::Url;
use wheelmark_packaging::simple::{Dropped, ProjectPage, Sha256Hex};
use wheelmark_packaging::{ProjectName, Version};
use wheelmark_tuf::Sha256;

use crate::homes::Homes;
use crate::trust::TrustedIndex;

/// How many files are named to people.
const SHOWN: usize = 3;

/// Files that an index listed while it may have been in other hands, and that its recovery has dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawn {
    /// The index, by its simple URL.
    pub index: Url,
    /// The files, with the SHA-256 of their bytes; never none.
    pub files: Vec<(String, Sha256)>,
    /// When the index was recovered.
    pub at: Timestamp,
    /// The last moment at which it was known to be good.
    pub since: Timestamp,
}

impl Withdrawn {
    /// Those of a version.
    pub(crate) fn of_version(page: &ProjectPage, version: &Version, index: &Url) -> Option<Self> {
        let is_it = |dropped: &Dropped, _: &Sha256Hex| dropped.filename.version() == version;
        Self::of(page, is_it, index)
    }

    /// The one with these bytes.
    #[must_use]
    pub fn of_bytes(page: &ProjectPage, sha256: &Sha256, index: &Url) -> Option<Self> {
        Self::of(page, |_, found| found.as_bytes() == &sha256.0, index)
    }

    fn of(
        page: &ProjectPage,
        is_it: impl Fn(&Dropped, &Sha256Hex) -> bool,
        index: &Url,
    ) -> Option<Self> {
        let mut dropped = page.dropped();
        dropped.retain(|(sha256, dropped)| is_it(dropped, sha256));
        let (_, last) = dropped.iter().max_by_key(|(_, dropped)| dropped.at)?;
        let (at, since) = (last.at, last.since);
        let files = dropped.iter().map(|(sha256, dropped)| {
            let name = dropped.filename.as_str().to_owned();
            (name, Sha256((*sha256).into()))
        });
        Some(Self {
            index: index.clone(),
            files: files.collect(),
            at,
            since,
        })
    }
}

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has withdrawn ", self.index)?;
        for (number, (name, sha256)) in self.files.iter().take(SHOWN).enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            write!(f, "{comma}{name} (sha256 {sha256})")?;
        }
        let more = self.files.len().saturating_sub(SHOWN);
        if more > 0 {
            write!(f, " and {more} more")?;
        }
        write!(f, ": {}", Dates::of(self.at, self.since))
    }
}

/// When an index was broken into, as far as it can be told.
struct Dates {
    at: String,
    since: String,
}

impl Dates {
    fn of(at: Timestamp, since: Timestamp) -> Self {
        let minute = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M UTC").to_string();
        Self {
            at: minute(at),
            since: minute(since),
        }
    }
}

impl fmt::Display for Dates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, since } = self;
        write!(
            f,
            "it was broken into, and went back on {at} to its state of {since}"
        )
    }
}

/// What there is to say where an index does not know something, and was recovered from a break-in at any
/// time: it may have been there, and the thief's.
pub(crate) fn may_have_been(index: &TrustedIndex) -> Option<String> {
    let recovered = index.recovered().unwrap_or_else(|error| {
        tracing::warn!(%error, "whether the index was recovered cannot be told");
        None
    })?;
    let broken = Dates::of(recovered.at, recovered.since);
    Some(format!(
        "{broken}; what came in between went, unless somebody could vouch for it: if this was installed then, take it for the thief's"
    ))
}

impl Homes {
    /// Why no index has a project, in words: with what that may mean where one of them was broken into.
    #[must_use]
    pub fn absence_or_break(&self, project: &ProjectName) -> String {
        let absent = self.absence(project);
        let broken = self.asked(project).into_iter().find_map(|reader| {
            let index = reader.index().urls().simple();
            Some((index, may_have_been(reader.index())?))
        });
        match broken {
            Some((index, broken)) => format!("{absent}. Of {index}: {broken}"),
            None => absent,
        }
    }
}

//! Files that an index has dropped when it was recovered from a break-in.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::file::FileError;
use super::json::{JsonError, Members};
use super::{Extra, ProjectPage, Sha256Hex};
use crate::{DistributionFilename, ProjectName};

/// A file that the page listed while somebody else may have had the index's key, and that went when
/// the index was recovered. It stands under the SHA-256 of its bytes.
///
/// It is not to be installed, and it keeps no name: the project's own people may publish other bytes
/// under it, or these ones once more. A thief lists what he likes, and must not take names away for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Its name.
    pub filename: DistributionFilename,
    /// When the index was recovered.
    pub at: Timestamp,
    /// The last moment at which the index was known to be good.
    pub since: Timestamp,
    /// Members that are not known here.
    pub extra: Extra,
}

impl Dropped {
    pub(super) fn take(
        sha256: &str,
        value: Value,
        project: &ProjectName,
    ) -> Result<(Sha256Hex, Dropped), FileError> {
        let mut dropped = Members::of(value, "dropped")?;
        let filename = dropped.need_string("filename")?;
        let Ok(parsed) = DistributionFilename::parse_for(project, &filename) else {
            return Err(FileError::DroppedName { filename });
        };
        let mut time = |member| {
            let time = dropped.take_time(member)?;
            time.ok_or(JsonError::Missing { member })
        };
        let (at, since) = (time("at")?, time("since")?);
        let dropped = Dropped {
            filename: parsed,
            at,
            since,
            extra: dropped.rest(),
        };
        Ok((sha256.parse()?, dropped))
    }

    pub(super) fn to_value(&self) -> Value {
        let mut dropped: Map<String, Value> = self.extra.clone().into_iter().collect();
        dropped.insert("filename".to_owned(), self.filename.as_str().into());
        dropped.insert("at".to_owned(), self.at.to_string().into());
        dropped.insert("since".to_owned(), self.since.to_string().into());
        dropped.into()
    }
}

impl ProjectPage {
    /// The files that a recovery of the index has dropped, by their SHA-256, but for those whose bytes the
    /// page has again: somebody who answers for the project has published them once more.
    pub fn dropped(&self) -> Vec<(Sha256Hex, &Dropped)> {
        let marks = &self.wheelmark;
        if marks.dropped.is_empty() {
            return Vec::new();
        }
        let files = self.files.iter().chain(&marks.withheld);
        let back: BTreeSet<Sha256Hex> = files.filter_map(|file| file.sha256()).collect();
        let dropped = marks.dropped.iter().map(|(sha256, file)| (*sha256, file));
        dropped
            .filter(|(sha256, _)| !back.contains(sha256))
            .collect()
    }
}

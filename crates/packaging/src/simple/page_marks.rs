//! What this index adds to a page as a whole.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::file::FileError;
use super::json::{JsonError, Members};
use super::{Extra, Sha256Hex};

/// What this index says about a project beyond the simple API, under `_wheelmark` of its page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageMarks {
    /// The files that were taken away, by name. Such a name never takes other bytes.
    pub removed: BTreeMap<String, Removed>,
    /// Members that are not known here.
    pub extra: Extra,
}

/// A file that was taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The SHA-256 of the bytes that it had.
    pub sha256: Sha256Hex,
    /// When it went.
    pub removed_at: Timestamp,
    /// Members that are not known here.
    pub extra: Extra,
}

impl PageMarks {
    pub(super) fn take(value: Value) -> Result<PageMarks, FileError> {
        let mut marks = Members::of(value, "_wheelmark")?;
        let mut removed = BTreeMap::new();
        if let Some(entries) = marks.take("removed") {
            for (filename, entry) in Members::of(entries, "removed")?.rest() {
                removed.insert(filename, Removed::take(entry)?);
            }
        }
        Ok(PageMarks {
            removed,
            extra: marks.rest(),
        })
    }

    /// `None` where there is nothing to say.
    pub(super) fn to_value(&self) -> Option<Value> {
        let mut marks: Map<String, Value> = self.extra.clone().into_iter().collect();
        let removed: Map<String, Value> = self
            .removed
            .iter()
            .map(|(filename, removed)| (filename.clone(), removed.to_value()))
            .collect();
        if removed.is_empty() {
            marks.remove("removed");
        } else {
            marks.insert("removed".to_owned(), removed.into());
        }
        (!marks.is_empty()).then(|| marks.into())
    }
}

impl Removed {
    fn take(value: Value) -> Result<Removed, FileError> {
        let mut removed = Members::of(value, "removed")?;
        Ok(Removed {
            sha256: removed.need_string("sha256")?.parse()?,
            removed_at: removed.take_time("removed-at")?.ok_or(JsonError::Missing {
                member: "removed-at",
            })?,
            extra: removed.rest(),
        })
    }

    fn to_value(&self) -> Value {
        let mut removed: Map<String, Value> = self.extra.clone().into_iter().collect();
        removed.insert("sha256".to_owned(), self.sha256.to_string().into());
        removed.insert("removed-at".to_owned(), self.removed_at.to_string().into());
        removed.into()
    }
}

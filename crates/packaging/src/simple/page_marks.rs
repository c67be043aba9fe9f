//! What this index adds to a page as a whole.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::file::FileError;
use super::json::{self, JsonError, Members};
use super::page::file_order;
use super::{BoundCertificates, Dropped, Extra, PageFile, Sha256Hex};
use crate::{DistributionFilename, ProjectName};

/// What this index says about a project beyond the simple API, under `_wheelmark` of its page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageMarks {
    /// The OpenPGP certificates of the project, if it has any.
    pub certificates: Option<BoundCertificates>,
    /// The files that were taken away, by name. Such a name never takes other bytes.
    pub removed: BTreeMap<String, Removed>,
    /// The files of a quarantined project, which come back with its release. They are no files of
    /// the page: they are not to be installed. Rendered sorted by version and name.
    pub withheld: Vec<PageFile>,
    /// The files that recoveries of the index have dropped, by the SHA-256 of their bytes: see
    /// [`ProjectPage::dropped`](super::ProjectPage::dropped).
    pub dropped: BTreeMap<Sha256Hex, Dropped>,
    /// Members that are not known here.
    pub extra: Extra,
}

/// A file that was taken away. Not a file of the page: it is not to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// What the page said of it, as it was signed. It comes back as this and as nothing else.
    pub entry: PageFile,
    /// When it went.
    pub removed_at: Timestamp,
    /// Members that are not known here.
    pub extra: Extra,
}

impl PageMarks {
    pub(super) fn take(value: Value, project: &ProjectName) -> Result<PageMarks, FileError> {
        let mut marks = Members::of(value, "_wheelmark")?;
        let mut removed = BTreeMap::new();
        if let Some(entries) = marks.take("removed") {
            for (filename, entry) in Members::of(entries, "removed")?.rest() {
                let entry = Removed::take(entry, &filename, project)?;
                removed.insert(filename, entry);
            }
        }
        let entries = marks.take_array("withheld")?.unwrap_or_default();
        let withheld = entries.into_iter().map(|entry| {
            let mut entry = Members::of(entry, "withheld")?;
            let filename = entry.need_string("filename")?;
            match DistributionFilename::parse_for(project, &filename) {
                Ok(parsed) => PageFile::take(parsed, entry),
                Err(_) => Err(FileError::WithheldName { filename }),
            }
        });
        let mut withheld: Vec<PageFile> = withheld.collect::<Result<_, FileError>>()?;
        withheld.sort_by(file_order);
        let mut dropped = BTreeMap::new();
        if let Some(entries) = marks.take("dropped") {
            for (sha256, entry) in Members::of(entries, "dropped")?.rest() {
                let (sha256, entry) = Dropped::take(&sha256, entry, project)?;
                dropped.insert(sha256, entry);
            }
        }
        let certificates = marks.take("certificates");
        Ok(PageMarks {
            certificates: certificates.map(BoundCertificates::take).transpose()?,
            removed,
            withheld,
            dropped,
            extra: marks.rest(),
        })
    }

    /// `None` where there is nothing to say.
    pub(super) fn to_value(&self) -> Option<Value> {
        let mut marks: Map<String, Value> = self.extra.clone().into_iter().collect();
        match &self.certificates {
            Some(bound) => drop(marks.insert("certificates".to_owned(), bound.to_value())),
            None => drop(marks.remove("certificates")),
        }
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
        if self.withheld.is_empty() {
            marks.remove("withheld");
        } else {
            let mut withheld: Vec<&PageFile> = self.withheld.iter().collect();
            withheld.sort_by(|a, b| file_order(a, b));
            let withheld = withheld.into_iter().map(PageFile::to_value);
            marks.insert("withheld".to_owned(), withheld.collect());
        }
        let dropped = self.dropped.iter();
        let dropped: Map<String, Value> = dropped
            .map(|(sha256, dropped)| (sha256.to_string(), dropped.to_value()))
            .collect();
        if dropped.is_empty() {
            marks.remove("dropped");
        } else {
            marks.insert("dropped".to_owned(), dropped.into());
        }
        (!marks.is_empty()).then(|| marks.into())
    }
}

impl Removed {
    /// The SHA-256 of the bytes that it had.
    pub fn sha256(&self) -> Option<Sha256Hex> {
        self.entry.sha256()
    }

    /// How many bytes it has in the JSON form of a page, with its name and a colon.
    pub fn json_len(&self) -> usize {
        let name = Value::from(self.entry.filename.as_str());
        json::render(&name).len() + 1 + json::render(&self.to_value()).len()
    }

    fn take(value: Value, filename: &str, project: &ProjectName) -> Result<Removed, FileError> {
        let mut removed = Members::of(value, "removed")?;
        let entry = removed
            .take("entry")
            .ok_or(JsonError::Missing { member: "entry" })?;
        let mut entry = Members::of(entry, "entry")?;
        let parsed = DistributionFilename::parse_for(project, filename)
            .ok()
            .filter(|parsed| parsed.as_str() == filename);
        let (Some(parsed), true) = (parsed, entry.need_string("filename")? == filename) else {
            return Err(FileError::RemovedName {
                filename: filename.to_owned(),
            });
        };
        let entry = PageFile::take(parsed, entry)?;
        if entry.sha256().is_none() {
            return Err(JsonError::Missing { member: "sha256" }.into());
        }
        Ok(Removed {
            entry,
            removed_at: removed.take_time("removed-at")?.ok_or(JsonError::Missing {
                member: "removed-at",
            })?,
            extra: removed.rest(),
        })
    }

    fn to_value(&self) -> Value {
        let mut removed: Map<String, Value> = self.extra.clone().into_iter().collect();
        removed.insert("entry".to_owned(), self.entry.to_value());
        removed.insert("removed-at".to_owned(), self.removed_at.to_string().into());
        removed.into()
    }
}

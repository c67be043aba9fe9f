//! What is named, as hashes of paths.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::Timestamp;
use wheelmark_objects::{Kind, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::ProjectPage;
use wheelmark_store::{Change, Intent};
use wheelmark_tuf::{Sha256, Sha512};

use super::keep::Keep;
use crate::gather::{objects_of, objects_of_entry};
use crate::listed::SecondName;

/// The paths that stay. Two of one hash are both kept.
#[derive(Debug, Default)]
pub(super) struct Marks {
    named: HashSet<u64>,
    /// Objects of files that were removed long ago, so that they are told of as such.
    removed: HashSet<u64>,
}

impl Marks {
    /// Whether it is new.
    pub(super) fn mark(&mut self, path: &str) -> bool {
        self.named.insert(hashed(path))
    }

    pub(super) fn has(&self, path: &ObjectPath) -> bool {
        self.named.contains(&hashed(path.as_str()))
    }

    pub(super) fn is_of_removed(&self, path: &ObjectPath) -> bool {
        self.removed.contains(&hashed(path.as_str()))
    }

    pub(super) fn count(&self) -> u64 {
        self.named.len() as u64
    }

    /// Marks everything that a page names, but what was removed before `keep` says.
    pub(super) fn mark_named_by(
        &mut self,
        project: &ProjectName,
        page: &ProjectPage,
        keep: Keep,
        now: Timestamp,
    ) {
        for entry in page.files.iter().chain(&page.wheelmark.withheld) {
            for path in objects_of_entry(project, entry) {
                self.mark(path.as_str());
            }
        }
        let seconds = page.files.iter();
        let seconds = seconds.filter_map(|entry| SecondName::of_file(project, entry)?.link().ok());
        for (_, second) in seconds {
            self.mark(second.as_str());
        }
        for removed in page.wheelmark.removed.values() {
            for path in objects_of_entry(project, &removed.entry) {
                if keep.keeps_removed(removed.removed_at, now) {
                    self.mark(path.as_str());
                } else {
                    self.removed.insert(hashed(path.as_str()));
                }
            }
        }
        if let Some(bound) = &page.wheelmark.certificates {
            let path = ObjectPath::certificates(project, &Sha256(bound.sha256.into()));
            self.mark(path.as_str());
        }
    }

    /// Marks what a row of the journal is about to bring.
    pub(super) fn mark_pending(&mut self, change: &Change) {
        if let Change::FileAdded(file) = change {
            for path in objects_of(file) {
                self.mark(path.as_str());
            }
        }
    }

    /// Marks what the pages of a snapshot name.
    pub(super) fn mark_files_of(&mut self, intent: &Intent, keep: Keep, now: Timestamp) {
        for (path, bytes) in &intent.objects {
            let is_page = ObjectPath::parse(path).is_ok_and(|path| path.kind() == Kind::Page);
            if is_page && let Ok(page) = ProjectPage::parse(bytes) {
                let second = ObjectPath::page_by_sha512(&page.name, &Sha512::of(bytes));
                self.mark(second.as_str());
                self.mark_named_by(&page.name.clone(), &page, keep, now);
            }
        }
    }
}

fn hashed(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

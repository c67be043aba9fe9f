//! What lies in a tree and is named by nothing at all.

use std::time::SystemTime;

use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_store::Store;
use wheelmark_tuf::Sha256;

use super::CollectError;
use super::keep::Keep;
use super::work::{Collection, Site};
use crate::publish::is_lasting;

/// An object that nothing names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unnamed {
    /// Its path.
    pub path: ObjectPath,
    /// Its length in bytes.
    pub len: u64,
    /// When it was written. An upload places its objects a moment before the row that names them.
    pub modified: SystemTime,
}

/// The objects under `targets/` that nothing names: no snapshot that is there, old or new, no page,
/// removed files included, and no row of the journal that waits. Takes nothing away.
///
/// Nothing is said of projects whose signed page cannot be read.
///
/// # Errors
///
/// See [`collect`](super::collect()).
pub async fn unnamed_objects(
    tree: &Directory,
    store: &Store,
    now: Timestamp,
) -> Result<Vec<Unnamed>, CollectError> {
    let site = Site {
        tree,
        lock: None,
        store,
        orders: None,
    };
    let mut collection = Collection::begin(&site, Keep::everything(), now).await?;
    for recorded in store.recorded_intents().await? {
        if let Ok(intent) = recorded.intent {
            collection.keep_what_it_names(&intent);
        }
    }
    while collection.step(&site).await? {}
    let mut unnamed = Vec::new();
    let nowhere = Sha256::of(b"");
    for project in tree.projects().await? {
        if collection.spared.contains(&project) {
            continue;
        }
        let pages = ObjectPath::page(&project, &nowhere);
        let files = ObjectPath::file(&project, &nowhere, "x").ok();
        for folder in [Some(pages), files].into_iter().flatten() {
            let there = match tree.described_beside(&folder).await {
                Ok(there) => there.into_iter(),
                // Something else stands in the folder's place, which is told of as such.
                Err(error) if is_lasting(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            let there = there.filter(|file| !collection.marks.has(&file.path));
            unnamed.extend(there.map(|file| Unnamed {
                path: file.path,
                len: file.len,
                modified: file.modified,
            }));
        }
    }
    if let Some(folder) = super::sweep::status_folder() {
        let there = match tree.described_beside(&folder).await {
            Ok(there) => there,
            Err(error) if is_lasting(&error) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let there = there.into_iter();
        let there = there.filter(|file| !collection.marks.has(&file.path));
        unnamed.extend(there.map(|file| Unnamed {
            path: file.path,
            len: file.len,
            modified: file.modified,
        }));
    }
    // What was placed before the first look at the journal and written there since.
    collection.mark_pending(&site).await?;
    unnamed.retain(|object| !collection.marks.has(&object.path));
    Ok(unnamed)
}

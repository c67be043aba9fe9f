//! Garbage collection: takes away what no state that is kept names.
//!
//! ```text
//! mark    kept snapshots ─▶ roles ─▶ pages ─▶ files, core metadata, chunk lists, signatures
//!         journal rows that wait, recorded snapshots ─▶ the same
//! sweep   roles ─▶ pages, objects ─▶ old snapshots: what has no mark and is old enough
//! ```
//!
//! It is done by whoever holds the tree's lock, in small pieces between turns: what a turn publishes
//! meanwhile gets its marks before it is written. It writes nothing into the tree, so it can be cut
//! off anywhere; what it has not come to is there for the next one. A mark is the hash of a path:
//! two paths that share one are both kept.
//!
//! What has no mark and stays nevertheless: every root, for clients follow them one by one from the
//! first (TUF 1.0 §5.3.3); whatever is younger than [`READER_TIME`]; versions above the published
//! ones, which the engine passes over; and everything of a project whose page cannot be read.

mod keep;
mod marks;
mod names;
mod published;
mod sweep;
mod work;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wheelmark_objects::{Directory, ObjectError, WriterLock};
use wheelmark_store::{Orders, Store, StoreError};
use wheelmark_tuf::{RefreshError, WalkError};

pub use self::keep::{Keep, KeepError, LAST_SNAPSHOTS, READER_TIME};
pub use self::names::{Unnamed, unnamed_objects};
pub(crate) use self::work::{Collection, Site};
use crate::state::LoadError;

/// What a collection has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Snapshots whose states stay whole.
    pub kept_snapshots: u64,
    /// Objects that were marked: what those states name.
    pub kept_objects: u64,
    /// Old snapshots that went.
    pub snapshots: Counted,
    /// Old versions of other roles.
    pub roles: Counted,
    /// Old pages, and certificates that no page binds.
    pub pages: Counted,
    /// Objects of files that were removed long enough ago.
    pub removed: Counted,
    /// Objects that no published page has ever named, or that none names any more.
    pub unnamed: Counted,
    /// Objects that could not be taken away: they are another user's.
    pub refused: u64,
    /// Signed pages that cannot be read: nothing of their projects was taken away.
    pub unreadable: Vec<String>,
    /// Why old snapshots stay, where they could not be written into the log first.
    pub not_logged: Option<String>,
}

/// How many objects, and how many bytes the disk gets back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Objects.
    pub objects: u64,
    /// Bytes; none for an object that has another name still.
    pub bytes: u64,
}

impl Counted {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

impl Collected {
    /// Counts as gone what an earlier collection took away.
    pub fn add(&mut self, earlier: &Collected) {
        for (here, earlier) in [
            (&mut self.snapshots, earlier.snapshots),
            (&mut self.roles, earlier.roles),
            (&mut self.pages, earlier.pages),
            (&mut self.removed, earlier.removed),
            (&mut self.unnamed, earlier.unnamed),
        ] {
            here.objects += earlier.objects;
            here.bytes += earlier.bytes;
        }
    }

    /// Everything that went.
    #[must_use]
    pub fn total(&self) -> Counted {
        let parts = [
            self.snapshots,
            self.roles,
            self.pages,
            self.removed,
            self.unnamed,
        ];
        Counted {
            objects: parts.iter().map(|part| part.objects).sum(),
            bytes: parts.iter().map(|part| part.bytes).sum(),
        }
    }
}

/// A collection could not go on. What went before was of no use to anybody, and nothing else did.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The published state cannot be read, so that nobody knows what it names.
    #[error("the published state cannot be read, and so nothing can be told from what it names")]
    State(#[from] LoadError),
    /// The published state is not one that clients accept.
    #[error("the published state cannot be read, and so nothing can be told from what it names")]
    Refresh(#[from] RefreshError),
    /// A published role is not one that clients accept.
    #[error("a published role cannot be read, and so nobody knows what it names")]
    Walk(#[from] WalkError),
    /// The clock of this machine and that of the file system do not agree: nobody knows how old
    /// anything is.
    #[error(
        "the clock says {now}, and the file system {written}: nobody knows how old anything is"
    )]
    Clock {
        /// What the clock says.
        now: Timestamp,
        /// What the file system says of something that was written a moment ago.
        written: Timestamp,
    },
    /// The clock has gone ahead of the time that has passed since this process was started.
    #[error(
        "the clock went ahead by {seconds} s more than has passed: nobody knows how old anything is"
    )]
    ClockAhead {
        /// By how much.
        seconds: i64,
    },
    /// What a published role lists is not understood.
    #[error("{role} names {target} in a way that this version does not understand")]
    Foreign {
        /// The role.
        role: String,
        /// What it lists.
        target: String,
    },
    /// The tree could not be read, or nothing could be taken away.
    #[error("the tree could not be read or changed")]
    Objects(#[from] ObjectError),
    /// The journal could not be read: uploads that wait have objects in the tree.
    #[error("the journal could not be read")]
    Store(#[from] StoreError),
}

/// Collects, or only counts where there is no `lock`, and tells `watch` now and then how far it is.
///
/// For a tree that nobody publishes into: whoever has the lock is the only one, and takes no fence,
/// for nothing is written to the store. Recovery is left to the next start: what it may bring back is
/// kept. The engine collects by itself where it is asked to through the operator's journal.
///
/// `log` is the operator's journal: orders that wait are looked at there, and snapshots that go are
/// written down. Without it, removed files and old snapshots stay.
///
/// # Errors
///
/// [`CollectError`]. Doing it again is right.
pub async fn collect(
    tree: &Directory,
    lock: Option<&WriterLock>,
    store: &Store,
    log: Option<&Orders>,
    keep: Keep,
    now: Timestamp,
    mut watch: impl FnMut(&Collected),
) -> Result<Collected, CollectError> {
    let site = Site {
        tree,
        lock,
        store,
        orders: log,
    };
    let mut collection = Collection::begin(&site, keep, now).await?;
    // What a crash left half published is finished by the next start, and what a power failure takes
    // of the rest is written again: the records have the bytes of roles and pages, not of files.
    for recorded in store.recorded_intents().await? {
        if let Ok(intent) = recorded.intent {
            collection.keep_files_of(&intent);
        }
    }
    while collection.step(&site).await? {
        watch(collection.so_far());
    }
    Ok(collection.finish())
}

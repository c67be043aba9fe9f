//! Going back to the last state that is known to be good, after a break-in.
//!
//! ```text
//! last-good/ ─▶ State ─┐
//!  (verified)          ├─ merge ─▶ what is to be ─┬─ plan, sign, record, publish: one snapshot
//! the tree  ─▶ State ──┘     ▲                    └─ names, copies, the catalogue
//!                  what is kept · the finished ceremony of the recovery
//! ```
//!
//! PEP 458 and PEP 480 say what is to be done when online keys were stolen: other keys, everything
//! compared with the last known good snapshot and restored, versions raised, a new snapshot. The engine
//! does it as one snapshot under the next online key, by the road of every other: recorded under the fence
//! before a byte is written, and published with the timestamp last. So a kill at any step is finished by the
//! next start, or has changed nothing.
//!
//! What a normal snapshot may never do is done here and in the modules below alone, and begins with a
//! [`GoingBack`], which nobody but whoever runs the index makes: pages and roles come from another state
//! than the one that was signed last, and [`Raised`](crate::handed::Raised) metadata is taken. What stays
//! forbidden here, too: to change the bytes of a file name that the last good state has, to sign for a
//! project that signs for itself, and to take a word of what is kept from anywhere but the two signed
//! states.

mod differences;
mod dropped;
mod keep;
mod merge;
mod naming;
mod put_back;
mod rows;
mod side;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wheelmark_objects::{Directory, ObjectError};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{RoleName, Sha256};

pub(crate) use self::differences::{Differences, differences};
pub(crate) use self::merge::{Merged, merge};
pub(crate) use self::naming::name_all;
pub(crate) use self::put_back::put_back;
pub(crate) use self::rows::put_right;
pub(crate) use self::side::Side;
use crate::publish::PublishError;
use crate::state::LoadError;

/// One version of a role, by its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Its version.
    pub version: u64,
    /// The SHA-256 of its file, signatures included.
    pub sha256: Sha256,
}

/// What is published while a recovery is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    /// The version of the newest root.
    pub root: u64,
    /// The snapshot.
    pub snapshot: Named,
}

/// Something that changed in a project since the last good state and that stays as it is now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// What its own people have signed: their role and their page as they are now. Of a project that does
    /// not sign for itself any more, all of its files.
    Release,
    /// What the index says of a project that signs for itself otherwise than of its state or of one of its
    /// files: since when it is seen, and that its keys are lost.
    TakenAway,
    /// That there is a page at all.
    Page,
    /// The state of a project (PEP 792).
    Status,
    /// The OpenPGP certificates that its page binds.
    Certificates,
    /// What is said of a file of this name where the index signs: that the page lists it with this entry,
    /// or that it was removed; of a project that signs for itself, whether it is withdrawn or yanked.
    File(String),
}

/// What an index is to go back to, and what stays of what came since. Everything is decided.
#[derive(Debug, Clone)]
pub struct GoingBack {
    /// A tree of the last good state: its roots, every role that its snapshot lists, its pages and lists
    /// of what is taken away, and those objects that the index's own tree lacks or has damaged.
    pub last_good: Arc<Directory>,
    /// The version of root in it.
    pub root: u64,
    /// Its snapshot.
    pub snapshot: Named,
    /// What was published when this was decided. Where another state is by now, nothing is done.
    pub present: Present,
    /// The finished ceremony of the recovery: names in the tree's `metadata` folder, and bytes.
    pub ceremony: Vec<(String, Vec<u8>)>,
    /// What stays as it is now. Everything else becomes what it was.
    pub kept: BTreeMap<ProjectName, BTreeSet<Kept>>,
}

/// A file of a project, with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOf {
    /// The project.
    pub project: ProjectName,
    /// Its name.
    pub filename: String,
    /// The SHA-256 of its bytes.
    pub sha256: Sha256,
}

/// What going back changes, or has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Projects whose page becomes another one, or is seen otherwise.
    pub projects: Vec<ProjectName>,
    /// Projects that are not there any more.
    pub gone_projects: Vec<ProjectName>,
    /// Files that are listed now and are not any more, or have other bytes then: with the bytes that they have now.
    pub gone_files: Vec<FileOf>,
    /// Files that are not listed now, or have other bytes, and are again.
    pub back_files: Vec<FileOf>,
    /// How many files the pages of their projects name as dropped from then on.
    pub named: usize,
    /// Projects that sign for themselves now, or did in the last good state, and do not any more.
    pub ended_claims: Vec<ProjectName>,
    /// Projects whose own role goes back to an earlier version. Clients that have seen the later one follow: by
    /// what `targets` states, the version that they know keeps nothing out, once.
    pub own_roles_back: Vec<ProjectName>,
    /// Roles of the holders that have a later version now than in the last good state, which a ceremony held since
    /// has brought: what that one did comes undone.
    pub offline_back: Vec<RoleName>,
    /// How many changes of the journals were pending and are refused: they came after the last good state.
    pub refused_changes: usize,
}

/// How going back ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WentBack {
    /// It is published.
    Published {
        /// The version of the snapshot.
        snapshot_version: u64,
        /// How many objects of the last good state were written into the tree again.
        put_back: usize,
        /// What it changed.
        outlook: Outlook,
    },
    /// The root of the ceremony was published before: there is nothing to do.
    There {
        /// The version of the snapshot that stands.
        snapshot_version: u64,
    },
}

/// The index does not go back. Nothing is published, unless a [`GoBackError::Publish`] came after the
/// snapshot was recorded: then the next start publishes it, and asking once more says so.
#[derive(Debug, thiserror::Error)]
pub enum GoBackError {
    /// Reading, recording or writing failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The last good state cannot be read.
    #[error("the last good state cannot be read")]
    LastGood(#[source] LoadError),
    /// The last good state has another root than was named.
    #[error("the last good state has version {found} of root as its newest, not {expected}")]
    LastGoodRoot {
        /// The version that was named.
        expected: u64,
        /// The version that is there.
        found: u64,
    },
    /// The last good state is that of another index.
    #[error(
        "the last good state has another version {version} of root than is published: it is that of another index"
    )]
    AnotherIndex {
        /// Which version.
        version: u64,
    },
    /// Something else is published by now.
    #[error(
        "something else is published than when this was decided: {what} (make the plan again, what was decided stays)"
    )]
    Changed {
        /// What.
        what: String,
    },
    /// The published state cannot be read, and something of it is to be kept.
    #[error(
        "the published state cannot be read whole, so nothing of it can be kept: drop all of it (wheelmark recover decide --drop all), or bring back what is missing from a mirror"
    )]
    Unreadable,
    /// Root changed after the last good state.
    #[error(
        "version {present} of root is published, and the last good state has version {good}: a recovery does not take a root back (take a last good state from after that ceremony)"
    )]
    RootSince {
        /// The version of the last good state.
        good: u64,
        /// The version that is published.
        present: u64,
    },
    /// The journal of whoever runs the index has no positions left.
    #[error(
        "somebody has used up the positions of the operator's journal, so that it could take no order after this"
    )]
    OrdersUsedUp,
    /// The next online key has signed the state that is to be left.
    #[error(
        "the next online key has signed what is published now: whoever keeps that could show it to new clients under the next root. Stop the index, and hold the ceremony with another next key, which signs nothing before this"
    )]
    NextKeyUsed,
    /// The ceremony is refused.
    #[error("the ceremony of the recovery is refused: {0}")]
    Ceremony(String),
    /// A role of the last good state that the online key has signed is not there, or not as it was signed.
    #[error("a role of the last good state cannot be read, and all of them are signed anew")]
    Role,
    /// Something cannot be kept.
    #[error("what changed of {project} cannot be kept: {why}")]
    Keep {
        /// The project.
        project: ProjectName,
        /// Why.
        why: String,
    },
    /// A file that a page lists is nowhere.
    #[error(
        "{path} is neither in the tree nor in the last good state as it was signed: bring it back from a backup or a mirror, into the tree of the last good state"
    )]
    Lost {
        /// The object path.
        path: String,
    },
    /// Too much for one snapshot.
    #[error("what would be signed anew comes to {bytes} bytes, and {most} can be recorded")]
    TooMuch {
        /// How much it is.
        bytes: usize,
        /// How much can be.
        most: usize,
    },
    /// Clients would not follow.
    #[error("clients would not follow: {0}")]
    Clients(String),
    /// The snapshot is out, and the next root is not.
    #[error(
        "the snapshot is published, and version {version} of root is not: another file stands in its place, or it cannot be written. Until it is there clients go by the stolen key: move away what is in the way, and do this again"
    )]
    RootNotPublished {
        /// The version of the next root.
        version: u64,
    },
    /// A file lies in the place of the next root, and root's keys have not signed it.
    #[error(
        "a file lies in the place of the next root, and root's keys have not signed it ({problem}): move it away, as evidence, and do this again"
    )]
    StrayRoot {
        /// What is wrong with it.
        problem: String,
    },
    /// Other files stand under all versions that were tried.
    #[error("{path} exists with other content, and so do the versions behind it")]
    Occupied {
        /// The object path.
        path: String,
    },
}

impl From<ObjectError> for GoBackError {
    fn from(error: ObjectError) -> Self {
        Self::Publish(error.into())
    }
}

impl From<wheelmark_store::StoreError> for GoBackError {
    fn from(error: wheelmark_store::StoreError) -> Self {
        Self::Publish(error.into())
    }
}

//! Why a copy could not be brought up to date. Whatever it is, readers keep the last good state.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use wheelmark_client::{Failure, RefreshFailure, TrustError};
use wheelmark_objects::{LockError, ObjectError, ObjectPath, OpenError, PathError};
use wheelmark_tuf::RefreshError;

use super::state::StateError;
use crate::inventory::InventoryError;
use crate::local::LocalError;

/// How many of the things that are lacking are named.
const SHOWN: usize = 3;

/// Why a run ended without a complete new state.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The index's signed state is not to be had, or is refused.
    #[error("the index's state could not be brought up to date")]
    Refresh(#[source] Box<RefreshFailure>),
    /// A role that the state names is not to be had, or is refused.
    #[error("what the index signs for could not be gone through")]
    Inventory(#[source] Box<InventoryError>),
    /// Pages or files that the state signs for are not to be had, or are refused.
    #[error("{} not to be had as signed", Shortage(.first, *.count))]
    Lacking {
        /// The first of them, and why.
        first: Vec<(String, Failure)>,
        /// How many there are, as far as was looked.
        count: usize,
    },
    /// The state ran out while it was copied.
    #[error("the state that was copied expired at {expires}, before all of it was here")]
    Expired {
        /// When.
        expires: Timestamp,
    },
    /// The index published again and again, and took away what was being copied.
    #[error("the index changed {attempts} times while it was copied, each time before the end")]
    Restless {
        /// How often copying was begun.
        attempts: usize,
    },
    /// The index has signed one version of a role twice, and what it shows is not what is here.
    #[error("{path} is here, signed by the index, with other contents than it shows now")]
    SignedTwice {
        /// The role's file.
        path: ObjectPath,
    },
    /// The index shows less than what is here, by its own signature.
    #[error("the index's root {version} is here, and nobody shows it any more")]
    NewerRoot {
        /// Its version.
        version: u64,
    },
    /// The index shows an older state than the last one that was complete here.
    #[error("the index shows timestamp {offered}, and {known} was here before")]
    WentBack {
        /// The version of the timestamp that was complete here.
        known: u64,
        /// The one that is shown.
        offered: u64,
    },
    /// The tree could not be read or written.
    #[error("the copy could not be written")]
    Local(#[source] Arc<ObjectError>),
    /// What is here of a state that is complete cannot be used.
    #[error("the copy is damaged")]
    Damaged(#[from] LocalError),
    /// Something of the index has a name that no tree has a place for.
    #[error("the index lists what a tree has no place for")]
    Name(#[from] PathError),
    /// A file on its way could not be kept.
    #[error("could not {doing} a file on its way")]
    Part {
        /// What was tried.
        doing: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The copy's own directory could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another process writes to the copy.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What the copy remembers could not be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The copy's trust store could not be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The run was ended from outside.
    #[error("the run was stopped")]
    Stopped,
}

/// Where the fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The index, or whoever serves it, is down or does not have what is signed.
    Unavailable,
    /// What it has was refused.
    Refused,
    /// This machine: no room, no right, another process, a damaged state.
    Here,
}

impl CopyError {
    /// Where the fault is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        let of = |failure: &Failure| {
            if failure.is_refusal() {
                Blame::Refused
            } else {
                Blame::Unavailable
            }
        };
        match self {
            Self::Refresh(failure) => of_refresh(failure),
            Self::Inventory(error) => match &**error {
                InventoryError::Walk(_) => Blame::Refused,
                InventoryError::Upstream { failure, .. } => of(failure),
                InventoryError::Local { .. } => Blame::Here,
            },
            Self::Lacking { first, .. } => {
                let refused = first.iter().any(|(_, failure)| failure.is_refusal());
                if refused {
                    Blame::Refused
                } else {
                    Blame::Unavailable
                }
            }
            Self::Expired { .. } | Self::Restless { .. } => Blame::Unavailable,
            Self::Name(_)
            | Self::SignedTwice { .. }
            | Self::NewerRoot { .. }
            | Self::WentBack { .. } => Blame::Refused,
            Self::Local(_)
            | Self::Damaged(_)
            | Self::Part { .. }
            | Self::Open(_)
            | Self::Lock(_)
            | Self::State(_)
            | Self::Trust(_)
            | Self::Stopped => Blame::Here,
        }
    }

    /// Whether the disk, or the quota, is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Local(error) => error.is_full(),
            Self::Part { source, .. } => matches!(
                source.kind(),
                std::io::ErrorKind::StorageFull
                    | std::io::ErrorKind::QuotaExceeded
                    | std::io::ErrorKind::FileTooLarge
            ),
            _ => false,
        }
    }

    /// Whether something that is signed for is not there any more, as after the index moved on.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Inventory(error) => matches!(
                &**error,
                InventoryError::Upstream { failure, .. } if failure.is_gone()
            ),
            Self::Lacking { first, .. } => first.iter().any(|(_, failure)| failure.is_gone()),
            Self::Expired { .. } => true,
            _ => false,
        }
    }
}

fn of_refresh(failure: &RefreshFailure) -> Blame {
    match failure {
        RefreshFailure::Trust(_) | RefreshFailure::Stored { .. } => Blame::Here,
        RefreshFailure::Fetch(_)
        | RefreshFailure::Refused {
            source: RefreshError::Absent { .. },
            ..
        } => Blame::Unavailable,
        RefreshFailure::Refused { .. } => Blame::Refused,
        RefreshFailure::EverySource { tried, .. } => {
            let blames = || tried.iter().map(|(_, failure)| of_refresh(failure));
            if blames().any(|blame| blame == Blame::Refused) {
                Blame::Refused
            } else {
                Blame::Unavailable
            }
        }
    }
}

impl From<RefreshFailure> for CopyError {
    fn from(failure: RefreshFailure) -> Self {
        Self::Refresh(Box::new(failure))
    }
}

impl From<InventoryError> for CopyError {
    fn from(error: InventoryError) -> Self {
        Self::Inventory(Box::new(error))
    }
}

impl From<ObjectError> for CopyError {
    fn from(error: ObjectError) -> Self {
        Self::Local(Arc::new(error))
    }
}

/// The first things that are lacking, and how many there are, in words.
struct Shortage<'a>(&'a [(String, Failure)], usize);

impl fmt::Display for Shortage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(first, count) = self;
        let shown = first.iter().take(SHOWN);
        let shown: Vec<String> = shown
            .map(|(what, failure)| format!("{what} ({})", failure.with_causes()))
            .collect();
        f.write_str(&shown.join(", "))?;
        match count {
            1 => f.write_str(" is"),
            count if *count <= SHOWN => f.write_str(" are"),
            count => write!(f, " and others, at least {count} in all, are"),
        }
    }
}

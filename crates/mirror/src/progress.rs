//! How far a run has come, for whoever shows it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Counters that a run keeps and anybody may read.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    roles: AtomicU64,
    pages_wanted: AtomicU64,
    pages: AtomicU64,
    files: AtomicU64,
    fetched_files: AtomicU64,
    bytes: AtomicU64,
}

/// What a run is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Asking for the index's state.
    #[default]
    Refreshing,
    /// Reading what the state signs for.
    Listing,
    /// Fetching pages and files.
    Fetching,
    /// Putting the new state in place.
    Publishing,
    /// Giving files their plain names, and taking away what has left.
    Tidying,
}

const PHASES: [Phase; 5] = [
    Phase::Refreshing,
    Phase::Listing,
    Phase::Fetching,
    Phase::Publishing,
    Phase::Tidying,
];

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// What the run is at.
    pub phase: Phase,
    /// Roles that were fetched.
    pub roles: u64,
    /// Projects whose pages are new or have changed.
    pub pages_wanted: u64,
    /// Of those, how many are here with all their files.
    pub pages: u64,
    /// Files that are here, of the projects so far.
    pub files: u64,
    /// Files that were fetched.
    pub fetched_files: u64,
    /// Bytes that were fetched: roles, pages, files and what belongs to them.
    pub bytes: u64,
}

impl Progress {
    /// The counters now.
    #[must_use]
    pub fn reached(&self) -> Reached {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let phase = usize::from(self.phase.load(Ordering::Relaxed));
        Reached {
            phase: PHASES.get(phase).copied().unwrap_or_default(),
            roles: read(&self.roles),
            pages_wanted: read(&self.pages_wanted),
            pages: read(&self.pages),
            files: read(&self.files),
            fetched_files: read(&self.fetched_files),
            bytes: read(&self.bytes),
        }
    }

    /// A run begins.
    pub(crate) fn begin(&self) {
        for counter in [
            &self.roles,
            &self.pages_wanted,
            &self.pages,
            &self.files,
            &self.fetched_files,
            &self.bytes,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        self.enter(Phase::Refreshing);
    }

    pub(crate) fn enter(&self, phase: Phase) {
        let number = PHASES.iter().position(|known| *known == phase);
        let number = u8::try_from(number.unwrap_or(0)).unwrap_or(0);
        self.phase.store(number, Ordering::Relaxed);
        if phase == Phase::Listing {
            // A run may begin again.
            self.pages.store(0, Ordering::Relaxed);
            self.files.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn want_pages(&self, count: u64) {
        self.pages_wanted.store(count, Ordering::Relaxed);
    }

    pub(crate) fn role(&self, bytes: u64) {
        self.roles.fetch_add(1, Ordering::Relaxed);
        self.bytes(bytes);
    }

    pub(crate) fn page(&self) {
        self.pages.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fetched_file(&self) {
        self.fetched_files.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

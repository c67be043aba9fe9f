//! What an audit has done so far, counted by many threads and read by whoever watches.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// Counters that only grow. Shared with whoever shows progress.
#[derive(Debug, Default)]
pub struct Tally {
    pub(super) roles_expected: AtomicU64,
    pub(super) roots: AtomicU64,
    pub(super) roles: AtomicU64,
    pub(super) pages: AtomicU64,
    pub(super) files: AtomicU64,
    pub(super) file_bytes: AtomicU64,
    pub(super) core_metadata: AtomicU64,
    pub(super) chunk_lists: AtomicU64,
    pub(super) signatures: AtomicU64,
    pub(super) provenances: AtomicU64,
    pub(super) certificates: AtomicU64,
    pub(super) plain_names: AtomicU64,
    pub(super) plain_alone: AtomicU64,
    pub(super) unsigned_copies: AtomicU64,
    pub(super) other_targets: AtomicU64,
    pub(super) superseded: AtomicU64,
    pub(super) left_out: AtomicU64,
    pub(super) recorded: AtomicU64,
    pub(super) lengths_only: AtomicU64,
    pub(super) bytes_read: AtomicU64,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Delegated roles that the snapshot lists.
    pub roles_expected: u64,
    /// Roots.
    pub roots: u64,
    /// Delegated roles that are there as they were signed.
    pub roles: u64,
    /// Pages that are there as they were signed.
    pub pages: u64,
    /// Distribution files that are there as they were signed.
    pub files: u64,
    /// Their length, all together, in bytes.
    pub file_bytes: u64,
    /// Core metadata of files.
    pub core_metadata: u64,
    /// Chunk lists of files.
    pub chunk_lists: u64,
    /// OpenPGP signatures of files that are there as they were uploaded; whose they are is not
    /// looked at.
    pub signatures: u64,
    /// Provenance of files that is there as it was signed; whether it verifies is not looked at.
    pub provenances: u64,
    /// OpenPGP certificates of projects, those of one counted once.
    pub certificates: u64,
    /// Plain names that are the signed file.
    pub plain_names: u64,
    /// Files that are there under their plain name alone.
    pub plain_alone: u64,
    /// Unsigned copies that are what is signed.
    pub unsigned_copies: u64,
    /// Targets that are neither pages nor files, which are not looked at.
    pub other_targets: u64,
    /// Targets that no search comes to, since another role answers first.
    pub superseded: u64,
    /// Objects that are not there, and were not to be copied.
    pub left_out: u64,
    /// Objects that an earlier run verified and that have not changed since.
    pub recorded: u64,
    /// Objects of which only the presence and the length were asked for.
    pub lengths_only: u64,
    /// Bytes that were read and hashed.
    pub bytes_read: u64,
}

impl Tally {
    /// What was counted until now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let now = |counter: &AtomicU64| counter.load(Relaxed);
        Counts {
            roles_expected: now(&self.roles_expected),
            roots: now(&self.roots),
            roles: now(&self.roles),
            pages: now(&self.pages),
            files: now(&self.files),
            file_bytes: now(&self.file_bytes),
            core_metadata: now(&self.core_metadata),
            chunk_lists: now(&self.chunk_lists),
            signatures: now(&self.signatures),
            provenances: now(&self.provenances),
            certificates: now(&self.certificates),
            plain_names: now(&self.plain_names),
            plain_alone: now(&self.plain_alone),
            unsigned_copies: now(&self.unsigned_copies),
            other_targets: now(&self.other_targets),
            superseded: now(&self.superseded),
            left_out: now(&self.left_out),
            recorded: now(&self.recorded),
            lengths_only: now(&self.lengths_only),
            bytes_read: now(&self.bytes_read),
        }
    }

    pub(super) fn one(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Relaxed);
    }

    pub(super) fn root(&self, bytes: u64) {
        Self::one(&self.roots);
        self.read(bytes);
    }

    pub(super) fn expect_roles(&self, roles: u64) {
        self.roles_expected.store(roles, Relaxed);
    }
}

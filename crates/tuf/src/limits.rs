//! Every number that bounds what a client does for a repository it does not trust yet.
//!
//! The values are those of the reference implementation's client (python-tuf 7,
//! `tuf.ngclient.config`), so that what it accepts we accept, except where noted. It goes by the length
//! that other metadata states, where one is stated, and by these where none is; ours hold in any case.

/// Bytes of one root file (TUF §5.3.3, "W"; reference client).
pub const MAX_ROOT_LENGTH: u64 = 512_000;
/// Bytes of the timestamp (TUF §5.4.1, "X"; reference client).
pub const MAX_TIMESTAMP_LENGTH: u64 = 16_384;
/// Bytes of a snapshot (TUF §5.5.1, "Y"). Ours: a claimed project is some 130 of them, with the digest of its
/// role, and there is to be room for 100,000; 32,768 bins with versions alone are about 1.2 MB. The reference
/// client reads 2,000,000 where the timestamp states no length; that of a Wheelmark index does.
pub const MAX_SNAPSHOT_LENGTH: u64 = 16_000_000;
/// Bytes of the longest snapshot that an index makes, signatures aside. Ours: what is left up to
/// [`MAX_SNAPSHOT_LENGTH`] is for these, for versions that get longer, and for what comes in at once.
pub const MOST_SNAPSHOT_LENGTH: u64 = 15_000_000;
/// Bytes of a targets role, top-level or delegated (TUF §5.6.1; reference client).
pub const MAX_TARGETS_LENGTH: u64 = 5_000_000;
/// Root versions accepted in one refresh (TUF §5.3.3; reference client).
pub const MAX_ROOT_ROTATIONS: u32 = 256;
/// Delegated roles visited in one search (TUF §5.6.7.1; reference client).
pub const MAX_DELEGATIONS: usize = 32;
/// Delegated roles visited on a walk through all of them. Ours: a snapshot of
/// [`MAX_SNAPSHOT_LENGTH`] has room for some 120,000 claimed projects, and for 32,768 bins beside
/// most of them; a role is visited more than once only where several delegate to it.
pub const MAX_WALKED_ROLES: usize = 200_000;
/// Levels of arrays and objects in a metadata file. Ours: metadata needs eight, and the
/// rest is room for `custom` data. The reference client inherits Python's limit.
pub const MAX_JSON_DEPTH: usize = 64;

/// The limits a client works under. [`Default`] gives the constants of this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one root file.
    pub root_length: u64,
    /// Bytes of the timestamp.
    pub timestamp_length: u64,
    /// Bytes of a snapshot, even where the timestamp states a greater length.
    pub snapshot_length: u64,
    /// Bytes of a targets role, even where the snapshot states a greater length.
    pub targets_length: u64,
    /// Root versions accepted in one refresh.
    pub root_rotations: u32,
    /// Delegated roles visited in one search.
    pub delegations: usize,
    /// Delegated roles visited on a walk through all of them.
    pub walked_roles: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            root_length: MAX_ROOT_LENGTH,
            timestamp_length: MAX_TIMESTAMP_LENGTH,
            snapshot_length: MAX_SNAPSHOT_LENGTH,
            targets_length: MAX_TARGETS_LENGTH,
            root_rotations: MAX_ROOT_ROTATIONS,
            delegations: MAX_DELEGATIONS,
            walked_roles: MAX_WALKED_ROLES,
        }
    }
}

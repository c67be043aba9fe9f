//! What a backup is written to: a directory, or one file.

use std::collections::BTreeSet;
use std::path::Path;

use wheelmark_objects::OpenObject;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use super::Manifest;

/// How much was written that was not there before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Copied {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// What takes in the parts of a backup. Names are those in the backup, with `/`.
///
/// Until [`Destination::finish`] has returned, nothing of it counts as a backup.
pub(super) trait Destination: Send {
    /// Where a database can be put together.
    fn scratch(&self) -> &Path;

    /// Takes a file away from where it was put together, and in.
    fn take(&mut self, from: &Path, name: &str) -> anyhow::Result<()>;

    /// Takes in an object, which never changes once it has its name. `open` was opened without
    /// following any link; `from` is its path, which somebody else may have changed meanwhile.
    fn object(&mut self, open: OpenObject, from: &Path, name: &str) -> anyhow::Result<()>;

    /// Takes in a file that may be another than last time.
    fn replace(&mut self, from: &Path, name: &str) -> anyhow::Result<()>;

    /// Gives what is in already a second name.
    fn second_name(&mut self, of: &str, name: &str) -> anyhow::Result<()>;

    /// Takes in what everybody may read.
    fn write(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()>;

    /// Takes in what only its owner may read.
    fn write_private(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()>;

    /// Whether an earlier backup left something of this name.
    fn has(&self, name: &str) -> bool;

    /// Whether an earlier backup left all names of a project that this page gives.
    fn has_names(&self, project: &ProjectName, page: &Sha256) -> bool;

    /// Forgets the names in a folder that are not among these.
    fn keep_only(&mut self, folder: &str, names: &BTreeSet<String>) -> anyhow::Result<()>;

    /// Makes durable what was taken in so far.
    fn flush(&mut self) -> anyhow::Result<()>;

    /// Ends the backup, with what it is; from here on it counts.
    fn finish(self: Box<Self>, manifest: &mut Manifest) -> anyhow::Result<Copied>;
}

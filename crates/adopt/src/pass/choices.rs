//! What a person has chosen for a pass.

use std::collections::BTreeSet;
use std::time::Duration;

use wheelmark_objects::Sharing;
use wheelmark_packaging::ProjectName;

/// What a person has chosen.
#[derive(Clone, Debug)]
pub struct Choices {
    /// Go through these projects alone; through all where there are none.
    pub projects: Vec<ProjectName>,
    /// Read every file again, also those that look as they did.
    pub rehash: bool,
    /// How long a local file without a stated digest has to be left alone before it is signed:
    /// whoever copies it there may not be done.
    pub settle: Duration,
    /// Whether files may be shared with the source.
    pub sharing: Sharing,
    /// Go on although most of the source is gone.
    pub accept_loss: bool,
    /// How many files are read at a time.
    pub parallel: usize,
    /// File names (or `project/file`) that keep the bytes that were signed.
    pub keep: BTreeSet<String>,
    /// File names (or `project/file`) that are taken off the index for good.
    pub withdraw: BTreeSet<String>,
}

//! Why a pass ends before its end.

use wheelmark_objects::ObjectError;
use wheelmark_store::StoreError;

use crate::known::KnownError;
use crate::source::SourceError;

/// Why a pass ended before its end. What it had done until then stays done.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The source could not be gone through.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The tree could not be written.
    #[error("the tree could not be written")]
    Objects(#[from] ObjectError),
    /// The journal could not be written.
    #[error("the journal could not be written")]
    Store(#[from] StoreError),
    /// The memory of what was signed failed.
    #[error(transparent)]
    Known(#[from] KnownError),
    /// No room for a file that is fetched.
    #[error("there is no room for {filename}")]
    Full {
        /// The file.
        filename: String,
        /// What the file system said.
        source: std::io::Error,
    },
    /// Most of the source is gone.
    #[error("the source has {seen} of the {known} {what} that were signed from it")]
    Lost {
        /// Projects or files.
        what: &'static str,
        /// How many of them were signed.
        known: u64,
        /// How many of them the source still has.
        seen: u64,
    },
}

impl PassError {
    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Objects(error) => error.is_full(),
            Self::Store(error) => error.is_full(),
            Self::Source(_) | Self::Known(_) | Self::Lost { .. } => false,
        }
    }
}

//! What can go wrong when the tree is read.

use std::sync::Arc;

use wheelmark_objects::ObjectError;
use wheelmark_packaging::simple::{ListError, PageError};
use wheelmark_store::StoreError;
use wheelmark_tuf::{IndexRecoveryError, VerifyError};

/// Why a request to read was not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// There is nothing at this path.
    #[error("nothing is at `{}`", path.escape_debug())]
    Absent {
        /// The path of the request.
        path: String,
    },
    /// There is no such project.
    #[error("there is no project `{}`", name.escape_debug())]
    NoProject {
        /// Its name, as it was asked for.
        name: String,
    },
    /// The path does not know this method.
    #[error("this path does not take that method")]
    Method,
    /// The bytes asked for lie behind the end.
    #[error("the range begins behind the end of the {len} bytes")]
    Range {
        /// The length of the whole, in bytes.
        len: u64,
    },
    /// The tree could not be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// An object could not be read to its end.
    #[error("an object could not be read")]
    Io(#[from] std::io::Error),
    /// The page in the tree is not a page.
    #[error("a page in the tree is damaged")]
    Page(#[from] PageError),
    /// The list in the tree is not a list.
    #[error("the list of projects in the tree is damaged")]
    List(#[from] ListError),
    /// What is published is not what the index's keys have signed.
    #[error("the published metadata is damaged")]
    Metadata(#[from] VerifyError),
    /// What `targets` says of the last recovery cannot be read.
    #[error(transparent)]
    Recovery(#[from] IndexRecoveryError),
    /// The bulletin of this state could not be verified a moment ago.
    #[error("the bulletin cannot be verified, and is not looked at again for some seconds")]
    Bulletin(#[source] Arc<ReadError>),
    /// The catalogue could not be asked.
    #[error("the catalogue did not answer")]
    Store(#[from] StoreError),
    /// Too many ask for what takes long to make.
    #[error("too many documents are being made at the moment")]
    Busy,
    /// The work was stopped: the server is shutting down.
    #[error("the server is shutting down")]
    Stopped,
}

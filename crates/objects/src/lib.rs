//! The published tree: what every object in it is called, and where it lives.
//!
//! ```text
//!   names, checked before          an untrusted request
//!            │                               │
//!            ▼                               ▼
//!      ObjectPath::page(…)          ObjectPath::from_request(…)
//!            └───────────────┬───────────────┘
//!                            ▼
//!        Directory  create, create_all, place, take_in, link   create-only, durable
//!                   replace, replace_all, unname_all, mend     under a WriterLock
//!                   read, open_object, size, exists
//! ```
//!
//! The tree itself is specified in `docs/layout.md`. Its rule is that an object never changes
//! once it has a name; only the timestamp and the unsigned convenience copies are overwritten.
//! So creating an object that is there already with the same bytes is a success
//! ([`Creation::AlreadySame`]), and with other bytes it is [`ObjectError::Different`]: whoever
//! was interrupted simply does everything again.
//!
//! When a call that writes returns `Ok`, what it wrote survives a power failure, and before that
//! no reader ever sees a part of an object under its name. A [`Delivery`] takes the steps apart,
//! for whoever brings a whole tree and vouches for none of it before its end; and whoever keeps a
//! durable record of what they write, and writes it again after a power failure, leaves the flushes
//! out altogether ([`Replayable`]).

mod chunks;
mod directory;
mod path;
mod target;

pub use self::chunks::{CHUNK_LEN, CHUNKS_ABOVE, ContentHasher, Hashed};
pub use self::directory::{
    Creation, Delivery, Described, Directory, LockError, Manner, Named, ObjectError, OpenError,
    OpenObject, Outside, OutsideFile, Ready, Replayable, Restored, Seen, Sharing, Staged, Stamp,
    Swept, TakenIn, Unsettled, WriterLock,
};
pub use self::path::{
    Kind, MAX_FILENAME_LEN, MAX_SEGMENT_LEN, MAX_SHA512_FILENAME_LEN, MAX_STATUS_PROJECT_LEN,
    ObjectPath, PathError,
};
pub use self::target::{file_target, page_target, status_target};

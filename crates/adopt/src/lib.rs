//! Takes in what an index that exists already holds, so that it can be signed where it is.
//!
//! ```text
//!   a directory of files ─┐                      ┌─ known, unchanged: nothing to do
//!   a PEP 503/691 tree   ─┼▶ scan ─▶ Listed ─▶ compare ─▶ fetch, hash, look inside
//!   an index by URL      ─┘  (streamed)          │                 │
//!                                           Known, in SQLite       ▼
//!                              what was signed, and how     objects: link or copy
//!                              the source showed it                │
//!                                                                  ▼
//!                                              store: journal ─▶ the snapshot process (not here)
//! ```
//!
//! A [`Pass`] goes through a [`Source`] once. It holds a bounded number of files at a time,
//! however many there are, and writes down what it has done after every batch, so a pass that
//! was killed is taken up by the next one. Nothing here signs, and nothing here is trusted: the
//! source is somebody else's word, and what a pass leaves behind is a journal, as an upload does.
//!
//! Bytes that were signed under a name stay. Where the source shows others under it, that is a
//! [`Conflict`], for a person to decide.

mod beneath;
mod content;
mod digests;
mod known;
mod listed;
mod pass;
mod report;
mod source;

pub use self::known::{Known, KnownError, Origin};
pub use self::pass::{Choices, Pass, PassError, Step, Stopper};
pub use self::report::{Conflict, Counts, MOST_NAMES, Moment, Named, Progress, Report};
pub use self::source::{Form, Source, SourceError};

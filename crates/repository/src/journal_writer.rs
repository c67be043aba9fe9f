//! Who writes the journal that an engine follows.

use jiff::{SignedDuration, Timestamp};
use wheelmark_store::NewFile;

/// How far an upload's time may lie from its signing: PEP 480 allows ten minutes between the
/// clocks of signer and index.
pub(crate) const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// Who writes the journal, and so what it can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalWriter {
    /// A web process, which others may have taken over: it adds files that are new, and does
    /// nothing to those that are published.
    WebProcess,
    /// Whoever runs the index, on a data directory that no web process writes to: everything that
    /// a journal can say.
    Operator,
}

impl JournalWriter {
    /// Why this writer cannot change or bring back what was published, if it cannot.
    pub(crate) fn to_published(self) -> Result<(), String> {
        match self {
            Self::Operator => Ok(()),
            Self::WebProcess => Err(
                "what is published is changed and brought back by whoever runs the index alone"
                    .to_owned(),
            ),
        }
    }

    /// Why this writer cannot add the file as it is described, if it cannot.
    pub(crate) fn to_add(self, file: &NewFile) -> Result<(), String> {
        match self {
            Self::Operator => Ok(()),
            Self::WebProcess if file.back_signed || file.yanked.is_some() => Err(format!(
                "{} comes as one that was there before, or yanked: an upload is neither",
                file.filename
            )),
            Self::WebProcess => Ok(()),
        }
    }

    /// The upload time that is signed. That of an upload lies at most [`CLOCK_TOLERANCE`] back,
    /// so that a new file cannot pass for an old one; an upload that waited for longer gets the
    /// earliest time that can be.
    pub(crate) fn upload_time(self, stated: Timestamp, now: Timestamp) -> Timestamp {
        match self {
            Self::Operator => stated,
            Self::WebProcess => now
                .checked_sub(CLOCK_TOLERANCE)
                .map_or(stated, |earliest| stated.max(earliest)),
        }
    }
}

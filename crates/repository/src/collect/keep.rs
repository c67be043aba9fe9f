//! What a collection leaves.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many snapshots stay at least, the published one among them, however old they are. PEP 458,
/// *Producing Consistent Snapshots*, keeps the last few.
pub const LAST_SNAPSHOTS: u32 = 5;

/// For how long a state stays after the next one was published. Readers take their time over an
/// installation: they have the state that they began with, and fetch its pages and files. PEP 458,
/// *Producing Consistent Snapshots*, speaks of about an hour.
pub const READER_TIME: Duration = Duration::from_secs(60 * 60);

/// What a collection leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    snapshots: u32,
    seconds: u64,
    removed_seconds: Option<u64>,
}

/// Less than readers need was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// Not even the published snapshot.
    #[error("the published snapshot stays in any case: keep one or more")]
    Snapshots,
    /// A shorter time than readers take.
    #[error(
        "readers need what was published for {} minutes",
        READER_TIME.as_secs() / 60
    )]
    Time,
}

impl Keep {
    /// Keeps the last `snapshots` states, every one that was current within `time`, and whatever
    /// else is younger. `removed` is how long the bytes of a removed file stay after its removal,
    /// so that it can come back; for good where there is none.
    ///
    /// # Errors
    ///
    /// [`KeepError`] where that is less than readers need.
    pub fn new(
        snapshots: u32,
        time: Duration,
        removed: Option<Duration>,
    ) -> Result<Self, KeepError> {
        let keep = Self {
            snapshots,
            seconds: time.as_secs(),
            removed_seconds: removed.map(|time| time.as_secs()),
        };
        keep.check()
    }

    /// Keeps every state that is there, and every removed file: nothing old enough is ever found.
    pub(super) fn everything() -> Self {
        Self {
            snapshots: u32::MAX,
            seconds: u64::MAX,
            removed_seconds: None,
        }
    }

    /// The same, for one that was written down.
    pub(crate) fn check(self) -> Result<Self, KeepError> {
        if self.snapshots == 0 {
            return Err(KeepError::Snapshots);
        }
        let shortest = READER_TIME.as_secs();
        if self.seconds < shortest || self.removed_seconds.is_some_and(|time| time < shortest) {
            return Err(KeepError::Time);
        }
        Ok(self)
    }

    /// The same, with every removed file.
    pub(super) fn with_removed(self) -> Self {
        Self {
            removed_seconds: None,
            ..self
        }
    }

    pub(super) fn snapshots(self) -> usize {
        usize::try_from(self.snapshots).unwrap_or(usize::MAX)
    }

    /// What was written before this time is old enough to go.
    pub(super) fn before(self, now: Timestamp) -> SystemTime {
        let now = SystemTime::from(now);
        now.checked_sub(Duration::from_secs(self.seconds))
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Whether the bytes of a file that was removed then are to stay.
    pub(super) fn keeps_removed(self, removed_at: Timestamp, now: Timestamp) -> bool {
        let Some(seconds) = self.removed_seconds else {
            return true;
        };
        let age = now.as_second().saturating_sub(removed_at.as_second());
        u64::try_from(age).unwrap_or(0) < seconds
    }
}

//! Wakes those who wait inside this process; for other processes there is the wake socket, and
//! slow polling where it is not.

use std::time::Duration;

use tokio::sync::{Notify, watch};

/// How long a change made by another process may go unseen by the snapshot process.
pub(crate) const JOURNAL_POLL: Duration = Duration::from_millis(250);

/// How long an outcome recorded by another process may go unseen by an upload that waits.
pub(crate) const OUTCOME_POLL: Duration = Duration::from_millis(100);

/// The things that happen in a store.
#[derive(Debug)]
pub(crate) struct Signals {
    /// A journal row was appended. The permit of `notify_one` is kept until the (one)
    /// snapshot process asks, so that nothing is missed between its reading and its waiting.
    pub(crate) admitted: Notify,
    /// Outcomes were recorded; any number of uploads wait.
    pub(crate) settled: watch::Sender<()>,
    /// How long the last snapshot took.
    pub(crate) took: watch::Sender<Duration>,
}

impl Signals {
    pub(crate) fn new() -> Self {
        Self {
            admitted: Notify::new(),
            settled: watch::Sender::new(()),
            took: watch::Sender::new(Duration::ZERO),
        }
    }
}

//! How long a published snapshot stays recorded: until its files are known to be on the disk.
//!
//! Publishing flushes nothing but the record. Now and then the whole file system is flushed, while
//! publishing goes on, and what was published before that began needs no record any more.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use wheelmark_objects::{ObjectError, Replayable};
use wheelmark_store::{Intent, IntentId};

use crate::signing_log::Syncing;

/// How long after it was published a snapshot is flushed at the latest, if all goes well.
const FLUSH_AFTER: Duration = Duration::from_secs(1);

/// So many bytes of records are flushed before that time.
const FLUSHED_BYTES: usize = 8 * 1024 * 1024;

/// With so many bytes of records, publishing waits until they are flushed: a disk that does not
/// keep up must not make the database grow without end.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// The records that are kept for files that may not be on the disk.
#[derive(Debug)]
pub(crate) struct Keeping {
    tree: Replayable,
    /// The signing log, whose lines stand in the records as well.
    log: Option<Syncing>,
    /// Those published since the last flush began.
    waiting: Option<Kept>,
    flushing: Option<(Kept, JoinHandle<Result<(), ObjectError>>)>,
}

/// Records up to one of them.
#[derive(Clone, Copy, Debug)]
struct Kept {
    last: IntentId,
    bytes: usize,
    since: Instant,
}

impl Keeping {
    pub(crate) fn new(tree: Replayable, log: Option<Syncing>) -> Self {
        Self {
            tree,
            log,
            waiting: None,
            flushing: None,
        }
    }

    /// A record whose files were just written; it has so many bytes.
    pub(crate) fn keep(&mut self, last: IntentId, bytes: usize) {
        let waiting = self.waiting.get_or_insert_with(|| Kept {
            last,
            bytes: 0,
            since: Instant::now(),
        });
        waiting.last = last;
        waiting.bytes += bytes;
    }

    /// Starts over with the records up to `kept`, some of them from before: a flush that is under
    /// way may have begun before their files were written again.
    pub(crate) fn start_over(&mut self, kept: Option<(IntentId, usize)>) {
        self.waiting = None;
        self.flushing = None;
        if let Some((last, bytes)) = kept {
            self.keep(last, bytes);
        }
    }

    /// Flushes what is due, and says up to which record everything is on the disk, if that is news.
    ///
    /// # Errors
    ///
    /// When a flush has failed: what it was to flush has to be written again before the next one,
    /// for the system tells of an error once, and takes what it could not write for written.
    pub(crate) async fn tend(&mut self) -> Result<Option<IntentId>, ObjectError> {
        let is_too_much = |kept: Option<Kept>| kept.is_some_and(|kept| kept.bytes >= MOST_BYTES);
        let mut settled = None;
        if let Some((kept, task)) = self.flushing.take() {
            if task.is_finished() || is_too_much(self.waiting) {
                settled = Some(finish(kept, task).await?);
            } else {
                self.flushing = Some((kept, task));
            }
        }
        if self.flushing.is_none() && self.waiting.is_some_and(Kept::is_due) {
            let Some(waiting) = self.waiting.take() else {
                return Ok(settled);
            };
            let task = tokio::spawn(flush(self.tree.clone(), self.log.clone()));
            if is_too_much(Some(waiting)) {
                settled = Some(finish(waiting, task).await?);
            } else {
                self.flushing = Some((waiting, task));
            }
        }
        Ok(settled)
    }

    /// Flushes everything now, and says up to which record that is.
    pub(crate) async fn flush(&mut self) -> Result<Option<IntentId>, ObjectError> {
        // One that is under way may have begun too early; it ends by itself.
        let earlier = self.flushing.take().map(|(kept, _)| kept);
        let Some(kept) = self.waiting.or(earlier) else {
            return Ok(None);
        };
        self.waiting = Some(kept);
        flush(self.tree.clone(), self.log.clone()).await?;
        self.waiting = None;
        Ok(Some(kept.last))
    }
}

/// Flushes the file system of the tree, and the signing log, which may lie on another one.
async fn flush(tree: Replayable, log: Option<Syncing>) -> Result<(), ObjectError> {
    tree.flush().await?;
    let Some(log) = log else {
        return Ok(());
    };
    let synced = tokio::task::spawn_blocking(move || log.sync()).await;
    let synced = synced.map_err(|_| ObjectError::Stopped)?;
    synced.map_err(|source| ObjectError::Io {
        action: "flush",
        path: "the signing log".into(),
        source,
    })
}

/// Waits for a flush, and says up to which record it was.
async fn finish(
    kept: Kept,
    task: JoinHandle<Result<(), ObjectError>>,
) -> Result<IntentId, ObjectError> {
    task.await.unwrap_or(Err(ObjectError::Stopped))?;
    Ok(kept.last)
}

impl Kept {
    fn is_due(self) -> bool {
        self.bytes >= FLUSHED_BYTES || self.since.elapsed() >= FLUSH_AFTER
    }
}

/// How many bytes a record has, nearly.
pub(crate) fn weight(intent: &Intent) -> usize {
    let objects = intent.objects.iter();
    objects.map(|(_, bytes)| bytes.len()).sum::<usize>() + intent.timestamp.len()
}

//! One small file asked of all sources at once.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;
use url::Url;

use crate::index::metadata_below;
use crate::remote::{FetchError, Haste, Remote};

/// What one source answered.
pub(crate) struct Answer {
    /// Which source.
    pub(crate) source: usize,
    /// What it was asked for.
    pub(crate) url: Url,
    /// What it sent; nothing, where it has no such file.
    pub(crate) sent: Result<Option<Bytes>, FetchError>,
}

/// The answers of all sources, as they come. Dropping it ends the requests.
pub(crate) struct Answers {
    pending: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Those among the pending that are worth a wait.
    awaited: Vec<usize>,
    grace: Duration,
    until: Option<Instant>,
}

impl Answers {
    /// Sends the requests: each source with its metadata URL, and whether it is worth a wait
    /// once another one has answered.
    pub(crate) fn begin(
        remote: &Remote,
        sources: impl Iterator<Item = (usize, Url, bool)>,
        path: &str,
        limit: u64,
    ) -> Self {
        let pending = FuturesUnordered::new();
        let mut awaited = Vec::new();
        for (source, base, worth_a_wait) in sources {
            if worth_a_wait {
                awaited.push(source);
            }
            let url = metadata_below(&base, path);
            let remote = remote.clone();
            tracing::debug!(%url, "asking for metadata");
            let request: BoxFuture<'static, Answer> = Box::pin(async move {
                // All are asked at once: no other source waits for this one.
                let sent = remote.fetch(&url, limit, Haste::NoOtherSource).await;
                Answer { source, url, sent }
            });
            pending.push(request);
        }
        Self {
            pending,
            awaited,
            grace: remote.patience().grace,
            until: None,
        }
    }

    /// The next answer. Once there is a usable one, the others are waited for no longer than
    /// the grace, and those that were down before not at all.
    pub(crate) async fn next(&mut self, usable: bool) -> Option<Answer> {
        let answer = if usable && self.awaited.is_empty() {
            return None;
        } else if usable {
            let grace = self.grace;
            let until = *self.until.get_or_insert_with(|| Instant::now() + grace);
            let next = tokio::time::timeout_at(until, self.pending.next());
            next.await.ok().flatten()
        } else {
            self.pending.next().await
        }?;
        self.awaited.retain(|source| *source != answer.source);
        Some(answer)
    }

    /// Whether a source has not answered yet.
    pub(crate) fn are_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Those that were worth a wait and did not answer within it.
    pub(crate) fn late(&self) -> &[usize] {
        &self.awaited
    }
}

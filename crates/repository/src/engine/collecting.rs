//! The engine's garbage collections: those that were asked for, piece by piece between turns.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use wheelmark_store::{CollectionState, Intent, Seq};

use super::Engine;
use crate::collect::{CollectError, Collected, Collection, Keep, Site};
use crate::handed::said;

/// By how many seconds the clock may go ahead of the time that passes: it is set now and then. A
/// machine that slept is to be told apart from one whose clock is wrong by whoever starts it anew.
const MOST_AHEAD: i64 = 5 * 60;

/// How often people are told how far a collection is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A collection that the engine is at.
#[derive(Debug)]
pub(super) struct Collecting {
    seq: Seq,
    collection: Collection,
    told: Instant,
}

impl Collecting {
    pub(super) fn note(&mut self, intent: &Intent) {
        self.collection.keep_what_it_names(intent);
    }
}

impl Engine {
    /// Goes on with the collection that was asked for through the operator's journal, for a moment;
    /// whether there is more of it to do. To be called between turns.
    ///
    /// What fails is logged, and answered to whoever asked. It is no reason not to publish.
    pub async fn collect_some(&mut self) -> bool {
        if let Some((seq, state)) = self.unanswered.take() {
            self.tell(seq, state).await;
        }
        if self.unanswered.is_some() {
            return false;
        }
        let Some(collecting) = self.collecting.take() else {
            return self.begin_collecting().await;
        };
        let Collecting {
            seq,
            mut collection,
            told,
        } = collecting;
        let stepped = collection.step(&self.site()).await;
        match stepped {
            Ok(true) => {
                let due = told.elapsed() >= TELL_EVERY;
                if due {
                    let so_far = serde_json::to_string(collection.so_far()).unwrap_or_default();
                    self.progress(seq, so_far).await;
                }
                self.collecting = Some(Collecting {
                    seq,
                    collection,
                    told: if due { Instant::now() } else { told },
                });
                true
            }
            Ok(false) => {
                let done = collection.finish();
                log(&done);
                let done = serde_json::to_string(&done).unwrap_or_default();
                self.tell(seq, CollectionState::Done(done)).await;
                false
            }
            Err(error) => {
                self.failed(seq, &error).await;
                false
            }
        }
    }

    async fn begin_collecting(&mut self) -> bool {
        let Some(orders) = &self.ceremonies else {
            return false;
        };
        let asked = match orders.collection_asked().await {
            Ok(asked) => asked,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(
                    error,
                    "whether a garbage collection is asked for is not known"
                );
                None
            }
        };
        let Some((seq, keep)) = asked else {
            return false;
        };
        let keep = serde_json::from_str::<Keep>(&keep).ok();
        let Some(keep) = keep.and_then(|keep| keep.check().ok()) else {
            let why = "what is to be kept cannot be read, or is less than readers need";
            self.tell(seq, CollectionState::Failed(why.to_owned()))
                .await;
            return true;
        };
        let now = self.clock.now();
        let begun = match self.clock_went_ahead(now) {
            Some(seconds) => Err(CollectError::ClockAhead { seconds }),
            None => Collection::begin(&self.site(), keep, now).await,
        };
        match begun {
            Ok(collection) => {
                self.collecting = Some(Collecting {
                    seq,
                    collection,
                    told: Instant::now(),
                });
            }
            Err(error) => self.failed(seq, &error).await,
        }
        true
    }

    /// By how many seconds the clock has gone ahead of the time that has passed, where that is so
    /// much that the age of nothing can be told.
    fn clock_went_ahead(&self, now: Timestamp) -> Option<i64> {
        let (at, then) = self.started;
        let passed = i64::try_from(at.elapsed().as_secs()).unwrap_or(i64::MAX);
        let ahead = now.duration_since(then).as_secs().saturating_sub(passed);
        (ahead > MOST_AHEAD).then_some(ahead)
    }

    fn site(&self) -> Site<'_> {
        Site {
            tree: &self.tree,
            lock: Some(&self.lock),
            store: &self.store,
            orders: self.ceremonies.as_ref(),
        }
    }

    async fn failed(&mut self, seq: Seq, error: &CollectError) {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "a garbage collection ended early; nothing that is published was touched"
        );
        self.tell(seq, CollectionState::Failed(said(error))).await;
    }

    /// Says how far it is, if that can be written: on a full disk it cannot.
    async fn progress(&self, seq: Seq, so_far: String) {
        if let Some(orders) = &self.ceremonies {
            let state = CollectionState::Waiting(Some(so_far));
            let told = orders.tell_of_collection(seq, &state).await;
            tracing::debug!(?told, "told how far a garbage collection is");
        }
    }

    /// Answers. What cannot be written now is kept, so that the same is not done again and again.
    async fn tell(&mut self, seq: Seq, state: CollectionState) {
        let Some(orders) = &self.ceremonies else {
            return;
        };
        if let Err(error) = orders.tell_of_collection(seq, &state).await {
            let error: &dyn std::error::Error = &error;
            tracing::error!(
                error,
                "what became of a garbage collection cannot be written down yet"
            );
            self.unanswered = Some((seq, state));
        }
    }
}

fn log(done: &Collected) {
    let total = done.total();
    tracing::info!(
        objects = total.objects,
        bytes = total.bytes,
        kept_snapshots = done.kept_snapshots,
        refused = done.refused,
        "collected what no kept snapshot names"
    );
}

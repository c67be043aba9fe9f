//! A pass through the source, with the snapshot process beside it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wheelmark_adopt::{Choices, Known, Pass, PassError, Report, Source, Step};
use wheelmark_objects::Directory;
use wheelmark_repository::{Engine, Turn};
use wheelmark_store::Store;
use wheelmark_tuf::Clock;

use super::CHANGES_PER_SNAPSHOT;
use super::progress::Shown;
use crate::commands::up::StopSignals;
use crate::logging::WithHint as _;

/// How long changes wait at most while more are coming: what is signed is of use already.
const WAIT_FOR_MORE: Duration = Duration::from_secs(60);

/// What a pass needs, and keeps for the next one.
pub(super) struct Passing {
    pub(super) tree: Arc<Directory>,
    pub(super) store: Store,
    pub(super) known: Known,
    pub(super) engine: Engine,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) choices: Choices,
}

/// How a pass ended.
pub(super) enum Done {
    Over(Box<Report>),
    /// A person asked for it. What was read until then is signed.
    Stopped,
}

impl Passing {
    /// Goes through the source once, signs what there is to sign, and renews what is due.
    pub(super) async fn once(
        &mut self,
        source: Source,
        stop: &mut StopSignals,
    ) -> anyhow::Result<Done> {
        let shown = Shown::start();
        // What an earlier run left in the journal comes first.
        self.publish(&shown).await?;
        let begun = Pass::begin(
            source,
            self.tree.clone(),
            self.store.clone(),
            self.known.clone(),
            self.clock.now(),
            self.choices.clone(),
        );
        let mut pass = begun.await.or_else(explain)?;
        shown.watch(pass.progress());
        let (mut waiting, mut since) = (0, Instant::now());
        let ended = loop {
            let step = tokio::select! {
                step = pass.next() => step,
                () = stop.received() => break Ok(Done::Stopped),
            };
            match step {
                Ok(Step::Asked(changes)) => waiting += changes,
                Ok(Step::Over) => break Ok(Done::Over(Box::default())),
                Err(error) => break Err(error),
            }
            let enough = waiting >= u64::from(CHANGES_PER_SNAPSHOT.get());
            if enough || since.elapsed() >= WAIT_FOR_MORE {
                self.publish(&shown).await?;
                pass.settle().await.or_else(explain)?;
                (waiting, since) = (0, Instant::now());
            }
        };
        // Also after an error: what was taken in until then is whole.
        let published = self.publish(&shown).await;
        drop(shown);
        let ended = ended.or_else(explain)?;
        published?;
        pass.settle().await.or_else(explain)?;
        Ok(match ended {
            Done::Over(_) => Done::Over(Box::new(pass.into_report())),
            Done::Stopped => Done::Stopped,
        })
    }

    /// Publishes all that is pending or due.
    pub(super) async fn publish(&mut self, shown: &Shown) -> anyhow::Result<()> {
        loop {
            match self.engine.turn().await {
                Ok(Turn::Idle) => return Ok(()),
                Ok(Turn::Published { changes, .. }) => shown.signed(changes as u64),
                Err(error) => {
                    let hint = if error.is_full() {
                        "make room, and run it again: it goes on where it stopped; readers keep the last snapshot"
                    } else {
                        "run it again: it goes on where it stopped; readers keep the last snapshot"
                    };
                    return Err(error).hint(hint);
                }
            }
        }
    }
}

fn explain<T>(error: PassError) -> anyhow::Result<T> {
    let hint = match &error {
        error if error.is_full() => "make room, and run it again: it goes on where it stopped",
        PassError::Lost { .. } => {
            "nothing was taken away. If the source is right, and this much is meant to go, say --accept-loss"
        }
        PassError::Source(_) => "nothing was taken away; run it again when the source can be read",
        PassError::Objects(_)
        | PassError::Store(_)
        | PassError::Known(_)
        | PassError::Full { .. } => "what was signed stays; run it again to go on",
    };
    Err(error).hint(hint)
}

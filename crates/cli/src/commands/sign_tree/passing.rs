//! A pass through the source, with the snapshot process beside it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wheelmark_adopt::{Choices, Known, Pass, PassError, Report, Source, Step, Stopper};
use wheelmark_objects::Directory;
use wheelmark_repository::{Engine, Lifetimes, Turn};
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

/// How a pass ended, and what it came to.
pub(super) enum Done {
    Over(Box<Report>),
    /// A person asked for it. What was read until then is signed.
    Stopped(Box<Report>),
}

impl Passing {
    /// Goes through the source once, signs what there is to sign, and renews what is due.
    pub(super) async fn once(
        &mut self,
        source: Source,
        stop: &mut StopSignals,
    ) -> anyhow::Result<Done> {
        let shown = Shown::start();
        // What an earlier run left, in the journal or on the way to it, comes first.
        Pass::take_up(&self.store, &self.known)
            .await
            .or_else(explain)?;
        self.publish(&shown).await?;
        let begun = Pass::begin(
            source,
            (self.tree.clone(), self.engine.lock()),
            self.store.clone(),
            self.known.clone(),
            self.clock.now(),
            self.choices.clone(),
        );
        let (mut pass, stopper) = begun.await.or_else(explain)?;
        shown.watch(pass.progress());
        let (mut waiting, mut since) = (0, Instant::now());
        let mut stopping = false;
        let ended = loop {
            match step(&mut pass, &stopper, stop, &mut stopping).await {
                Ok(Step::Asked(changes)) => waiting += changes,
                Ok(Step::On) => {}
                Ok(Step::Over) => break Ok(false),
                Ok(Step::Stopped) => break Ok(true),
                Err(error) => break Err(error),
            }
            let enough = waiting >= u64::from(CHANGES_PER_SNAPSHOT.get());
            let late = waiting > 0 && since.elapsed() >= WAIT_FOR_MORE;
            // However long a pass takes: signatures must not run out under it.
            let renewal = since.elapsed() >= Lifetimes::default().tick();
            if enough || late || renewal {
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
        let report = Box::new(pass.into_report());
        Ok(match ended {
            false => Done::Over(report),
            true => Done::Stopped(report),
        })
    }

    /// Publishes all that is pending or due.
    pub(super) async fn publish(&mut self, shown: &Shown) -> anyhow::Result<()> {
        loop {
            let turn = match self.engine.turn().await {
                // Whoever serves the tree may never start this program again.
                Ok(Turn::Idle) => self.engine.flush().await.map(|()| Turn::Idle),
                turn => turn,
            };
            match turn {
                Ok(Turn::Idle) => {
                    while self.engine.collect_some().await {}
                    return Ok(());
                }
                Ok(Turn::Published { changes, .. }) => shown.signed(changes as u64),
                Ok(Turn::Read) => {}
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

/// The next step of a pass. Whoever asks for an end gets it as soon as nothing is lost by it, and
/// at once when asking a second time.
async fn step(
    pass: &mut Pass,
    stopper: &Stopper,
    stop: &mut StopSignals,
    stopping: &mut bool,
) -> Result<Step, PassError> {
    let next = pass.next();
    tokio::pin!(next);
    loop {
        tokio::select! {
            step = &mut next => return step,
            () = stop.received() => {
                if *stopping {
                    return Ok(Step::Stopped);
                }
                *stopping = true;
                stopper.stop();
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

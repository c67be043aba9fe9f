//! One way through a source: what is new is taken in, what changed is followed.

mod batch;
mod choices;
mod companions;
mod compare;
mod error;
mod guard;
mod mending;
mod reading;
mod removing;
mod taking;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};
use wheelmark_objects::{Directory, WriterLock};
use wheelmark_packaging::ProjectName;
use wheelmark_store::{FileState, Seq, Store};
use wheelmark_tuf::Sha256;

pub use self::choices::Choices;
pub use self::error::PassError;

use self::batch::Batch;
use self::compare::{Event, compare};
use self::reading::reading;
use crate::known::{Known, Remember, State};
use crate::report::{Progress, Report};
use crate::source::{Scan, Source, SourceError};

/// How many findings of a scan wait to be compared.
const WAITING: usize = 512;

/// How long a batch waits for more.
const LINGER: Duration = Duration::from_secs(5);

/// What a pass has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something is in the journal, as many changes as this since it was last said.
    Asked(u64),
    /// It goes on, and there was nothing to ask for lately. The caller may have other duties.
    On,
    /// The pass is over.
    Over,
    /// The pass was stopped. What was read until then is in the journal.
    Stopped,
}

/// Stops a pass from elsewhere, at a point where nothing is lost that was read.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Asks for it. The pass says when it has stopped.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

type Events = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// One way through a source.
pub struct Pass {
    source: Source,
    tree: Arc<Directory>,
    lock: WriterLock,
    store: Store,
    known: Known,
    now: Timestamp,
    choices: Choices,
    events: Events,
    scan: Option<JoinHandle<Result<(), SourceError>>>,
    comparing: Option<JoinHandle<()>>,
    tasks: Vec<AbortHandle>,
    batch: Batch,
    /// What is to be remembered without anything being signed.
    touched: Vec<Remember>,
    /// Projects that were gone through, with files in the batch perhaps.
    read: Vec<ProjectName>,
    /// Journal rows that were asked for and not told yet.
    asked: u64,
    /// The last journal row whose refusal was looked for.
    settled: Seq,
    /// Whether there may be projects that the source did not list.
    list_is_short: bool,
    /// The last file that was asked to be taken off the index because the source has it no more.
    removed_up_to: Option<(ProjectName, String)>,
    /// Names that were given to be decided on and were not met.
    undecided: BTreeSet<String>,
    phase: Phase,
    stop: watch::Receiver<bool>,
    progress: Arc<Progress>,
    report: Report,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Scanning,
    Removing,
    Over,
    Stopped,
}

impl Pass {
    /// Asks for what an earlier pass was cut off from asking for. What comes of it has to be
    /// published before the next pass begins.
    ///
    /// # Errors
    ///
    /// When the journal or the memory cannot be read or written.
    pub async fn take_up(store: &Store, known: &Known) -> Result<(), PassError> {
        removing::take_up(store, known).await
    }

    /// Begins to go through `source`. `now` is the time of the pass; `lock` protects `tree`.
    ///
    /// # Errors
    ///
    /// When the journal or the memory cannot be read or written.
    pub async fn begin(
        source: Source,
        (tree, lock): (Arc<Directory>, WriterLock),
        store: Store,
        known: Known,
        now: Timestamp,
        choices: Choices,
    ) -> Result<(Self, Stopper), PassError> {
        let mut known = known;
        known.begin().await?;
        // From the beginning: what an earlier pass asked for may have been refused since it ended.
        let settled = Seq(0);
        let mut report = Report::default();
        let mut undecided: BTreeSet<String> =
            choices.keep.union(&choices.withdraw).cloned().collect();
        // Before anything is compared with it.
        let asked =
            removing::withdraw(&store, &known, &choices, &mut undecided, &mut report).await?;
        let progress = Arc::new(Progress::default());
        let (tell, found) = mpsc::channel(WAITING);
        let scan = tokio::spawn(source.clone().scan(Scan {
            projects: choices.projects.clone(),
            now,
            found: tell,
        }));
        let (hand_on, work) = mpsc::channel(WAITING);
        let comparing = tokio::spawn(compare(
            found,
            hand_on,
            known.clone(),
            choices.clone(),
            progress.clone(),
        ));
        let (stopper, stop) = watch::channel(false);
        let pass = Self {
            tasks: vec![scan.abort_handle(), comparing.abort_handle()],
            events: reading(work, &source, &tree, (&choices, now), &progress),
            source,
            tree,
            lock,
            store,
            known,
            now,
            choices,
            scan: Some(scan),
            comparing: Some(comparing),
            batch: Batch::default(),
            touched: Vec::new(),
            read: Vec::new(),
            asked,
            settled,
            list_is_short: false,
            removed_up_to: None,
            undecided,
            phase: Phase::Scanning,
            stop,
            progress,
            report,
        };
        Ok((pass, Stopper(stopper)))
    }

    /// How far it has come, to be watched while it goes on.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// What it found and did so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Ends it, and says what it found and did.
    pub fn into_report(mut self) -> Report {
        self.report.counts.bytes_read = self.progress.now().bytes_read;
        std::mem::take(&mut self.report)
    }

    /// Goes on for a while: until something more is in the journal, for some seconds, or to the
    /// end. Dropping the future before it is done loses what was read and not yet written down.
    ///
    /// # Errors
    ///
    /// See [`PassError`]. What was told before stays done, and the next pass goes on from there.
    pub async fn next(&mut self) -> Result<Step, PassError> {
        match self.phase {
            Phase::Scanning => self.scan_on().await?,
            Phase::Removing => self.remove_on().await?,
            Phase::Over | Phase::Stopped => {}
        }
        Ok(match (std::mem::take(&mut self.asked), self.phase) {
            (0, Phase::Over) => Step::Over,
            (0, Phase::Stopped) => Step::Stopped,
            (0, Phase::Scanning | Phase::Removing) => Step::On,
            (asked, _) => Step::Asked(asked),
        })
    }

    /// Reads what the snapshot process refused; to be called when it has followed the journal.
    /// What was refused is as it was before, and the next pass asks again.
    ///
    /// # Errors
    ///
    /// When the journal or the memory cannot be read or written.
    pub async fn settle(&mut self) -> Result<(), PassError> {
        for (seq, reason) in self.store.refusals(self.settled).await? {
            self.settled = self.settled.max(seq);
            let Some((project, filename)) = self.known.changed_by(seq.0).await? else {
                continue;
            };
            let there = self.store.file(&project, &filename).await?;
            let stands = there.map(|row| match row.state {
                FileState::Published | FileState::Pending => (State::Signed, row.yanked),
                FileState::Removed => (State::Removed, row.yanked),
            });
            self.known.go_back(&project, &filename, stands).await?;
            self.report.refused(format!("{project}/{filename}"), reason);
        }
        Ok(())
    }

    async fn scan_on(&mut self) -> Result<(), PassError> {
        let linger = tokio::time::sleep(LINGER);
        tokio::pin!(linger);
        loop {
            let event = tokio::select! {
                event = self.events.next() => event,
                () = &mut linger => return self.flush().await,
                // Nobody can stop it any more if the sender is gone.
                true = stopped(&mut self.stop) => {
                    self.phase = Phase::Stopped;
                    return self.flush().await;
                }
            };
            match event {
                Some(event) => self.take(event).await?,
                None => {
                    self.flush().await?;
                    if let Some(scan) = self.scan.take() {
                        scan.await.unwrap_or(Err(SourceError::Stopped))?;
                    }
                    // What was found and not compared is not gone.
                    if let Some(comparing) = self.comparing.take() {
                        comparing.await.map_err(|_| SourceError::Stopped)?;
                    }
                    self.demand_most_is_here().await?;
                    self.phase = Phase::Removing;
                    return Ok(());
                }
            }
            if self.batch.is_full() {
                return self.flush().await;
            }
        }
    }
}

/// Waits until it is to be stopped; whether it is.
async fn stopped(stop: &mut watch::Receiver<bool>) -> bool {
    stop.wait_for(|stop| *stop).await.is_ok()
}

impl Drop for Pass {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The files of a batch by name.
type ByName = BTreeMap<(ProjectName, String), Sha256>;

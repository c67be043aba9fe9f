//! One way through a source: what is new is taken in, what changed is followed.

mod batch;
mod choices;
mod compare;
mod error;
mod guard;
mod reading;
mod removing;
mod taking;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use wheelmark_objects::Directory;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{Seq, Store};
use wheelmark_tuf::Sha256;

pub use self::choices::Choices;
pub use self::error::PassError;

use self::batch::Batch;
use self::compare::{Event, compare};
use self::reading::reading;
use crate::known::{Known, Remember};
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
    /// The pass is over.
    Over,
}

type Events = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// One way through a source.
pub struct Pass {
    source: Source,
    tree: Arc<Directory>,
    store: Store,
    known: Known,
    now: Timestamp,
    choices: Choices,
    events: Events,
    scan: Option<JoinHandle<Result<(), SourceError>>>,
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
    /// Names that were given to be decided on and were not met.
    undecided: BTreeSet<String>,
    phase: Phase,
    progress: Arc<Progress>,
    report: Report,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Scanning,
    Removing,
    Over,
}

impl Pass {
    /// Begins to go through `source`. `now` is the time of the pass.
    ///
    /// # Errors
    ///
    /// When the journal or the memory cannot be read or written.
    pub async fn begin(
        source: Source,
        tree: Arc<Directory>,
        store: Store,
        known: Known,
        now: Timestamp,
        choices: Choices,
    ) -> Result<Self, PassError> {
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
        Ok(Self {
            tasks: vec![scan.abort_handle(), comparing.abort_handle()],
            events: reading(work, &source, &tree, (&choices, now), &progress),
            source,
            tree,
            store,
            known,
            now,
            choices,
            scan: Some(scan),
            batch: Batch::default(),
            touched: Vec::new(),
            read: Vec::new(),
            asked,
            settled,
            undecided,
            phase: Phase::Scanning,
            progress,
            report,
        })
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

    /// Goes on until something more is in the journal, or to the end.
    ///
    /// # Errors
    ///
    /// See [`PassError`]. What was told before stays done, and the next pass goes on from there.
    pub async fn next(&mut self) -> Result<Step, PassError> {
        loop {
            match self.phase {
                Phase::Scanning => self.scan_on().await?,
                Phase::Removing => self.remove_on().await?,
                Phase::Over => {}
            }
            if self.asked > 0 {
                return Ok(Step::Asked(std::mem::take(&mut self.asked)));
            }
            if self.phase == Phase::Over {
                return Ok(Step::Over);
            }
        }
    }

    /// Reads what the snapshot process refused; to be called when it has followed the journal.
    ///
    /// # Errors
    ///
    /// When the journal or the memory cannot be read or written.
    pub async fn settle(&mut self) -> Result<(), PassError> {
        for (seq, reason) in self.store.refusals(self.settled).await? {
            self.settled = self.settled.max(seq);
            if let Some((project, filename)) = self.known.forget(seq.0).await? {
                self.report.refused(format!("{project}/{filename}"), reason);
            }
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
            };
            match event {
                Some(event) => self.take(event).await?,
                None => {
                    self.flush().await?;
                    if let Some(scan) = self.scan.take() {
                        scan.await.unwrap_or(Err(SourceError::Stopped))?;
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

impl Drop for Pass {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The files of a batch by name.
type ByName = BTreeMap<(ProjectName, String), Sha256>;

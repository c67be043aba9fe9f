//! One way through a source: what is new is taken in, what changed is followed.

mod batch;
mod compare;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use wheelmark_objects::{Directory, ObjectError, ObjectPath, Sharing};
use wheelmark_packaging::ProjectName;
use wheelmark_store::{Seq, Store, StoreError};
use wheelmark_tuf::Sha256;

use self::batch::Batch;
use self::compare::{Event, compare};
use crate::content::{How, Outcome, Prepared, ReadError};
use crate::known::{Known, KnownError, Remember, Row, State};
use crate::listed::Listed;
use crate::report::{Conflict, Progress, Report};
use crate::source::{Scan, Source, SourceError, chain};

/// How many findings of a scan wait to be compared.
const WAITING: usize = 512;

/// How long a batch waits for more.
const LINGER: Duration = Duration::from_secs(5);

/// How many removals are asked for before the caller may publish them.
const REMOVALS_AT_A_TIME: u32 = 1_000;

/// What a person has chosen.
#[derive(Clone, Debug)]
pub struct Choices {
    /// Go through these projects alone; through all where there are none.
    pub projects: Vec<ProjectName>,
    /// Read every file again, also those that look as they did.
    pub rehash: bool,
    /// How long a local file without a stated digest has to be left alone before it is signed:
    /// whoever copies it there may not be done.
    pub settle: Duration,
    /// Whether files may be shared with the source.
    pub sharing: Sharing,
    /// Go on although most of the source is gone.
    pub accept_loss: bool,
    /// How many files are read at a time.
    pub parallel: usize,
    /// File names (or `project/file`) that keep the bytes that were signed.
    pub keep: BTreeSet<String>,
    /// File names (or `project/file`) that are taken off the index for good.
    pub withdraw: BTreeSet<String>,
}

/// Why a pass ended before its end. What it had done until then stays done.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The source could not be gone through.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The tree could not be written.
    #[error("the tree could not be written")]
    Objects(#[from] ObjectError),
    /// The journal could not be written.
    #[error("the journal could not be written")]
    Store(#[from] StoreError),
    /// The memory of what was signed failed.
    #[error(transparent)]
    Known(#[from] KnownError),
    /// No room for a file that is fetched.
    #[error("there is no room for {filename}")]
    Full {
        /// The file.
        filename: String,
        /// What the file system said.
        source: std::io::Error,
    },
    /// Most of the source is gone.
    #[error("the source has {seen} of the {known} projects that were signed from it")]
    Lost {
        /// How many projects were signed.
        known: u64,
        /// How many of them the source still has.
        seen: u64,
    },
}

impl PassError {
    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Objects(error) => error.is_full(),
            Self::Store(error) => error.is_full(),
            Self::Source(_) | Self::Known(_) | Self::Lost { .. } => false,
        }
    }
}

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
        let asked = withdraw(&store, &known, &choices, &mut undecided, &mut report).await?;
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

    async fn take(&mut self, event: Event) -> Result<(), PassError> {
        match event {
            Event::Projects(names) => self.demand_most_is_listed(&names).await?,
            Event::Read(project) => {
                self.report.counts.projects += 1;
                self.read.push(project);
            }
            Event::Unread { project, why } => {
                self.known.see_all(&project).await?;
                self.known.owe(&project, "").await?;
                self.report.unread(&project, why);
            }
            Event::Doubtful(project) => {
                if self.known.has_files(&project).await? {
                    self.known.see_all(&project).await?;
                    let why = "its page lists nothing and does not say that it is one; an error page, perhaps";
                    self.report.unread(&project, why.to_owned());
                } else {
                    self.report.counts.projects += 1;
                }
            }
            Event::Skipped { name, why } => self.report.skipped(name, why),
            Event::Failed {
                project,
                filename,
                why,
            } => self.failed(&project, &filename, why).await?,
            Event::Unchanged { listed, row } => self.unchanged(*listed, row, false).await?,
            Event::OtherDigest { listed, row, found } => {
                self.conflict(&listed, row, found).await?;
            }
            // Replaced by what it came to.
            Event::ToRead(..) => {}
            Event::Broke(error) => return Err(error.into()),
            Event::Was(outcome) => match *outcome {
                Outcome::Unchanged(listed, row) => self.unchanged(listed, row, false).await?,
                Outcome::Prepared(prepared) => self.prepared(*prepared).await?,
                Outcome::Failed(listed, error) => self.unreadable(&listed, error).await?,
            },
        }
        Ok(())
    }

    /// A file that has the bytes that were signed. `touched`: it looks different all the same.
    async fn unchanged(
        &mut self,
        listed: Listed,
        mut row: Row,
        touched: bool,
    ) -> Result<(), PassError> {
        self.report.counts.listed += 1;
        match row.state {
            State::Withdrawn => {}
            State::Signed if row.kept_over.is_some() && !touched => self.report.counts.kept += 1,
            State::Removed | State::Signed => self.report.counts.unchanged += 1,
        }
        let yank_changed = row.state == State::Signed && row.yanked != listed.yanked;
        if yank_changed {
            let (project, filename) = (&listed.project, listed.filename.as_str());
            let yanked = listed.yanked.clone();
            if let Some(_seq) = self.store.set_yanked(project, filename, yanked).await? {
                self.asked += 1;
                self.report.counts.yank_changes += 1;
            }
        }
        if yank_changed || touched {
            row.yanked = listed.yanked;
            row.known_by = listed.known_by;
            if touched {
                row.kept_over = None;
            }
            self.touched.push(Remember {
                project: listed.project,
                filename: listed.filename.to_string(),
                row,
                seq: None,
            });
        }
        Ok(())
    }

    async fn prepared(&mut self, prepared: Prepared) -> Result<(), PassError> {
        let found = prepared.hashed.sha256;
        match prepared.row.clone() {
            Some(row) if row.state == State::Withdrawn => {
                self.report.counts.listed += 1;
                Ok(())
            }
            Some(row) if row.sha256 != found => self.conflict(&prepared.listed, row, found).await,
            Some(row) if row.state == State::Signed => {
                self.unchanged(prepared.listed, row, true).await
            }
            _ => match self.batch.add(prepared) {
                Ok(()) => {
                    self.report.counts.listed += 1;
                    Ok(())
                }
                // The same name a second time in one batch.
                Err((second, first)) if second.hashed.sha256 == first => Ok(()),
                Err((second, first)) => {
                    let row = Row {
                        sha256: first,
                        known_by: None,
                        yanked: None,
                        state: State::Signed,
                        kept_over: None,
                    };
                    self.conflict(&second.listed, row, found).await
                }
            },
        }
    }

    /// Other bytes than were signed stand under a name. They are never signed: a person decides
    /// whether the index goes on with the signed ones or without.
    async fn conflict(
        &mut self,
        listed: &Listed,
        row: Row,
        found: Sha256,
    ) -> Result<(), PassError> {
        let (project, filename) = (&listed.project, listed.filename.as_str());
        self.report.counts.listed += 1;
        if row.kept_over == Some(found) {
            self.report.counts.kept += 1;
            return Ok(());
        }
        if self.is_kept(project, filename) {
            self.report.counts.kept += 1;
            self.touched.push(Remember {
                project: project.clone(),
                filename: filename.to_owned(),
                row: Row {
                    known_by: listed.known_by.clone(),
                    kept_over: Some(found),
                    ..row
                },
                seq: None,
            });
            return Ok(());
        }
        let here = self.has_signed_bytes(project, filename, row.sha256).await;
        self.report.conflict(Conflict {
            project: project.clone(),
            filename: filename.to_owned(),
            signed: row.sha256,
            found,
            place: listed.shown_place(),
            signed_bytes_are_here: here,
        });
        Ok(())
    }

    async fn has_signed_bytes(
        &self,
        project: &ProjectName,
        filename: &str,
        signed: Sha256,
    ) -> bool {
        let Ok(path) = ObjectPath::file(project, &signed, filename) else {
            return false;
        };
        let Ok(Some(object)) = self.tree.open_object(&path).await else {
            return false;
        };
        let hashing = tokio::task::spawn_blocking(move || {
            let mut hasher = wheelmark_objects::ContentHasher::new();
            let mut file = object.file;
            let mut buffer = vec![0; 1 << 20];
            loop {
                match std::io::Read::read(&mut file, &mut buffer) {
                    Ok(0) => return Some(hasher.finish().sha256),
                    Ok(read) => hasher.update(&buffer[..read]),
                    Err(_) => return None,
                }
            }
        });
        hashing.await.ok().flatten() == Some(signed)
    }

    async fn unreadable(&mut self, listed: &Listed, error: ReadError) -> Result<(), PassError> {
        let filename = listed.filename.to_string();
        let is_full = error.is_full();
        match error {
            ReadError::Io(source) if is_full => Err(PassError::Full { filename, source }),
            error => {
                let (place, why) = (listed.shown_place(), chain(&error));
                let why = if why.contains(&place) {
                    why
                } else {
                    format!("{why} ({place})")
                };
                self.failed(&listed.project, &filename, why).await
            }
        }
    }

    async fn failed(
        &mut self,
        project: &ProjectName,
        filename: &str,
        why: String,
    ) -> Result<(), PassError> {
        self.known.owe(project, filename).await?;
        self.report.failed(filename.to_owned(), why);
        Ok(())
    }

    /// Whether a person said that a name keeps the bytes that were signed.
    fn is_kept(&mut self, project: &ProjectName, filename: &str) -> bool {
        let whole = format!("{project}/{filename}");
        let found = [filename, whole.as_str()]
            .into_iter()
            .find(|name| self.choices.keep.contains(*name));
        if let Some(name) = found {
            self.undecided.remove(name);
        }
        found.is_some()
    }

    /// Stops before anything is taken away when a list is a shadow of what it was.
    async fn demand_most_is_listed(&mut self, names: &[ProjectName]) -> Result<(), PassError> {
        self.progress.lists(names.len());
        if self.choices.accept_loss {
            return Ok(());
        }
        let mut known = self.known.projects().await?;
        if !self.choices.projects.is_empty() {
            known.retain(|name| self.choices.projects.contains(name));
        }
        let listed: BTreeSet<&ProjectName> = names.iter().collect();
        let seen = known.iter().filter(|name| listed.contains(name)).count();
        demand_most(known.len() as u64, seen as u64)
    }

    async fn demand_most_is_here(&mut self) -> Result<(), PassError> {
        if self.choices.accept_loss {
            return Ok(());
        }
        let (known, seen) = self.known.seen_projects(&self.choices.projects).await?;
        demand_most(known, seen)
    }

    /// Takes away what the source has no more.
    async fn remove_on(&mut self) -> Result<(), PassError> {
        let wanted = &self.choices.projects;
        let unseen = self.known.unseen(wanted, REMOVALS_AT_A_TIME).await?;
        let mut removed = 0;
        for (project, filename) in &unseen {
            if self.store.remove(project, filename).await?.is_some() {
                self.asked += 1;
            }
            self.known
                .set_state(project, filename, State::Removed)
                .await?;
            removed += 1;
        }
        self.report.counts.removed += removed;
        if removed == 0 {
            // Nothing at all is no import: a mount that is missing, or a directory yet to be filled.
            if self.report.counts.listed > 0 {
                self.known.finish_import(&self.choices.projects).await?;
            }
            self.report.undecided = std::mem::take(&mut self.undecided).into_iter().collect();
            self.phase = Phase::Over;
        }
        Ok(())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Takes off the index what a person named; how many changes that asks for.
async fn withdraw(
    store: &Store,
    known: &Known,
    choices: &Choices,
    undecided: &mut BTreeSet<String>,
    report: &mut Report,
) -> Result<u64, PassError> {
    let mut asked = 0;
    for name in &choices.withdraw {
        let named = known.named(name).await?;
        // Of which project, a person has to say.
        let ambiguous = named.len() > 1;
        for (project, filename) in named.into_iter().filter(|_| !ambiguous) {
            if store.remove(&project, &filename).await?.is_some() {
                asked += 1;
            }
            known
                .set_state(&project, &filename, State::Withdrawn)
                .await?;
            report.counts.withdrawn += 1;
            undecided.remove(name);
        }
    }
    Ok(asked)
}

/// Half of the projects gone is no ordinary day.
fn demand_most(known: u64, seen: u64) -> Result<(), PassError> {
    if seen * 2 < known || (known > 0 && seen == 0) {
        return Err(PassError::Lost { known, seen });
    }
    Ok(())
}

/// Reads what has to be read, several files at a time; the order stays.
fn reading(
    mut work: mpsc::Receiver<Event>,
    source: &Source,
    tree: &Arc<Directory>,
    (choices, now): (&Choices, Timestamp),
    progress: &Arc<Progress>,
) -> Events {
    let (source, tree, progress) = (source.clone(), tree.clone(), progress.clone());
    let parallel = choices.parallel.max(1);
    let how = How {
        rehash: choices.rehash,
        settle: choices.settle,
        now,
    };
    let work = futures::stream::poll_fn(move |context| work.poll_recv(context));
    let events = work.map(move |event| {
        let reading = match event {
            Event::ToRead(listed, row) => Ok(tokio::spawn(crate::content::read(
                source.clone(),
                tree.clone(),
                *listed,
                row,
                how,
                progress.clone(),
            ))),
            other => Err(other),
        };
        async move {
            match reading {
                Ok(task) => match task.await {
                    Ok(outcome) => Some(Event::Was(Box::new(outcome))),
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => None,
                },
                Err(event) => Some(event),
            }
        }
    });
    Box::pin(events.buffered(parallel).filter_map(futures::future::ready))
}

/// The files of a batch by name.
type ByName = BTreeMap<(ProjectName, String), Sha256>;

//! A copy of an index: brought up to date whole, or left as it was.
//!
//! ```text
//!  refresh ─▶ gather ─▶ projects: files, then page ─▶ roles ─▶ targets ─▶ snapshot ─▶ roots ─▶ timestamp
//!   trust     what is      many at once, each                                                    │
//!   store     different    verified before it                                        readers see it from here
//!                          has its name                                                          ▼
//!                                                 state ◀─ what has left ◀─ plain names, simple/
//! ```
//!
//! Until the timestamp is replaced, readers see the state before, of which nothing was touched.
//! Every step may be the last one: what is there counts, and the next run does the rest.
//! What a page that is in place says of its files need not be looked at again, so a run costs
//! what has changed.

mod assembly;
mod error;
mod fetch;
mod folder;
mod gather;
mod names;
mod parts;
mod publish;
mod roots;
mod run;
mod seconds;
mod spool;
mod standing;
mod state;
mod sweep;
mod tasks;
mod writer;

use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use url::Url;
use wheelmark_client::{SourceWarning, Upstream};
use wheelmark_objects::{Directory, WriterLock};
use wheelmark_tuf::Clock;

pub use self::error::{Blame, CopyError};
pub use self::folder::CopyFolder;
pub(crate) use self::folder::OWN_FOLDER;
use self::run::UNVERIFIED;
use self::state::State;
pub(crate) use self::state::StateFile;
pub use self::state::{Complete, EndedRole, StateError};
use crate::pace::Pace;
use crate::progress::Progress;
use crate::selection::Selection;

/// How many objects are fetched at a time, unless the operator says otherwise.
pub const JOBS: usize = 8;

/// How long what has left the index stays, unless the operator says otherwise: as long as online
/// roles live (`docs/layout.md`), so that a reader who holds yesterday's state finds its files.
pub const GRACE: SignedDuration = SignedDuration::from_hours(24);

/// How a copy is made.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// What is copied.
    pub selection: Selection,
    /// How many objects are fetched at a time.
    pub jobs: usize,
    /// How long what has left the index stays.
    pub grace: SignedDuration,
    /// Bytes a second that are fetched at most.
    pub rate: Option<u64>,
    /// Whether everything that is here is read and hashed, and what the copy remembers of
    /// itself is not relied on.
    pub check: bool,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            jobs: JOBS,
            grace: GRACE,
            rate: None,
            check: false,
        }
    }
}

/// A copy of one index.
pub struct Copy {
    tree: Directory,
    lock: Arc<WriterLock>,
    file: StateFile,
    state: State,
    /// Whether something stands here that nobody has verified to its end.
    unknown: bool,
    upstream: Upstream,
    options: CopyOptions,
    clock: Arc<dyn Clock>,
    pace: Arc<Pace>,
    progress: Arc<Progress>,
    observer: Observer,
}

impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy")
            .field("root", &self.tree.root())
            .field("upstream", &self.upstream)
            .finish_non_exhaustive()
    }
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The state that is here now, whole.
    pub complete: Complete,
    /// Whether it is another one than before the run.
    pub changed: bool,
    /// How many projects were new or had changed.
    pub projects_changed: u64,
    /// How many projects are not here any more.
    pub projects_gone: u64,
    /// How many objects were removed, their grace being over.
    pub removed: u64,
    /// How many objects no state names and wait for the end of their grace.
    pub leaving: u64,
    /// Targets that this version does not copy.
    pub others: u64,
    /// What sources did wrong while others had what was asked for.
    pub warnings: Vec<SourceWarning>,
}

/// The steps of a run that write, each seen before it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Everything that was written is made durable.
    Flush,
    /// Files and what belongs to them get their names: one batch.
    Objects,
    /// Pages get their names: one batch.
    Pages,
    /// Delegated roles: one batch.
    Roles,
    /// The top-level targets.
    Targets,
    /// The snapshot.
    Snapshot,
    /// A root.
    Root,
    /// The timestamp.
    Timestamp,
    /// Plain names and unsigned copies: one batch.
    Names,
    /// What the copy remembers.
    State,
    /// The removal of what has left: one batch.
    Removal,
}

/// Who is told of the steps.
#[derive(Clone)]
pub(crate) struct Observer(Arc<dyn Fn(Step) + Send + Sync>);

impl Observer {
    fn see(&self, step: Step) {
        (self.0)(step);
    }
}

impl Copy {
    /// Takes a directory up as the copy of `upstream`'s index. Nothing is asked for yet.
    ///
    /// # Errors
    ///
    /// When it is a copy of another index, or what it remembers is damaged and
    /// [`CopyOptions::check`] does not say to do without.
    pub async fn new(
        place: CopyFolder,
        upstream: Upstream,
        options: CopyOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CopyError> {
        let index = upstream.index().urls().simple().clone();
        let read = match place.state.read() {
            Err(StateError::Damaged { .. }) if options.check => None,
            read => read?,
        };
        // Also what a run that was to read everything has left undone.
        let unknown = match &read {
            Some(state) => state.pages_for.as_deref() == Some(UNVERIFIED),
            None => place.holds_a_tree().await?,
        };
        let state = match read {
            Some(state) if state.index != index => {
                return Err(CopyError::State(StateError::OtherIndex {
                    path: place.tree.root().to_owned(),
                    known: Box::new(state.index),
                    asked: Box::new(index),
                }));
            }
            Some(state) => state,
            None => State::new(index),
        };
        let pace = Arc::new(Pace::new(options.rate));
        Ok(Self {
            tree: place.tree,
            lock: Arc::new(place.lock),
            file: place.state,
            state,
            unknown,
            upstream,
            options,
            clock,
            pace,
            progress: Arc::default(),
            observer: Observer(Arc::new(|_| ())),
        })
    }

    /// Has somebody told of the steps of every run: tests, which stop it there.
    pub fn observe(&mut self, observer: impl Fn(Step) + Send + Sync + 'static) {
        self.observer = Observer(Arc::new(observer));
    }

    /// Ends [`CopyOptions::check`]: later runs rely on what an earlier one has found.
    pub fn rely_on_memory(&mut self) {
        self.options.check = false;
    }

    /// How far the run has come, for whoever shows it.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// The last state of the index that is here to its end.
    #[must_use]
    pub fn complete(&self) -> Option<&Complete> {
        self.state.complete.as_ref()
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> &Url {
        &self.state.index
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &Directory {
        &self.tree
    }

    /// When objects that nothing names any more may go, given the state that was in force.
    fn until(&self, now: Timestamp, in_force: Option<Timestamp>) -> Timestamp {
        let grace = now
            .checked_add(self.options.grace)
            .unwrap_or(Timestamp::MAX);
        // Who holds that state goes on with it until it ends.
        in_force.map_or(grace, |expires| expires.max(grace))
    }
}

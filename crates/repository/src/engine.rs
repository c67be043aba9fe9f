//! The snapshot process: one engine for one tree, under its lock and its fence.

mod ceremonies;
mod collecting;
mod going_back;
mod journal;
mod keys;
mod records;
mod releases;
mod relisting;
mod returning;

use std::collections::BTreeSet;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use wheelmark_objects::{Directory, LockError, ObjectError, Replayable, WriterLock};
use wheelmark_store::{
    Change, CollectionState, Fence, Intent, IntentId, Orders, Outcome, Seq, Store, StoreError,
};
use wheelmark_tuf::{Clock, KeyId, RoleName, SPLIT_CLAIMS_ABOVE};

use self::collecting::Collecting;
use self::relisting::Relisting;
pub use self::returning::Returning;
use crate::as_clients;
use crate::channel::{Channel, Pending};
use crate::gather::gather;
use crate::going_back::GoingBack;
use crate::handed::{MAX_SPLIT_ABOVE, Moved, said};
use crate::intent::After;
use crate::journal_writer::JournalWriter;
use crate::keeping::{Keeping, weight};
use crate::lifetimes::Lifetimes;
use crate::online::OnlineKeys;
use crate::plan::{Skipped, plan};
use crate::publish::{self, PublishError, Signed};
use crate::reach::within_reach;
use crate::record;
use crate::recover::{Recovered, recover};
use crate::signing_log::{Logging, SigningLog};
use crate::state::State;

/// The most changes that one snapshot takes in, unless the engine is told otherwise. More wait
/// for the next.
const CHANGES_PER_SNAPSHOT: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");

/// How often a version may be found occupied before the engine gives up: each find means that
/// somebody else writes into the tree.
const VERSIONS_TO_TRY: usize = 8;

/// The most bytes that one snapshot signs anew where everything moves: recovery holds them in memory
/// twice.
const MOST_MOVED: usize = 1024 * 1024 * 1024;

/// How long to wait after a failure before the next try; doubled up to a minute.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process publishes into this tree.
    #[error("the tree cannot be locked for publishing")]
    Lock(#[source] LockError),
    /// The store failed.
    #[error("the store could not be opened for publishing")]
    Store(#[from] StoreError),
    /// The journal ends before the position that the signed timestamp names: the store is older
    /// than the tree. What is uploaded next would get positions that count as followed.
    #[error("the journal ends at {journal}, but the signed state has followed it to {signed}")]
    JournalBehind {
        /// The last position of the journal.
        journal: Seq,
        /// The position in the signed timestamp.
        signed: Seq,
    },
    /// Recovery or loading failed.
    #[error("the signed state could not be taken up")]
    Publish(#[from] PublishError),
}

/// A step of a turn, told to an observer as it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading pending changes and what they touch, and deciding the next snapshot.
    Plan,
    /// Signing it.
    Sign,
    /// Recording it.
    Record,
    /// Writing it into the tree.
    Write,
    /// Done.
    Done,
}

/// What a turn did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Nothing was pending and nothing was due.
    Idle,
    /// Nothing was published. Files were read, so that later turns can list other hashes of them.
    Read,
    /// A snapshot (or a timestamp alone) was published.
    Published {
        /// The version of the snapshot that stands now.
        snapshot_version: u64,
        /// How many changes it took in.
        changes: usize,
        /// How many roles were signed again only because they would have expired.
        renewed: usize,
    },
}

/// What an engine is opened for.
enum Opening<'a> {
    /// It publishes what follows on the signed state.
    Publishes,
    /// It goes back to an earlier state. What is published now may be a thief's, and he may have signed it so
    /// that nothing could follow on it.
    GoesBack(&'a GoingBack),
}

/// What says which online keys there are.
type KeySource = Box<dyn FnMut() -> Option<OnlineKeys> + Send + Sync>;

/// Publishes what the journal holds, strictly one snapshot after the other.
pub struct Engine {
    tree: Arc<Directory>,
    writing: Replayable,
    lock: WriterLock,
    store: Store,
    orders: Option<Orders>,
    /// Where ceremonies are handed in.
    ceremonies: Option<Orders>,
    fence: Fence,
    online: OnlineKeys,
    /// Where the online keys are looked for, what was found there last, and what was told to be refused.
    keys: Option<KeySource>,
    found_keys: Option<OnlineKeys>,
    other_keys: Option<BTreeSet<KeyId>>,
    /// What they sign is written down there.
    log: Option<SigningLog>,
    clock: Arc<dyn Clock>,
    lifetimes: Lifetimes,
    state: State,
    skipped: Skipped,
    /// What an intent signs that is recorded (or may be) and not completed.
    unsettled: Option<Vec<(RoleName, u64)>>,
    keeping: Keeping,
    observer: Option<Box<dyn FnMut(Phase) + Send + Sync>>,
    /// Below which URL provenance is served, if pages are to link to it.
    provenance_below: Option<Arc<str>>,
    /// Whether projects can be claimed.
    takes_claims: bool,
    /// Beyond how many bytes a list of claims is split.
    split_claims_above: usize,
    /// For how long a notice that keys are lost stands before others take their place.
    recovery_delay: Option<SignedDuration>,
    changes_per_snapshot: NonZeroU32,
    writer: JournalWriter,
    /// A row that does not follow on the others, and that was told of.
    stray: Option<Seq>,
    /// Whether the journal could not be read, and that was told.
    unreadable: bool,
    /// When people were last told what offline roles are due.
    reminded: Option<Timestamp>,
    /// When this engine was opened, by a clock that only goes on and by the one on the wall.
    started: (Instant, Timestamp),
    /// The garbage collection that is under way.
    collecting: Option<Collecting>,
    /// What became of an earlier one, while that cannot be written down.
    unanswered: Option<(Seq, CollectionState)>,
    /// The change of the hashes that are listed.
    relisting: Relisting,
}

impl Engine {
    /// Locks the tree, fences off any earlier engine, replays what a crash left recorded, and
    /// takes up the last signed state. `writer` says who writes the journal in `store`, and so
    /// what is taken from it.
    ///
    /// # Errors
    ///
    /// When another engine holds the tree, or the signed state cannot be read and verified.
    pub async fn open(
        tree: Arc<Directory>,
        store: Store,
        online: impl Into<OnlineKeys>,
        clock: Arc<dyn Clock>,
        lifetimes: Lifetimes,
        writer: JournalWriter,
    ) -> Result<Self, OpenError> {
        let opening = Opening::Publishes;
        let online = online.into();
        Self::open_of(tree, store, None, online, clock, lifetimes, writer, opening).await
    }

    /// Makes the pages of new files link to their provenance, which is served below this https URL
    /// (PEP 740 wants links that are whole). Without it they do not.
    pub fn link_provenance_below(&mut self, url: Option<&str>) {
        self.provenance_below = url.map(Arc::from);
    }

    /// Says whether projects can be claimed. Until it is said they cannot; those that are claimed go on.
    pub fn take_claims(&mut self, takes_claims: bool) {
        self.takes_claims = takes_claims;
    }

    /// Splits `recently-claimed`, and each shard of it, once it has more than so many bytes;
    /// [`SPLIT_CLAIMS_ABOVE`] where nothing is said. It is split with the next claim or renewal, and
    /// never put together again.
    pub fn split_claims_above(&mut self, bytes: u64) {
        self.split_claims_above = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.split_claims_above = self.split_claims_above.min(MAX_SPLIT_ABOVE);
    }

    /// Says for how long a notice that a project's keys are lost stands before others can take their
    /// place: the time that the project's people have to see it, and to say no. Until it is said, none can.
    pub fn recover_after(&mut self, delay: SignedDuration) {
        self.recovery_delay = Some(delay);
    }

    /// Opens the engine of an index that takes uploads: a web process writes the journal in
    /// `store`, and whoever runs the index says in `orders` what is to become of files and
    /// projects that are there.
    ///
    /// # Errors
    ///
    /// See [`Engine::open`].
    pub async fn open_with_orders(
        tree: Arc<Directory>,
        store: Store,
        orders: Orders,
        online: impl Into<OnlineKeys>,
        clock: Arc<dyn Clock>,
        lifetimes: Lifetimes,
    ) -> Result<Self, OpenError> {
        let writer = JournalWriter::WebProcess;
        let (orders, online, opening) = (Some(orders), online.into(), Opening::Publishes);
        Self::open_of(
            tree, store, orders, online, clock, lifetimes, writer, opening,
        )
        .await
    }

    #[expect(clippy::too_many_arguments, reason = "all that an engine is made of")]
    async fn open_of(
        tree: Arc<Directory>,
        store: Store,
        orders: Option<Orders>,
        online: OnlineKeys,
        clock: Arc<dyn Clock>,
        lifetimes: Lifetimes,
        writer: JournalWriter,
        opening: Opening<'_>,
    ) -> Result<Self, OpenError> {
        let lock = tree.lock().await.map_err(OpenError::Lock)?;
        let fence = store.acquire_lease("snapshot process").await?;
        let writing = tree.replayable().map_err(PublishError::from)?;
        // Under the lock: nobody else writes to it.
        let log = online.log().cloned().map(SigningLog::open).transpose();
        let mut log = log.map_err(PublishError::from)?;
        let recovered = recover(
            &writing,
            &lock,
            &store,
            orders.as_ref(),
            fence,
            &online,
            log.as_mut(),
        );
        let Recovered {
            mut state,
            skipped,
            kept,
        } = match (recovered.await, &opening) {
            (Err(PublishError::Load(error)), Opening::GoesBack(back)) if error.is_damage() => {
                let stands_in = returning::stand_in(&tree, &store, fence, &online, back, error);
                stands_in.await?
            }
            (recovered, _) => recovered?,
        };
        if matches!(opening, Opening::GoesBack(_)) {
            returning::believe_less(&mut state, &store, orders.as_ref(), log.as_ref()).await?;
        }
        if let (Some(orders), Some(problem)) = (&orders, &state.stray_root) {
            ceremonies::demand_never_published(orders, state.root.version, problem).await?;
        }
        go_on(log.as_mut(), &state, clock.now())?;
        let syncing = log.as_ref().map(SigningLog::syncing);
        let mut keeping = Keeping::new(writing.clone(), syncing);
        keeping.start_over(kept);
        let journal = store.journal_end().await?;
        if journal < state.followed.journal {
            return Err(OpenError::JournalBehind {
                journal,
                signed: state.followed.journal,
            });
        }
        if let Some(orders) = &orders {
            orders.go_on_behind(state.followed.orders).await?;
        }
        let started = clock.now();
        Ok(Self {
            tree,
            writing,
            lock,
            store,
            ceremonies: orders.clone(),
            orders,
            fence,
            online,
            log,
            keys: None,
            found_keys: None,
            other_keys: None,
            clock,
            lifetimes,
            state,
            skipped: skipped.into_iter().collect(),
            unsettled: None,
            keeping,
            observer: None,
            provenance_below: None,
            takes_claims: false,
            split_claims_above: SPLIT_CLAIMS_ABOVE,
            recovery_delay: None,
            changes_per_snapshot: CHANGES_PER_SNAPSHOT,
            writer,
            stray: None,
            unreadable: false,
            reminded: None,
            started: (Instant::now(), started),
            collecting: None,
            unanswered: None,
            relisting: Relisting::default(),
        })
    }

    /// Calls `observer` at the beginning of each phase of every turn from now on.
    pub fn observe(&mut self, observer: impl FnMut(Phase) + Send + Sync + 'static) {
        self.observer = Some(Box::new(observer));
    }

    /// Takes at most this many changes into one snapshot, from the next turn on; 1,000 where
    /// nothing is said. More at a time make a big import cheaper, for every bin is written once
    /// and not many times over, and make its uploads wait longer.
    pub fn set_changes_per_snapshot(&mut self, changes: NonZeroU32) {
        self.changes_per_snapshot = changes;
    }

    /// The right to write to the tree, for work on it that goes on beside the turns.
    pub fn lock(&self) -> WriterLock {
        self.lock.clone()
    }

    /// The version of the published snapshot.
    pub fn snapshot_version(&self) -> u64 {
        self.state.snapshot.version()
    }

    /// The number of projects that have a page.
    pub fn projects(&self) -> usize {
        self.state.projects.len()
    }

    /// Publishes until `shutdown` completes. A turn that has begun is finished. Failures are
    /// logged and tried again; nothing that was accepted is lost by them.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut pause = FIRST_PAUSE;
        loop {
            match self.turn().await {
                // There may be more than it could take in. What comes later wakes us.
                Ok(Turn::Published { changes, .. })
                    if changes >= self.changes_per_snapshot.get() as usize =>
                {
                    pause = FIRST_PAUSE;
                    if self.collecting.is_some() {
                        self.collect_some().await;
                    }
                }
                Ok(Turn::Published { .. } | Turn::Read | Turn::Idle) => {
                    pause = FIRST_PAUSE;
                    let collects = self.collect_some().await;
                    if collects || self.is_relisting() {
                        // Either can wait for a shutdown; the next start goes on with it.
                        tokio::select! {
                            biased;
                            () = &mut shutdown => break,
                            () = std::future::ready(()) => continue,
                        }
                    }
                    tokio::select! {
                        () = &mut shutdown => break,
                        () = self.store.journal_changed() => {}
                        () = tokio::time::sleep(self.lifetimes.tick()) => {}
                    }
                }
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        retry_in = ?pause,
                        "a snapshot could not be published; it will be tried again"
                    );
                    tokio::select! {
                        () = &mut shutdown => break,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        if let Err(error) = self.flush().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what was published last is not known to be on the disk; the next start sees to it"
            );
        }
    }

    /// Publishes one snapshot with everything that is pending or due, if anything is.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]. The next turn first settles what this one left recorded.
    pub async fn turn(&mut self) -> Result<Turn, PublishError> {
        self.look_for_keys();
        self.settle_what_is_open().await?;
        let mut last = None;
        for _ in 0..VERSIONS_TO_TRY {
            match self.attempt().await {
                Ok(Some(turn)) => {
                    self.forget_what_is_durable().await?;
                    return Ok(turn);
                }
                Ok(None) => {}
                Err(PublishError::Objects(ObjectError::Different { path })) => {
                    self.skip(path.as_str()).await?;
                    last = Some(path.as_str().to_owned());
                }
                Err(error) => return Err(error),
            }
        }
        Err(PublishError::Occupied {
            path: last.unwrap_or_default(),
        })
    }

    /// Sees to it that what an earlier turn left recorded is published, or dropped.
    async fn settle_what_is_open(&mut self) -> Result<(), PublishError> {
        if self.unsettled.is_none() {
            return Ok(());
        }
        let (tree, lock, store) = (&self.writing, &self.lock, &self.store);
        let (orders, key) = (self.orders.as_ref(), &self.online);
        let Recovered {
            state,
            skipped,
            kept,
        } = recover(
            tree,
            lock,
            store,
            orders,
            self.fence,
            key,
            self.log.as_mut(),
        )
        .await?;
        go_on(self.log.as_mut(), &state, self.clock.now())?;
        self.keeping.start_over(kept);
        self.state = state;
        self.skipped.extend(skipped);
        // Whoever can write to the store may have read what was signed, and taken the record away.
        let signed = self.unsettled.take().unwrap_or_default();
        let state = &self.state;
        let gone = signed.into_iter().filter(|(role, version)| {
            let published = match role.as_str() {
                "timestamp" => Some(state.timestamp_version),
                "snapshot" => Some(state.snapshot.version()),
                _ => state.snapshot.role_version(role),
            };
            published.is_none_or(|published| published < *version)
        });
        self.skipped.extend(gone);
        // It was told of other bytes than stand now; it is still asked for.
        self.collecting = None;
        Ok(())
    }

    /// One try; `None` where there is to be another one at once.
    async fn attempt(&mut self) -> Result<Option<Turn>, PublishError> {
        self.phase(Phase::Plan);
        let now = self.clock.now();
        let followed = self.state.followed;
        let limit = self.changes_per_snapshot.get();
        let rows = self.uploads_after(followed.journal, limit).await?;
        let (rows, stray) = within_reach(followed.journal, rows);
        self.tell_of_stray(stray);
        let orders = match &self.orders {
            Some(orders) => orders.after(followed.orders, limit).await?,
            None => Vec::new(),
        };
        let rows = Channel::Journal.pending(rows);
        let mut rows: Vec<_> = rows.chain(Channel::Orders.pending(orders)).collect();
        let is_renewal =
            |row: &Pending| row.place.channel == Channel::Orders && row.change == Change::Renewal;
        let mut due = match rows.iter().any(is_renewal) {
            true => self.state.schedule.keys().cloned().collect(),
            false => self.due(now),
        };
        due.sort();
        let keys_differ = self.keys_differ();
        let top_due = keys_differ
            || self.lifetimes.top_is_due(self.state.timestamp_expires, now)
            || self
                .lifetimes
                .top_is_due(self.state.snapshot.expires(), now);
        // First everything is signed by the keys that there are: a ceremony that names the next one
        // is to follow on a timestamp that it has signed, too.
        let handed = match keys_differ {
            true => None,
            false => self.handed_in(now).await?,
        };
        let is_quiet = rows.is_empty() && due.is_empty() && !top_due && handed.is_none();
        if is_quiet && !self.is_relisting() {
            return Ok(Some(Turn::Idle));
        }
        let ceremony = handed
            .as_ref()
            .map(|handed| (handed.seq, handed.root_version));
        let moves_all = handed
            .as_ref()
            .is_some_and(|handed| handed.transition.is_some());
        let moves_claims = handed
            .as_ref()
            .is_some_and(|handed| handed.claims.is_some());
        // What is pending waits for the next snapshot: it is judged by the claims that stand then.
        if moves_all || moves_claims {
            rows.clear();
        }
        if moves_all {
            due = self.state.schedule.keys().cloned().collect();
        }
        // Claims move in the lists where they stand, all of them or none.
        let moved = handed.as_ref().and_then(|handed| handed.claims.as_ref());
        let moved = moved.into_iter().flat_map(Moved::projects);
        let lists: BTreeSet<RoleName> = moved
            .flat_map(|project| self.state.claims.lists_for(&project))
            .collect();
        due.extend(
            lists
                .iter()
                .filter(|list| !due.contains(list))
                .cloned()
                .collect::<Vec<_>>(),
        );
        let (changes, wanted) = (rows.len(), due.len());
        let (rows, parts) = self.with_releases(rows).await?;
        let changes = changes.min(rows.len());
        let (state, tree, skipped) = (&self.state, &self.tree, &self.skipped);
        let mut gathered = gather(state, tree, rows, parts, skipped, now, &mut due).await?;
        let lacks = moves_all && due.len() < wanted || !lists.iter().all(|list| due.contains(list));
        if let (true, Some((seq, _))) = (lacks, ceremony) {
            let reason = "a role that the online key has signed cannot be read, and would be lost: \
                          restore it from a backup or a mirror";
            let reason = reason.to_owned();
            self.answer(seq, Outcome::Refused { reason }).await?;
            return Ok(None);
        }
        if !moves_all {
            self.gather_relisted(&mut gathered).await?;
        }
        if is_quiet && gathered.relist.is_empty() {
            return Ok(Some(Turn::Read));
        }
        let relist = gathered.relist.clone();
        gathered.handed = handed;
        gathered.provenance_below = self.provenance_below.clone();
        gathered.takes_claims = self.takes_claims;
        gathered.split_above = Some(self.split_claims_above);
        gathered.recovery_delay = self.recovery_delay;
        let plan = plan(
            &self.state,
            gathered,
            &due,
            keys_differ,
            &self.skipped,
            &self.lifetimes,
            self.writer,
            now,
        );

        self.phase(Phase::Sign);
        self.flush_log()?;
        let (log, keys) = (self.log.as_ref(), self.online.ids());
        let log = log.map(|log| Logging::behind(log.head(), keys, now));
        self.relisting.tried(&relist, &plan.conforming);
        let Signed {
            intent,
            after,
            advance,
        } = publish::sign(plan, &self.state, &self.online, log)?;

        if let Some(log) = &mut self.log
            && let Err(error) = log.append(&after.log)
        {
            self.unsettled.get_or_insert_default();
            return Err(error.into());
        }

        if let (true, Some((seq, _))) = (moves_all && weight(&intent) > MOST_MOVED, ceremony) {
            let reason = format!(
                "what would be signed anew comes to {} bytes, and {MOST_MOVED} can be recorded",
                weight(&intent)
            );
            self.answer(seq, Outcome::Refused { reason }).await?;
            return Ok(None);
        }

        if let Some((seq, _)) = ceremony {
            let tried = as_clients::try_out(&self.tree, &self.state, &intent, now).await?;
            if let Err(refused) = tried {
                self.answer(
                    seq,
                    Outcome::Refused {
                        reason: said(&refused),
                    },
                )
                .await?;
                return Ok(None);
            }
        }

        if let (Some((seq, _)), Some(ceremonies)) = (ceremony, &self.ceremonies)
            && !ceremonies.take_up(seq).await?
        {
            return Ok(None);
        }

        let (snapshot_version, bytes) = (intent.snapshot_version, weight(&intent));
        let id = self.record_and_write(intent, &after).await?;
        match ceremony {
            // Rarely, and then most of what is in memory changes.
            Some((_, root_version)) => {
                let state = State::load(&self.tree, &self.online).await?;
                if let Some(place) = state.place_of_stray_root()
                    && state.root.version != root_version
                {
                    // It is recorded, and written when that is gone.
                    let path = place.as_str().to_owned();
                    return Err(PublishError::Occupied { path });
                }
                self.state = state;
            }
            None => self.state.advance(advance),
        }
        self.finish(&after, id, snapshot_version).await?;
        self.keeping.keep(id, bytes);
        self.unsettled = None;
        if let Some((seq, root_version)) = ceremony {
            let published = self.state.root.version == root_version;
            self.answer(
                seq,
                ceremonies::published_or_not(published, snapshot_version),
            )
            .await?;
        }
        self.phase(Phase::Done);
        self.remind();

        tracing::info!(
            snapshot = snapshot_version,
            changes,
            renewed = due.len(),
            refused = after.refused.len(),
            "published a snapshot"
        );
        Ok(Some(Turn::Published {
            snapshot_version,
            changes,
            renewed: due.len(),
        }))
    }

    /// Records what was signed, and publishes it.
    async fn record_and_write(
        &mut self,
        intent: Intent,
        after: &After,
    ) -> Result<IntentId, PublishError> {
        self.phase(Phase::Record);
        // From here on the recorded bytes decide, even if the record's own answer is unclear.
        self.unsettled = Some(record::versions(&intent));
        let id = self.store.record_intent(self.fence, &intent).await?;

        if let Some(collecting) = &mut self.collecting {
            collecting.note(&intent);
        }

        if let Some(log) = &mut self.log {
            log.recorded();
        }

        self.phase(Phase::Write);
        publish::publish(&self.writing, &self.lock, intent, after).await?;
        Ok(id)
    }

    /// The online roles below `targets` that are to be signed again now.
    fn due(&self, now: Timestamp) -> Vec<RoleName> {
        let schedule = self.state.schedule.iter();
        let due = schedule.filter(|(_, expires)| self.lifetimes.bin_is_due(**expires, now));
        due.map(|(role, _)| role.clone()).collect()
    }

    /// Flushes what the signing log has and no record has. What it was to flush has to be written again
    /// before the next try.
    fn flush_log(&mut self) -> Result<(), PublishError> {
        if let Some(log) = &mut self.log
            && let Err(error) = log.flush_unrecorded()
        {
            self.unsettled.get_or_insert_default();
            return Err(error.into());
        }
        Ok(())
    }

    fn phase(&mut self, phase: Phase) {
        if let Some(observer) = &mut self.observer {
            observer(phase);
        }
    }
}

/// Sees to it that the signing log goes on from the state that stands.
fn go_on(log: Option<&mut SigningLog>, state: &State, now: Timestamp) -> Result<(), PublishError> {
    if let Some(log) = log {
        let (version, sha256) = (state.timestamp_version, state.timestamp_sha256);
        log.stand_on(version, sha256, state.logged, now)?;
    }
    Ok(())
}

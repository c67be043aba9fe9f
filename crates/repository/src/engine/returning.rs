//! How an engine is opened that is there to go back to an earlier state: how much of what is published it
//! believes.

use std::sync::Arc;

use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_store::{Fence, Orders, Seq, Store, StoreError};
use wheelmark_tuf::{Clock, RECOVERY_RAISE, RoleName, verify_next_root};

use super::{Engine, OpenError, Opening, Phase};
use crate::channel::Followed;
use crate::going_back::{GoBackError, GoingBack, Outlook, WentBack, name_all};
use crate::journal_writer::JournalWriter;
use crate::lifetimes::Lifetimes;
use crate::online::OnlineKeys;
use crate::publish::PublishError;
use crate::recover::Recovered;
use crate::signing_log::SigningLog;
use crate::state::{LoadError, State, timestamp_alone};

/// An engine that is there to go back to an earlier state, and for nothing else.
///
/// It believes the published state less than an engine that goes on from it: how far the journals were
/// followed and what the signing log has come to are taken from it as far as they can be, and a state
/// that cannot be read stands for nothing.
pub struct Returning {
    engine: Engine,
    back: GoingBack,
}

impl Returning {
    /// Opens the tree for going back as `back` says, under its lock and its fence: see [`Engine::open`].
    /// `orders` is the journal of whoever runs the index, where it has one, and `writer` who writes the one of
    /// the uploads.
    ///
    /// # Errors
    ///
    /// As those of [`Engine::open`], but for a published state that cannot be read.
    #[expect(clippy::too_many_arguments, reason = "all that an engine is made of")]
    pub async fn open(
        tree: Arc<Directory>,
        store: Store,
        orders: Option<Orders>,
        online: impl Into<OnlineKeys>,
        clock: Arc<dyn Clock>,
        lifetimes: Lifetimes,
        writer: JournalWriter,
        back: GoingBack,
    ) -> Result<Self, OpenError> {
        let (online, opening) = (online.into(), Opening::GoesBack(&back));
        let engine = Engine::open_of(
            tree, store, orders, online, clock, lifetimes, writer, opening,
        );
        let engine = engine.await?;
        Ok(Self { engine, back })
    }

    /// Calls `observer` at the beginning of each phase of what is done from now on.
    pub fn observe(&mut self, observer: impl FnMut(Phase) + Send + Sync + 'static) {
        self.engine.observe(observer);
    }

    /// Goes back to the last good state: publishes one snapshot, signed anew by the next online key, of
    /// that state and what is kept of what came since, and gives all files and pages their unsigned names once
    /// more, whatever stands there. `by` is for people: who asked.
    ///
    /// Changes that are pending in the journals are refused, and their positions count as followed: they do
    /// not come back. The same again is right, whatever became of an earlier try.
    ///
    /// # Errors
    ///
    /// [`GoBackError`] says what is in the way, and whether something was published nevertheless.
    pub async fn go_back(&mut self, by: &str) -> Result<WentBack, GoBackError> {
        let done = self.engine.go_back(&self.back, by).await?;
        name_all(&self.engine.writing, &self.engine.lock, &self.engine.state).await?;
        self.engine.flush().await?;
        self.engine.tree.replayable()?.flush().await?;
        Ok(done)
    }

    /// What [`Returning::go_back`] would change, and how many objects it would put back. Nothing more is written
    /// than what opening has finished. `None` where it is done already.
    ///
    /// # Errors
    ///
    /// As those of [`Returning::go_back`], as far as they show before anything is signed.
    pub async fn look_back(&mut self) -> Result<Option<(Outlook, usize)>, GoBackError> {
        self.engine.look_back(&self.back).await
    }
}

/// The state that stands for one that is published and cannot be read: the last good one, behind the
/// timestamp that lies there. What was recorded on that one and is not published is dropped.
pub(super) async fn stand_in(
    tree: &Directory,
    store: &Store,
    fence: Fence,
    online: &OnlineKeys,
    back: &GoingBack,
    why: LoadError,
) -> Result<Recovered, PublishError> {
    tracing::error!(
        error = &why as &dyn std::error::Error,
        "the published state cannot be read: nothing of it is kept, and what was pending is not answered"
    );
    let followed = Followed {
        journal: store.journal_end().await?,
        ..Followed::default()
    };
    let (root, stamped) = timestamp_alone(tree, followed).await?;
    let named = (back.snapshot.version, back.snapshot.sha256);
    let mut state = State::load_snapshot(&back.last_good, named, stamped, online).await?;
    state.is_readable = false;
    if state.root.version != root.version {
        return Err(why.into());
    }
    // One with a root that the holders have signed is this index's own, and to be finished.
    let next = ObjectPath::metadata(&RoleName::root(), root.version.saturating_add(1));
    for recorded in store.recorded_intents().await? {
        let objects = recorded.intent.iter().flat_map(|intent| &intent.objects);
        let mut roots = objects.filter(|(path, _)| path == next.as_str());
        if !recorded.completed && roots.any(|(_, bytes)| verify_next_root(&root, bytes).is_ok()) {
            return Err(why.into());
        }
    }
    store.clear_intent(fence).await?;
    Ok(Recovered {
        state,
        skipped: Vec::new(),
        kept: None,
    })
}

/// Takes from the published state what can be true alone: the journals cannot have been followed behind
/// their ends, nor can the signing log be far behind its own.
pub(super) async fn believe_less(
    state: &mut State,
    store: &Store,
    orders: Option<&Orders>,
    log: Option<&SigningLog>,
) -> Result<(), StoreError> {
    let followed = &mut state.followed;
    followed.journal = followed.journal.min(store.journal_end().await?);
    followed.orders = match orders {
        Some(orders) => followed.orders.min(orders.end().await?),
        None => Seq::default(),
    };
    let known = log.map_or(0, |log| log.head().number);
    let most = known.saturating_add(RECOVERY_RAISE);
    state.logged = state.logged.filter(|head| head.number <= most);
    Ok(())
}

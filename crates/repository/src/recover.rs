//! Takes up the state after a crash: replays what was recorded, never signs.

use wheelmark_objects::{Directory, ObjectError, WriterLock};
use wheelmark_store::{Fence, Intent, Orders, Store, StoreError};
use wheelmark_tuf::{Key, RoleName, Sha256};

use crate::intent::After;
use crate::publish::{self, PublishError};
use crate::record;
use crate::settle::settle;
use crate::state::State;

/// What stands after recovery.
pub(crate) struct Recovered {
    pub(crate) state: State,
    /// Versions that were signed and can never be published.
    pub(crate) skipped: Vec<(RoleName, u64)>,
}

/// What a recorded intent turns out to be.
enum Standing {
    /// Its timestamp is the published one: the names are left to do.
    Landed(After),
    /// It is the next snapshot: it is published now.
    Next(After),
    /// This index did not record it, or has moved on since: it is dropped.
    Foreign(&'static str),
}

/// Finishes the snapshot that was recorded but not completed, if there is one, and loads the
/// state that stands then.
pub(crate) async fn recover(
    tree: &Directory,
    lock: &WriterLock,
    store: &Store,
    orders: Option<&Orders>,
    fence: Fence,
    online: &Key,
) -> Result<Recovered, PublishError> {
    let state = State::load(tree, online).await?;
    let intent = match store.intent().await {
        Ok(None) => return Ok(Recovered::plain(state)),
        Ok(Some(intent)) => intent,
        Err(error @ StoreError::Invalid { .. }) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a record is dropped"
            );
            store.clear_intent(fence).await?;
            return Ok(Recovered::plain(state));
        }
        Err(error) => return Err(error.into()),
    };
    let (after, landed) = match judge(&state, &intent, online) {
        Standing::Landed(after) => (after, true),
        Standing::Next(after) => (after, false),
        Standing::Foreign(why) => {
            tracing::error!(
                snapshot = intent.snapshot_version,
                why,
                "a recorded snapshot is dropped; what was pending stays in the journal"
            );
            store.clear_intent(fence).await?;
            return Ok(Recovered::plain(state));
        }
    };
    let snapshot_version = intent.snapshot_version;
    let mut moved = !landed;
    if landed {
        moved = publish::follow_with_root(tree, &intent).await?;
    } else {
        let versions = record::versions(&intent);
        match publish::publish(tree, lock, intent).await {
            Ok(()) => {}
            Err(PublishError::Objects(ObjectError::Different { path })) => {
                tracing::warn!(
                    path = path.as_str(),
                    "another file stands under a recorded version; the changes are planned anew"
                );
                store.clear_intent(fence).await?;
                return Ok(Recovered {
                    state,
                    skipped: versions,
                });
            }
            Err(error) => return Err(error),
        }
    }
    let state = match moved {
        true => State::load(tree, online).await?,
        false => state,
    };
    publish::name(tree, lock, &after, &state.projects).await?;
    let followed = state.followed;
    settle(store, orders, fence, snapshot_version, followed, &after).await?;
    tracing::info!(
        snapshot = snapshot_version,
        replayed = !landed,
        "finished the snapshot that was recorded before the last stop"
    );
    Ok(Recovered::plain(state))
}

impl Recovered {
    fn plain(state: State) -> Self {
        let skipped = Vec::new();
        Self { state, skipped }
    }
}

/// The seal says that this index recorded the intent, and on which timestamp it follows; the
/// published one says whether it is the one to go on with. A record from earlier days is genuine,
/// too, and must not come back, whatever versions it has.
fn judge(state: &State, intent: &Intent, online: &Key) -> Standing {
    let Some(after) = record::open(intent, online) else {
        return Standing::Foreign("it is not sealed with this index's key");
    };
    if Sha256::of(&intent.timestamp) == state.timestamp_sha256 {
        Standing::Landed(after)
    } else if after.follows == Some(state.timestamp_sha256) {
        Standing::Next(after)
    } else {
        Standing::Foreign("it does not follow on what is published")
    }
}

//! Takes up the state after a crash: replays what was recorded, never signs.

use bytes::Bytes;
use wheelmark_objects::{ObjectError, ObjectPath, Replayable, WriterLock};
use wheelmark_store::{Fence, IntentId, KeptObject, KeptPlace, Orders, RecordedIntent, Store};
use wheelmark_tuf::{RoleName, Root, verify_next_root};

use crate::chain::{Chain, Link};
use crate::going_back::{Side, put_right};
use crate::intent::After;
use crate::keeping::weight;
use crate::online::OnlineKeys;
use crate::publish::{self, Object, PublishError};
use crate::record;
use crate::settle::settle;
use crate::signing_log::SigningLog;
use crate::state::{LoadError, OWN_METADATA_LIMIT, State, newest_root};

/// What stands after recovery.
pub(crate) struct Recovered {
    pub(crate) state: State,
    /// Versions that were signed and can never be published.
    pub(crate) skipped: Vec<(RoleName, u64)>,
    /// The last record that stands, and how many bytes all of them have: their files may not be on
    /// the disk.
    pub(crate) kept: Option<(IntentId, usize)>,
}

/// Finishes the snapshot that was recorded but not completed, if there is one, writes again what a
/// power failure took of those before, and loads the state that stands then.
pub(crate) async fn recover(
    tree: &Replayable,
    lock: &WriterLock,
    store: &Store,
    orders: Option<&Orders>,
    fence: Fence,
    online: &OnlineKeys,
    log: Option<&mut SigningLog>,
) -> Result<Recovered, PublishError> {
    restore_uploads(tree, store).await?;
    let recorded = store.recorded_intents().await?;
    if recorded.is_empty() {
        return Ok(Recovered {
            state: State::load(tree.directory(), online).await?,
            skipped: Vec::new(),
            kept: None,
        });
    }
    // Whoever recorded it may have been killed before it was durable, or a flush may have failed.
    store.carry_over().await?;
    let published = tree
        .directory()
        .read(&ObjectPath::timestamp(), OWN_METADATA_LIMIT)
        .await?;
    // The records may be what mends a root that a power failure has damaged.
    let root = newest_root(tree.directory()).await?.root;
    let sealers = online.sealers(&root.roles.timestamp.keyids);
    demand_next_key(&recorded, &root, online)?;
    let Chain {
        mut landed,
        next,
        foreign,
        passed,
        log: lines,
    } = Chain::of(recorded, published.as_deref(), &sealers);
    if let Some(log) = log {
        // First what was signed is written down, and on the disk, and then it is published, or dropped.
        log.restore(&lines)?;
    }
    restore(tree, lock, &landed).await?;
    let mut replayed = 0;
    let (mut skipped, mut dropped) = (Vec::new(), Vec::new());
    for link in next {
        if dropped.is_empty() {
            match publish::publish(tree, lock, link.intent.clone(), &link.after).await {
                Ok(()) => {
                    replayed += 1;
                    landed.push(link);
                    continue;
                }
                Err(PublishError::Objects(ObjectError::Different { path })) => tracing::warn!(
                    path = path.as_str(),
                    "another file stands under a recorded version; the changes are planned anew"
                ),
                Err(error) => return Err(error),
            }
        }
        skipped.extend(record::versions(&link.intent));
        dropped.push(link.id);
    }

    let state = State::load(tree.directory(), online).await?;
    demand_root(&landed, &state)?;
    // Not before: with another key, or beside a timestamp that is not this index's, all of them
    // would look foreign. And their files may not be on the disk.
    for (id, why) in foreign {
        tracing::error!(
            why,
            "a recorded snapshot is dropped; what was pending stays in the journal"
        );
        dropped.push(id);
    }
    if !dropped.is_empty() {
        tree.flush().await?;
    }
    for id in dropped {
        store.drop_intent(fence, id).await?;
    }
    skipped.extend(passed);
    name(tree, lock, &landed, &state).await?;
    for link in landed.iter().filter(|link| !link.completed) {
        let (version, followed) = (link.intent.snapshot_version, state.followed);
        let side = Side {
            tree: tree.directory(),
            state: &state,
        };
        put_right(side, store, fence, &link.after).await?;
        settle(
            store,
            orders,
            fence,
            link.id,
            version,
            followed,
            &link.after,
        )
        .await?;
        tracing::info!(
            snapshot = version,
            "finished the snapshot that was recorded before the last stop"
        );
    }
    tracing::info!(
        snapshots = landed.len(),
        replayed,
        "wrote again what was published last before the stop"
    );
    let bytes = landed.iter().map(|link| weight(&link.intent)).sum();
    Ok(Recovered {
        state,
        skipped,
        kept: landed.last().map(|link| (link.id, bytes)),
    })
}

/// Refuses to go on without the next online key where a record has been sealed with it: one that has
/// a next root in it, which the holders have signed and which names that key. Such a record is this
/// index's, and dropping it would drop what a ceremony has brought.
fn demand_next_key(
    recorded: &[RecordedIntent],
    root: &Root,
    online: &OnlineKeys,
) -> Result<(), LoadError> {
    let path = ObjectPath::metadata(&RoleName::root(), root.version + 1);
    for intent in recorded
        .iter()
        .filter_map(|record| record.intent.as_ref().ok())
    {
        let mut objects = intent.objects.iter();
        let next = objects.find(|(name, _)| name == path.as_str());
        let next = next.and_then(|(_, bytes)| verify_next_root(root, bytes).ok());
        let Some(next) = next else {
            continue;
        };
        let keys = next.roles.timestamp.keyids.iter();
        let keys: Vec<_> = keys.filter_map(|id| next.keys.get(id)).collect();
        let is_ours = keys.iter().any(|key| online.ids().contains(key.keyid()));
        if !is_ours && record::open(intent, &keys).is_some() {
            let role = "the next root, which is recorded: the next online key is not here".into();
            return Err(LoadError::OtherOnlineKey { role });
        }
    }
    Ok(())
}

/// Refuses to call a record finished whose root could not be written, because another file lies in its place:
/// it is finished when that is gone.
fn demand_root(landed: &[Link], state: &State) -> Result<(), PublishError> {
    let Some(next) = state.place_of_stray_root() else {
        return Ok(());
    };
    let mut open = landed.iter().filter(|link| !link.completed);
    let brings = |link: &Link| {
        link.intent
            .objects
            .iter()
            .any(|(path, _)| path == next.as_str())
    };
    match open.any(brings) {
        true => Err(PublishError::Occupied {
            path: next.as_str().to_owned(),
        }),
        false => Ok(()),
    }
}

/// Writes small uploads again, whose bytes are kept with their journal
/// rows. Each is named after its bytes, so that nobody's word is taken for anything.
async fn restore_uploads(tree: &Replayable, store: &Store) -> Result<(), PublishError> {
    let mut place = KeptPlace::default();
    while let Some((kept, next)) = store.kept_objects(place).await? {
        place = next;
        for KeptObject { path, bytes } in kept {
            let path = ObjectPath::parse(&path).ok();
            let Some(path) = path.filter(|path| path.as_str().starts_with("targets/packages/"))
            else {
                continue;
            };
            let object = vec![(path.clone(), Bytes::from(bytes))];
            match tree.rewrite_named(object).await {
                Ok(()) => {}
                // Not a digest's bytes, not a plain file in the way, or not this user's to write.
                Err(error) => tracing::error!(
                    path = path.as_str(),
                    error = &error as &dyn std::error::Error,
                    "an uploaded object cannot be written again"
                ),
            }
        }
    }
    Ok(())
}

/// Writes everything again that these snapshots have published. What is there now is not looked at:
/// the records have the bytes that were signed, and what can be read may be in memory alone.
async fn restore(
    tree: &Replayable,
    lock: &WriterLock,
    landed: &[Link],
) -> Result<(), PublishError> {
    let mut objects: Vec<Object> = Vec::new();
    for link in landed {
        objects.extend(publish::objects_of(link.intent.clone())?.0);
    }
    let is_root = |(path, _): &Object| publish::is_root(path.as_str());
    let (roots, objects): (Vec<_>, Vec<_>) = objects.into_iter().partition(is_root);
    tree.rewrite_all(lock, objects).await?;
    if let Some(last) = landed.last() {
        let (_, timestamp) = publish::objects_of(last.intent.clone())?;
        tree.replace_all(lock, vec![timestamp]).await?;
    }
    publish::publish_roots(tree, lock, roots).await
}

/// Gives the names of all these snapshots once more: none of them was flushed.
async fn name(
    tree: &Replayable,
    lock: &WriterLock,
    landed: &[Link],
    state: &State,
) -> Result<(), PublishError> {
    let names = After::names_of_all(landed.iter().map(|link| &link.after));
    publish::restore_names(tree, lock, &names).await?;
    publish::name(tree, lock, &names, &state.projects).await
}

//! Takes up the state after a crash: replays what was recorded, never signs.

use wheelmark_objects::{Directory, ObjectError, WriterLock};
use wheelmark_store::{Fence, Intent, Store};
use wheelmark_tuf::{Key, RoleName, Sha256, Snapshot, Targets, TimestampMetadata, verify};

use crate::intent::After;
use crate::publish::{self, PublishError};
use crate::state::State;

/// Finishes the snapshot that was recorded but not completed, if there is one, and loads the
/// state that stands then.
pub(crate) async fn recover(
    tree: &Directory,
    lock: &WriterLock,
    store: &Store,
    fence: Fence,
    online: &Key,
) -> Result<State, PublishError> {
    let state = State::load(tree, online).await?;
    let Some(intent) = store.intent().await? else {
        return Ok(state);
    };
    let after: After =
        serde_json::from_value(intent.after.clone()).map_err(|_| PublishError::Recorded {
            what: "its list of names".into(),
        })?;
    let landed = state.timestamp_version >= intent.timestamp_version;
    if !landed {
        check(&state, &intent)?;
        match publish::publish(tree, lock, &intent).await {
            Ok(()) => {}
            Err(PublishError::Objects(ObjectError::Different { path })) => {
                tracing::warn!(
                    path = path.as_str(),
                    "another file stands under a recorded version; the changes are planned anew"
                );
                store.discard_intent(fence, intent.snapshot_version).await?;
                return Ok(state);
            }
            Err(error) => return Err(error),
        }
    }
    let state = if landed {
        state
    } else {
        State::load(tree, online).await?
    };
    publish::name(tree, lock, &after, &state.projects).await?;
    store
        .complete_intent(
            fence,
            intent.snapshot_version,
            &after.outcomes(intent.snapshot_version),
        )
        .await?;
    tracing::info!(
        snapshot = intent.snapshot_version,
        replayed = !landed,
        "finished the snapshot that was recorded before the last stop"
    );
    Ok(state)
}

/// Every recorded byte must be one that this index signed: the record lies in a database that
/// other processes can reach.
fn check(state: &State, intent: &Intent) -> Result<(), PublishError> {
    let bad = |what: &str| PublishError::Recorded {
        what: what.to_owned(),
    };
    let root = &state.root;
    verify::<TimestampMetadata>(&intent.timestamp, &root.keys, &root.roles.timestamp)
        .map_err(|_| bad("metadata/timestamp.json"))?;
    for (path, bytes) in &intent.objects {
        let genuine = match role_and_version(path) {
            Some((role, version)) if role.as_str() == "snapshot" => {
                verify::<Snapshot>(bytes, &root.keys, &root.roles.snapshot)
                    .is_ok_and(|snapshot| snapshot.version == version)
            }
            Some((role, version)) => state.keys_of(&role).is_some_and(|(keys, role_keys)| {
                verify::<Targets>(bytes, keys, role_keys).is_ok_and(|content| {
                    content.version == version && content.stated_role() == Some(role.as_str())
                })
            }),
            None => path.starts_with("targets/simple/") && named_by_hash(path, bytes),
        };
        if !genuine {
            return Err(bad(path));
        }
    }
    Ok(())
}

/// The role and version in the path of a versioned metadata object.
pub(crate) fn role_and_version(path: &str) -> Option<(RoleName, u64)> {
    let name = path.strip_prefix("metadata/")?.strip_suffix(".json")?;
    let (version, role) = name.split_once('.')?;
    Some((role.parse().ok()?, version.parse().ok()?))
}

fn named_by_hash(path: &str, bytes: &[u8]) -> bool {
    path.rsplit('/')
        .next()
        .and_then(|name| name.split('.').next())
        .is_some_and(|digest| digest == Sha256::of(bytes).to_string())
}

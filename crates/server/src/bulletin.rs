//! `/bulletin` and `/bulletin.json`: what the index says of its last recovery from a break-in (PEP 458, "In
//! the Event of a Key Compromise", asks for bulletins).
//!
//! The text stands in `targets`, which the offline keys sign, and clients take it from there. Here it is for
//! browsers and for whoever watches an index. It is served only if it is verified: whoever
//! has the web process alone cannot put another one into the tree, and this process tells of none that
//! nobody has signed.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Uri};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;
use wheelmark_objects::{Directory, ObjectError, ObjectPath};
use wheelmark_tuf::{
    IndexRecovery, RoleName, Root, Snapshot, Targets, TimestampMetadata, Verified, verify,
    verify_next_root, verify_trusted_root,
};

use crate::app::Reading;
use crate::read_error::ReadError;
use crate::shelf::{Held, blocking};
use crate::tree::{JSON, Label, MAX_METADATA_OBJECT_LEN, NO_CACHE, TEXT, answer};

/// The bulletin of one state of the index.
#[derive(Clone)]
struct Told {
    text: Arc<Held>,
    json: Arc<Held>,
}

/// For how long it is remembered that the bulletin of a state cannot be verified: to look costs several
/// signatures, and anybody can ask. What is mended without a new timestamp is told that much later.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The state that was looked at last, by the bytes of its timestamp.
struct Seen {
    timestamp: Bytes,
    told: Result<Option<Told>, (Arc<ReadError>, Instant)>,
}

impl Seen {
    /// What is known of a state; nothing where it has to be looked at.
    fn of(&self, timestamp: &Bytes) -> Option<Result<Option<Told>, ReadError>> {
        if self.timestamp != *timestamp {
            return None;
        }
        match &self.told {
            Ok(told) => Some(Ok(told.clone())),
            Err((error, at)) => {
                (at.elapsed() < REMEMBERED).then(|| Err(ReadError::Bulletin(error.clone())))
            }
        }
    }
}

/// What was found out last: to look means to verify metadata, and is done once for each state.
#[derive(Default)]
pub(crate) struct Bulletins(Mutex<Option<Seen>>);

/// The bulletin as text, at `/bulletin`.
pub(crate) async fn text(
    State(reading): State<Reading>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ReadError> {
    let told = reading.bulletins.newest(&reading.tree).await?;
    let told = told.ok_or_else(|| absent(&uri))?;
    answer(&told.text, &headers, &label(TEXT)).await
}

/// The same as JSON, at `/bulletin.json`.
pub(crate) async fn json(
    State(reading): State<Reading>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ReadError> {
    let told = reading.bulletins.newest(&reading.tree).await?;
    let told = told.ok_or_else(|| absent(&uri))?;
    answer(&told.json, &headers, &label(JSON)).await
}

fn absent(uri: &Uri) -> ReadError {
    let path = uri.path().to_owned();
    ReadError::Absent { path }
}

fn label(content_type: &'static str) -> Label {
    Label {
        content_type,
        cache_control: NO_CACHE,
        vary: "Accept-Encoding",
    }
}

impl Bulletins {
    /// What the published `targets` says; nothing where the index was never recovered, or is not there yet.
    async fn newest(&self, tree: &Directory) -> Result<Option<Told>, ReadError> {
        let path = ObjectPath::timestamp();
        let Some(timestamp) = tree.read(&path, MAX_METADATA_OBJECT_LEN).await? else {
            return Ok(None);
        };
        // Whoever asks meanwhile waits for the one who looks.
        let mut seen = self.0.lock().await;
        if let Some(known) = seen.as_ref().and_then(|seen| seen.of(&timestamp)) {
            return known;
        }
        let looked = look(tree, timestamp.clone()).await.map_err(Arc::new);
        *seen = Some(Seen {
            timestamp,
            told: match &looked {
                Ok(told) => Ok(told.clone()),
                Err(error) => Err((error.clone(), Instant::now())),
            },
        });
        looked.map_err(ReadError::Bulletin)
    }
}

/// Follows what is published from the first root on. That anything has expired is no reason not to tell.
async fn look(tree: &Directory, timestamp: Bytes) -> Result<Option<Told>, ReadError> {
    let Some(root) = newest(tree).await? else {
        return Ok(None);
    };
    let (root, version) = blocking(move || {
        let timestamp: Verified<TimestampMetadata> =
            verify(&timestamp, &root.keys, &root.roles.timestamp)?;
        Ok((root, timestamp.snapshot.version))
    })
    .await?;
    let Some(snapshot) = role(tree, &RoleName::snapshot(), version).await? else {
        return Ok(None);
    };
    let (listed, root) = blocking(move || {
        let snapshot: Verified<Snapshot> = verify(&snapshot, &root.keys, &root.roles.snapshot)?;
        let listed = snapshot.role(&RoleName::targets());
        Ok((listed.map(|listed| listed.version), root))
    })
    .await?;
    let targets = match listed {
        Some(version) => role(tree, &RoleName::targets(), version).await?,
        None => None,
    };
    let Some(targets) = targets else {
        return Ok(None);
    };
    blocking(move || {
        let targets: Verified<Targets> = verify(&targets, &root.keys, &root.roles.targets)?;
        Ok(IndexRecovery::of(&targets)?.map(|said| Told::of(&said)))
    })
    .await
}

/// The root in force, each verified before the next is read. A file in the place of the next one that is none
/// ends the chain: whoever can write to the tree must not be able to silence what the keys have signed.
async fn newest(tree: &Directory) -> Result<Option<Verified<Root>>, ReadError> {
    let Some(first) = role(tree, &RoleName::root(), 1).await? else {
        return Ok(None);
    };
    let mut root = blocking(move || Ok(verify_trusted_root(&first)?)).await?;
    loop {
        let version = root.version.saturating_add(1);
        let Some(next) = role(tree, &RoleName::root(), version).await? else {
            return Ok(Some(root));
        };
        let verified = blocking(move || Ok((verify_next_root(&root, &next).ok(), root)));
        let (next, before) = verified.await?;
        match next.filter(|next| next.version == version) {
            Some(next) => root = next,
            None => return Ok(Some(before)),
        }
    }
}

async fn role(tree: &Directory, role: &RoleName, version: u64) -> Result<Option<Bytes>, ReadError> {
    let path = ObjectPath::metadata(role, version);
    match tree.read(&path, MAX_METADATA_OBJECT_LEN).await {
        // None that any client reads.
        Err(ObjectError::TooLarge { .. } | ObjectError::NotPlain { .. })
            if *role == RoleName::root() =>
        {
            Ok(None)
        }
        read => Ok(read?),
    }
}

impl Told {
    fn of(said: &IndexRecovery) -> Self {
        let text = match said.bulletin.ends_with('\n') {
            true => said.bulletin.clone(),
            false => format!("{}\n", said.bulletin),
        };
        let json = json!({
            "at": said.at.to_string(),
            "since": said.since.to_string(),
            "bulletin": said.bulletin,
            "statement-sha256": said.digest(),
        });
        let held = |bytes: String| Arc::new(Held::new(Bytes::from(bytes)));
        Self {
            text: held(text),
            json: held(json.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_it_cannot_be_verified_is_remembered_for_some_seconds() {
        let seen = |ago: Duration| Seen {
            timestamp: Bytes::from_static(b"{}"),
            told: Err((
                Arc::new(ReadError::Stopped),
                Instant::now().checked_sub(ago).unwrap_or_else(Instant::now),
            )),
        };
        let (same, other) = (Bytes::from_static(b"{}"), Bytes::from_static(b"{ }"));
        assert!(matches!(
            seen(Duration::ZERO).of(&same),
            Some(Err(ReadError::Bulletin(_)))
        ));
        assert!(seen(Duration::ZERO).of(&other).is_none());
        assert!(seen(REMEMBERED).of(&same).is_none());
    }
}

//! `/bulletin` and `/bulletin.json`: what the index says of its last recovery from a break-in (PEP 458, "In
//! the Event of a Key Compromise", asks for bulletins).
//!
//! The text stands in `targets`, which the offline keys sign, and clients take it from there. Here it is for
//! browsers and for whoever watches an index. It is served only if it is verified: whoever
//! has the web process alone cannot put another one into the tree, and this process tells of none that
//! nobody has signed.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Uri};
use serde_json::json;
use tokio::sync::Mutex;
use wheelmark_objects::{Directory, ObjectPath};
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

/// The state that was looked at last, by the bytes of its timestamp.
struct Seen {
    timestamp: Bytes,
    told: Option<Told>,
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
        // Whoever asks meanwhile waits for the one who looks.
        let mut seen = self.0.lock().await;
        let path = ObjectPath::timestamp();
        let Some(timestamp) = tree.read(&path, MAX_METADATA_OBJECT_LEN).await? else {
            return Ok(None);
        };
        if let Some(seen) = &*seen
            && seen.timestamp == timestamp
        {
            return Ok(seen.told.clone());
        }
        let told = look(tree, timestamp.clone()).await?;
        *seen = Some(Seen {
            timestamp,
            told: told.clone(),
        });
        Ok(told)
    }
}

/// Follows what is published from the first root on. That anything has expired is no reason not to tell.
async fn look(tree: &Directory, timestamp: Bytes) -> Result<Option<Told>, ReadError> {
    let mut roots = Vec::new();
    while let Some(next) = role(tree, &RoleName::root(), roots.len() as u64 + 1).await? {
        roots.push(next);
    }
    let Some(root) = blocking(move || newest(&roots)).await? else {
        return Ok(None);
    };
    let timestamp: Verified<TimestampMetadata> =
        verify(&timestamp, &root.keys, &root.roles.timestamp)?;
    let version = timestamp.snapshot.version;
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
    let targets: Verified<Targets> = verify(&targets, &root.keys, &root.roles.targets)?;
    Ok(IndexRecovery::of(&targets)?.map(|said| Told::of(&said)))
}

/// The root in force.
fn newest(roots: &[Bytes]) -> Result<Option<Verified<Root>>, ReadError> {
    let mut roots = roots.iter();
    let Some(first) = roots.next() else {
        return Ok(None);
    };
    let mut root = verify_trusted_root(first)?;
    for next in roots {
        root = verify_next_root(&root, next)?;
    }
    Ok(Some(root))
}

async fn role(tree: &Directory, role: &RoleName, version: u64) -> Result<Option<Bytes>, ReadError> {
    let path = ObjectPath::metadata(role, version);
    Ok(tree.read(&path, MAX_METADATA_OBJECT_LEN).await?)
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

//! A copy of an index: in a directory, or behind a URL.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::Value;
use wheelmark_mirror::{
    Audit, AuditOptions, CopyScope, Depth, DirectoryPlace, Everything, Record, Scope, Tally,
    Unnamed, WebPlace, audit, audit_directory,
};
use wheelmark_tuf::Sha256;

use super::progress::Progress;
use super::words::{Told, text};
use super::{Args, Outcome};
use crate::anchor::{Anchor, AnchorArgs, anchor, copy_at};
use crate::commands::trust::open_store;
use crate::context::Context;
use crate::remote::remote;

/// Digits of the hash that keeps the records of two trees apart.
const NAMED: usize = 32;

pub(super) async fn verify_tree(
    path: &Path,
    args: &Args,
    context: &Context,
) -> anyhow::Result<Outcome> {
    let root = path
        .canonicalize()
        .with_context(|| format!("could not look at {}", path.display()))?;
    let now = context.clock.now();
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    let record = match Record::open(&record_of(&root, context), now, args.from_scratch) {
        Ok(record) => Some(record),
        Err(error) => {
            // It saves time, and nothing else.
            tracing::warn!(%error, "this run cannot be resumed");
            None
        }
    };
    let place = DirectoryPlace::new(&root, threads, record);
    let anchor = anchor(&args.anchor, &place, context)?;
    let scope = scope_of(&root, args);
    let selection = scope.as_ref().map(CopyScope::description);
    let known = known_timestamp(&anchor);
    let tally = Arc::new(Tally::default());
    let began = Instant::now();
    let name = path.display().to_string();
    let progress = Progress::of(&name, tally.clone());
    let listed = args.list;
    let (work, shared) = (anchor.root.clone(), tally.clone());
    let audited = tokio::task::spawn_blocking(move || {
        let meant: &dyn Scope = match &scope {
            Some(scope) => scope,
            None => &Everything,
        };
        let options = AuditOptions {
            now,
            listed,
            scope: meant,
            tally: &shared,
        };
        audit_directory(&place, &work, &options)
    });
    let (audit, unnamed) = audited.await?;
    drop(progress);
    Ok(outcome(&Told {
        name: &name,
        kind: "tree",
        anchor: &anchor,
        known,
        audit: &audit,
        unnamed: Some(&unnamed),
        selection: selection.as_deref(),
        took: began.elapsed(),
    }))
}

pub(super) async fn verify_url(
    url: &str,
    args: &Args,
    context: &Context,
) -> anyhow::Result<Outcome> {
    let store = open_store(context)?;
    let copy = copy_at(url, Some(&store))?;
    let depth = if args.files {
        Depth::Bytes
    } else {
        Depth::Lengths
    };
    let remote = remote(context)?;
    let place = WebPlace::new(copy.metadata, copy.targets, remote, depth);
    let now = context.clock.now();
    let tally = Arc::new(Tally::default());
    let began = Instant::now();
    // A copy of an index that is trusted here has its root, unless another one is named.
    let mut named = AnchorArgs {
        index: args.anchor.index.clone(),
        root: args.anchor.root.clone(),
        fingerprint: args.anchor.fingerprint,
    };
    if let (Some(index), None, None, None) =
        (&copy.index, &named.index, &named.root, &named.fingerprint)
    {
        named.index = Some(index.urls().simple().to_string());
    }
    let progress = Progress::of(url, tally.clone());
    let listed = args.list;
    let (shared, world) = (tally.clone(), context.clone());
    // Everything that waits for this place does so on threads of its own.
    let audited = tokio::task::spawn_blocking(move || -> anyhow::Result<(Anchor, Audit)> {
        let anchor = anchor(&named, &place, &world)?;
        let options = AuditOptions {
            now,
            listed,
            scope: &Everything,
            tally: &shared,
        };
        let audit = audit(&place, &anchor.root, &options);
        Ok((anchor, audit))
    });
    let (anchor, audit) = audited.await??;
    drop(progress);
    Ok(outcome(&Told {
        name: url,
        kind: "index",
        known: known_timestamp(&anchor),
        anchor: &anchor,
        audit: &audit,
        unnamed: None,
        selection: None,
        took: began.elapsed(),
    }))
}

/// The newest timestamp of the index that is known here.
fn known_timestamp(anchor: &Anchor) -> Option<u64> {
    let state = anchor.index.as_ref()?.state().ok()?;
    Some(state.timestamp?.version)
}

/// What the copy says that it was meant to have; none for everything.
fn scope_of(root: &Path, args: &Args) -> Option<CopyScope> {
    if args.everything {
        return None;
    }
    CopyScope::of(root).unwrap_or_else(|error| {
        tracing::warn!(%error, "the copy's own memory is passed over: everything is expected");
        None
    })
}

/// Where it is written down what was verified of a tree.
fn record_of(root: &Path, context: &Context) -> PathBuf {
    let name = Sha256::of(root.as_os_str().as_encoded_bytes()).to_string();
    context.cache.join("verified").join(&name[..NAMED])
}

fn outcome(told: &Told<'_>) -> Outcome {
    let audit = told.audit;
    let mut json = serde_json::to_value(audit).unwrap_or(Value::Null);
    json["kind"] = told.kind.into();
    json["whole"] = audit.is_whole().into();
    json["fresh"] = audit.is_fresh().into();
    json["trust"] = told.anchor.because.as_str().into();
    json["selection"] = told.selection.into();
    json["behind"] = told.is_behind().into();
    json["known_timestamp"] = told.known.into();
    json["seconds"] = told.took.as_secs_f64().into();
    json["unnamed"] = unnamed_json(told.unnamed);
    Outcome {
        holds: audit.is_whole() && audit.is_fresh() && audit.ended.count == 0 && !told.is_behind(),
        text: text(told),
        json,
    }
}

fn unnamed_json(unnamed: Option<&Unnamed>) -> Value {
    let mut json = serde_json::to_value(unnamed).unwrap_or(Value::Null);
    if let Some(unnamed) = unnamed {
        json["count"] = unnamed.count().into();
    }
    json
}

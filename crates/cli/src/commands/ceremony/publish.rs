//! `wheelmark ceremony publish`: the result, handed to the snapshot process.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use wheelmark_ceremony::{Ceremony, Recovery};
use wheelmark_objects::{Directory, LockError};
use wheelmark_repository::{Engine, JournalWriter, Lifetimes, OpenError, Turn};
use wheelmark_store::{Orders, Outcome, Seq, Store};
use wheelmark_tuf::{Root, root_fingerprint, verify_trusted_root, without_controls};

use super::finish::named;
use super::folder::Folder;
use crate::commands::index::account_name;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;
use crate::published::has_holder_of;

/// How long the running index is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the command answers when it is handed in and not published yet.
const WAITING: u8 = 3;

/// Publish a finished ceremony
///
/// Hands the metadata to the snapshot process, which follows it as clients would before it records
/// and publishes it with a fresh snapshot. The index goes on running; no client notices more than
/// a new version. If the index does not run, this publishes it where it has the online key;
/// otherwise the next start does, and the exit code is 3. Doing it again is right.
///
///   wheelmark ceremony publish march --data /srv/index
///
/// Runs as the user that the index publishes as.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The directory of the ceremony
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// The data directory of the index
    #[arg(long, value_name = "DIR", default_value = "wheelmark-data")]
    data: PathBuf,

    /// The file with the online key, if it is not DATA/online-key; used when the index does not run
    #[arg(long, value_name = "FILE")]
    online_key: Option<PathBuf>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let folder = Folder::open(&args.directory)?;
    let ceremony = folder.ceremony(context)?;
    demand_no_recovery(&ceremony)?;
    let tally = folder.all_signatures(&ceremony)?;
    let finished = tally
        .finish(context.clock.now())
        .context("the ceremony is not finished")?;
    let mut files = named(&finished);
    files.sort();
    demand_finished(&folder, &files)?;
    let data = Data::open_existing(&args.data)?;
    data.demand_owner()?;
    data.demand_not_recovering()?;
    let id = ceremony.id().to_string();
    let orders = data.orders().await?;
    let seq = orders
        .hand_in(&id, &files, context.clock.now(), &account_name())
        .await?;
    // From here on it stands, whatever fails.
    if let Err(error) = wait(seq, &orders, args, &data, context).await {
        tracing::error!(
            error = format!("{error:#}"),
            "it is handed in, and this command cannot publish it"
        );
    }
    let outcome = orders.ceremony_outcome(seq).await?;
    orders.close().await;
    let root = ceremony.next_root().version;
    let newest = finished
        .files
        .iter()
        .find(|(role, ..)| role.as_str() == "root");
    let newest = match newest {
        Some((_, _, bytes)) => root_fingerprint(bytes)?,
        None => ceremony.standing().newest_fingerprint(),
    };
    let (ends, first) = (finished.ends, &finished.first_to_end);
    match outcome {
        Some(Outcome::Published { snapshot_version }) => {
            if let Err(error) = folder.note_published(snapshot_version) {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "it is published, and its directory does not say so"
                );
            }
            let spent = spent_keys(&ceremony);
            print_line(&if args.json {
                json!({
                    "ceremony": id,
                    "published": true,
                    "snapshot_version": snapshot_version,
                    "root_version": root,
                    "root_fingerprint": newest,
                    "ends": ends.to_string(),
                    "first_to_end": first.as_str(),
                    "first_keys_spent": spent,
                })
                .to_string()
            } else {
                let mut told = format!(
                    "published in snapshot {snapshot_version}, under version {root} of root, to be given to new clients and holders:\n  {newest}\n\
                     the next ceremony has to be held before {first} ends, at {ends}; `wheelmark index keys` says when it is due"
                );
                if spent {
                    told.push_str(&format!(
                        "\nnone of the keys of the first run counts any more: destroy them now, with their copies and the phrase that opens them{}. \
                         Whoever has them can still lead astray whom only the first root's fingerprint was given to",
                        match data.offline_keys().exists() {
                            true => format!(" ({})", data.offline_keys().display()),
                            false => String::new(),
                        }
                    ));
                }
                told
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Outcome::Refused { reason }) => {
            if args.json {
                let told = json!({ "ceremony": id, "published": false, "refused": reason });
                print_line(&told.to_string())?;
            }
            Err(anyhow!("the index refuses it: {}", without_controls(&reason)))
                .hint("a ceremony that stands on an older state has to be begun anew; `wheelmark index keys` says what is published")
        }
        None => {
            print_line(&if args.json {
                json!({ "ceremony": id, "published": false, "waiting": true }).to_string()
            } else {
                "handed in and not published yet: the index does it at its next start, or when it is done with what it is at".to_owned()
            })?;
            Ok(ExitCode::from(WAITING))
        }
    }
}

/// Metadata files: names in the tree's `metadata` folder, and bytes.
type Files = Vec<(String, Vec<u8>)>;

/// The finished ceremony of a recovery, computed once more, with its files.
pub(crate) fn finished_recovery(
    directory: &Path,
    context: &Context,
) -> anyhow::Result<(Recovery, Files)> {
    let folder = Folder::open(directory)?;
    let ceremony = folder.ceremony(context)?;
    let finished = folder
        .all_signatures(&ceremony)?
        .finish(context.clock.now())
        .context("the ceremony is not finished")?;
    let mut files = named(&finished);
    files.sort();
    demand_finished(&folder, &files)?;
    let recovery = ceremony.plan().recovery.clone();
    let recovery = recovery.ok_or_else(|| {
        anyhow!(
            "the ceremony in {} is that of no recovery",
            directory.display()
        )
    })?;
    Ok((recovery, files))
}

/// The ceremony of a recovery stands on another state than the published one, and is published with it.
fn demand_no_recovery(ceremony: &Ceremony) -> anyhow::Result<()> {
    match &ceremony.plan().recovery {
        None => Ok(()),
        Some(recovery) => Err(anyhow!(
            "this ceremony brings the index back to its state of {}, and is published together with what is kept of later ones",
            recovery.since
        ))
        .hint("publish the recovery that it belongs to: wheelmark recover publish RECOVERY --data DIR"),
    }
}

/// Whether this ceremony takes the last of the first run's keys out of what holders sign.
fn spent_keys(ceremony: &Ceremony) -> bool {
    let roots = &ceremony.standing().published().roots;
    let first = roots
        .first()
        .and_then(|root| verify_trusted_root(root).ok());
    first.is_some_and(|first| {
        let shares = |root: &Root| has_holder_of(root, &first);
        shares(ceremony.standing().root()) && !shares(ceremony.next_root())
    })
}

/// What lies there as finished is what the signatures come to. One that came in afterwards is taken
/// in; anything else is not what was looked at.
fn demand_finished(folder: &Folder, files: &[(String, Vec<u8>)]) -> anyhow::Result<()> {
    let there = folder.finished()?;
    let place = folder.directory().join("finished");
    if there == files {
        return Ok(());
    }
    if there.is_empty() {
        return Err(anyhow!("nothing lies in {}", place.display()))
            .hint("`wheelmark ceremony finish` puts the metadata together, and checks it as clients would");
    }
    let mut pairs = there.iter().zip(files);
    let is_of = pairs.all(|(old, next)| old.0 == next.0 && has_more_signatures(&old.1, &next.1));
    if there.len() == files.len() && is_of {
        tracing::info!("signatures came in after `finish`: they are taken in");
        return folder.write_finished(files);
    }
    Err(anyhow!(
        "the files in {} are not what this ceremony ends with",
        place.display()
    ))
    .hint("`wheelmark ceremony finish` writes them anew, and checks them as clients would; find out who changed them")
}

/// Whether two metadata files differ in nothing but that the second has more signatures.
fn has_more_signatures(old: &[u8], next: &[u8]) -> bool {
    let read = |bytes| serde_json::from_slice::<Value>(bytes).ok();
    let (Some(old), Some(next)) = (read(old), read(next)) else {
        return false;
    };
    let signatures = |file: &Value| file["signatures"].as_array().cloned().unwrap_or_default();
    let after = signatures(&next);
    old["signed"] == next["signed"] && signatures(&old).iter().all(|one| after.contains(one))
}

/// Waits until there is an answer, or for as long as there is patience; publishes where no other
/// process does.
async fn wait(
    seq: Seq,
    orders: &Orders,
    args: &Args,
    data: &Data,
    context: &Context,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let tree = Arc::new(Directory::open(&data.tree()).await?);
    data.demand_plain_catalogue()?;
    let store = Store::open(&data.catalogue()).await?;
    while orders.ceremony_outcome(seq).await?.is_none() && Instant::now() < deadline {
        let online = match data.online_keys(args.online_key.as_deref()) {
            Ok(online) => online,
            Err(error) if tree.lock().await.is_ok() => {
                return Err(error.context("no process publishes, and this one has no online key"));
            }
            Err(_) => {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
        };
        let (tree, store, clock) = (tree.clone(), store.clone(), context.clock.clone());
        let lifetimes = Lifetimes::default();
        let opened = match data.settings().tree {
            None => {
                let orders = orders.clone();
                Engine::open_with_orders(tree, store, orders, online, clock, lifetimes).await
            }
            Some(_) => {
                let writer = JournalWriter::Operator;
                Engine::open(tree, store, online, clock, lifetimes, writer).await
            }
        };
        match opened {
            Ok(mut engine) => {
                engine.take_ceremonies_from(orders.clone());
                while orders.ceremony_outcome(seq).await?.is_none()
                    && engine.turn().await? != Turn::Idle
                {}
                engine.flush().await?;
            }
            Err(OpenError::Lock(LockError::Held { .. })) => tokio::time::sleep(LOOK_EVERY).await,
            Err(error) => return Err(error.into()),
        }
    }
    store.close().await;
    Ok(())
}

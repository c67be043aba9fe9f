//! `wheelmark index snapshot-log`: the hash of every snapshot, to be published elsewhere.

mod compared;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_store::LoggedSnapshot;
use wheelmark_tuf::{RoleName, Sha256};

use self::compared::{Compared, read};
use crate::commands::up::print_line;
use crate::data::Data;
use crate::logging::report;

/// The exit code for a file that is no log of snapshots.
const USAGE: u8 = 2;

/// The longest snapshot that is read, in bytes: above what any client accepts.
const MAX_SNAPSHOT_LEN: u64 = 64 * 1024 * 1024;

/// Print the hash of every snapshot, for publication; or compare what was published of them
///
///   wheelmark index snapshot-log
///   wheelmark index snapshot-log --since 120 >> published.log
///   wheelmark index snapshot-log --check published.log
///   curl https://example.org/published.log | wheelmark index snapshot-log --check -
///
/// A line for each snapshot: its version, the SHA-256 of its file, and until when it was good. Whoever
/// has such a line from elsewhere (a bulletin, a repository, a mail) can tell whether the index shows
/// the same snapshot to everybody, and whether it was rewritten since: publish the last lines now and
/// then, where whoever breaks into the index cannot change them.
///
/// Snapshots that `wheelmark index gc` took away stand in DATA/operator/orders.sqlite, which backups
/// have; the others are read from the tree. Needs no key.
///
/// --check says from which line on something differs. Exit code: 0 if nothing does, 1 if something
/// does, 2 if the file is no such log.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Only snapshots above this version
    #[arg(
        long,
        value_name = "VERSION",
        default_value_t = 0,
        conflicts_with = "check"
    )]
    since: u64,

    /// A log that was printed before, or - for standard input: compare it with what is here
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, data: &Data) -> anyhow::Result<ExitCode> {
    let published = match &args.check {
        None => None,
        Some(file) => match read(file) {
            Ok(lines) => Some((file, lines)),
            Err(error) => {
                report(&error);
                return Ok(ExitCode::from(USAGE));
            }
        },
    };
    let here = snapshots(data).await?;
    if let Some((file, lines)) = published {
        let compared = Compared::of(&lines, &here);
        print_line(&match args.json {
            true => compared.to_json().to_string(),
            false => compared.to_text(file),
        })?;
        return Ok(match compared.agrees() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        });
    }
    let shown = here
        .values()
        .filter(|snapshot| snapshot.version > args.since);
    if args.json {
        let snapshots: Vec<_> = shown
            .map(|snapshot| {
                json!({
                    "version": snapshot.version,
                    "sha256": snapshot.sha256.to_string(),
                    "length": snapshot.length,
                    "expires": snapshot.expires.to_string(),
                })
            })
            .collect();
        print_line(&json!({ "snapshots": snapshots }).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    for LoggedSnapshot {
        version,
        sha256,
        expires,
        ..
    } in shown
    {
        print_line(&format!("{version} {sha256} {expires}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Every snapshot that was published: those that were collected, and those in the tree.
async fn snapshots(data: &Data) -> anyhow::Result<BTreeMap<u64, LoggedSnapshot>> {
    let mut found = BTreeMap::new();
    let tree = Directory::open(&data.tree()).await?;
    let published = published(&data.tree())?;
    for path in tree.beside(&ObjectPath::timestamp()).await? {
        let Some(version) = version_of(&path).filter(|version| *version <= published) else {
            continue;
        };
        let Some(bytes) = tree.read(&path, MAX_SNAPSHOT_LEN).await? else {
            continue;
        };
        let Signed { expires, .. } = parse(&bytes).with_context(|| format!("{path} is damaged"))?;
        let snapshot = LoggedSnapshot {
            version,
            sha256: Sha256::of(&bytes),
            length: bytes.len() as u64,
            expires,
        };
        found.insert(version, snapshot);
    }
    if data.has_orders() {
        let orders = data.orders().await?;
        // What was written down first holds.
        let logged = orders.logged_snapshots().await?.into_iter();
        found.extend(logged.map(|snapshot| (snapshot.version, snapshot)));
        orders.close().await;
    }
    Ok(found)
}

/// The version of the published snapshot.
fn published(tree: &Path) -> anyhow::Result<u64> {
    let path = tree.join(ObjectPath::timestamp().as_str());
    let bytes =
        std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let signed = parse(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
    let snapshot = signed.meta.get("snapshot.json");
    Ok(snapshot.map_or(0, |snapshot| snapshot.version))
}

/// The version of a snapshot by its name; none for other objects.
fn version_of(path: &ObjectPath) -> Option<u64> {
    let name = path.as_str().strip_prefix("metadata/")?;
    let version = name.split('.').next()?.parse().ok()?;
    let is_one = name == RoleName::snapshot().versioned_file_name(version);
    is_one.then_some(version)
}

/// As much of the metadata as is needed here. It is the index's own: `wheelmark index audit` verifies
/// its signatures.
struct Signed {
    expires: Timestamp,
    meta: BTreeMap<String, Listed>,
}

#[derive(Deserialize)]
struct Listed {
    version: u64,
}

fn parse(bytes: &[u8]) -> anyhow::Result<Signed> {
    #[derive(Deserialize)]
    struct Envelope {
        signed: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        expires: String,
        #[serde(default)]
        meta: BTreeMap<String, Listed>,
    }
    let Envelope { signed } = serde_json::from_slice(bytes)?;
    Ok(Signed {
        expires: signed.expires.parse()?,
        meta: signed.meta,
    })
}

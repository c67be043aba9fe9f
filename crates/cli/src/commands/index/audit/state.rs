//! The tree against what is signed: what `wheelmark verify` does, and what only the index's own
//! memory can tell.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use jiff::Timestamp;
use wheelmark_mirror::{
    Audit, AuditOptions, Chain, ChainError, DirectoryPlace, Everything, Tally, Trouble, Unnamed,
    audit_directory, follow, root_of_fingerprint,
};
use wheelmark_objects::{Directory, Kind as ObjectKind, ObjectPath};
use wheelmark_packaging::simple::{MAX_PAGE_LEN, ProjectPage};
use wheelmark_repository::unnamed_objects;
use wheelmark_store::{Seq, Store};
use wheelmark_tuf::{IndexRecovery, Sha256, Snapshot, Verified, verify, verify_trusted_root};

use super::damage::{Damage, Kind};
use crate::commands::verify::progress::Progress;
use crate::context::Context;
use crate::data::Data;

/// More findings than this are counted and not listed: whatever they are, one looks elsewhere.
const MOST: usize = 100_000;

/// An upload places its objects, and writes its row a moment later.
const SETTLED: Duration = Duration::from_secs(10);

/// The longest snapshot that is read, in bytes: above what any client accepts.
const MAX_SNAPSHOT_LEN: u64 = 64 * 1024 * 1024;

/// How far the times of files may lie behind the clock.
const CLOCK_LAG: Duration = Duration::from_millis(10);

/// What the tree has, as far as it holds.
pub(super) struct State {
    pub(super) root: Vec<u8>,
    pub(super) place: DirectoryPlace,
    /// None where there is no chain that can be gone by.
    pub(super) chain: Option<Chain>,
    pub(super) audit: Audit,
    /// How many files no signed state of now names.
    unnamed: u64,
}

/// Reads every byte of the tree and compares it with what is signed.
pub(super) async fn audit(
    data: &Data,
    context: &Context,
    began: SystemTime,
    damage: &mut Vec<Damage>,
) -> anyhow::Result<State> {
    let tree = data.tree();
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    let fingerprint = data.settings().root_fingerprint;
    let now = context.clock.now();
    let tally = Arc::new(Tally::default());
    let progress = Progress::of("the published tree", tally.clone());
    let audited = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let mut place = DirectoryPlace::new(&tree, threads, None);
        let root = root_of_fingerprint(&place, &fingerprint)
            .context("the root by which this index is known is not in the tree")?;
        let stray = stray_root(&place, &root);
        if let Some((name, _)) = &stray {
            place = place.without(name);
        }
        let options = AuditOptions {
            now,
            listed: MOST,
            scope: &Everything,
            tally: &tally,
        };
        let (audit, unnamed) = audit_directory(&place, &root, &options);
        let chain = follow(&place, &root, Timestamp::UNIX_EPOCH).ok();
        Ok((place, root.to_vec(), audit, unnamed, chain, stray))
    });
    let (place, root, audit, unnamed, chain, stray) = audited.await??;
    drop(progress);
    if let Some((name, found)) = stray {
        let expected = "no file, or a root that the keys of the one before it have signed";
        let path = format!("metadata/{name}");
        damage.push(Damage::new(Kind::StrayRoot, &path, expected, &found));
    }
    let root_folder = data.tree();
    // Names and unsigned copies follow the timestamp, and may be of a newer state by now.
    let is_of_now = |path: &str| is_newer(&root_folder.join(path), began);
    let holds = |damage: &Damage| !(damage.kind.is_of_names() && is_of_now(&damage.path));
    damage.extend(audit.findings.iter().map(Damage::of).filter(holds));
    lacking(&audit, damage);
    let nothing = names_of_nothing(&audit, &unnamed);
    damage.extend(
        nothing
            .into_iter()
            .filter(|damage| !is_of_now(&damage.path)),
    );
    for folder in &unnamed.unreadable {
        damage.push(Damage::new(
            Kind::Unreadable,
            folder,
            "a folder of the tree",
            "it cannot be listed",
        ));
    }
    Ok(State {
        root,
        place,
        chain,
        audit,
        unnamed: unnamed.count(),
    })
}

/// The file in the place of the next root that is none, and why. The rest is looked at without it: whoever can
/// write to the tree for a moment must not be able to end every audit.
fn stray_root(place: &DirectoryPlace, root: &[u8]) -> Option<(String, String)> {
    let broken = follow(place, root, Timestamp::UNIX_EPOCH).err()?;
    let (path, why): (_, &dyn std::error::Error) = match &broken.error {
        ChainError::Refused { path, source } => (path, source),
        ChainError::Place { path, source } => (path, source),
        ChainError::Root(_) | ChainError::NoSuchRoot { .. } => return None,
    };
    path.ends_with(".root.json")
        .then(|| (path.clone(), with_causes(why)))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

/// What is only counted, for there is too much of it.
pub(super) fn not_listed(state: &State, left_out: &mut Vec<String>) {
    let more = state
        .audit
        .found()
        .saturating_sub(state.audit.findings.len() as u64);
    if more > 0 {
        left_out.push(format!("{more} more findings in the tree"));
    }
    let more = state.unnamed.saturating_sub(MOST as u64);
    if more > 0 {
        left_out.push(format!(
            "{more} more files that no signed state of now names: `wheelmark index gc` makes them fewer"
        ));
    }
}

/// Files that are there in a way that does for a copy, and not for the index: it publishes what is
/// under `targets/`.
fn lacking(audit: &Audit, damage: &mut Vec<Damage>) {
    if audit.counts.plain_alone > 0 {
        damage.push(Damage::new(
            Kind::Missing,
            "targets/packages",
            "every file under the name with its hash",
            &format!(
                "{} are there under their plain names alone",
                audit.counts.plain_alone
            ),
        ));
    }
    let folders = audit.lacking.iter().filter(|_| audit.counts.files > 0);
    damage.extend(folders.map(|folder| {
        Damage::new(
            Kind::PlainMissing,
            folder,
            "the names for installers without verification",
            "the folder is not there",
        )
    }));
}

/// Whether a name was given, or its file changed, since `began`.
fn is_newer(path: &Path, began: SystemTime) -> bool {
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return false;
    };
    let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
    let nanos = u32::try_from(metadata.ctime_nsec()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos) >= began
}

/// Names that installers without verification find, and that nothing signed leads to; and files
/// that belong to no tree. What is damaged was told of, and its names are no more damage.
fn names_of_nothing(audit: &Audit, unnamed: &Unnamed) -> Vec<Damage> {
    let whole = is_whole(audit);
    let told: HashSet<String> = audit
        .findings
        .iter()
        .filter_map(|found| name_of_damaged(&found.path))
        .collect();
    let extra = |path: &String| {
        let expected = match path.parse::<ObjectPath>().map(|path| path.kind()) {
            Ok(
                ObjectKind::Timestamp
                | ObjectKind::Metadata
                | ObjectKind::Page
                | ObjectKind::PageBySha512
                | ObjectKind::Certificates
                | ObjectKind::File
                | ObjectKind::FileBySha512
                | ObjectKind::FileMetadata
                | ObjectKind::Chunks
                | ObjectKind::Signature
                | ObjectKind::Provenance
                | ObjectKind::Status,
            ) => return None,
            Ok(_) if !whole || is_told(path, &told) => return None,
            Ok(_) => "a name that a signed page gives",
            Err(_) => "an object of the tree",
        };
        let found = "a file that nothing names";
        Some(Damage::new(Kind::Extra, path, expected, found))
    };
    unnamed.some.iter().filter_map(extra).collect()
}

/// Whether every role could be read: otherwise nobody knows what the others list.
pub(super) fn is_whole(audit: &Audit) -> bool {
    audit.heads.is_some() && !audit.totals.contains_key(&Trouble::Metadata)
}

/// The plain name of an object, or the project of a page.
fn name_of_damaged(path: &str) -> Option<String> {
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        ["targets", "packages", project, name] => {
            let (_, filename) = name.split_once('.')?;
            Some(format!("packages/{project}/{filename}"))
        }
        ["targets", "simple", project, _] => Some((*project).to_owned()),
        _ => None,
    }
}

fn is_told(path: &str, told: &HashSet<String>) -> bool {
    let project = path.split('/').nth(1).unwrap_or_default();
    let project = project.strip_suffix(".asc").unwrap_or(project);
    told.contains(path) || told.contains(project)
}

/// Objects under `targets/` that nothing names, now or in an older state that is there. Pages of
/// states that are gone are whole and harmless: they are counted, and the number is given back.
pub(super) async fn unnamed(
    data: &Data,
    store: &Store,
    began: SystemTime,
    now: Timestamp,
    damage: &mut Vec<Damage>,
) -> anyhow::Result<u64> {
    let tree = Directory::open(&data.tree()).await?;
    let mut found = unnamed_objects(&tree, store, now).await?;
    // What was written since is being published.
    found.retain(|object| object.modified < began);
    let settles = |modified: SystemTime| modified.elapsed().is_ok_and(|age| age < SETTLED);
    if found.iter().any(|object| settles(object.modified)) {
        tokio::time::sleep(SETTLED).await;
        found = unnamed_objects(&tree, store, now).await?;
        found.retain(|object| object.modified < began);
    }
    let mut old_pages = 0;
    for object in found {
        if is_a_page(&tree, &object.path).await {
            old_pages += 1;
            continue;
        }
        let found = format!("{} bytes that nothing names", object.len);
        let expected = "an object that a signed page names, or named";
        damage.push(Damage::new(
            Kind::Extra,
            object.path.as_str(),
            expected,
            &found,
        ));
    }
    Ok(old_pages)
}

/// Whether an object is a page with the bytes after which it is named, such as a backup keeps of
/// states whose roles it has not.
async fn is_a_page(tree: &Directory, path: &ObjectPath) -> bool {
    if path.kind() != ObjectKind::Page {
        return false;
    }
    let Ok(Some(bytes)) = tree.read(path, MAX_PAGE_LEN as u64).await else {
        return false;
    };
    let page = ProjectPage::parse(&bytes);
    Some(Sha256::of(&bytes)) == path.sha256()
        && page.is_ok_and(|page| {
            let own = ObjectPath::page(&page.name, &Sha256::of(&bytes));
            own == *path
        })
}

/// What the index itself has seen of newer states. To be asked before the state is read: what is
/// published meanwhile is no evidence.
pub(super) struct Evidence {
    /// Snapshots that are there, and are not recorded as being published.
    snapshots: Vec<(String, u64)>,
    /// The newest snapshot that an answer in the catalogue speaks of.
    answered: u64,
    pub(super) began: SystemTime,
}

impl Evidence {
    pub(super) async fn gather(data: &Data, store: &Store) -> anyhow::Result<Self> {
        // The clock of a file system lags behind by some milliseconds.
        let began = SystemTime::now() - CLOCK_LAG;
        let answered = store.newest_snapshot().await?;
        let snapshots = snapshots_of(&data.tree())?;
        let recorded: HashSet<u64> = store
            .recorded_intents()
            .await?
            .into_iter()
            .filter_map(|recorded| Some(recorded.intent.ok()?.snapshot_version))
            .collect();
        let snapshots = snapshots.into_iter();
        Ok(Self {
            snapshots: snapshots
                .filter(|(_, version)| !recorded.contains(version))
                .collect(),
            answered,
            began,
        })
    }
}

/// What says that the state is older than one that this index has signed. `first_root` is where `chain` begins;
/// `journal` is where the journal ended when the state had been read: it only grows, and so a sound one reaches
/// that far.
pub(super) fn rolled_back(
    data: &Data,
    chain: &Chain,
    first_root: &[u8],
    evidence: &Evidence,
    journal: Seq,
    damage: &mut Vec<Damage>,
) -> anyhow::Result<()> {
    let set = &chain.set;
    let published = set.snapshot().version;
    let mut newest: Option<(u64, String)> = None;
    let (keys, role_keys) = (&set.root().keys, &set.root().roles.snapshot);
    for (path, version) in &evidence.snapshots {
        if *version <= published {
            continue;
        }
        let bytes = crate::published::read_bounded(&data.tree().join(path), MAX_SNAPSHOT_LEN)?;
        let verified: Result<Verified<Snapshot>, _> = verify(&bytes, keys, role_keys);
        match verified {
            Ok(_) => newest = newest.max(Some((*version, format!("{path} is there, and signed")))),
            // What a thief drove up lies where it was when the index went back.
            Err(_) if left_behind(chain, first_root, &bytes) => {}
            Err(_) => damage.push(Damage::new(
                Kind::Extra,
                path,
                &format!("no snapshot above {published}, which is published"),
                "a file that the index has not signed",
            )),
        }
    }
    if evidence.answered > published {
        let answered = evidence.answered;
        let found = format!("the catalogue has answers out of snapshot {answered}");
        newest = newest.max(Some((answered, found)));
    }
    let followed = followed(set);
    if journal.0 < followed {
        damage.push(Damage::new(
            Kind::RowMissing,
            "catalogue, journal",
            &format!("a journal that reaches to {followed}, as the timestamp says"),
            &format!("it ends at {journal}"),
        ));
    }
    if let Some((version, why)) = newest {
        let timestamp = set.timestamp().version;
        damage.push(Damage::new(
            Kind::RolledBack,
            ObjectPath::timestamp().as_str(),
            &format!("the timestamp of snapshot {version}: {why}"),
            &format!("timestamp {timestamp}, of snapshot {published}"),
        ));
    }
    Ok(())
}

/// Whether a snapshot was signed by a key that signs no more, in an index that says that it was broken into and
/// went back: no client takes it (TUF §5.3.11), and what is published passes over its number.
fn left_behind(chain: &Chain, first_root: &[u8], snapshot: &[u8]) -> bool {
    let went_back = IndexRecovery::of(chain.set.targets()).is_ok_and(|said| said.is_some());
    let before = chain.roots.iter().map(AsRef::as_ref).chain([first_root]);
    let signed = |root: &[u8]| {
        let Ok(root) = verify_trusted_root(root) else {
            return false;
        };
        let by_it: Result<Verified<Snapshot>, _> =
            verify(snapshot, &root.keys, &root.roles.snapshot);
        by_it.is_ok()
    };
    went_back && before.into_iter().any(signed)
}

/// How far the timestamp says that the journal of the uploads was followed.
pub(super) fn followed(set: &wheelmark_tuf::TrustedSet) -> u64 {
    let own = set.timestamp().extra.get(wheelmark_tuf::OWN_MEMBER);
    let journal = own.and_then(|own| own.get("journal"));
    journal.and_then(serde_json::Value::as_u64).unwrap_or(0)
}

/// Every snapshot that is there: its path and its version.
fn snapshots_of(tree: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    let folder = tree.join("metadata");
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let version = name.to_str().and_then(|name| {
            let version = name.strip_suffix(".snapshot.json")?;
            Some((format!("metadata/{name}"), version.parse().ok()?))
        });
        found.extend(version);
    }
    Ok(found)
}

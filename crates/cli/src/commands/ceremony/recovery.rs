//! `wheelmark recover ceremony`: the ceremony that brings an index back from a break-in.
//!
//! ```text
//! recovery/plan.json ──────────▶ which snapshot is the last good one, which claims ended since
//! recovery/last-good/metadata ─▶ what the ceremony stands on     ┐
//! DATA/repository/metadata ────▶ whether root stands, and which  ├─▶ recovery/ceremony/
//!                                numbers are taken               │
//! DATA/online-key.next ────────▶ the key that signs from then on ┘
//! ```
//!
//! The present state is not asked for anything else: what a thief has written there decides nothing.

mod bulletin;

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::json;
use wheelmark_ceremony::{Ceremony, OnlineKey, Plan, Published, Recovery, Standing};
use wheelmark_objects::Directory;
use wheelmark_packaging::ProjectName;
use wheelmark_recovery::{ClaimWhat, Decision, MAX_PLAN_LEN, Plan as Changes};
use wheelmark_signing::{FileKey, Signer as _};
use wheelmark_tuf::{RoleName, Sha256, Targets, check_bulletin, verify, without_controls};

use super::begin::{HolderArgs, MAX_PUBLIC_LEN, about};
use super::folder::Folder;
use super::{policy, review};
use crate::commands::index::{folder_of, public_half};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::{Data, sync_directory, write_private};
use crate::logging::WithHint as _;
use crate::published::{self, LastGood, read_bounded};

/// In the folder of a recovery: what changed since the last good state, and what is decided.
const PLAN: &str = "plan.json";

/// The tree of the last good state.
const LAST_GOOD: &str = "last-good";

/// The ceremony.
const CEREMONY: &str = "ceremony";

/// The public half of the next online key.
pub(crate) const NEXT_KEY: &str = "next-online-key.json";

/// The ceremony while it is written: nothing takes it for one.
const NEXT_CEREMONY: &str = ".ceremony.part";

/// The longest file of a bulletin that is read, in bytes: what is too long is told of as such.
const MAX_FILE_LEN: u64 = 64 * 1024;

/// Begin the ceremony that brings an index back from a break-in
///
/// Stands on the last good state, which `wheelmark recover plan` has put into the folder, and on
/// nothing that was published since. Makes another online key beside the present one
/// (online-key.next, for its owner alone), and begins a ceremony in RECOVERY/ceremony that puts it
/// in the place of the stolen one, raises the versions of all other roles above everything that was
/// published, and lets the index say what happened: the bulletin, and which claims go on that are
/// claimed, not yet sealed.
///
///   wheelmark recover ceremony recovery --data /srv/index
///   wheelmark recover ceremony recovery --data /srv/index --bulletin what-happened.txt
///   wheelmark recover ceremony recovery --data /srv/index --replace 2=bob-2.json
///
/// Holders whose keys may be in other hands are replaced in the same ceremony. Then as always: each
/// holder signs, and `wheelmark ceremony finish recovery/ceremony` puts it together. Nothing is
/// published here. docs/recovery.md goes through it all.
///
/// Runs as the user that the index publishes as, while the index is stopped. Leave it stopped, and
/// give no command that publishes, until the recovery is published: a next key that has signed what
/// a thief brought in is good for nothing.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The folder of the recovery, which `wheelmark recover plan` has made
    #[arg(value_name = "RECOVERY")]
    folder: PathBuf,

    /// The data directory of the index
    #[arg(long, value_name = "DIR", default_value = "wheelmark-data")]
    data: PathBuf,

    /// What people are told, as a text file of at most 4096 bytes in plain lines [default: a text that
    /// names the days and the projects, written from the plan]
    #[arg(long, value_name = "FILE")]
    bulletin: Option<PathBuf>,

    #[command(flatten)]
    holders: HolderArgs,

    /// The file with the present online key, if it is not DATA/online-key: the next one lies beside it
    #[arg(long, value_name = "FILE")]
    online_key: Option<PathBuf>,

    /// What the ceremony has to keep to [default: ceremony-policy.toml in the data directory, if it
    /// is there; `wheelmark ceremony policy` prints one]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let data = Data::open_existing(&args.data)?;
    data.demand_owner()?;
    // A process that publishes would sign with the next key, too, as soon as it is there.
    let tree = Directory::open(&data.tree()).await?;
    let _stopped = tree.lock().await.hint(
        "stop the index first, and keep it stopped: from now on it must publish nothing until the recovery is published",
    )?;
    let directory = args.folder.join(CEREMONY);
    demand_none(&directory)?;
    let changes = changes(&args.folder)?;
    demand_as_planned(&changes, &data)?;
    let policy = policy::of(args.policy.as_deref(), Some(&data))?;
    let standing = standing(&args.folder, &changes, &data)?;
    let left_behind = left_behind(&standing, &data.tree());
    let files = data.online_key_files(args.online_key.as_deref());
    FileKey::open(&files[0]).hint(
        "the next key lies beside the present one, which has to be a file here: name it with --online-key FILE. An online key on a token, or one that only the service sees, cannot be replaced by a recovery yet",
    )?;
    let now = context.clock.now();
    let bulletin = match &args.bulletin {
        Some(file) => read_bulletin(file)?,
        None => {
            // That tree has every page.
            let pages = args.folder.join(LAST_GOOD).join("targets/simple");
            let is_known = |project: &ProjectName| pages.join(project.as_str()).is_dir();
            bulletin::usual(&changes, is_known, now)
        }
    };
    let recovery = Recovery {
        since: Timestamp::from_second(changes.last_good.dated.as_second())?,
        snapshot_version: changes.last_good.snapshot.version,
        snapshot_sha256: changes.last_good.snapshot.sha256,
        bulletin,
        ended: ended(&changes)?,
    };
    let mut plan = Plan::renewal(&standing, &[], &policy, now);
    plan.holders = args.holders.changes()?;
    plan.threshold = args.holders.threshold;
    let metadata = data.tree().join("metadata");
    let is_taken = |role: &RoleName, version| {
        let path = metadata.join(role.versioned_file_name(version));
        // What cannot be looked at may be there.
        !matches!(path.try_exists(), Ok(false))
    };
    let next = NextKey::of(&files, &args.folder.join(NEXT_KEY), &standing)?;
    plan.recover(recovery, next.public.clone(), is_taken);
    let ceremony = Ceremony::new(standing, plan, &policy, now).map_err(|error| {
        let about = about(&error);
        (anyhow::Error::from(error), about)
    });
    let ceremony = match ceremony {
        Ok(ceremony) => ceremony,
        Err((error, about)) => {
            return Err(error.context("no ceremony can be held so")).hint(about);
        }
    };
    data.begin_recovering(&args.folder, next.public.key().keyid(), &files[1])?;
    next.put_in_place()?;
    let folder = create(&args.folder, &ceremony)?;
    tell(args, &ceremony, &folder, &left_behind)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(
    args: &Args,
    ceremony: &Ceremony,
    folder: &Folder,
    left_behind: &[String],
) -> anyhow::Result<()> {
    let at = folder.directory().display();
    if args.json {
        let told = json!({
            "ceremony": ceremony.id().to_string(),
            "words": ceremony.words().to_string(),
            "directory": folder.directory(),
            "online_key_words": ceremony.plan().online.as_ref().map(|key| key.words().to_string()),
            "cautions": ceremony.cautions(),
            "left_behind": left_behind,
            "roles": review::as_json(ceremony),
            "recovery": review::recovery_as_json(ceremony),
        });
        return print_line(&told.to_string());
    }
    print_line(&review::text(ceremony))?;
    for left in left_behind {
        print_line(&format!("\nNOTE: {left}"))?;
    }
    print_line(&review::words(ceremony))?;
    print_line(&format!(
        "\n{at} is ready to travel. Each holder signs it, trusting the newest root that they know:\n  \
         wheelmark ceremony sign {at} --trust ROOT --signer file:KEYS.age\n\
         then, where the index is:\n  \
         wheelmark ceremony finish {at}\n  \
         wheelmark recover publish {} --data {}",
        args.folder.display(),
        args.data.display(),
    ))
}

/// A ceremony that was begun is not begun once more: holders may have signed it.
fn demand_none(directory: &Path) -> anyhow::Result<()> {
    let is_empty = match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !directory.exists(),
    };
    match is_empty {
        true => Ok(()),
        false => Err(anyhow!("{} is there already", directory.display())).hint(format!(
            "go on with the ceremony in it: wheelmark ceremony status {}. To begin another one, give that up first: `wheelmark recover abandon`",
            directory.display()
        )),
    }
}

/// What changed since the last good state.
fn changes(folder: &Path) -> anyhow::Result<Changes> {
    let path = folder.join(PLAN);
    let about = "`wheelmark recover plan` makes the folder of a recovery; name that folder";
    let bytes = read_bounded(&path, MAX_PLAN_LEN)
        .with_context(|| format!("{} cannot be read", path.display()))
        .hint(about)?;
    Changes::from_json(&bytes)
        .with_context(|| format!("{} is refused", path.display()))
        .hint(about)
}

/// Refuses a plan that was made before something else was published: `recover publish` would, when everybody has
/// signed. What cannot be read whole is left to that command, which knows what it can do without.
fn demand_as_planned(changes: &Changes, data: &Data) -> anyhow::Result<()> {
    let Ok((_, online)) = published::read(&data.tree()) else {
        return Ok(());
    };
    let (now, then) = (online.snapshot.version, changes.present.snapshot.version);
    if now == then {
        return Ok(());
    }
    Err(anyhow!(
        "version {now} of the snapshot is published, and it was version {then} when the plan was made"
    ))
    .hint("`wheelmark recover plan` into the same folder compares anew, and keeps what was decided")
}

/// The claims that ended since and stay ended: clients are to forget them as well.
fn ended(changes: &Changes) -> anyhow::Result<BTreeSet<RoleName>> {
    let mut ended = BTreeSet::new();
    let removed = changes.claims.iter();
    let removed = removed.filter(|claim| claim.what == ClaimWhat::Removed && !claim.sealed);
    for claim in removed {
        match claim.decision {
            Some(Decision::Drop) => {}
            Some(Decision::Keep) => {
                ended.insert(RoleName::of_project(claim.project.as_str())?);
            }
            None => {
                return Err(anyhow!(
                    "nobody has decided whether the claim of {} goes on, which the last good state has and the present one has not",
                    claim.project
                ))
                .hint("the ceremony says which claims go on, so decide that first: `wheelmark recover decide`, with --keep where its end stays, with --drop where it goes on");
            }
        }
    }
    Ok(ended)
}

/// What the ceremony stands on: the last good state.
fn standing(folder: &Path, changes: &Changes, data: &Data) -> anyhow::Result<Standing> {
    let tree = folder.join(LAST_GOOD);
    let good = &changes.last_good;
    let last_good = LastGood {
        tree: &tree,
        root: good.root,
        snapshot: (good.snapshot.version, good.snapshot.sha256),
    };
    let published: Published = published::read_last_good(&last_good, &data.tree())?;
    let standing = Standing::verify(published)
        .with_context(|| format!("{} is no ground for a ceremony", tree.display()))
        .hint("`wheelmark recover plan` puts a state there that it has verified: make the folder anew, or ask who changed it")?;
    let is_known = |root: &Sha256| standing.pinned(root).is_ok();
    match is_known(&changes.index) {
        true => Ok(standing),
        false => Err(anyhow!(
            "{} is the plan of another index: its roots do not lead through {}",
            folder.join(PLAN).display(),
            changes.index
        ))
        .hint("name the data directory of the index for which the plan was made"),
    }
}

/// What holders have signed since the last good state, as far as it lies in the present tree: it does not go on.
fn left_behind(standing: &Standing, present: &Path) -> Vec<String> {
    let roles = standing.roles().into_iter();
    let left = roles.filter_map(|role| {
        let (good, _) = standing.version_and_expiry(&role)?;
        let (keys, role_keys) = standing.keys_of(&role)?;
        let version = good.checked_add(1)?;
        let file = role.versioned_file_name(version);
        let bytes = published::metadata(present, &file).ok().flatten()?;
        verify::<Targets>(&bytes, keys, role_keys).ok()?;
        Some(format!(
            "version {version} of {role} was signed by its holders since then, and is left behind with all that came after it: if you held that ceremony, what it brought (seals, for instance) has to be signed again, once this is published"
        ))
    });
    left.collect()
}

fn read_bulletin(file: &Path) -> anyhow::Result<String> {
    let bytes = read_bounded(file, MAX_FILE_LEN)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| anyhow!("{} is not text in UTF-8", file.display()))
        .hint("write it in a text editor, without formatting")?;
    // As editors of other systems end lines.
    let text = text.replace("\r\n", "\n");
    check_bulletin(&text)
        .with_context(|| format!("{} is no bulletin", file.display()))
        .hint("say in plain lines what happened, since when, and whom to ask; clients show it beside what they refuse")?;
    Ok(text)
}

/// Writes the ceremony, which is there whole or not at all.
fn create(recovery: &Path, ceremony: &Ceremony) -> anyhow::Result<Folder> {
    let (part, directory) = (recovery.join(NEXT_CEREMONY), recovery.join(CEREMONY));
    let cannot = || format!("{} cannot be written", directory.display());
    if part.exists() {
        fs::remove_dir_all(&part).with_context(cannot)?;
    }
    Folder::create(&part, ceremony)?;
    fs::rename(&part, &directory).with_context(cannot)?;
    sync_directory(recovery)?;
    Folder::open(&directory)
}

/// The key that signs online from then on: made now, or by an earlier run for the same recovery.
struct NextKey {
    public: OnlineKey,
    /// Where a key that was made now lies, and where it is to lie.
    made: Option<[PathBuf; 2]>,
}

impl NextKey {
    /// The key at `files`, if it is the one whose public half is there; a new one where there is none. One that
    /// is made gets its name later: a process that found it would sign with it.
    fn of(files: &[PathBuf; 2], public: &Path, standing: &Standing) -> anyhow::Result<Self> {
        let [_, next] = files;
        if next.exists() {
            let key = FileKey::open(next)?;
            let known = known(public)?;
            let is_of_this = |known: &OnlineKey| known.key().is_same_key(key.key());
            return match known.filter(is_of_this) {
                Some(public) => Ok(Self { public, made: None }),
                // Whoever could read the present key could read the one beside it.
                None => Err(anyhow!(
                    "{} lies there already, and was not made for this recovery",
                    next.display()
                ))
                .hint(format!(
                    "whoever could read the online key could read that one, too: no ceremony may name it. If no ceremony has, move it away, and {} with it if that is there",
                    without_controls(&public.display().to_string())
                )),
            };
        }
        // What lies under these two names is of an earlier run, and nothing is signed that names it: there is
        // no ceremony.
        let unnamed = unnamed_key(next);
        for left in [&unnamed, public] {
            match fs::remove_file(left) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error)
                        .with_context(|| format!("{} cannot be removed", left.display()));
                }
                _ => {}
            }
        }
        let key = FileKey::create(&unnamed, &mut UnwrapErr(SysRng))?;
        let half = public_half(standing.first_fingerprint(), &key)?;
        let mut bytes = serde_json::to_vec_pretty(&half.to_value())?;
        bytes.push(b'\n');
        write_private(public, &bytes)?;
        sync_directory(folder_of(public))?;
        Ok(Self {
            public: half,
            made: Some([unnamed, next.clone()]),
        })
    }

    /// Gives a key that was made now its name.
    fn put_in_place(&self) -> anyhow::Result<()> {
        let Some([from, to]) = &self.made else {
            return Ok(());
        };
        fs::rename(from, to).with_context(|| format!("{} cannot be made", to.display()))?;
        sync_directory(folder_of(to))
    }
}

/// Where the next online key lies before it is named.
pub(crate) fn unnamed_key(next: &Path) -> PathBuf {
    next.with_added_extension("part")
}

/// The public half that an earlier run has left, if it is there.
fn known(public: &Path) -> anyhow::Result<Option<OnlineKey>> {
    if !public.exists() {
        return Ok(None);
    }
    let bytes = read_bounded(public, MAX_PUBLIC_LEN)
        .with_context(|| format!("{} cannot be read", public.display()))?;
    let known = OnlineKey::read(&bytes);
    Ok(Some(known.with_context(|| {
        format!("{} is refused", public.display())
    })?))
}

//! `wheelmark recover publish`: the index goes back, in one snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use wheelmark_ceremony::Recovery;
use wheelmark_objects::{Directory, LockError};
use wheelmark_packaging::ProjectName;
use wheelmark_recovery::{
    Change, ClaimWhat, Decision, MAX_PLAN_LEN, Plan, Signer, VersionedFile, What,
};
use wheelmark_repository::{
    FileOf, GoBackError, GoingBack, JournalWriter, Kept, Lifetimes, Named, OpenError, Outlook,
    Present, Returning, WentBack,
};
use wheelmark_store::Store;
use wheelmark_tuf::{RoleName, without_controls};

use super::folder::Folder;
use crate::commands::ceremony::finished_recovery;
use crate::commands::index::account_name;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;
use crate::published::read_bounded;

/// What to look at where the tree or the catalogue does not do as it should.
const ABOUT_TREE: &str = "doing it again is right: what was recorded is finished then. A file in DATA/repository/metadata that stands in the way and that nobody has signed is to be moved away; what is missing comes from a backup or a mirror";

/// How many of a kind are named.
const NAMED: usize = 20;

/// Go back to the last good state, with what is kept of what came since
///
/// Takes everything that was decided, and the finished ceremony, and publishes one snapshot of it, signed
/// anew by the next online key: what was dropped is gone for everybody, what was kept stays, and clients
/// follow by themselves. Uploads and orders that were pending are refused. Users and tokens stay: revoke
/// those that may be in other hands.
///
///   wheelmark recover publish recovery --data /srv/index --dry-run
///   wheelmark recover publish recovery --data /srv/index
///
/// Stop the index first. --dry-run finishes what an earlier process left recorded, and nothing else. Killed at any step, the same command finishes it, or nothing has happened;
/// doing it again is right. Runs as the user that the index publishes as. docs/recovery.md goes through it
/// all.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The folder of the recovery
    #[arg(value_name = "RECOVERY")]
    folder: PathBuf,

    /// The data directory of the index
    #[arg(long, value_name = "DIR", default_value = "wheelmark-data")]
    data: PathBuf,

    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// The file with the present online key, if it is not DATA/online-key: the next one lies beside it
    #[arg(long, value_name = "FILE")]
    online_key: Option<PathBuf>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    Folder::at(&args.folder).demand_own()?;
    let plan = plan(&args.folder)?;
    let kept = kept(&plan)?;
    let (recovery, files) = finished_recovery(&args.folder.join("ceremony"), context).hint(
        "`wheelmark recover ceremony` begins it, and `wheelmark ceremony finish` puts it together",
    )?;
    demand_signed_for(&plan, &recovery)?;
    let data = Data::open_existing(&args.data)?;
    data.demand_owner()?;
    let last_good = args.folder.join("last-good");
    let last_good = Directory::open(&last_good)
        .await
        .with_context(|| format!("{} cannot be read", last_good.display()))?;
    let named = |file: &VersionedFile| Named {
        version: file.version,
        sha256: file.sha256,
    };
    let back = GoingBack {
        last_good: Arc::new(last_good),
        root: plan.last_good.root,
        snapshot: named(&plan.last_good.snapshot),
        present: Present {
            root: plan.present.root,
            snapshot: named(&plan.present.snapshot),
        },
        ceremony: files,
        kept,
    };
    let mut engine = engine(args, &data, back, context).await?;
    if args.dry_run {
        let looked = engine.look_back().await.map_err(hinted)?;
        tell_of(args, looked)?;
        return Ok(ExitCode::SUCCESS);
    }
    let done = engine.go_back(&account_name()).await.map_err(hinted)?;
    drop(engine);
    data.end_recovering()?;
    tell(args, &done)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether the holders have signed for going back to the very state that the plan names, and for the claims that
/// end by it. Whoever can write to the folder could put another plan and another state there.
fn demand_signed_for(plan: &Plan, recovery: &Recovery) -> anyhow::Result<()> {
    let good = &plan.last_good;
    let snapshot = (good.snapshot.version, good.snapshot.sha256);
    let signed = (recovery.snapshot_version, recovery.snapshot_sha256);
    let ended = plan.claims.iter().filter(|claim| {
        let is_kept = claim.decision == Some(Decision::Keep);
        claim.what == ClaimWhat::Removed && !claim.sealed && is_kept
    });
    let ended: BTreeSet<&str> = ended.map(|claim| claim.project.as_str()).collect();
    let signed_ended = recovery.ended.iter().filter_map(RoleName::project);
    let signed_ended: BTreeSet<&str> = signed_ended.collect();
    let is_same = snapshot == signed
        && good.dated.as_second() == recovery.since.as_second()
        && ended == signed_ended;
    match is_same {
        true => Ok(()),
        false => Err(anyhow!(
            "the holders have signed for going back to snapshot {} with the SHA-256 {}, as of {}; plan.json says something else, or ends other claims",
            recovery.snapshot_version,
            recovery.snapshot_sha256,
            recovery.since
        ))
        .hint("put back the plan and the last good state that the ceremony was begun with, or hold a ceremony for these: `wheelmark recover abandon`, then `wheelmark recover ceremony`"),
    }
}

/// The engine of an index that does not run.
async fn engine(
    args: &Args,
    data: &Data,
    back: GoingBack,
    context: &Context,
) -> anyhow::Result<Returning> {
    let tree = Arc::new(Directory::open(&data.tree()).await?);
    data.demand_plain_catalogue()?;
    let store = Store::open(&data.catalogue()).await?;
    let online = data.online_keys_to_go_back(args.online_key.as_deref())?;
    let (clock, lifetimes) = (context.clock.clone(), Lifetimes::default());
    let (orders, writer) = match data.settings().tree {
        None => (Some(data.orders().await?), JournalWriter::WebProcess),
        Some(_) => (None, JournalWriter::Operator),
    };
    let opened = Returning::open(tree, store, orders, online, clock, lifetimes, writer, back);
    match opened.await {
        Ok(engine) => Ok(engine),
        Err(error @ OpenError::Lock(LockError::Held { .. })) => Err(anyhow::Error::from(error))
            .hint("stop the index first, and keep it stopped until the recovery is published"),
        Err(error) => Err(anyhow::Error::from(error)).hint(ABOUT_TREE),
    }
}

fn hinted(error: GoBackError) -> anyhow::Error {
    let hint = match &error {
        GoBackError::Changed { .. } => {
            "`wheelmark recover plan` into the same folder compares anew. If the index has published since the ceremony began, its next key has signed, and a new ceremony is needed (docs/recovery.md, When something is refused); otherwise the ceremony holds as it is"
        }
        GoBackError::OrdersUsedUp => {
            "move DATA/operator/orders.sqlite away, as evidence, with what begins with its name: this begins a new one, and `index` commands that wait in the old one are given again"
        }
        GoBackError::NextKeyUsed => {
            "`wheelmark recover abandon` gives this ceremony up, with its key; plan again into the same folder (what was decided stays), and give `wheelmark recover ceremony` again, with the index stopped until the end"
        }
        GoBackError::Ceremony(_) => {
            "a file in the way that the index has not signed is to be moved away from DATA/repository/metadata; a ceremony that stands on another state has to be begun anew"
        }
        GoBackError::Keep { .. } => {
            "drop what changed of this project (`wheelmark recover decide`): it can be published to again afterwards"
        }
        GoBackError::LastGood(_) | GoBackError::Role | GoBackError::Lost { .. } => {
            "name a whole copy as --last-good: `wheelmark verify DIR` says whether one is"
        }
        GoBackError::Unreadable => {
            "`wheelmark recover decide` with --reset and --drop all drops everything; or bring back what is missing, and plan again"
        }
        GoBackError::Publish(_)
        | GoBackError::RootNotPublished { .. }
        | GoBackError::StrayRoot { .. } => ABOUT_TREE,
        _ => "nothing was published; docs/recovery.md says what to look at",
    };
    match Err::<(), _>(anyhow::Error::from(error)).hint(hint) {
        Err(error) => error,
        Ok(()) => anyhow!(hint),
    }
}

fn plan(folder: &Path) -> anyhow::Result<Plan> {
    let path = folder.join("plan.json");
    let bytes = read_bounded(&path, MAX_PLAN_LEN)
        .with_context(|| format!("{} cannot be read", path.display()))
        .hint("`wheelmark recover plan` makes the folder of a recovery; name that folder")?;
    let plan = Plan::from_json(&bytes).with_context(|| format!("{} is refused", path.display()))?;
    if let Some(conflict) = plan.conflicts().first() {
        return Err(anyhow!("{}: {}", conflict.project, conflict.why))
            .hint("decide about it as a whole: `wheelmark recover decide`, or in plan.json");
    }
    match plan.undecided() {
        0 => Ok(plan),
        count => Err(anyhow!("nobody has decided about {count} changes")).hint(
            "`wheelmark recover show RECOVERY --undecided` lists them, and `wheelmark recover decide` decides",
        ),
    }
}

/// What is kept, project by project.
fn kept(plan: &Plan) -> anyhow::Result<BTreeMap<ProjectName, BTreeSet<Kept>>> {
    let mut all = BTreeMap::new();
    for project in &plan.projects {
        let name = &project.project;
        demand_one_mind(name, &project.changes)?;
        let kept = project.changes.iter();
        let kept = kept.filter(|change| change.decision == Some(Decision::Keep));
        let kept: anyhow::Result<BTreeSet<Kept>> =
            kept.map(|change| kept_of(name, change)).collect();
        let kept = kept?;
        if !kept.is_empty() {
            all.insert(name.clone(), kept);
        }
    }
    Ok(all)
}

/// What a project's own keys have signed is one piece, and so is all that is said of one file: an entry is
/// taken as it is now, whole, or as it was.
fn demand_one_mind(name: &ProjectName, changes: &[Change]) -> anyhow::Result<()> {
    let piece = |change: &Change| match (change.signed, change.what) {
        (Signer::Project, _) => Some(None),
        // Nothing of these can be kept, and what they are about is made anew.
        (_, What::Target | What::Changed | What::Vanished) => None,
        (Signer::Index, _) => change.file.clone().map(Some),
    };
    let mut minds = BTreeMap::new();
    for change in changes {
        let Some(piece) = piece(change) else {
            continue;
        };
        let first = *minds.entry(piece.clone()).or_insert(change.decision);
        if first != change.decision {
            let what = match piece {
                None => "what its own keys have signed".to_owned(),
                Some(file) => without_controls(&file),
            };
            return Err(anyhow!(
                "{name}: {what} is one piece, and of its changes some are kept and others are dropped"
            ))
            .hint("decide about all of them in one way: `wheelmark recover decide`, or in plan.json");
        }
    }
    Ok(())
}

fn kept_of(project: &ProjectName, change: &Change) -> anyhow::Result<Kept> {
    if change.signed == Signer::Project {
        return Ok(Kept::Release);
    }
    let file = || {
        let file = change.file.clone().map(Kept::File);
        file.ok_or_else(|| anyhow!("plan.json keeps a change of {project} that names no file"))
    };
    match change.what {
        What::State => Ok(Kept::Status),
        What::Certificates => Ok(Kept::Certificates),
        What::Page => Ok(Kept::Page),
        What::List => Ok(Kept::TakenAway),
        What::Added
        | What::Entry
        | What::Removed
        | What::Returned
        | What::Yanked
        | What::Unyanked
        | What::TakenAway
        | What::GivenBack => file(),
        What::Changed | What::Vanished | What::Target => Err(anyhow!(
            "{project}: a change that no index makes ({}) cannot be kept",
            without_controls(change.file.as_deref().unwrap_or("of the project"))
        ))
        .hint("drop it: `wheelmark recover decide`, or in plan.json"),
    }
}

fn tell_of(args: &Args, looked: Option<(Outlook, usize)>) -> anyhow::Result<()> {
    match (looked, args.json) {
        (None, true) => print_line(&json!({ "published": true, "dry_run": true }).to_string()),
        (None, false) => print_line("this recovery is published already: there is nothing to do"),
        (Some((outlook, put_back)), true) => {
            let mut told = as_json(&outlook, put_back);
            told["dry_run"] = true.into();
            print_line(&told.to_string())
        }
        (Some((outlook, put_back)), false) => {
            let mut lines = vec!["nothing is changed yet; this is what would:".to_owned()];
            lines.extend(in_words(&outlook, put_back));
            print_line(&lines.join("\n"))
        }
    }
}

fn tell(args: &Args, done: &WentBack) -> anyhow::Result<()> {
    match done {
        WentBack::There { snapshot_version } if args.json => {
            let told = json!({
                "published": true,
                "before": true,
                "snapshot_version": snapshot_version,
            });
            print_line(&told.to_string())
        }
        WentBack::There { snapshot_version } => print_line(&format!(
            "this recovery is published already; snapshot {snapshot_version} stands"
        )),
        WentBack::Published {
            snapshot_version,
            put_back,
            outlook,
        } => {
            if args.json {
                let mut told = as_json(outlook, *put_back);
                told["published"] = true.into();
                told["snapshot_version"] = (*snapshot_version).into();
                return print_line(&told.to_string());
            }
            let mut lines = vec![format!(
                "published in snapshot {snapshot_version}: the index has gone back, and clients follow by themselves"
            )];
            lines.extend(in_words(outlook, *put_back));
            lines.push(
                "now, before the index is started: revoke every token that may be in other hands (`wheelmark index \
                 token revoke`), and let the stolen key go (`wheelmark index rotate-online-key --retire --now`); \
                 docs/recovery.md, step 10"
                    .to_owned(),
            );
            print_line(&lines.join("\n"))
        }
    }
}

fn as_json(outlook: &Outlook, put_back: usize) -> Value {
    let files = |files: &[FileOf]| -> Vec<Value> {
        let told = files.iter().map(|file| {
            json!({
                "project": file.project.as_str(),
                "file": file.filename,
                "sha256": file.sha256.to_string(),
            })
        });
        told.collect()
    };
    let names =
        |names: &[ProjectName]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
    let roles = |roles: &[RoleName]| -> Vec<String> {
        roles.iter().map(|role| role.as_str().to_owned()).collect()
    };
    json!({
        "projects": names(&outlook.projects),
        "gone_projects": names(&outlook.gone_projects),
        "gone_files": files(&outlook.gone_files),
        "back_files": files(&outlook.back_files),
        "named_files": outlook.named,
        "ended_claims": names(&outlook.ended_claims),
        "own_roles_back": names(&outlook.own_roles_back),
        "offline_back": roles(&outlook.offline_back),
        "refused_changes": outlook.refused_changes,
        "put_back": put_back,
    })
}

fn in_words(outlook: &Outlook, put_back: usize) -> Vec<String> {
    let names =
        |names: &[ProjectName]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
    let files = |files: &[FileOf]| -> Vec<String> {
        let told = files
            .iter()
            .map(|file| format!("{}: {}", file.project, without_controls(&file.filename)));
        told.collect()
    };
    let mut lines = Vec::new();
    for (what, which) in [
        ("projects whose pages change", names(&outlook.projects)),
        ("projects that go", names(&outlook.gone_projects)),
        ("files that go", files(&outlook.gone_files)),
        ("files that come back", files(&outlook.back_files)),
        (
            "projects that sign for themselves no longer, until they claim again",
            names(&outlook.ended_claims),
        ),
        (
            "projects whose own signatures go back to an earlier version; their people sign their next release on that",
            names(&outlook.own_roles_back),
        ),
        (
            "roles of the holders that a ceremony since then has renewed: what it did comes undone, hold it again",
            outlook
                .offline_back
                .iter()
                .map(|role| role.as_str().to_owned())
                .collect(),
        ),
    ] {
        if which.is_empty() {
            continue;
        }
        lines.push(format!("  {}: {}", what, which.len()));
        lines.extend(which.iter().take(NAMED).map(|name| format!("    {name}")));
        if which.len() > NAMED {
            lines.push(format!(
                "    and {} more (--json lists all)",
                which.len() - NAMED
            ));
        }
    }
    if outlook.named > 0 {
        lines.push(format!(
            "  files that their project's page names as dropped, so that `wheelmark verify` knows them: {}",
            outlook.named
        ));
    }
    lines.push(format!(
        "  objects put back into the tree: {put_back}; pending uploads and orders refused: {}",
        outlook.refused_changes
    ));
    lines
}

//! `wheelmark recover abandon`: a recovery that is not to be published.
//!
//! ```text
//! recovery/ceremony               moved aside, then broken off    ┐ in this order, each of them at once
//! DATA/online-key.next            moved to online-key.abandoned-… ├ and durable: a kill in between leaves
//! recovery/next-online-key.json   moved aside                     │ the mark, and the same command goes on
//! DATA/recovering                 removed                         ┘
//! ```
//!
//! Nothing is looked for in what is published but whether it names that key. What holders have signed stays good
//! elsewhere (TUF knows no taking back but by a newer root), so the key is kept, and people are told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_signing::{FileKey, Signer as _};
use wheelmark_store::Store;
use wheelmark_tuf::{KeyId, RoleName, Root, Verified, verify_next_root, verify_trusted_root};

use super::folder::{Folder, short};
use crate::commands::ceremony::recovery::unnamed_key;
use crate::commands::ceremony::{break_off, online_key_of};
use crate::commands::index::folder_of;
use crate::commands::up::print_line;
use crate::data::{Data, Recovering, as_marked, sync_directory};
use crate::logging::WithHint as _;
use crate::published;

/// What to do where the recovery cannot be given up any more.
const PUBLISH: &str =
    "give `wheelmark recover publish RECOVERY --data DIR` again: it finishes what is missing";

/// Give a recovery up that is not published yet
///
/// Breaks its ceremony off, moves the ceremony and the next online key aside, and lets the index start again
/// as it was before. The plan, what was decided and the last good state stay: `wheelmark recover ceremony`
/// begins another ceremony, with another key.
///
///   wheelmark recover abandon recovery --data /srv/index
///
/// What holders have signed stays good, wherever copies of it are: remove those, and hold a ceremony that changes
/// root, or another recovery. Until then keep the key that is moved aside, and then destroy it.
///
/// Refused once the recovery is published, or half published. Killed at any step, the same command goes on.
/// Runs as the user that the index publishes as, while the index is stopped.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The folder of the recovery
    #[arg(value_name = "RECOVERY")]
    folder: PathBuf,

    /// The data directory of the index
    #[arg(long, value_name = "DIR", default_value = "wheelmark-data")]
    data: PathBuf,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// What became of it.
struct GivenUp {
    key: KeyId,
    /// Where the private half lies now, if it is there.
    private: Option<PathBuf>,
    /// Where the ceremony lies now, if there was one.
    ceremony: Option<PathBuf>,
    /// How many files of signatures lay in the ceremony.
    signatures: usize,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let data = Data::open_existing(&args.data)?;
    data.demand_owner()?;
    let folder = Folder::at(&args.folder);
    let mark = data.recovering()?;
    let Some(key) = key_of(&folder, mark.as_ref())? else {
        tell_nothing(args, &folder)?;
        return Ok(ExitCode::SUCCESS);
    };
    let tree = Directory::open(&data.tree()).await?;
    let _stopped = tree
        .lock()
        .await
        .hint("stop the index, or whatever publishes just now, and give the command again")?;
    demand_unpublished(&data, &key).await?;
    let files = files_of_key(&data, mark.as_ref());
    for file in &files {
        demand_its_own(file, &key, mark.is_some())?;
    }

    let aside = folder.abandoned(&key);
    let ceremony = folder.put_ceremony_aside(&aside)?;
    let signatures = match &ceremony {
        Some(ceremony) => break_off(ceremony)?,
        None => 0,
    };
    let mut private = None;
    for file in &files {
        private = put_key_aside(file, &key)?.or(private);
    }
    folder.put_public_half_aside(&aside)?;
    data.end_recovering()?;
    tell(
        args,
        &folder,
        &GivenUp {
            key,
            private,
            ceremony,
            signatures,
        },
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The next online key of the recovery in a folder; none where no ceremony of it is under way. The mark in the
/// data directory may be that of another recovery.
fn key_of(folder: &Folder, mark: Option<&Recovering>) -> anyhow::Result<Option<KeyId>> {
    let public = folder.next_key()?;
    let planned = match folder.has_ceremony() {
        true => online_key_of(&folder.ceremony()).hint(format!(
            "if {} is no ceremony of this recovery, move it away",
            folder.ceremony().display()
        ))?,
        false => None,
    };
    let Some(mark) = mark else {
        if public.is_none() && !folder.has_ceremony() {
            // Whoever names a folder by mistake is told.
            folder.plan()?;
        }
        return Ok(planned.or(public));
    };
    let is_its = |other: &Option<KeyId>| other.as_ref() == Some(&mark.key);
    // A ceremony that was begun once more, and killed before it came to the mark, has made another key.
    let is_here = planned.is_none() && as_marked(folder.path())? == mark.folder;
    if is_here || is_its(&public) || is_its(&planned) || folder.abandoned(&mark.key).is_dir() {
        return Ok(Some(mark.key.clone()));
    }
    Err(anyhow!(
        "the recovery that has begun is not the one in {}",
        folder.path().display()
    ))
    .hint(format!(
        "name the folder that the mark in the data directory names: {}",
        mark.folder
    ))
}

/// Where the next online key may lie: where the mark says that it was made, and beside the usual place of the
/// present one, where the data directory has been moved meanwhile.
fn files_of_key(data: &Data, mark: Option<&Recovering>) -> Vec<PathBuf> {
    let [_, usual] = data.online_key_files(None);
    let marked = mark.map(|mark| mark.key_file.clone());
    let marked = marked.filter(|file| *file != usual && !file.as_os_str().is_empty());
    marked.into_iter().chain([usual]).collect()
}

/// Where the mark of this recovery stands, another next key than its own has no business there: the index would
/// sign with it.
fn demand_its_own(next: &Path, key: &KeyId, is_marked: bool) -> anyhow::Result<()> {
    if !is_marked || !next.exists() || FileKey::open(next)?.key().keyid() == key {
        return Ok(());
    }
    Err(anyhow!(
        "{} is another key than that of this recovery, {key}",
        next.display()
    ))
    .hint("find out who put it there, move it away, and give the command again")
}

/// Refuses where anything of the recovery is published, or recorded to be: what is recorded is this index's word,
/// and is finished.
async fn demand_unpublished(data: &Data, key: &KeyId) -> anyhow::Result<()> {
    let Some((root, names_it)) = newest_root(&data.tree(), key)? else {
        return Err(anyhow!("the first root is missing from the tree"))
            .hint("bring metadata/ of the tree back from a copy: every root has to be there");
    };
    if names_it {
        return Err(anyhow!(
            "root names the next online key of this recovery: it is published"
        ))
        .hint(PUBLISH);
    }
    if lists(&data.tree(), key)? {
        return Err(anyhow!(
            "this recovery is half published: what the tree lists delegates to its next online key"
        ))
        .hint(PUBLISH);
    }
    if !data.catalogue().exists() {
        return Ok(());
    }
    data.demand_plain_catalogue()?;
    let store = Store::open(&data.catalogue()).await?;
    let recorded = store.recorded_intents().await;
    store.close().await;
    let path = ObjectPath::metadata(&RoleName::root(), root.version.saturating_add(1));
    for recorded in recorded? {
        let objects = recorded.intent.iter().flat_map(|intent| &intent.objects);
        let mut roots = objects.filter(|(name, _)| name == path.as_str());
        let is_ours =
            |bytes: &[u8]| verify_next_root(&root, bytes).is_ok_and(|next| names(&next, key));
        if roots.any(|(_, bytes)| is_ours(bytes)) {
            return Err(anyhow!(
                "this recovery is half published: its snapshot is recorded"
            ))
            .hint(PUBLISH);
        }
    }
    Ok(())
}

/// The newest root of a tree that those before it lead to, and whether it or one before it names a key. What is
/// no root in the place of one may have been that of the recovery: then nothing is given up.
fn newest_root(tree: &Path, key: &KeyId) -> anyhow::Result<Option<(Verified<Root>, bool)>> {
    let name = RoleName::root();
    let read = |version| published::metadata(tree, &name.versioned_file_name(version));
    let Some(first) = read(1)? else {
        return Ok(None);
    };
    let mut root = verify_trusted_root(&first).context("the first root is damaged")?;
    let mut names_it = names(&root, key);
    while let Some(next) = read(root.version.saturating_add(1))? {
        let version = root.version.saturating_add(1);
        let next = verify_next_root(&root, &next).ok();
        root = next
            .filter(|next| next.version == version)
            .ok_or_else(|| {
                anyhow!(
                    "{} in {}/metadata is no root that root's keys have signed: whether this recovery is published cannot be told",
                    name.versioned_file_name(version),
                    tree.display()
                )
            })
            .hint("if the recovery was published, restore the file from a copy or a mirror; if it was not, somebody has put it there: move it away, as evidence, and give the command again")?;
        names_it |= names(&root, key);
    }
    Ok(Some((root, names_it)))
}

/// Whether `targets`, as the published snapshot lists it, delegates to a key. Root goes out last, and the record of
/// it can be lost; no signature is asked for, since nothing is believed but that care is needed.
fn lists(tree: &Path, key: &KeyId) -> anyhow::Result<bool> {
    let read = |name: &str| -> anyhow::Result<Value> {
        let bytes = published::metadata(tree, name)?.unwrap_or_default();
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    };
    let version = |of: &Value, name: &str| of["signed"]["meta"][name]["version"].as_u64();
    let listed = |role: &RoleName, by: &Value| -> anyhow::Result<Value> {
        match version(by, &role.file_name()) {
            Some(version) => read(&role.versioned_file_name(version)),
            None => Ok(Value::Null),
        }
    };
    let timestamp = read(&RoleName::timestamp().file_name())?;
    let snapshot = listed(&RoleName::snapshot(), &timestamp)?;
    let targets = listed(&RoleName::targets(), &snapshot)?;
    let roles = targets["signed"]["delegations"]["roles"].as_array();
    let mut ids = roles
        .into_iter()
        .flatten()
        .filter_map(|role| role["keyids"].as_array())
        .flatten();
    Ok(ids.any(|id| id.as_str() == Some(key.as_str())))
}

/// Whether a root names a key as that of the timestamp.
fn names(root: &Root, key: &KeyId) -> bool {
    root.roles.timestamp.keyids.contains(key)
}

/// Moves the next online key out of the index's sight; where it lies then. It is destroyed by people: if what
/// holders have signed came out after all, the index could not do without it.
fn put_key_aside(next: &Path, key: &KeyId) -> anyhow::Result<Option<PathBuf>> {
    let folder = folder_of(next);
    if !folder.is_dir() {
        return Ok(None);
    }
    let unnamed = unnamed_key(next);
    // Nothing names this one, and nothing has been signed with it.
    if unnamed.exists() {
        fs::remove_file(&unnamed)
            .with_context(|| format!("{} cannot be removed", unnamed.display()))?;
    }
    let aside = next.with_extension(format!("abandoned-{}", short(key)));
    if next.exists() && FileKey::open(next)?.key().keyid() == key {
        fs::rename(next, &aside).with_context(|| format!("{} cannot be moved", next.display()))?;
    }
    sync_directory(folder)?;
    Ok(aside.exists().then_some(aside))
}

fn tell_nothing(args: &Args, folder: &Folder) -> anyhow::Result<()> {
    if args.json {
        let told = json!({ "abandoned": false, "plan": folder.plan_file() });
        return print_line(&told.to_string());
    }
    print_line(&format!(
        "no ceremony of this recovery is under way: there is nothing to give up. {} and what is decided in it stay",
        folder.plan_file().display()
    ))
}

fn tell(args: &Args, folder: &Folder, given_up: &GivenUp) -> anyhow::Result<()> {
    let GivenUp {
        key,
        private,
        ceremony,
        signatures,
    } = given_up;
    if args.json {
        let told = json!({
            "abandoned": true,
            "key": key.as_str(),
            "key_file": private,
            "ceremony": ceremony,
            "signatures": signatures,
            "plan": folder.plan_file(),
        });
        return print_line(&told.to_string());
    }
    let (at, data) = (folder.path().display(), args.data.display());
    let mut lines = vec![format!(
        "the recovery in {at} is given up: nothing of it was published, and the index starts again as it was, with the online key of before. If that key is in other hands, do not start it"
    )];
    if let Some(ceremony) = ceremony {
        lines.push(format!(
            "  its ceremony, broken off, and the signatures in it removed: {}",
            ceremony.display()
        ));
    }
    if let Some(private) = private {
        lines.push(format!(
            "  its next online key, which nothing uses: {}",
            private.display()
        ));
    }
    lines.push(format!(
        "what holders have signed of it stays good, wherever copies are: whoever has those and the present online key could bring it out, and clear every claim that is not sealed. Remove all copies. If anybody has signed, hold a ceremony that changes root, or another recovery, which does:\n  \
         wheelmark ceremony begin --data {data} --out DIR\n\
         keep the key that was moved aside until then, and destroy it afterwards\n\
         what was decided stays; for another ceremony of this recovery, with another key:\n  \
         wheelmark recover ceremony {at} --data {data}"
    ));
    print_line(&lines.join("\n"))
}

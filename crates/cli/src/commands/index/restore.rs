//! `wheelmark index restore`: an index from its backup.

mod archive;
mod directory;
mod staged;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use wheelmark_objects::{Directory, LockError, ObjectPath, WriterLock};
use wheelmark_signing::{Phrase, unseal_bytes};
use wheelmark_tuf::RoleName;
use zeroize::Zeroizing;

use self::staged::Staged;
use super::backup::{FORMAT, Manifest, TREE};
use super::newest::Newest;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::{self, outside};
use crate::logging::WithHint as _;

/// Make an index out of a backup
///
///   wheelmark index --data /srv/index restore /backup/index
///   wheelmark index --data /srv/index restore /backup/index-2026-11-21.tar.zst
///   wheelmark index --data /srv/index restore /backup/index --online-key-phrase phrase.txt
///   wheelmark index --data /srv/index restore /backup/index --newest https://mirror.example/simple/
///
/// The data directory must not be there, or --replace moves the one that is there aside; nothing
/// is deleted. If it is newer than the backup, that takes --accept-rollback as well: clients that
/// have seen the newer state refuse the older one, until the restored index has signed as many
/// versions as they have seen (docs/operations.md).
///
/// A backup of one file is compared with the digest at its end, and the files in a directory with
/// those that they are named after, before anything is moved. Afterwards `wheelmark verify
/// DATA/repository` verifies every signature, and `wheelmark up` goes on where the backup was made.
///
/// The tree of an index that `wheelmark sign-tree` made goes where it was, or where --tree says.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// A directory or a file that `wheelmark index backup` made, or - for standard input
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,

    /// Move the data directory that is there aside
    #[arg(long)]
    replace: bool,

    /// Go back to an older state than the one that is there
    #[arg(long, requires = "replace")]
    accept_rollback: bool,

    /// Where the tree of `wheelmark sign-tree` goes, if not where it was
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,

    /// A file with the phrase that opens the online key in the backup
    #[arg(long, value_name = "FILE")]
    online_key_phrase: Option<PathBuf>,

    #[command(flatten)]
    newest: Newest,
}

pub(super) async fn run(args: &Args, target: &Path, context: &Context) -> anyhow::Result<ExitCode> {
    let target = std::path::absolute(target)?;
    if args.backup.is_dir() {
        demand_known(&args.backup, &directory::manifest(&args.backup)?)?;
    }
    let there = target.exists() && fs::read_dir(&target)?.next().is_some();
    if there {
        demand_replace(args, &target)?;
    }
    let (backup, tree, beside) = (args.backup.clone(), args.tree.clone(), target.clone());
    let (manifest, staged) = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let tree = tree.as_deref();
        if backup.is_dir() {
            let manifest = directory::manifest(&backup)?;
            let mut staged = Staged::beside(&beside)?;
            directory::read(&backup, &mut staged, tree)?;
            return Ok((manifest, staged));
        }
        let mut staged = Staged::beside(&beside)?;
        let manifest = archive::read(&backup, &mut staged, tree)?;
        demand_known(&backup, &manifest)?;
        Ok((manifest, staged))
    })
    .await??;
    if args.tree.is_some() && staged.tree().is_none() {
        return Err(anyhow!("the tree of this index lies in its data directory"))
            .hint("leave --tree out; --data says where the data directory is to be");
    }
    if args.newest.is_asked() {
        let first = ObjectPath::metadata(&RoleName::root(), 1);
        let root = fs::read(staged.place(&format!("{TREE}/{}", first.as_str()))?)
            .context("the backup has no first root")?;
        let ours = manifest.timestamp_version;
        args.newest.demand_ours(&root, ours, context).await?;
    }
    let key = online_key(args, staged.sealed_key.as_deref())?;
    if let Some(keys) = &key {
        // The present one, and the next one if the backup was made while it took over.
        let places = [data::ONLINE_KEY, data::NEXT_ONLINE_KEY];
        for (key, place) in data::keys_in(keys).into_iter().zip(places) {
            data::write_private(&staged.data().join(place), key)?;
        }
    }
    let tree = staged.tree().map(Path::to_owned);
    let tree_there = tree
        .as_deref()
        .is_some_and(|tree| outside::demand_free(tree).is_err());
    let standing = [
        (there && tree.is_none()).then(|| target.join(TREE)),
        tree.clone().filter(|_| tree_there),
    ];
    // Held until all is in its place, so that nobody publishes into what is moved aside.
    let mut locks = Vec::new();
    for standing in standing.into_iter().flatten() {
        demand_replace(args, &standing)?;
        locks.extend(may_replace(args, &standing, &manifest).await?);
    }
    staged.flush()?;

    let mut aside = Vec::new();
    let moved = [
        there.then_some(target.as_path()),
        tree.as_deref().filter(|_| tree_there),
    ];
    for path in moved.into_iter().flatten() {
        match move_aside(path, context) {
            Ok(moved) => aside.push((path.to_owned(), moved)),
            Err(error) => return Err(put_back(error, &aside)),
        }
    }
    staged
        .rename(&target)
        .map_err(|error| put_back(error, &aside))?;
    drop(locks);
    let aside: Vec<PathBuf> = aside.into_iter().map(|(_, moved)| moved).collect();
    said(&target, tree.as_deref(), &manifest, key.is_some(), &aside)?;
    Ok(ExitCode::SUCCESS)
}

fn demand_known(backup: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    if manifest.format > FORMAT {
        return Err(anyhow!(
            "{} was made by a newer version of wheelmark (form {}, this one knows {FORMAT})",
            backup.display(),
            manifest.format
        ));
    }
    Ok(())
}

/// The online key in the backup, opened by the phrase that was given.
fn online_key(args: &Args, sealed: Option<&[u8]>) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
    let Some(file) = &args.online_key_phrase else {
        return Ok(None);
    };
    let Some(sealed) = sealed else {
        return Err(anyhow!("the online key is not in this backup"))
            .hint("it was made without --with-online-key: leave --online-key-phrase out");
    };
    let text = Zeroizing::new(
        fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?,
    );
    let phrase: Phrase = text.trim().parse()?;
    Ok(Some(unseal_bytes(sealed, &phrase)?))
}

fn demand_replace(args: &Args, path: &Path) -> anyhow::Result<()> {
    if args.replace {
        return Ok(());
    }
    Err(anyhow!("{} is there already", path.display()))
        .hint("--replace moves it aside; or name another directory with --data")
}

/// Whether the tree that is there may be moved aside.
async fn may_replace(
    args: &Args,
    tree: &Path,
    manifest: &Manifest,
) -> anyhow::Result<Option<WriterLock>> {
    if !tree.join(ObjectPath::timestamp().as_str()).exists() {
        return Ok(None);
    }
    let opened = Directory::open(tree).await?;
    let lock = match opened.lock().await {
        Ok(lock) => lock,
        Err(LockError::Held { .. }) => {
            return Err(anyhow!("{} is in use", tree.display()))
                .hint("stop the index that runs there first");
        }
        Err(error) => return Err(error.into()),
    };
    let standing = version(tree)?;
    if standing > manifest.timestamp_version && !args.accept_rollback {
        return Err(anyhow!(
            "{} is newer than the backup: its timestamp has version {standing}, the backup's {}",
            tree.display(),
            manifest.timestamp_version
        ))
        .hint("clients that have seen the newer state refuse the older one, and what was uploaded since is lost; --accept-rollback restores all the same (docs/operations.md)");
    }
    Ok(Some(lock))
}

/// The version of a tree's timestamp.
fn version(tree: &Path) -> anyhow::Result<u64> {
    let path = tree.join(ObjectPath::timestamp().as_str());
    let bytes = fs::read(&path)?;
    let envelope: serde_json::Value =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
    Ok(envelope["signed"]["version"].as_u64().unwrap_or(0))
}

/// Gives a directory another name beside its own, and returns it.
fn move_aside(path: &Path, context: &Context) -> anyhow::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let now = context.clock.now().strftime("%Y%m%dT%H%M%SZ");
    let aside = path.with_file_name(format!("{name}.before-restore-{now}"));
    fs::rename(path, &aside)
        .with_context(|| format!("{} cannot be moved aside", path.display()))?;
    Ok(aside)
}

/// Gives what was moved aside its name again; says of what could not be where it is.
fn put_back(error: anyhow::Error, aside: &[(PathBuf, PathBuf)]) -> anyhow::Error {
    let mut told = Vec::new();
    for (path, moved) in aside.iter().rev() {
        if path.exists() || fs::rename(moved, path).is_err() {
            told.push(format!(
                "what was {} is in {}",
                path.display(),
                moved.display()
            ));
        }
    }
    match told.is_empty() {
        true => error.context("nothing was replaced"),
        false => error.context(told.join("; ")),
    }
}

fn said(
    target: &Path,
    tree: Option<&Path>,
    manifest: &Manifest,
    key: bool,
    aside: &[PathBuf],
) -> anyhow::Result<()> {
    let inside = target.join(TREE);
    let target = target.display();
    print_line(&format!(
        "{target}: as it was at {}, with timestamp {} and snapshot {}",
        manifest.made_at, manifest.timestamp_version, manifest.snapshot_version
    ))?;
    for aside in aside {
        print_line(&format!("what was there before is in {}", aside.display()))?;
    }
    print_line(&format!(
        "`wheelmark verify {}` verifies every signature",
        tree.unwrap_or(&inside).display()
    ))?;
    if !key {
        let option = match tree {
            Some(_) => "sign-tree",
            None => "up",
        };
        print_line(&format!(
            "the online key is not restored: put it into {target}/{} (mode 600), or name it with `wheelmark {option} --online-key`",
            data::ONLINE_KEY
        ))?;
    }
    print_line(
        "clients that have seen a later timestamp refuse this index until it has signed as many (docs/operations.md)",
    )
}

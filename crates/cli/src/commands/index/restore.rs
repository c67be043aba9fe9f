//! `wheelmark index restore`: an index from its backup.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use wheelmark_objects::{Directory, LockError, ObjectPath};
use wheelmark_signing::{Phrase, unseal_bytes};
use zeroize::Zeroizing;

use super::backup::{FORMAT, MANIFEST, Manifest, ONLINE_KEY, TREE};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data;
use crate::logging::WithHint as _;

/// Make an index out of a backup
///
///   wheelmark index --data /srv/index restore /backup/index
///   wheelmark index --data /srv/index restore /backup/index --online-key-phrase phrase.txt
///
/// The data directory must not be there, or --replace moves the one that is there aside; nothing
/// is deleted. If it is newer than the backup, that takes --accept-rollback as well: clients that
/// have seen the newer state refuse the older one, until the restored index has signed as many
/// versions as they have seen (docs/operations.md).
///
/// Afterwards `wheelmark verify DATA/repository` reads everything again, and `wheelmark up` goes
/// on where the backup was made.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// A directory that `wheelmark index backup` made
    #[arg(value_name = "DIR")]
    backup: PathBuf,

    /// Move the data directory that is there aside
    #[arg(long)]
    replace: bool,

    /// Go back to an older state than the one that is there
    #[arg(long, requires = "replace")]
    accept_rollback: bool,

    /// A file with the phrase that opens the online key in the backup
    #[arg(long, value_name = "FILE")]
    online_key_phrase: Option<PathBuf>,
}

pub(super) async fn run(args: &Args, target: &Path, context: &Context) -> anyhow::Result<ExitCode> {
    let target = std::path::absolute(target)?;
    let manifest = manifest(&args.backup)?;
    let key = online_key(args, &manifest)?;
    let there = target.exists() && fs::read_dir(&target)?.next().is_some();
    if there {
        may_replace(args, &target, &manifest).await?;
    }

    let parent = target
        .parent()
        .ok_or_else(|| anyhow!("{} cannot hold an index", target.display()))?;
    fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
    let staging = tempfile::Builder::new()
        .prefix(".wheelmark-restore-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .with_context(|| format!("nothing can be written to {}", parent.display()))?;
    let (backup, made) = (args.backup.clone(), staging.path().to_owned());
    tokio::task::spawn_blocking(move || {
        copy_all(&backup, &made)?;
        let folder = fs::File::open(&made)?;
        rustix::fs::syncfs(&folder).context("what was restored cannot be made durable")
    })
    .await??;
    if let Some(key) = &key {
        data::write_private(&staging.path().join(data::ONLINE_KEY), key)?;
    }

    let mut aside = None;
    if there {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let now = context.clock.now().strftime("%Y%m%dT%H%M%SZ");
        let moved = parent.join(format!("{name}.before-restore-{now}"));
        fs::rename(&target, &moved)
            .with_context(|| format!("{} cannot be moved aside", target.display()))?;
        aside = Some(moved);
    }
    let made = staging.keep();
    fs::rename(&made, &target).with_context(|| format!("{} cannot be made", target.display()))?;
    data::sync_directory(parent)?;
    said(&target, &manifest, key.is_some(), aside.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

fn manifest(backup: &Path) -> anyhow::Result<Manifest> {
    let path = backup.join(MANIFEST);
    let bytes = fs::read(&path)
        .with_context(|| format!("{} is no complete backup", backup.display()))
        .hint("name a directory that `wheelmark index backup` has finished")?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
    if manifest.format > FORMAT {
        return Err(anyhow!(
            "{} was made by a newer version of wheelmark (form {}, this one knows {FORMAT})",
            backup.display(),
            manifest.format
        ));
    }
    Ok(manifest)
}

/// The online key in the backup, opened by the phrase that was given.
fn online_key(args: &Args, manifest: &Manifest) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
    let Some(file) = &args.online_key_phrase else {
        return Ok(None);
    };
    if !manifest.with_online_key {
        return Err(anyhow!("the online key is not in this backup"))
            .hint("it was made without --with-online-key: leave --online-key-phrase out");
    }
    let text = Zeroizing::new(
        fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?,
    );
    let phrase: Phrase = text.trim().parse()?;
    let sealed = fs::read(args.backup.join(ONLINE_KEY))?;
    Ok(Some(unseal_bytes(&sealed, &phrase)?))
}

/// Whether what is there may be moved aside.
async fn may_replace(args: &Args, target: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    if !args.replace {
        return Err(anyhow!("{} is there already", target.display()))
            .hint("--replace moves it aside; or name another directory with --data");
    }
    let tree = target.join(TREE);
    if !tree.join(ObjectPath::timestamp().as_str()).exists() {
        return Ok(());
    }
    let opened = Directory::open(&tree).await?;
    match opened.lock().await {
        Ok(_) => {}
        Err(LockError::Held { .. }) => {
            return Err(anyhow!("{} is in use", target.display()))
                .hint("stop the index that runs there first");
        }
        Err(error) => return Err(error.into()),
    }
    let standing = version(&tree)?;
    if standing > manifest.timestamp_version && !args.accept_rollback {
        return Err(anyhow!(
            "{} is newer than the backup: its timestamp has version {standing}, the backup's {}",
            target.display(),
            manifest.timestamp_version
        ))
        .hint("clients that have seen the newer state refuse the older one, and what was uploaded since is lost; --accept-rollback restores all the same (docs/operations.md)");
    }
    Ok(())
}

/// The version of a tree's timestamp.
fn version(tree: &Path) -> anyhow::Result<u64> {
    let path = tree.join(ObjectPath::timestamp().as_str());
    let bytes = fs::read(&path)?;
    let envelope: serde_json::Value =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
    Ok(envelope["signed"]["version"].as_u64().unwrap_or(0))
}

/// Copies everything of the backup that belongs into a data directory. Second names stay second
/// names.
fn copy_all(backup: &Path, to: &Path) -> anyhow::Result<()> {
    let mut names = std::collections::HashMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let from = backup.join(&folder);
        for entry in
            fs::read_dir(&from).with_context(|| format!("{} cannot be read", from.display()))?
        {
            let entry = entry?;
            let name = folder.join(entry.file_name());
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if hidden || name == Path::new(MANIFEST) || name == Path::new(ONLINE_KEY) {
                continue;
            }
            let made = to.join(&name);
            if entry.file_type()?.is_dir() {
                fs::create_dir(&made)?;
                fs::set_permissions(&made, entry.metadata()?.permissions())?;
                folders.push(name);
                continue;
            }
            let metadata = entry.metadata()?;
            let first = (metadata.nlink() > 1).then_some((metadata.dev(), metadata.ino()));
            let first =
                first.map(|inode| names.entry(inode).or_insert_with(|| made.clone()).clone());
            match first.filter(|first| *first != made) {
                Some(first) => fs::hard_link(&first, &made)
                    .with_context(|| format!("{} cannot be made", made.display()))?,
                None => {
                    fs::copy(entry.path(), &made)
                        .with_context(|| format!("{} cannot be copied", entry.path().display()))?;
                }
            }
        }
    }
    Ok(())
}

fn said(target: &Path, manifest: &Manifest, key: bool, aside: Option<&Path>) -> anyhow::Result<()> {
    let target = target.display();
    print_line(&format!(
        "{target}: as it was at {}, with timestamp {} and snapshot {}",
        manifest.made_at, manifest.timestamp_version, manifest.snapshot_version
    ))?;
    if let Some(aside) = aside {
        print_line(&format!("what was there before is in {}", aside.display()))?;
    }
    print_line(&format!(
        "`wheelmark verify {target}/{TREE}` reads everything again"
    ))?;
    if !key {
        print_line(&format!(
            "the online key is not restored: put it into {target}/{} (mode 600), or name it with `wheelmark up --online-key`",
            data::ONLINE_KEY
        ))?;
    }
    print_line(
        "clients that have seen a later timestamp refuse this index until it has signed as many (docs/operations.md)",
    )
}

//! `wheelmark index backup`: a copy of an index that is being used.
//!
//! The published tree and the databases change while they are copied. What makes the copy one
//! state is the order: the timestamp is read first, then the databases are copied, then the
//! objects, and the timestamp is written last. So the journal in the copy is at least as long as
//! its timestamp says, every file that the journal speaks of is there (an upload places it before
//! its row), and so is everything that the timestamp leads to, since objects never change.

mod files;
mod published;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use wheelmark_signing::{Phrase, seal_bytes};
use wheelmark_store::copy_database;
use zeroize::Zeroizing;

use self::files::{Copier, Manner};
use self::published::Published;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// What is written last: without it, a directory is no backup.
pub(super) const MANIFEST: &str = "backup.json";

/// The form of a backup that this version makes.
pub(super) const FORMAT: u32 = 1;

/// The tree in a backup, as in a data directory.
pub(super) const TREE: &str = "repository";

/// The online key in a backup, encrypted.
pub(super) const ONLINE_KEY: &str = "online-key.age";

/// Files of the data directory that are copied as they are. The token of the first run is left
/// out: the catalogue knows it, and it is a secret.
const PLAIN: [&str; 2] = ["settings.json", crate::settings::FILE];

/// Copy the index while it runs, into a directory that can be kept up to date
///
///   wheelmark index backup /backup/index
///   wheelmark index backup /backup/index --with-online-key
///   wheelmark verify /backup/index/repository
///
/// The copy is one state: databases and published tree fit together. A later run into the same
/// directory copies only what is new. If it is cut off, the state of before stays good.
///
/// Keys are left out unless --with-online-key asks for the online key; it is encrypted then,
/// under a phrase that is printed once. The offline keys lie elsewhere and are never copied.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Where the backup is, or is to be
    #[arg(value_name = "DIR")]
    backup: PathBuf,

    /// Keep the online key in it as well, encrypted under a phrase that is printed once
    #[arg(long)]
    with_online_key: bool,

    /// Give files second names in place of copies, where both directories are on one file system
    ///
    /// It costs no room, and no protection against a disk that fails or a file that is damaged.
    #[arg(long)]
    link: bool,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// What a backup is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) made_at: String,
    pub(super) timestamp_version: u64,
    pub(super) snapshot_version: u64,
    pub(super) with_online_key: bool,
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    if data.settings().tree.is_some() {
        return Err(anyhow!("the tree of this index lies outside of its data directory"))
            .hint("it follows a source that is elsewhere: copy the tree as any static files, timestamp.json last, and `wheelmark sign-tree` finds its way again");
    }
    let backup = std::path::absolute(&args.backup)?;
    prepare(&backup)?;
    let published = Published::read(&data.tree())?;
    databases(data.directory(), &backup).await?;
    let with_online_key = online_key(args, data, &backup)?;

    let manner = if args.link {
        Manner::Link
    } else {
        Manner::Copy
    };
    let (source, target) = (data.directory().to_owned(), backup.clone());
    let timestamp = published.clone();
    let copied = tokio::task::spawn_blocking(move || {
        let mut copier = Copier::new(&target, manner)?;
        for name in PLAIN {
            if source.join(name).exists() {
                copier.replace(&source.join(name), name)?;
            }
        }
        timestamp.copy(&source.join(TREE), &mut copier)?;
        copier.finish()
    })
    .await??;

    let manifest = Manifest {
        format: FORMAT,
        made_at: context.clock.now().to_string(),
        timestamp_version: published.timestamp_version,
        snapshot_version: published.snapshot_version,
        with_online_key,
    };
    files::replace_with(
        &backup.join(MANIFEST),
        &serde_json::to_vec_pretty(&manifest)?,
    )?;
    if args.json {
        let mut object = serde_json::to_value(&manifest)?;
        object["files_copied"] = copied.files.into();
        object["bytes_copied"] = copied.bytes.into();
        print_line(&object.to_string())?;
    } else {
        print_line(&format!(
            "{}: snapshot {}, {} files and {} bytes were new",
            backup.display(),
            manifest.snapshot_version,
            copied.files,
            copied.bytes
        ))?;
        if !with_online_key {
            print_line(
                "the online key is not in it: keep it elsewhere, or ask for it with --with-online-key",
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The directory, for its owner alone: the catalogue has the names of users and the digests of
/// tokens.
fn prepare(backup: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let cannot = || format!("{} cannot be made", backup.display());
    let made = std::fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(backup);
    made.with_context(cannot)?;
    let is_empty = std::fs::read_dir(backup)
        .with_context(cannot)?
        .next()
        .is_none();
    if !is_empty && !backup.join(MANIFEST).exists() && !backup.join(files::PARTS).exists() {
        return Err(anyhow!("{} is not empty, and no backup", backup.display()))
            .hint("name a directory that is a backup, or that is not there yet");
    }
    std::fs::create_dir_all(backup.join(files::PARTS)).with_context(cannot)
}

/// Copies every database of the data directory, each as it is at one moment. They lie in it, or in
/// a folder of it.
async fn databases(data: &Path, backup: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut found = named_so(data)?;
    for entry in std::fs::read_dir(data)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name() != TREE {
            found.extend(named_so(&entry.path())?);
        }
    }
    for path in found {
        let to = backup.join(path.strip_prefix(data)?);
        if let Some(folder) = to.parent() {
            std::fs::DirBuilder::new()
                .mode(0o700)
                .recursive(true)
                .create(folder)?;
        }
        let part = backup.join(files::PARTS).join("database");
        match std::fs::remove_file(&part) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        copy_database(&path, &part).await?;
        std::fs::rename(&part, &to)
            .with_context(|| format!("{} cannot be written", to.display()))?;
    }
    Ok(())
}

/// The databases in a folder.
fn named_so(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder);
    let entries = entries.with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "sqlite") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Puts the online key into the backup, if that was asked for; says whether one is there.
fn online_key(args: &Args, data: &Data, backup: &Path) -> anyhow::Result<bool> {
    let place = backup.join(ONLINE_KEY);
    if !args.with_online_key {
        return Ok(place.exists());
    }
    let file = data.online_key_file();
    let key = std::fs::read(&file)
        .with_context(|| format!("{} cannot be read", file.display()))
        .hint("an online key that lies elsewhere is backed up where it lies")?;
    let key = Zeroizing::new(key);
    let phrase = Phrase::generate(&mut UnwrapErr(SysRng));
    files::replace_with(&place, &seal_bytes(&key, &phrase, None)?)?;
    use std::io::Write as _;
    let text = format!(
        "\nThe online key in {}\nopens with this phrase. It is shown this once and stored nowhere:\n\n  {}\n\n",
        place.display(),
        phrase.reveal()
    );
    std::io::stderr().lock().write_all(text.as_bytes())?;
    Ok(true)
}

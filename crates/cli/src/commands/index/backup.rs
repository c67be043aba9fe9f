//! `wheelmark index backup`: a copy of an index that is being used.
//!
//! The published tree and the databases change while they are copied. What makes the copy one
//! state is the order: the timestamp is read first, then the databases are copied, then the
//! objects, and the timestamp is written last. So the journal in the copy is at least as long as
//! its timestamp says, every file that the journal speaks of is there (an upload places it before
//! its row), and so is everything that the timestamp leads to, since objects never change.

mod archive;
pub(super) mod contents;
mod destination;
mod files;
pub(super) mod progress;
mod published;

use std::io::IsTerminal as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use wheelmark_repository::log_files;
use wheelmark_signing::{FileKey, Phrase, Signer as _, seal_bytes};
use wheelmark_store::copy_database;
use zeroize::Zeroizing;

use self::archive::{Archive, Place};
use self::contents::Contents;
use self::destination::Destination;
use self::files::{Copier, Manner};
use self::published::{Published, Tree};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::{Data, SIGNING_LOG, SOURCE_MEMORY};
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

/// The databases of a data directory, in it or in a folder of it.
const DATABASES: [&str; 3] = ["catalogue.sqlite", "orders.sqlite", SOURCE_MEMORY];

/// Copy the index while it runs, into a directory that can be kept up to date, or one file
///
///   wheelmark index backup /backup/index
///   wheelmark index backup /backup/index-2026-11-21.tar.zst
///   wheelmark index backup - | ssh elsewhere 'cat > index.tar'
///   wheelmark index backup /backup/index --with-online-key
///   wheelmark verify /backup/index/repository
///
/// The copy is one state: databases and published tree fit together. A later run into the same
/// directory copies only what is new. If it is cut off, the state of before stays good.
///
/// A file whose name ends in .tar or .tar.zst, or - for standard output, is written in one go. It
/// gets its name when it is whole, and its last entry has a digest of all before it, which `restore`
/// compares. Unpacked by tar, it is a backup in a directory.
///
/// What waits for signatures of several people (`wheelmark release list`) is not copied.
///
/// Keys are left out unless --with-online-key asks for the online key; it is encrypted then,
/// under a phrase that is printed once. The offline keys lie elsewhere and are never copied.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Where the backup is, or is to be: a directory, a file (.tar, .tar.zst), or - for standard
    /// output
    #[arg(value_name = "PLACE")]
    backup: PathBuf,

    /// Keep the online key in it as well, encrypted under a phrase that is printed once
    #[arg(long)]
    with_online_key: bool,

    /// Give files second names in place of copies, where both directories are on one file system
    ///
    /// It costs no room, and no protection against a disk that fails or a file that is damaged.
    #[arg(long)]
    link: bool,

    /// Replace a file that is there
    #[arg(long)]
    overwrite: bool,

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
    /// The ids of the online keys in it. Backups of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) online_keys: Vec<String>,
    /// What a backup of one file holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) contents: Option<Contents>,
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    let now = context.clock.now();
    let to_stdout = args.backup == Path::new("-");
    let mut copy = destination(args, data, u64::try_from(now.as_second()).unwrap_or(0))?;
    let published = Published::read(&data.tree())?;
    databases(data.directory(), copy.as_mut()).await?;
    signing_log(data, copy.as_mut())?;
    let (with_online_key, online_keys) = online_key(args, data, copy.as_mut())?;

    let mut manifest = Manifest {
        format: FORMAT,
        made_at: now.to_string(),
        timestamp_version: published.timestamp_version,
        snapshot_version: published.snapshot_version,
        with_online_key,
        online_keys,
        contents: None,
    };
    let (source, tree) = (data.directory().to_owned(), Tree::open(&data.tree()).await?);
    let (manifest, copied) = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        for name in PLAIN {
            if source.join(name).exists() {
                copy.replace(&source.join(name), name)?;
            }
        }
        published.copy(&tree, copy.as_mut())?;
        let copied = copy.finish(&mut manifest)?;
        Ok((manifest, copied))
    })
    .await??;

    if args.json {
        let mut object = serde_json::to_value(&manifest)?;
        object["files_copied"] = copied.files.into();
        object["bytes_copied"] = copied.bytes.into();
        print_line(&object.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let place = match to_stdout {
        true => "standard output".to_owned(),
        false => std::path::absolute(&args.backup)?.display().to_string(),
    };
    let mut lines = vec![format!(
        "{place}: snapshot {}, {} files and {} bytes were new",
        manifest.snapshot_version, copied.files, copied.bytes
    )];
    if !manifest.with_online_key {
        lines.push(
            "the online key is not in it: keep it elsewhere, or ask for it with --with-online-key"
                .to_owned(),
        );
    }
    let waiting = waiting(data);
    if waiting > 0 {
        lines.push(format!(
            "{waiting} releases and files that wait for signatures are not in it: they are published or sent again"
        ));
    }
    for line in lines {
        if to_stdout {
            tell(&line)?;
        } else {
            print_line(&line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the backup is written to. Mistakes about it are told before anything is copied.
fn destination(args: &Args, data: &Data, now: u64) -> anyhow::Result<Box<dyn Destination>> {
    let Some(place) = Place::named(&args.backup)? else {
        let manner = if args.link {
            Manner::Link
        } else {
            Manner::Copy
        };
        return Ok(Box::new(Copier::begin(
            &std::path::absolute(&args.backup)?,
            manner,
        )?));
    };
    if args.link {
        return Err(anyhow!("--link is for a backup in a directory"))
            .hint("leave it out: a file holds copies");
    }
    if place == Place::Stdout {
        if args.json {
            return Err(anyhow!("standard output is where the backup goes"))
                .hint("leave --json out, or name a file");
        }
        if std::io::stdout().is_terminal() {
            return Err(anyhow!("standard output is a terminal"))
                .hint("send it into a file or a program: wheelmark index backup - > index.tar");
        }
    }
    let archive = Archive::begin(place, data.directory(), args.overwrite, now)?;
    Ok(Box::new(archive))
}

/// Copies the tree as one timestamp has it, with all that it leads to, into a directory that is not
/// there: `to`/repository. Nothing of what was there is missing but names of another state.
pub(super) async fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    let published = Published::read(from)?;
    let tree = Tree::open(from).await?;
    let to = to.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut copy = Copier::begin(&to, Manner::Copy)?;
        published.copy(&tree, &mut copy)?;
        copy.flush()?;
        Ok(std::fs::remove_dir_all(copy.scratch())?)
    })
    .await?
}

/// Copies every database of the data directory, each as it is at one moment. They lie in it, or in
/// a folder of it.
async fn databases(data: &Path, copy: &mut dyn Destination) -> anyhow::Result<()> {
    let mut found = named_so(data)?;
    for entry in std::fs::read_dir(data)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name() != TREE {
            found.extend(named_so(&entry.path())?);
        }
    }
    // What `sign-tree` remembers first: what it knows to be recorded has to be in the catalogue.
    found.sort_by_key(|path| !path.ends_with(SOURCE_MEMORY));
    for path in found {
        let name = path.strip_prefix(data)?.to_string_lossy().into_owned();
        let part = copy.scratch().join("database");
        copy_database(&path, &part).await?;
        std::fs::set_permissions(&part, std::fs::Permissions::from_mode(0o600))?;
        copy.take(&part, &name)?;
    }
    Ok(())
}

/// Copies the signing log, each file as long as it is at one moment. After the timestamp was read: so
/// the entry that this one carries is there.
fn signing_log(data: &Data, copy: &mut dyn Destination) -> anyhow::Result<()> {
    for (_, path) in log_files(&data.signing_log())? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let part = copy.scratch().join("log");
        let cannot = || format!("{} cannot be copied", path.display());
        std::fs::copy(&path, &part).with_context(cannot)?;
        // Without a line that is being written.
        let bytes = std::fs::read(&part).with_context(cannot)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        let file = std::fs::File::options().write(true).open(&part);
        file.and_then(|file| file.set_len(whole.map_or(0, |end| end as u64 + 1)))
            .with_context(cannot)?;
        copy.take(&part, &format!("{SIGNING_LOG}/{name}"))?;
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
        // The web process's user can write to one of the folders.
        let known = path
            .file_name()
            .is_some_and(|name| DATABASES.iter().any(|known| name == *known));
        if known && path.symlink_metadata()?.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}

/// Puts the online key into the backup, if that was asked for; says whether the one of now is in it,
/// and the ids of those that are.
fn online_key(
    args: &Args,
    data: &Data,
    copy: &mut dyn Destination,
) -> anyhow::Result<(bool, Vec<String>)> {
    let [file, next] = data.online_key_files(None);
    let id = |file: &Path| {
        let key = FileKey::open(file).ok()?;
        Some(key.key().keyid().as_str().to_owned())
    };
    let ids: Vec<String> = [&file, &next]
        .into_iter()
        .filter_map(|file| id(file))
        .collect();
    if !args.with_online_key {
        let has = copy.has(ONLINE_KEY);
        let before: Option<Manifest> = std::fs::read(args.backup.join(MANIFEST))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let before = before.map(|before| before.online_keys).unwrap_or_default();
        let is_replaced = !before.is_empty() && !ids.iter().any(|id| before.contains(id));
        if has && is_replaced {
            tell(
                "the online key in this backup has been replaced since: with it, a restored index cannot sign. Put the one of now in with --with-online-key",
            )?;
        }
        return Ok((has && !is_replaced, if has { before } else { Vec::new() }));
    }
    let key = std::fs::read(&file)
        .with_context(|| format!("{} cannot be read", file.display()))
        .hint("an online key that lies elsewhere is backed up where it lies")?;
    let mut key = Zeroizing::new(key);
    // While it takes over, either may be the one that a restored state needs.
    match std::fs::read(&next).map(Zeroizing::new) {
        Ok(next) => {
            key = Zeroizing::new([key.as_slice(), next.as_slice()].concat());
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", next.display()));
        }
    }
    let phrase = Phrase::generate(&mut UnwrapErr(SysRng));
    copy.write_private(ONLINE_KEY, &seal_bytes(&key, &phrase, None)?)?;
    // At once: in a directory, the key that was there before is replaced.
    tell(&format!(
        "\nThe online key in {}\nopens with this phrase. It is shown this once and stored nowhere:\n\n  {}\n",
        args.backup.display(),
        phrase.reveal()
    ))?;
    Ok((true, ids))
}

/// A line on standard error.
fn tell(line: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stderr().lock(), "{line}")?)
}

/// How many releases and files wait for signatures, as far as that can be read.
fn waiting(data: &Data) -> usize {
    let entries = std::fs::read_dir(data.staging()).into_iter().flatten();
    let names = entries.flatten().map(|entry| entry.file_name());
    let whole = names.filter(|name| !name.to_string_lossy().starts_with('.'));
    whole.count()
}

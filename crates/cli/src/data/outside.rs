//! A tree that lies outside of its data directory: how its first snapshot gets there.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};

use super::{FIRST_STAGING, sync_directory};
use crate::logging::WithHint as _;

/// What may lie in a directory that counts as empty: the mark of a file system's top directory.
const MAY_BE_THERE: &str = "lost+found";

/// Refuses a directory that holds something of others. One that is not there is fine.
pub(crate) fn demand_free(tree: &Path) -> anyhow::Result<()> {
    let entries = match fs::read_dir(tree) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", tree.display()));
        }
    };
    for entry in entries {
        let name = entry?.file_name();
        if name != MAY_BE_THERE {
            return Err(anyhow!(
                "{} holds `{}`: a signed tree has a directory of its own",
                tree.display(),
                name.to_string_lossy()
            ))
            .hint("name another directory with --out; if this one was signed before, name the data directory that belongs to it with --data");
        }
    }
    Ok(())
}

/// Brings the first snapshot to its place. It can be cut off anywhere and is taken up by the next
/// run: the snapshot stays in the data directory until it stands whole in `tree`.
pub(super) fn move_first_tree(first: &Path, tree: &Path) -> anyhow::Result<()> {
    if !first.exists() {
        return Ok(());
    }
    let cannot = || format!("the first snapshot cannot be brought to {}", tree.display());
    let root = Path::new("metadata/1.root.json");
    if !tree.exists() {
        make_folder(tree).with_context(cannot)?;
    }
    if !tree.join("metadata").exists() {
        let staging = tree.join(FIRST_STAGING);
        remove_all(&staging).with_context(cannot)?;
        // What a run brought here that was cut off in between, and nothing else.
        demand_same(&first.join("simple"), &tree.join("simple"))?;
        remove_all(&tree.join("simple")).with_context(cannot)?;
        for part in ["simple", "metadata"] {
            copy_all(&first.join(part), &staging.join(part)).with_context(cannot)?;
        }
        flush(tree).with_context(cannot)?;
        for part in ["simple", "metadata"] {
            fs::rename(staging.join(part), tree.join(part)).with_context(cannot)?;
        }
        remove_all(&staging).with_context(cannot)?;
        flush(tree).with_context(cannot)?;
    } else if fs::read(tree.join(root)).ok() != Some(fs::read(first.join(root))?) {
        return Err(anyhow!("{} holds another signed tree", tree.display()))
            .hint("each data directory belongs to one tree: name the right one with --data");
    }
    fs::remove_dir_all(first).with_context(|| format!("{} cannot be removed", first.display()))?;
    sync_directory(first.parent().unwrap_or(first))
}

/// Refuses what is there and is not the same.
fn demand_same(first: &Path, there: &Path) -> anyhow::Result<()> {
    if !there.exists() || holds_same(first, there).unwrap_or(false) {
        return Ok(());
    }
    Err(anyhow!("{} holds something else", there.display()))
        .hint("a signed tree has a directory of its own: move that away, and run it again")
}

/// Whether two directories hold the same files.
fn holds_same(one: &Path, other: &Path) -> std::io::Result<bool> {
    let names = |folder: &Path| -> std::io::Result<BTreeSet<OsString>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    };
    let here = names(one)?;
    if here != names(other)? {
        return Ok(false);
    }
    for name in here {
        let (one, other) = (one.join(&name), other.join(&name));
        let same = if fs::symlink_metadata(&one)?.is_dir() {
            holds_same(&one, &other)?
        } else {
            fs::symlink_metadata(&other)?.is_file() && fs::read(&one)? == fs::read(&other)?
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    make_folder(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &target)?;
        } else {
            // With its mode.
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A directory that a web server can read, whatever the umask.
fn make_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o755).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn remove_all(path: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Flushes all that was written below a directory.
#[cfg(target_os = "linux")]
fn flush(path: &Path) -> std::io::Result<()> {
    Ok(rustix::fs::syncfs(fs::File::open(path)?)?)
}

#[cfg(not(target_os = "linux"))]
fn flush(path: &Path) -> std::io::Result<()> {
    rustix::fs::sync();
    fs::File::open(path)?.sync_all()
}

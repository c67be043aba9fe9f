//! Reads a backup that is a directory.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wheelmark_tuf::Sha256Hasher;

use super::super::backup::progress::Shown;
use super::super::backup::{MANIFEST, Manifest, ONLINE_KEY};
use super::staged::{SETTINGS, Staged, check_object};
use crate::logging::WithHint as _;

/// What the backup says that it is.
pub(super) fn manifest(backup: &Path) -> anyhow::Result<Manifest> {
    let path = backup.join(MANIFEST);
    let bytes = fs::read(&path)
        .with_context(|| format!("{} is no complete backup", backup.display()))
        .hint("name a directory, or a file, that `wheelmark index backup` has finished")?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
}

/// Copies everything of the backup that belongs into a data directory. Second names stay second
/// names; what is named after its digest is compared with it.
pub(super) fn read(backup: &Path, staged: &mut Staged, tree: Option<&Path>) -> anyhow::Result<()> {
    let mut shown = Shown::start("restore");
    let settings = backup.join(SETTINGS);
    let text = fs::read(&settings).with_context(|| format!("{} is missing", settings.display()))?;
    crate::data::write_private(&staged.data().join(SETTINGS), &text)?;
    staged.settle(&text, tree)?;
    let mut names = HashMap::<(u64, u64), PathBuf>::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let from = backup.join(&folder);
        let cannot = || format!("{} cannot be read", from.display());
        for entry in fs::read_dir(&from).with_context(cannot)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.')
                || (folder.is_empty() && [MANIFEST, SETTINGS].contains(&&*name))
            {
                continue;
            }
            if folder.is_empty() && name == ONLINE_KEY {
                staged.sealed_key = Some(fs::read(entry.path())?);
                continue;
            }
            let name = match folder.as_str() {
                "" => name,
                folder => format!("{folder}/{name}"),
            };
            if entry.file_type()?.is_dir() {
                folders.push(name);
                continue;
            }
            staged.make_folder_of(&name)?;
            let made = staged.place(&name)?;
            let metadata = entry.metadata()?;
            let first = match metadata.nlink() > 1 {
                true => names.get(&(metadata.dev(), metadata.ino())),
                false => None,
            };
            match first {
                Some(first) => fs::hard_link(first, &made)
                    .with_context(|| format!("{} cannot be made", made.display()))?,
                None => {
                    copy(&entry.path(), &made, &name, &mut shown)
                        .with_context(|| format!("{} cannot be copied", entry.path().display()))?;
                    names.insert((metadata.dev(), metadata.ino()), made);
                }
            }
            shown.file();
        }
    }
    Ok(())
}

/// Copies a file with its mode.
fn copy(from: &Path, to: &Path, name: &str, shown: &mut Shown) -> anyhow::Result<()> {
    let mut from = File::open(from)?;
    let mut to = File::create_new(to)?;
    let mut content = Sha256Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let len = from.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        to.write_all(&buffer[..len])?;
        content.update(&buffer[..len]);
        shown.bytes(len as u64);
    }
    let mode = from.metadata()?.permissions().mode() & 0o777;
    to.set_permissions(fs::Permissions::from_mode(mode))?;
    check_object(name, content)
}

//! The lock files that a command follows: what they say of who has to have attested its files.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::anyhow;
use wheelmark_client::installer::{Surroundings, locks_of};
use wheelmark_packaging::lock::{BESIDE, LockFormat};
use wheelmark_provenance::policy::PolicyFile;

use crate::commands::lock::asked;
use crate::logging::WithHint as _;

/// What the lock files ask that a command names, and those that the person names. Each of them asks
/// something.
pub(super) fn followed(
    command: &[OsString],
    named: &[PathBuf],
    around: &Surroundings<'_>,
) -> anyhow::Result<Vec<PolicyFile>> {
    let mut asks = Vec::new();
    for path in locks_of(command, around) {
        let shown = path.strip_prefix(around.directory).unwrap_or(&path);
        asks.extend(asked(&path, &shown.display().to_string())?);
    }
    for path in named {
        let shown = path.display().to_string();
        let asked = asked(&around.directory.join(path), &shown)?;
        asks.push(
            asked
                .ok_or_else(|| anyhow!("{shown} names nobody who has to have attested anything"))
                .hint("wheelmark lock attest writes who has; without it there is nothing to ask")?,
        );
    }
    Ok(asks)
}

/// Lock files in the working directory that name identities, and that the command is not known to
/// follow, by name.
pub(super) fn not_followed(
    command: &[OsString],
    named: &[PathBuf],
    around: &Surroundings<'_>,
) -> Vec<String> {
    /// Entries of the directory that are looked at.
    const MAX_ENTRIES: usize = 10_000;
    let Ok(entries) = std::fs::read_dir(around.directory) else {
        return Vec::new();
    };
    let named = named.iter().map(|path| around.directory.join(path));
    let followed: Vec<PathBuf> = locks_of(command, around)
        .into_iter()
        .chain(named)
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    let mut left = Vec::new();
    for entry in entries.take(MAX_ENTRIES).flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let lock = match name.strip_suffix(BESIDE) {
            Some(lock) => lock.to_owned(),
            None if LockFormat::of_name(&name) == Some(LockFormat::Pylock) => name,
            None => continue,
        };
        let path = around.directory.join(&lock);
        let plain = path.canonicalize().ok();
        let is_followed = plain.is_some_and(|path| followed.contains(&path));
        // One that cannot be read says nothing to a command that does not follow it.
        if !is_followed && matches!(asked(&path, &lock), Ok(Some(_))) {
            left.push(lock);
        }
    }
    left.sort();
    left.dedup();
    left
}

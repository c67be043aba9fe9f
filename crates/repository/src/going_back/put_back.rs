//! Writing objects of the last good state into the tree again that it lacks, or has with other bytes.
//!
//! They are flushed before anything is recorded: a record has what was signed, and not these. To write
//! them and go no further changes nothing that anybody reads; a garbage collection takes them away.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;

use bytes::Bytes;
use wheelmark_objects::{Directory, ObjectError, ObjectPath, Replayable, WriterLock};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{Sha256, Sha256Hasher};

use super::GoBackError;
use super::merge::Merged;
use super::side::Side;
use crate::publish::is_lasting;
use crate::roles;
use crate::state::OWN_METADATA_LIMIT;

/// How much of a file is in memory while it is hashed.
const READ_AT_ONCE: usize = 256 * 1024;

/// A file name that leads into a project's directories.
const ANY_FILE: &str = "a-0.tar.gz";

/// Puts everything back that is there in `good` and is not as it should be in the tree; how many objects
/// that were. With no lock, they are counted alone.
pub(crate) async fn put_back(
    tree: &Replayable,
    lock: Option<&WriterLock>,
    good: Side<'_>,
    merged: &Merged,
) -> Result<usize, GoBackError> {
    let mut count = 0;
    for path in objects(good.tree).await? {
        if is_whole(tree.directory(), &path).await? {
            continue;
        }
        let found = good.tree.open_object(&path).await?;
        let Some(found) = found else {
            continue;
        };
        count += 1;
        if let Some(lock) = lock {
            match tree.directory().mend(lock, &path, None, found.file).await {
                Ok(()) => {}
                // Damaged there as well: if anything needs it, it is missed later.
                Err(ObjectError::Different { .. }) => count -= 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
    let mut own: Vec<(ObjectPath, Bytes)> = Vec::new();
    for project in merged.state.claims.projects().collect::<BTreeSet<_>>() {
        let role = roles::project_role(project);
        let version = merged.state.snapshot.role_version(&role);
        let Some(version) = version.filter(|_| !merged.released.contains_key(project)) else {
            continue;
        };
        let path = ObjectPath::metadata(&role, version);
        let Some(then) = good.tree.read(&path, OWN_METADATA_LIMIT).await? else {
            continue;
        };
        let now = tree.directory().read(&path, OWN_METADATA_LIMIT).await;
        if !now.is_ok_and(|now| now.as_ref() == Some(&then)) {
            own.push((path, then));
        }
    }
    count += own.len();
    if let Some(lock) = lock.filter(|_| count > 0) {
        tree.rewrite_all(lock, own).await?;
        tree.flush().await?;
    }
    Ok(count)
}

/// Every object of a tree that is named after its SHA-256.
async fn objects(tree: &Directory) -> Result<Vec<ObjectPath>, GoBackError> {
    let none = Sha256([0; 32]);
    let mut found = Vec::new();
    let projects: BTreeSet<ProjectName> = tree.projects().await?;
    for project in &projects {
        found.extend(tree.beside(&ObjectPath::page(project, &none)).await?);
        if let Ok(file) = ObjectPath::file(project, &none, ANY_FILE) {
            found.extend(tree.beside(&file).await?);
        }
    }
    let any: ProjectName = "a".parse().expect("a letter is a project's name");
    if let Ok(list) = ObjectPath::status(&any, &none) {
        found.extend(tree.beside(&list).await?);
    }
    found.retain(|path| path.sha256().is_some());
    Ok(found)
}

/// Whether the tree has an object with its bytes.
async fn is_whole(tree: &Directory, path: &ObjectPath) -> Result<bool, GoBackError> {
    let there = match tree.open_object(path).await {
        Ok(Some(there)) => there,
        Ok(None) => return Ok(false),
        Err(error) if is_lasting(&error) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let hashed = tokio::task::spawn_blocking(move || sha256_of(there.file)).await;
    let hashed = hashed.map_err(|_| ObjectError::Stopped)?;
    Ok(hashed.is_ok_and(|sha256| path.sha256() == Some(sha256)))
}

fn sha256_of(mut file: File) -> std::io::Result<Sha256> {
    let (mut hasher, mut piece) = (Sha256Hasher::new(), vec![0; READ_AT_ONCE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&piece[..read]),
        }
    }
}

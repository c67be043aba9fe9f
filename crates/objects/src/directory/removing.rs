//! Taking objects away, and seeing which there are: for whoever keeps a copy of a tree.

use std::collections::BTreeSet;

use rustix::fs::{AtFlags, Dir, FileType};
use wheelmark_packaging::ProjectName;

use super::batch::Flush;
use super::error::ObjectError;
use super::{Tree, naming};
use crate::ObjectPath;

/// The directories that have one directory for each project.
const FAMILIES: [&str; 4] = ["targets/simple", "targets/packages", "packages", "simple"];

/// Removes the objects durably, and then directories that this leaves empty. What is not there is
/// removed already.
pub(super) fn remove(tree: &Tree, paths: &[ObjectPath]) -> Result<usize, ObjectError> {
    let flush = Flush::new(tree, paths.len())?;
    let gone = naming::unname_all(tree, paths, &flush)?;
    let folders: BTreeSet<&str> = paths.iter().map(|path| path.split().0).collect();
    for folder in folders {
        if let Some((parent, name)) = folder.rsplit_once('/')
            && FAMILIES.contains(&parent)
        {
            // One that is not empty, or gone already, stays as it is.
            tree.durable.forget(folder);
            if let Some(parent) = tree.open_family(parent)? {
                rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR).ok();
            }
        }
    }
    Ok(gone)
}

/// The objects in the directory of `path`. What stands there under another name than an object
/// of its place can have is left out.
pub(super) fn beside(tree: &Tree, path: &ObjectPath) -> Result<Vec<ObjectPath>, ObjectError> {
    let (folder, _) = path.split();
    let Some(open) = tree.folder(path)? else {
        return Ok(Vec::new());
    };
    let cannot = || ObjectError::os("list", tree.root.join(folder));
    let mut found = Vec::new();
    for entry in Dir::read_from(&open).map_err(cannot())? {
        let entry = entry.map_err(cannot())?;
        let name = entry.file_name().to_string_lossy();
        found.extend(ObjectPath::parse(&format!("{folder}/{name}")).ok());
    }
    found.sort();
    Ok(found)
}

/// The projects that have a directory anywhere in the tree.
pub(super) fn projects(tree: &Tree) -> Result<BTreeSet<ProjectName>, ObjectError> {
    let mut found = BTreeSet::new();
    for family in FAMILIES {
        let Some(open) = tree.open_family(family)? else {
            continue;
        };
        let cannot = || ObjectError::os("list", tree.root.join(family));
        for entry in Dir::read_from(&open).map_err(cannot())? {
            let entry = entry.map_err(cannot())?;
            let may_be_one = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
            let name = entry.file_name().to_string_lossy();
            if may_be_one && ProjectName::is_normalised(&name) {
                found.extend(name.parse());
            }
        }
    }
    Ok(found)
}

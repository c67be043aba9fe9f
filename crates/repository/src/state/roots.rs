//! The roots of a tree, from the first one to the one in force.
//!
//! ```text
//! 1.root ─▶ 2.root ─▶ … ─▶ N.root     each signed by the keys of the one before, and by its own
//!                            └▶ N+1    is not: somebody put it there, or the disk has damaged it
//! ```

use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_tuf::{RoleName, Root, Verified, verify_next_root, verify_trusted_root};

use super::{LoadError, not_ours, read};

/// The newest root of a tree.
#[derive(Debug)]
pub(crate) struct Newest {
    pub(crate) root: Root,
    /// Why the file under the name of the next root is none, if there is one. Whoever can write to the
    /// tree can put it there, and nobody follows it (TUF §5.3.4, §5.3.5).
    pub(crate) stray: Option<LoadError>,
}

impl Newest {
    /// The root, where nothing lies in the place of the next one.
    ///
    /// # Errors
    ///
    /// What lies there.
    pub(crate) fn alone(self) -> Result<Root, LoadError> {
        match self.stray {
            None => Ok(self.root),
            Some(stray) => Err(stray),
        }
    }
}

/// Walks the roots from version 1 to the newest, each signed by the one before and by itself.
///
/// # Errors
///
/// When the first one is missing or damaged, or the file system fails.
pub(crate) async fn newest_root(tree: &Directory) -> Result<Newest, LoadError> {
    let path = place(1);
    let bytes = read(tree, &path).await?.ok_or_else(|| LoadError::Missing {
        path: path.as_str().to_owned(),
    })?;
    let mut root = verify_trusted_root(&bytes).map_err(|source| not_ours(&path, source))?;
    loop {
        match next_of(tree, &root).await {
            Ok(Some(next)) => root = next,
            Ok(None) => {
                return Ok(Newest {
                    root: root.into_inner(),
                    stray: None,
                });
            }
            Err(error) if error.is_lasting() || is_forbidden(&error) => {
                return Ok(Newest {
                    root: root.into_inner(),
                    stray: Some(error),
                });
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether this user may not read what is there.
fn is_forbidden(error: &LoadError) -> bool {
    matches!(error, LoadError::Objects(error) if error.is_denied())
}

/// The successor of a root, if there is a file under its name.
async fn next_of(tree: &Directory, root: &Root) -> Result<Option<Verified<Root>>, LoadError> {
    let version = root.version.saturating_add(1);
    let path = place(version);
    let Some(bytes) = read(tree, &path).await? else {
        return Ok(None);
    };
    let next = verify_next_root(root, &bytes).map_err(|source| not_ours(&path, source))?;
    match next.version == version {
        true => Ok(Some(next)),
        false => Err(LoadError::WrongVersion {
            path: path.as_str().to_owned(),
            found: next.version,
        }),
    }
}

fn place(version: u64) -> ObjectPath {
    ObjectPath::metadata(&RoleName::root(), version)
}

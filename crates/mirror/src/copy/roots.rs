//! The roots of a copy: those that its trust has followed, without a gap and without one too many.

use bytes::Bytes;
use wheelmark_client::Upstream;
use wheelmark_objects::{Creation, Directory, ObjectError, ObjectPath, WriterLock};
use wheelmark_tuf::{Limits, RoleName, TrustedSet, verify_next_root, verify_trusted_root};

use super::error::CopyError;
use super::fetch::Shared;

/// A root that is to be put in place.
pub(super) struct Root {
    path: ObjectPath,
    bytes: Bytes,
}

impl Root {
    /// Creates it; what stands in its place is not what was signed, and gives way in one step.
    pub(super) async fn put(&self, tree: &Directory, lock: &WriterLock) -> Result<(), CopyError> {
        match tree.create(&self.path, self.bytes.clone()).await {
            Ok(Creation::Created | Creation::AlreadySame) => Ok(()),
            Err(ObjectError::Different { path }) => {
                tracing::warn!(%path, "is not what was signed, and is replaced");
                let delivery = tree.delivery()?;
                let staged = vec![(path, self.bytes.clone())];
                let staged = delivery.stage(staged).await?;
                let [ready] = delivery.flush([staged], Default::default()).await?;
                let replaced = delivery.replace(lock, ready).await?;
                let [] = delivery.flush([], replaced).await?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Those of `roots` that are not in the tree, or not as they are here.
pub(super) async fn amiss(
    tree: &Directory,
    roots: Vec<(u64, Bytes)>,
) -> Result<Vec<Root>, CopyError> {
    let mut amiss = Vec::new();
    for (version, bytes) in roots {
        let path = ObjectPath::metadata(&RoleName::root(), version);
        if read(tree, version).await?.as_ref() != Some(&bytes) {
            amiss.push(Root { path, bytes });
        }
    }
    Ok(amiss)
}

/// The root of this version in the tree; `None` also for what no reader would take.
async fn read(tree: &Directory, version: u64) -> Result<Option<Bytes>, CopyError> {
    let path = ObjectPath::metadata(&RoleName::root(), version);
    match tree.read(&path, Limits::default().root_length).await {
        Ok(read) => Ok(read),
        Err(ObjectError::TooLarge { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Shared {
    /// Every root up to the one that is trusted that is not here as it must be. Those of before
    /// trust began are for readers whose trust is older.
    pub(super) async fn roots(&self, set: &TrustedSet) -> Result<Vec<Root>, CopyError> {
        self.refuse_newer(set).await?;
        let followed = self.upstream.followed_roots(set.root().version)?;
        let mut roots = self.earlier(&followed).await?;
        roots.extend(followed);
        amiss(&self.tree, roots).await
    }

    /// Roots of before trust began, without a gap up to the first that was followed, by the
    /// index's own word: that a root's keys have signed the next one proves nothing, since anybody
    /// can write a root that names those keys.
    async fn earlier(&self, followed: &[(u64, Bytes)]) -> Result<Vec<(u64, Bytes)>, CopyError> {
        let mut roots = Vec::new();
        let Some((first, mut next)) = followed.first().cloned() else {
            return Ok(roots);
        };
        for version in (1..first).rev() {
            let here = read(&self.tree, version).await?;
            let here = here.filter(|here| leads_to(here, version, &next));
            let root = match here {
                Some(here) => Some(here),
                None => earlier_root(&self.upstream, version, &next).await,
            };
            let Some(root) = root else {
                tracing::info!(version, "a root of before trust began is not to be had");
                break;
            };
            next = root.clone();
            roots.push((version, root));
        }
        roots.reverse();
        Ok(roots)
    }

    /// Looks whether the tree has a root behind the one that is trusted. Readers would go on to
    /// it: one that is none of the index's is taken away, and one that is stops the run, since
    /// upstream then shows less than was seen here.
    async fn refuse_newer(&self, set: &TrustedSet) -> Result<(), CopyError> {
        let version = set.root().version + 1;
        let path = ObjectPath::metadata(&RoleName::root(), version);
        if !self.tree.exists(&path).await? {
            return Ok(());
        }
        let here = read(&self.tree, version).await?;
        let is_next = here.is_some_and(|here| {
            verify_next_root(set.root(), &here).is_ok_and(|next| next.version == version)
        });
        if is_next {
            return Err(CopyError::NewerRoot { version });
        }
        tracing::warn!(%path, "is no root of the index, and is taken away");
        self.tree.remove_all(&self.lock, vec![path]).await?;
        Ok(())
    }
}

/// A root of this version, by the index itself, whose keys have signed the next one.
async fn earlier_root(upstream: &Upstream, version: u64, next: &Bytes) -> Option<Bytes> {
    let bytes = upstream.unverified_root(version).await.ok()??;
    leads_to(&bytes, version, next).then_some(bytes)
}

/// Whether this is a root of this version whose keys have signed the next one.
fn leads_to(bytes: &Bytes, version: u64, next: &Bytes) -> bool {
    let Ok(root) = verify_trusted_root(bytes) else {
        return false;
    };
    let leads_on = verify_next_root(&root, next).is_ok_and(|next| next.version == version + 1);
    root.version == version && leads_on
}

//! Putting a state in place: what it names is here, and the timestamp comes last.

use bytes::Bytes;
use wheelmark_client::{ChainFiles, Upstream};
use wheelmark_objects::{ObjectError, ObjectPath};
use wheelmark_tuf::{RoleName, TrustedSet, verify_next_root, verify_trusted_root};

use super::error::CopyError;
use super::fetch::Shared;
use super::spool::Spool;
use super::state::Publishing;
use super::{Copy, Observer, Step};

/// How many roles are written at once; few enough to be held in memory at any size.
const ROLES_AT_ONCE: usize = 512;

impl Copy {
    /// Puts a state in place: what it names, then the roots, and the timestamp last.
    pub(super) async fn publish(
        &mut self,
        shared: &Shared,
        set: &TrustedSet,
        chain: ChainFiles,
        spool: &Spool,
    ) -> Result<(), CopyError> {
        let timestamp = chain.timestamp.clone();
        shared.prepare(set, chain, spool, &self.observer).await?;
        let roots = shared.roots(set).await?;
        if !roots.is_empty() {
            // A root counts from the moment that it is there, and the timestamp belongs to it.
            let text = String::from_utf8(timestamp.to_vec());
            self.state.publishing = Some(Publishing {
                root: set.root().version,
                timestamp: text.map_err(|_| CopyError::Stopped)?,
            });
            self.save()?;
        }
        self.show(roots, timestamp).await
    }

    /// Ends what an earlier run has begun with a new root; nobody is asked for it.
    pub(super) async fn end_publishing(&mut self) -> Result<(), CopyError> {
        let Some(publishing) = self.state.publishing.clone() else {
            return Ok(());
        };
        tracing::info!(
            root = publishing.root,
            "an earlier run's roots come to their end"
        );
        let followed = self.upstream.followed_roots(publishing.root)?;
        let mut roots = Vec::new();
        for (version, root) in followed {
            let path = ObjectPath::metadata(&RoleName::root(), version);
            if !self.tree.exists(&path).await? {
                roots.push((version, root));
            }
        }
        self.show(roots, publishing.timestamp.into()).await?;
        self.state.publishing = None;
        self.save()
    }

    async fn show(&self, roots: Vec<(u64, Bytes)>, timestamp: Bytes) -> Result<(), CopyError> {
        for (version, root) in roots {
            let path = ObjectPath::metadata(&RoleName::root(), version);
            self.observer.see(Step::Root);
            self.tree.create(&path, root).await?;
        }
        self.observer.see(Step::Timestamp);
        let path = ObjectPath::timestamp();
        self.tree.replace(&self.lock, &path, timestamp).await?;
        Ok(())
    }
}

impl Shared {
    /// Writes the delegated roles, then the top-level ones: all that the timestamp leads to.
    async fn prepare(
        &self,
        set: &TrustedSet,
        chain: ChainFiles,
        spool: &Spool,
        observer: &Observer,
    ) -> Result<(), CopyError> {
        for together in spool.paths().chunks(ROLES_AT_ONCE) {
            let mut roles = Vec::with_capacity(together.len());
            for path in together {
                roles.extend(spool.read(path)?.map(|bytes| (path.clone(), bytes)));
            }
            observer.see(Step::Roles);
            self.create(roles).await?;
        }
        let top_level = |role: RoleName, version| ObjectPath::metadata(&role, version);
        let targets = top_level(RoleName::targets(), set.targets().version);
        let snapshot = top_level(RoleName::snapshot(), set.snapshot().version);
        observer.see(Step::Targets);
        self.create(vec![(targets, chain.targets)]).await?;
        observer.see(Step::Snapshot);
        self.create(vec![(snapshot, chain.snapshot)]).await
    }

    /// Creates metadata. What stands in its place and is another file is a leftover of a damaged
    /// copy: these bytes were verified.
    async fn create(&self, objects: Vec<(ObjectPath, Bytes)>) -> Result<(), CopyError> {
        match self.tree.create_all(objects.clone()).await {
            Ok(_) => return Ok(()),
            Err(ObjectError::Different { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        for (path, bytes) in objects {
            if let Err(ObjectError::Different { .. }) = self.tree.create(&path, bytes.clone()).await
            {
                tracing::warn!(%path, "is not what was signed, and is replaced");
                self.tree.remove_all(&self.lock, vec![path.clone()]).await?;
            }
            self.tree.create(&path, bytes).await?;
        }
        Ok(())
    }

    /// Every root up to the one that is trusted, by version, that is not here yet. Those of
    /// before trust began are for readers whose trust is older: they count if they lead to ours.
    async fn roots(&self, set: &TrustedSet) -> Result<Vec<(u64, Bytes)>, CopyError> {
        let followed = self.upstream.followed_roots(set.root().version)?;
        let mut roots = Vec::new();
        let mut next = followed.first().map(|(_, root)| root.clone());
        let first = followed.first().map_or(1, |(version, _)| *version);
        for version in (1..first).rev() {
            let path = ObjectPath::metadata(&RoleName::root(), version);
            if self.tree.exists(&path).await? {
                break;
            }
            match earlier_root(&self.upstream, version, next.as_ref()).await {
                Some(root) => {
                    next = Some(root.clone());
                    roots.push((version, root));
                }
                None => {
                    tracing::info!(version, "a root of before trust began is not to be had");
                    break;
                }
            }
        }
        roots.reverse();
        roots.extend(followed);
        let mut missing = Vec::new();
        for (version, root) in roots {
            let path = ObjectPath::metadata(&RoleName::root(), version);
            if !self.tree.exists(&path).await? {
                missing.push((version, root));
            }
        }
        Ok(missing)
    }
}

/// A root of this version whose keys have signed the next one.
async fn earlier_root(upstream: &Upstream, version: u64, next: Option<&Bytes>) -> Option<Bytes> {
    let bytes = upstream.unverified_root(version).await.ok()??;
    let root = verify_trusted_root(&bytes).ok()?;
    let leads_on = verify_next_root(&root, next?).is_ok_and(|next| next.version == version + 1);
    (root.version == version && leads_on).then_some(bytes)
}

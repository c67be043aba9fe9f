//! Putting a state in place: what it names is here, durably, and the timestamp comes last.

use bytes::Bytes;
use wheelmark_client::ChainFiles;
use wheelmark_objects::{ObjectPath, Ready, Unsettled};
use wheelmark_tuf::{
    Limits, Role, RoleKeys, RoleName, Snapshot, Targets, TrustedSet, signed_digest, verify,
};

use super::error::CopyError;
use super::fetch::Shared;
use super::roots::Root;
use super::spool::Spool;
use super::state::Publishing;
use super::{Copy, Observer, Step};

/// How many roles are written at once; few enough to be held in memory at any size.
const ROLES_AT_ONCE: usize = 512;

impl Copy {
    /// Puts a state in place: what it names, then the roots, and the timestamp last. `named` are
    /// the names of its pages and files that may not be durable yet.
    pub(super) async fn publish(
        &mut self,
        shared: &Shared,
        set: &TrustedSet,
        chain: ChainFiles,
        spool: &Spool,
        named: Unsettled,
    ) -> Result<(), CopyError> {
        let timestamp = chain.timestamp.clone();
        shared
            .prepare(set, chain, spool, named, &self.observer)
            .await?;
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
        let roots = super::roots::amiss(&self.tree, followed).await?;
        self.show(roots, publishing.timestamp.into()).await?;
        self.state.publishing = None;
        self.save()
    }

    async fn show(&self, roots: Vec<Root>, timestamp: Bytes) -> Result<(), CopyError> {
        for root in roots {
            self.observer.see(Step::Root);
            root.put(&self.tree, &self.lock).await?;
        }
        self.observer.see(Step::Timestamp);
        let path = ObjectPath::timestamp();
        self.tree.replace(&self.lock, &path, timestamp).await?;
        Ok(())
    }
}

impl Shared {
    /// Writes the delegated roles, then the top-level ones: all that the timestamp leads to. It
    /// is durable, pages and files included, when this returns.
    async fn prepare(
        &self,
        set: &TrustedSet,
        chain: ChainFiles,
        spool: &Spool,
        named: Unsettled,
        observer: &Observer,
    ) -> Result<(), CopyError> {
        let mut roles = wheelmark_objects::Staged::default();
        for together in spool.paths().chunks(ROLES_AT_ONCE) {
            let mut objects = Vec::with_capacity(together.len());
            for path in together {
                objects.extend(spool.read(path)?.map(|bytes| (path.clone(), bytes)));
            }
            roles.extend(self.delivery.stage(objects).await?);
        }
        let top_level = |role: RoleName, version| ObjectPath::metadata(&role, version);
        let targets_path = top_level(RoleName::targets(), set.targets().version);
        let snapshot_path = top_level(RoleName::snapshot(), set.snapshot().version);
        let targets = vec![(targets_path.clone(), chain.targets.clone())];
        let snapshot = vec![(snapshot_path.clone(), chain.snapshot.clone())];
        let targets = self.delivery.stage(targets).await?;
        let snapshot = self.delivery.stage(snapshot).await?;
        observer.see(Step::Flush);
        let staged = [roles, targets, snapshot];
        let [roles, targets, snapshot] = self.delivery.flush(staged, named).await?;

        let root = set.root();
        observer.see(Step::Roles);
        let mut unsettled = self.create(roles).await?;
        observer.see(Step::Targets);
        self.refuse_another::<Targets>(&targets_path, &chain.targets, set, &root.roles.targets)
            .await?;
        unsettled.extend(self.create(targets).await?);
        observer.see(Step::Snapshot);
        self.refuse_another::<Snapshot>(&snapshot_path, &chain.snapshot, set, &root.roles.snapshot)
            .await?;
        unsettled.extend(self.create(snapshot).await?);
        observer.see(Step::Flush);
        let [] = self.delivery.flush([], unsettled).await?;
        Ok(())
    }

    /// Gives metadata its names. What stands there, is another file and was not refused before is
    /// a leftover of a damaged copy: these bytes were verified, and take its place in one step.
    async fn create(&self, ready: Ready) -> Result<Unsettled, CopyError> {
        let named = self.delivery.name(ready).await?;
        let mut unsettled = named.unsettled;
        for path in named.different.paths() {
            tracing::warn!(%path, "is not what was signed, and is replaced");
        }
        let replaced = self.delivery.replace(&self.lock, named.different).await?;
        unsettled.extend(replaced);
        Ok(unsettled)
    }

    /// Refuses a role of the top level that the index has signed before with other contents and
    /// under this very version: readers of the state in place need what stands there, and it is
    /// the proof.
    async fn refuse_another<T: Role>(
        &self,
        path: &ObjectPath,
        offered: &Bytes,
        set: &TrustedSet,
        keys: &RoleKeys,
    ) -> Result<(), CopyError> {
        // A delegated role needs no such look: one that verifies is not asked for again.
        let limits = Limits::default();
        let limit = limits.snapshot_length.max(limits.targets_length);
        let Ok(Some(here)) = self.tree.read(path, limit).await else {
            return Ok(());
        };
        let is_signed = verify::<T>(&here, &set.root().keys, keys).is_ok();
        if is_signed && signed_digest(&here).ok() != signed_digest(offered).ok() {
            return Err(CopyError::SignedTwice { path: path.clone() });
        }
        Ok(())
    }
}

//! What the engine would not sign, signed with the index's own keys.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use wheelmark_mirror::{LocalTree, inventory};
use wheelmark_signing::{FileKey, Signer, sign_role};
use wheelmark_tuf::{
    Cached, Clock as _, DelegatedRole, DelegatedRoles, Delegations, Hashes, MetaFile, PathSet,
    Role as _, RoleKeys, RoleName, Sha256, Snapshot, TargetInfo, TargetPath, Targets,
    TimestampMetadata, TrustedSet,
};

use crate::index::TestIndex;

/// What a role lists.
pub(crate) type Pages = BTreeMap<TargetPath, TargetInfo>;

impl TestIndex {
    fn key(&self, name: &str) -> FileKey {
        FileKey::open(&self.beside(name)).unwrap()
    }

    async fn state(&self) -> (LocalTree, TrustedSet) {
        let tree = LocalTree::new((*self.tree).clone());
        let now = self.clock.now();
        let root = self.first_root();
        let set = tree.refresh(&root, Cached::default(), now).await.unwrap();
        (tree, set)
    }

    fn write(&self, role: &RoleName, version: u64, bytes: &[u8]) {
        let name = role.versioned_file_name(version);
        std::fs::write(self.path(&format!("metadata/{name}")), bytes).unwrap();
    }

    /// Signs a next state, in which roles of the online key are as `edit` makes them.
    pub(crate) async fn sign_anew(&self, edit: impl Fn(&RoleName, &mut Targets)) {
        self.sign_with(None, edit).await;
    }

    /// Signs a next state, in which a project's own role, which is asked before the bins, lists
    /// `pages` for it. After that the engine is out of step.
    pub(crate) async fn claim(&self, project: &str, terminating: bool, pages: Pages) {
        let online = self.key("online");
        let name: RoleName = format!("project-{project}").parse().unwrap();
        let delegation = DelegatedRole {
            name: name.clone(),
            keys: RoleKeys::new([online.key()], 1),
            terminating,
            paths: PathSet::Patterns(vec![format!("simple/{project}/*").into()]),
        };
        let delegations = Delegations {
            keys: BTreeMap::from([(online.key().keyid().clone(), online.key().clone())]),
            roles: DelegatedRoles::Listed(vec![delegation]),
            extra: BTreeMap::new(),
        };
        self.sign_with(Some((name, pages)), |role, targets| {
            if role.as_str() == "recently-claimed" {
                targets.delegations = Some(delegations.clone());
            }
        })
        .await;
    }

    /// What the bins list under a project's page now.
    pub(crate) async fn page(&self, project: &str) -> Pages {
        let (tree, set) = self.state().await;
        let path = format!("simple/{project}/index.json").parse().unwrap();
        let roles: Vec<_> = inventory(&set, &tree, 1).try_collect().await.unwrap();
        let mut pages = roles.iter().flat_map(|role| role.visited.listed());
        let (path, info) = pages.find(|(listed, _)| **listed == path).unwrap();
        BTreeMap::from([(path.clone(), info.clone())])
    }

    async fn sign_with(
        &self,
        new: Option<(RoleName, Pages)>,
        edit: impl Fn(&RoleName, &mut Targets),
    ) {
        let online = self.key("online");
        let (tree, set) = self.state().await;
        let mut snapshot = set.snapshot().clone().into_inner();
        let mut roles = Box::pin(inventory(&set, &tree, 1));
        while let Some(role) = roles.try_next().await.unwrap() {
            let name = role.visited.role();
            let before: Targets = Targets::clone(role.visited.metadata());
            let mut after = before.clone();
            edit(name, &mut after);
            if after != before {
                after.version += 1;
                snapshot
                    .meta
                    .insert(name.meta_name(), MetaFile::version(after.version));
                let signed = sign_role(&after.to_canonical(), &[&online]).unwrap();
                self.write(name, after.version, &signed);
            }
        }
        if let Some((role, pages)) = new {
            let mut targets: Targets = set.targets().clone().into_inner();
            (targets.version, targets.targets, targets.delegations) = (1, pages, None);
            targets.state_role(&role);
            snapshot
                .meta
                .insert(role.meta_name(), MetaFile::version(targets.version));
            let signed = sign_role(&targets.to_canonical(), &[&online]).unwrap();
            self.write(&role, targets.version, &signed);
        }
        snapshot.version += 1;
        self.write_snapshot(&set, snapshot, &online);
    }

    /// Signs the snapshot of now once more, under its version and with other contents.
    pub(crate) async fn sign_snapshot_twice(&self) {
        let (_, set) = self.state().await;
        let mut snapshot = set.snapshot().clone().into_inner();
        snapshot.expires += jiff::SignedDuration::from_secs(1);
        self.write_snapshot(&set, snapshot, &self.key("online"));
    }

    fn write_snapshot(&self, set: &TrustedSet, snapshot: Snapshot, online: &FileKey) {
        let signed = sign_role(&snapshot.to_canonical(), &[online]).unwrap();
        self.write(&RoleName::snapshot(), snapshot.version, &signed);
        let mut timestamp = set.timestamp().clone().into_inner();
        timestamp.version += 1;
        timestamp.snapshot = MetaFile {
            length: Some(signed.len() as u64),
            hashes: Some(Hashes::sha256_only(Sha256::of(&signed))),
            ..MetaFile::version(snapshot.version)
        };
        self.write_timestamp(&timestamp, online);
    }

    /// Signs the state of now for so long.
    pub(crate) async fn sign_for(&self, time: jiff::SignedDuration) {
        let (_, set) = self.state().await;
        let mut timestamp = set.timestamp().clone().into_inner();
        timestamp.version += 1;
        timestamp.expires = self.clock.now() + time;
        self.write_timestamp(&timestamp, &self.key("online"));
    }

    fn write_timestamp(&self, timestamp: &TimestampMetadata, key: &FileKey) {
        let signed = sign_role(&timestamp.to_canonical(), &[key]).unwrap();
        std::fs::write(self.path("metadata/timestamp.json"), signed).unwrap();
    }

    /// Signs a next root, and the timestamp with a key that only this root names.
    pub(crate) async fn change_keys(&self) {
        let (_, set) = self.state().await;
        let mut root = set.root().clone().into_inner();
        root.version += 1;
        let name = format!("online-of-root-{}", root.version);
        let new = FileKey::create(&self.beside(&name), &mut UnwrapErr(SysRng)).unwrap();
        root.keys
            .insert(new.key().keyid().clone(), new.key().clone());
        root.roles.timestamp = RoleKeys::new([new.key()], 1);
        let offline = [self.key("offline-0"), self.key("offline-1")];
        let signers: Vec<&dyn Signer> = offline.iter().map(|key| key as &dyn Signer).collect();
        let signed = sign_role(&root.to_canonical(), &signers).unwrap();
        self.write(&RoleName::root(), root.version, &signed);
        let mut timestamp = set.timestamp().clone().into_inner();
        timestamp.version += 1;
        self.write_timestamp(&timestamp, &new);
    }
}

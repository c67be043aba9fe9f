//! The first snapshot of an index: every role exists from here on.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use wheelmark_objects::{Directory, LockError, ObjectError, ObjectPath};
use wheelmark_signing::{SignRoleError, Signer, sign_role};
use wheelmark_store::ListedHashes;
use wheelmark_tuf::{
    Delegations, Key, Role as _, RoleKeys, RoleName, Root, RootRoles, SPEC_VERSION, Sha256, Targets,
};

use crate::channel::Followed;
use crate::lifetimes::{Lifetimes, after};
use crate::listed::SnapshotFile;
use crate::publish;
use crate::roles::{
    self, Bins, CLAIMED, Family, PACKAGES, RECENTLY_CLAIMED, SIMPLE, STATUS, role_name,
};
use crate::snapshot_bytes::{RoleFile, SnapshotBytes};

/// The first snapshot could not be made.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The tree could not be written, or is not empty.
    #[error("the first snapshot could not be written")]
    Objects(#[from] ObjectError),
    /// Another process writes into this tree.
    #[error("the tree cannot be locked for publishing")]
    Lock(#[from] LockError),
    /// A key could not sign.
    #[error("a key could not sign the first snapshot")]
    Sign(#[from] SignRoleError),
}

/// The offline keys, by the role they sign for. Each role's keys must all sign at first.
pub struct OfflineSigners<'a> {
    /// Root's keys (PEP 458: `(t, n)` with `t > 1`).
    pub root: Vec<&'a dyn Signer>,
    /// `targets`' keys (PEP 458 suggests `(2, 2)`).
    pub targets: Vec<&'a dyn Signer>,
    /// The keys of `simple` and `packages`, which delegate to the bins.
    pub bins: Vec<&'a dyn Signer>,
    /// The keys of `claimed`.
    pub claimed: Vec<&'a dyn Signer>,
}

/// What the first snapshot is to be.
#[derive(Debug, Clone, Copy)]
pub struct Genesis {
    /// The bins of both families.
    pub bins: Bins,
    /// How long each kind of role lives.
    pub lifetimes: Lifetimes,
    /// The moment of signing.
    pub now: Timestamp,
}

impl Genesis {
    /// Signs and writes the first snapshot into an empty tree. Returns the sha256 of the
    /// canonical signed part of root, by which clients can be told to trust this index.
    ///
    /// Nothing here is repeatable after a crash: write into a directory that only gets its
    /// name when this has returned.
    ///
    /// # Errors
    ///
    /// When a key cannot sign or the tree cannot be written.
    pub async fn write(
        &self,
        tree: &Directory,
        offline: &OfflineSigners<'_>,
        online: &dyn Signer,
    ) -> Result<Sha256, GenesisError> {
        let root = self.root(offline, online.key()).to_canonical();
        let mut objects = vec![
            object("root", sign_role(&root, &offline.root)?),
            object(
                "targets",
                self.sign_offline(
                    "targets",
                    &offline.targets,
                    self.lifetimes.offline,
                    Some(top_delegations(offline, online.key())),
                )?,
            ),
            object(
                CLAIMED,
                self.sign_offline(
                    CLAIMED,
                    &offline.claimed,
                    self.lifetimes.claimed,
                    Some(nobody()),
                )?,
            ),
        ];
        for family in Family::ALL {
            let below = self.bins.delegations(family.name(), online.key());
            let bins = roles::bins_of(&below);
            for (position, bin) in bins.iter().enumerate() {
                let expires = self.lifetimes.first_of_bin(self.now, position, bins.len());
                let empty = targets(bin, expires, None);
                objects.push(object(
                    bin.as_str(),
                    sign_role(&empty.to_canonical(), &[online])?,
                ));
            }
            objects.push(object(
                family.name(),
                self.sign_offline(
                    family.name(),
                    &offline.bins,
                    self.lifetimes.offline,
                    Some(below),
                )?,
            ));
        }
        let online_expires = self.lifetimes.online_from(self.now);
        for (name, delegations) in [(RECENTLY_CLAIMED, Some(nobody())), (STATUS, None)] {
            let empty = targets(&role_name(name), online_expires, delegations);
            objects.push(object(name, sign_role(&empty.to_canonical(), &[online])?));
        }

        let offline = ["targets", CLAIMED, SIMPLE, PACKAGES];
        let listed = objects
            .iter()
            .filter(|(role, _)| role.as_str() != "root")
            .map(|(role, bytes)| match offline.contains(&role.as_str()) {
                true => (role.clone(), RoleFile::of_others(1, bytes)),
                false => (role.clone(), RoleFile::own(1)),
            });
        let snapshot = SnapshotBytes::new(listed, 1, online_expires);
        let snapshot = sign_role(snapshot.as_bytes(), &[online])?;
        let listed = ListedHashes::default();
        let snapshot_file = SnapshotFile::of(&snapshot, listed);
        let timestamp = publish::timestamp(
            1,
            online_expires,
            1,
            snapshot_file,
            listed,
            Followed::default(),
            None,
        );
        let timestamp = sign_role(&timestamp.to_canonical(), &[online])?;

        let objects = objects
            .into_iter()
            .map(|(role, bytes)| (ObjectPath::metadata(&role, 1), Bytes::from(bytes)))
            .collect();
        tree.create_all(objects).await?;
        tree.create(
            &ObjectPath::metadata(&role_name("snapshot"), 1),
            Bytes::from(snapshot),
        )
        .await?;
        let lock = tree.lock().await?;
        tree.replace(&lock, &ObjectPath::timestamp(), Bytes::from(timestamp))
            .await?;
        tree.replace_all(&lock, publish::copies_of_list(&BTreeSet::new()).into())
            .await?;
        Ok(Sha256::of(&root))
    }

    fn root(&self, offline: &OfflineSigners<'_>, online: &Key) -> Root {
        let (root_keys, root) = all_of(&offline.root);
        let (targets_keys, targets) = all_of(&offline.targets);
        let keys = root_keys
            .into_iter()
            .chain(targets_keys)
            .chain([online.clone()])
            .map(|key| (key.keyid().clone(), key))
            .collect();
        Root {
            version: 1,
            expires: after(self.now, self.lifetimes.offline),
            spec_version: SPEC_VERSION.to_owned(),
            consistent_snapshot: true,
            keys,
            roles: RootRoles {
                root,
                targets,
                snapshot: RoleKeys::new([online], 1),
                timestamp: RoleKeys::new([online], 1),
                extra: BTreeMap::new(),
            },
            extra: BTreeMap::new(),
        }
    }

    fn sign_offline(
        &self,
        name: &str,
        signers: &[&dyn Signer],
        life: jiff::SignedDuration,
        delegations: Option<Delegations>,
    ) -> Result<Vec<u8>, SignRoleError> {
        let content = targets(&role_name(name), after(self.now, life), delegations);
        sign_role(&content.to_canonical(), signers)
    }
}

fn top_delegations(offline: &OfflineSigners<'_>, online: &Key) -> Delegations {
    let bins = all_of(&offline.bins);
    roles::top_delegations(
        &BTreeMap::from([
            (CLAIMED, all_of(&offline.claimed)),
            (SIMPLE, bins.clone()),
            (PACKAGES, bins),
        ]),
        online,
    )
}

/// The keys of `signers`, all of which must sign.
fn all_of(signers: &[&dyn Signer]) -> (Vec<Key>, RoleKeys) {
    let keys: Vec<Key> = signers.iter().map(|signer| signer.key().clone()).collect();
    let role = RoleKeys::new(&keys, keys.len() as u32);
    (keys, role)
}

fn object(role: &str, bytes: Vec<u8>) -> (RoleName, Vec<u8>) {
    (role_name(role), bytes)
}

/// The first version of a role, which states its own name: most roles share the online key,
/// and many a version, and must not be taken for each other.
pub(crate) fn targets(
    role: &RoleName,
    expires: Timestamp,
    delegations: Option<Delegations>,
) -> Targets {
    let mut targets = Targets {
        version: 1,
        expires,
        spec_version: SPEC_VERSION.to_owned(),
        targets: BTreeMap::new(),
        delegations,
        extra: BTreeMap::new(),
    };
    targets.state_role(role);
    targets
}

/// Delegations to nobody yet.
pub(crate) fn nobody() -> Delegations {
    Delegations {
        keys: BTreeMap::new(),
        roles: wheelmark_tuf::DelegatedRoles::Listed(Vec::new()),
        extra: BTreeMap::new(),
    }
}

//! The engine's own last signed state, read from the tree and verified.

mod digests;
mod roots;
mod stamped;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectError, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_store::ListedHashes;
use wheelmark_tuf::{
    DelegatedRole, DelegatedRoles, Delegations, HandoverError, Key, KeyId, Role, RoleKeys,
    RoleName, Root, Sha256, Snapshot, TargetPath, Targets, TimestampMetadata, Verified,
    VerifyError, verify,
};

pub(crate) use self::roots::newest_root;
use self::stamped::Seen;
pub(crate) use self::stamped::{Stamped, timestamp_alone};
use crate::channel::Followed;
use crate::claims::Claims;
use crate::listed::{self, SnapshotFile};
use crate::online::OnlineKeys;
use crate::publish::{is_lasting, is_root};
use crate::roles::{self, CLAIMED, Family, RECENTLY_CLAIMED, STATUS, role_name};
use crate::signing_log::Head;
use crate::snapshot_bytes::{RoleFile, SnapshotBytes};

/// The most bytes of metadata the engine reads of itself: above what any client accepts, so
/// that an index never locks itself out of its own state.
pub(crate) const OWN_METADATA_LIMIT: u64 = 64 * 1024 * 1024;

/// The index's own signed state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no signed index here.
    #[error("there is no signed index in this tree: metadata/timestamp.json is missing")]
    NoIndex,
    /// A metadata file that another one names is gone.
    #[error("{path} is missing from the tree")]
    Missing {
        /// Its object path.
        path: String,
    },
    /// A metadata file is not what the index signed.
    #[error("{path} is not as this index signed it")]
    NotOurs {
        /// Its object path.
        path: String,
        /// What failed.
        #[source]
        source: VerifyError,
    },
    /// A metadata file carries another version than the file that names it says.
    #[error("{path} carries version {found}")]
    WrongVersion {
        /// Its object path.
        path: String,
        /// The version inside.
        found: u64,
    },
    /// A metadata file is validly signed, and not the one that the index has published.
    #[error("{path} has not the SHA-256 that the snapshot lists: it is {found}")]
    OtherFile {
        /// Its object path.
        path: String,
        /// The SHA-256 of what is there.
        found: Sha256,
    },
    /// The root that a ceremony has brought is not there any more as it was published.
    #[error("{path} was published at {at}, and is damaged since: {problem}")]
    DamagedRoot {
        /// Its object path.
        path: String,
        /// When it was published.
        at: Timestamp,
        /// What is wrong with what lies there.
        problem: String,
    },
    /// A metadata file is that of another role.
    #[error("{path} does not state that it is the metadata of this role")]
    OtherRole {
        /// Its object path.
        path: String,
    },
    /// The online key that was given is not the one the index delegates to.
    #[error("the online key is not the one that this index's metadata names for {role}")]
    OtherOnlineKey {
        /// The role whose key differs.
        role: String,
    },
    /// What the index has signed leads to another key than the online key that root names and that is here. In an
    /// index that is well, that is so in the middle of a change of keys alone, where one of both is missing.
    #[error("{role} is delegated to another key than this index's online key")]
    AnotherKeyBelow {
        /// The role that the other key would sign.
        role: String,
    },
    /// The metadata delegates in a way this engine does not write.
    #[error("{role} does not delegate as an index does")]
    Foreign {
        /// The delegating role.
        role: String,
    },
    /// A claimed project's role was published with handovers that do not hold.
    #[error("{role} carries handovers that do not hold")]
    Handovers {
        /// The role.
        role: String,
        /// What is wrong with them.
        #[source]
        source: Box<HandoverError>,
    },
    /// A page is not the one its bin lists.
    #[error("the simple page of {project} is not the one that {role} signed")]
    PageDiffers {
        /// The project.
        project: String,
        /// The bin.
        role: String,
    },
    /// What is taken away from a project is not what was signed.
    #[error("the list of what is taken away from {project} is not the one that {STATUS} signed")]
    ListDiffers {
        /// The project.
        project: String,
    },
    /// A file could not be read to its end.
    #[error("{path} could not be read")]
    File {
        /// Its object path.
        path: String,
        /// What failed.
        #[source]
        source: std::io::Error,
    },
    /// The tree could not be read.
    #[error("the tree could not be read")]
    Objects(#[from] ObjectError),
}

impl LoadError {
    /// Whether something in the tree is not what was signed, and not the keys that are here others than the
    /// tree's.
    pub(crate) fn is_damage(&self) -> bool {
        self.is_lasting() && !matches!(self, Self::OtherOnlineKey { .. })
    }

    /// Whether it is about a file in the place of a root.
    pub fn is_of_a_root(&self) -> bool {
        match self {
            Self::DamagedRoot { .. } => true,
            Self::NotOurs { path, .. }
            | Self::WrongVersion { path, .. }
            | Self::Missing { path } => is_root(path),
            Self::Objects(ObjectError::TooLarge { path, .. } | ObjectError::NotPlain { path }) => {
                is_root(path.as_str())
            }
            _ => false,
        }
    }

    /// Whether trying again would fail again: something in the tree is not what was signed.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::Objects(error) => is_lasting(error),
            Self::File { .. } => false,
            Self::NoIndex
            | Self::Missing { .. }
            | Self::NotOurs { .. }
            | Self::WrongVersion { .. }
            | Self::OtherFile { .. }
            | Self::DamagedRoot { .. }
            | Self::OtherRole { .. }
            | Self::OtherOnlineKey { .. }
            | Self::AnotherKeyBelow { .. }
            | Self::Foreign { .. }
            | Self::Handovers { .. }
            | Self::PageDiffers { .. }
            | Self::ListDiffers { .. } => true,
        }
    }
}

/// What was signed last.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// The newest root.
    pub(crate) root: Root,
    /// `targets`, whose delegations name every other role's keys.
    pub(crate) targets: Targets,
    /// `simple` and `packages`, which delegate to the bins.
    pub(crate) families: BTreeMap<Family, Targets>,
    /// Projects that their developers own, bound to their keys by an offline key or, until the next
    /// ceremony, by the online one: nothing else that the index signs may answer for them.
    pub(crate) claims: Claims,
    /// The lists of what is taken away from claimed projects.
    pub(crate) taken_away: BTreeMap<ProjectName, Sha256>,
    /// The snapshot, ready to be patched.
    pub(crate) snapshot: SnapshotBytes,
    /// Digests and length of the published snapshot file.
    pub(crate) snapshot_file: SnapshotFile,
    /// Which hashes of files are to be listed.
    pub(crate) listed: ListedHashes,
    /// The projects whose pages do not list them yet, with what they list.
    pub(crate) behind: BTreeMap<ProjectName, ListedHashes>,
    /// Version of the published timestamp.
    pub(crate) timestamp_version: u64,
    /// Expiry of the published timestamp.
    pub(crate) timestamp_expires: Timestamp,
    /// Digest of the published timestamp.
    pub(crate) timestamp_sha256: Sha256,
    /// Whose signatures it has.
    pub(crate) timestamp_signers: BTreeSet<KeyId>,
    /// The online key that `targets`, `simple` and `packages` name: it signs what stands below.
    pub(crate) signs: KeyId,
    /// How far the journals have been followed.
    pub(crate) followed: Followed,
    /// The head of the signing log that the timestamp carried when this state was loaded.
    pub(crate) logged: Option<Head>,
    /// Expiry of every role that the online key signs below `targets`.
    pub(crate) schedule: HashMap<RoleName, Timestamp>,
    /// Every project that has a page, for the unsigned list of all of them.
    pub(crate) projects: BTreeSet<ProjectName>,
    /// Expiry of the roles signed offline, root first.
    pub(crate) offline: Vec<(RoleName, Timestamp)>,
    /// Whether this is the state that the timestamp names, and not one that stands for it.
    pub(crate) is_readable: bool,
    /// What is wrong with a file in the place of the next root, where one lies there.
    pub(crate) stray_root: Option<String>,
}

impl State {
    /// Reads and verifies the whole signed state. Expiry is not looked at: an index that was
    /// off for a month signs anew from what it last signed.
    ///
    /// A file in the place of the next root that root's keys have not signed is told of, and nothing goes
    /// by it: whoever can write to the tree could keep the index from starting with it.
    ///
    /// # Errors
    ///
    /// When something is not as it was signed. Where that file may be why (it can be a root that the
    /// disk has damaged, under which the rest was signed), it is what is told.
    pub(crate) async fn load(tree: &Directory, online: &OnlineKeys) -> Result<Self, LoadError> {
        let newest = newest_root(tree).await?;
        let loaded = Self::under(tree, newest.root, online).await;
        match (loaded.and_then(Self::demand_root_in_force), newest.stray) {
            (Ok(mut state), Some(stray)) => {
                tracing::error!(
                    error = &stray as &dyn std::error::Error,
                    "a file lies in the place of the next root, and root's keys have not signed it: this index \
                     goes on without it, and clients refuse the index as long as they are served it. If a \
                     ceremony has brought this root, restore it from a backup or a mirror; if none has, \
                     somebody can write to the tree: move it away, as evidence, also from copies and caches \
                     (docs/recovery.md)"
                );
                state.stray_root = Some(stray.to_string());
                Ok(state)
            }
            (Err(error), Some(stray)) if error.is_damage() => Err(stray),
            (loaded, _) => loaded,
        }
    }

    /// Refuses a root that names another online key than the published `targets`: a newer one was published with
    /// that, and is damaged or gone. Under the one before it the key that it has replaced would count again.
    fn demand_root_in_force(self) -> Result<Self, LoadError> {
        if self.root.roles.timestamp.keyids.contains(&self.signs) {
            return Ok(self);
        }
        let next = self.root.version.saturating_add(1);
        let path = ObjectPath::metadata(&RoleName::root(), next);
        Err(LoadError::Missing {
            path: path.as_str().to_owned(),
        })
    }

    /// The name of the next root, where another file has it.
    pub(crate) fn place_of_stray_root(&self) -> Option<ObjectPath> {
        let version = self.root.version.saturating_add(1);
        let place = ObjectPath::metadata(&RoleName::root(), version);
        self.stray_root.as_ref().map(|_| place)
    }

    /// What the timestamp names, under a root.
    async fn under(tree: &Directory, root: Root, online: &OnlineKeys) -> Result<Self, LoadError> {
        let bytes = read(tree, &ObjectPath::timestamp())
            .await?
            .ok_or(LoadError::NoIndex)?;
        let timestamp: Verified<TimestampMetadata> = check(
            &ObjectPath::timestamp(),
            &bytes,
            &root.keys,
            &root.roles.timestamp,
        )?;
        let snapshot = RoleFile::own(timestamp.snapshot.version);
        let listed = Some(listed::of_timestamp(&timestamp));
        let stamped = Stamped::of(&timestamp, &bytes);
        Self::below(tree, root, snapshot, listed, stamped, online).await
    }

    /// Reads and verifies everything below a snapshot; what stands in a timestamp is given.
    async fn below(
        tree: &Directory,
        root: Root,
        snapshot: RoleFile,
        listed: Option<ListedHashes>,
        stamped: Stamped,
        online: &OnlineKeys,
    ) -> Result<Self, LoadError> {
        if online.named(&root.roles.timestamp.keyids).is_none() {
            let role = "timestamp".to_owned();
            return Err(LoadError::OtherOnlineKey { role });
        }
        let snapshot_version = snapshot.version;
        let (snapshot, bytes): (Verified<Snapshot>, _) = versioned(
            tree,
            &role_name("snapshot"),
            snapshot,
            &root.keys,
            &root.roles.snapshot,
        )
        .await?;
        let (is_stamped, listed_hashes) = (listed, listed.unwrap_or_default());
        let listed = snapshot.meta.iter().filter_map(|(name, meta)| {
            let role = name.strip_suffix(".json")?.parse().ok()?;
            Some((role, RoleFile::of_meta(meta)))
        });
        let patchable = SnapshotBytes::new(listed, snapshot_version, snapshot.expires);
        let file_of = |role: &RoleName| {
            patchable.role(role).ok_or_else(|| LoadError::Missing {
                path: format!("{role} in snapshot {snapshot_version}"),
            })
        };

        let name = role_name("targets");
        let targets: Verified<Targets> = targets_role(
            tree,
            &name,
            file_of(&name)?,
            &root.keys,
            &root.roles.targets,
        )
        .await?;
        let top = delegations(&targets, "targets")?;
        let recently = role_name(RECENTLY_CLAIMED);
        let signs = online_key_of(RECENTLY_CLAIMED, &delegated(top, &recently)?.keyids, online)?;
        let mut offline = vec![(role_name("root"), root.expires), (name, targets.expires)];
        let mut schedule = HashMap::new();
        let mut families = BTreeMap::new();
        let mut claims = Claims::default();
        let (mut projects, mut behind) = (BTreeSet::new(), BTreeMap::new());
        let mut taken_away = BTreeMap::new();
        let mut seen = Seen::default();

        for name in [CLAIMED, RECENTLY_CLAIMED, STATUS] {
            let role = role_name(name);
            let keys = delegated(top, &role)?;
            let metadata: Verified<Targets> =
                targets_role(tree, &role, file_of(&role)?, &top.keys, keys).await?;
            if name == STATUS {
                let lists = metadata.targets.iter();
                let lists =
                    lists.filter_map(|(path, info)| Some((project_of_list(path)?, info.sha256()?)));
                taken_away.extend(lists);
            } else {
                let below = metadata.delegations.as_ref();
                for (shard, keys) in below.into_iter().flat_map(|below| shards_of(&role, below)) {
                    let known = below.map(|below| &below.keys).unwrap_or(&top.keys);
                    let content = targets_role(tree, shard, file_of(shard)?, known, keys).await?;
                    demand_named(shard.as_str(), &keys.keyids, &signs)?;
                    schedule.insert(shard.clone(), content.expires);
                    claims.put(shard, content.delegations.clone());
                }
                claims.put(&role, metadata.delegations.clone());
            }
            if name == CLAIMED {
                offline.push((role, metadata.expires));
            } else {
                demand_named(name, &keys.keyids, &signs)?;
                schedule.insert(role, metadata.expires);
            }
        }
        for family in Family::ALL {
            let role = role_name(family.name());
            let metadata: Verified<Targets> = targets_role(
                tree,
                &role,
                file_of(&role)?,
                &top.keys,
                delegated(top, &role)?,
            )
            .await?;
            let below = delegations(&metadata, family.name())?;
            for bin in roles::bins_of(below) {
                let keys = delegated(below, &bin)?;
                demand_named(bin.as_str(), &keys.keyids, &signs)?;
                let content: Verified<Targets> =
                    targets_role(tree, &bin, file_of(&bin)?, &below.keys, keys).await?;
                schedule.insert(bin, content.expires);
                if family == Family::Simple {
                    seen.note(content.targets.values());
                    projects.extend(content.targets.keys().filter_map(project_of_page));
                    behind.extend(content.targets.iter().filter_map(|(path, info)| {
                        let lists = listed::of_target(info).unwrap_or_default();
                        let conforms = lists == listed_hashes && !listed::is_behind(info);
                        Some((project_of_page(path).filter(|_| !conforms)?, lists))
                    }));
                }
            }
            offline.push((role, metadata.expires));
            families.insert(family, metadata.into_inner());
        }

        projects.extend(claims.projects().cloned());
        let listed_hashes = is_stamped.unwrap_or_else(|| seen.hashes());
        let mut state = Self {
            root,
            targets: targets.into_inner(),
            families,
            claims,
            taken_away,
            snapshot: patchable,
            snapshot_file: SnapshotFile::of(&bytes, listed_hashes),
            listed: listed_hashes,
            behind,
            timestamp_version: stamped.version,
            timestamp_expires: stamped.expires,
            timestamp_sha256: stamped.sha256,
            timestamp_signers: stamped.signers,
            signs,
            followed: stamped.followed,
            logged: stamped.logged,
            schedule,
            projects,
            offline,
            is_readable: true,
            stray_root: None,
        };
        state.list_digests(tree).await?;
        Ok(state)
    }

    /// Has all pages gone through that the index signs.
    pub(crate) fn all_behind(&mut self) {
        let listed = self.listed;
        let owned: BTreeSet<ProjectName> = self.claims.projects().cloned().collect();
        for project in self.projects.difference(&owned) {
            self.behind.entry(project.clone()).or_insert(listed);
        }
    }

    /// The delegation to a project's own role, with the keys that it names; the one by an offline
    /// key, where there are two. None for a project that nobody has claimed.
    pub(crate) fn delegation_of(
        &self,
        project: &ProjectName,
    ) -> Option<(&Delegations, &DelegatedRole)> {
        self.claims.of(project)
    }

    /// Whether a project is delegated to with an offline key.
    pub(crate) fn is_sealed(&self, project: &ProjectName) -> bool {
        self.claims.is_sealed(project)
    }

    /// Every key with which the index signs something itself.
    pub(crate) fn index_keys(&self) -> impl Iterator<Item = &Key> {
        let families = self.families.values();
        let below = std::iter::once(&self.targets).chain(families);
        let below = below.filter_map(|targets| targets.delegations.as_ref());
        let below = below.flat_map(|delegations| delegations.keys.values());
        self.root.keys.values().chain(below)
    }

    /// The delegations of a family's role.
    pub(crate) fn family(&self, family: Family) -> &Delegations {
        self.families[&family]
            .delegations
            .as_ref()
            .expect("loading refuses a family without delegations")
    }

    /// The bin that answers for a path of a family.
    pub(crate) fn bin(&self, family: Family, path: &TargetPath) -> RoleName {
        roles::bin_for(self.family(family), path).expect("the bins of a family cover every path")
    }

    /// The keys that sign a role below `targets`.
    pub(crate) fn keys_of(&self, role: &RoleName) -> Option<(&BTreeMap<KeyId, Key>, &RoleKeys)> {
        std::iter::once(&self.targets)
            .chain(self.families.values())
            .filter_map(|delegating| delegating.delegations.as_ref())
            .find_map(|d| Some((&d.keys, roles::keys_of(d, role)?)))
            .or_else(|| self.claims.keys_of(role))
    }

    /// One role below `targets` as it was last published, verified once more.
    pub(crate) async fn role(
        &self,
        tree: &Directory,
        role: &RoleName,
    ) -> Result<Verified<Targets>, LoadError> {
        let file = self.snapshot.role(role).ok_or_else(|| LoadError::Missing {
            path: format!("{role} in snapshot {}", self.snapshot.version()),
        })?;
        let (keys, role_keys) = self.keys_of(role).ok_or_else(|| LoadError::Foreign {
            role: role.to_string(),
        })?;
        targets_role(tree, role, file, keys, role_keys).await
    }
}

fn not_ours(path: &ObjectPath, source: VerifyError) -> LoadError {
    LoadError::NotOurs {
        path: path.as_str().to_owned(),
        source,
    }
}

async fn read(tree: &Directory, path: &ObjectPath) -> Result<Option<Vec<u8>>, ObjectError> {
    Ok(tree
        .read(path, OWN_METADATA_LIMIT)
        .await?
        .map(|bytes| bytes.to_vec()))
}

fn check<T: Role>(
    path: &ObjectPath,
    bytes: &[u8],
    keys: &BTreeMap<KeyId, Key>,
    role: &RoleKeys,
) -> Result<Verified<T>, LoadError> {
    verify(bytes, keys, role).map_err(|source| not_ours(path, source))
}

/// Reads and verifies one versioned role: it has to be what is listed of it.
async fn versioned<T: Role>(
    tree: &Directory,
    role: &RoleName,
    listed: RoleFile,
    keys: &BTreeMap<KeyId, Key>,
    role_keys: &RoleKeys,
) -> Result<(Verified<T>, Vec<u8>), LoadError> {
    let path = ObjectPath::metadata(role, listed.version);
    let bytes = read(tree, &path).await?.ok_or_else(|| LoadError::Missing {
        path: path.as_str().to_owned(),
    })?;
    let metadata: Verified<T> = check(&path, &bytes, keys, role_keys)?;
    if metadata.version() != listed.version {
        return Err(LoadError::WrongVersion {
            path: path.as_str().to_owned(),
            found: metadata.version(),
        });
    }
    if let Some(sha256) = listed.sha256 {
        let found = Sha256::of(&bytes);
        if found != sha256 {
            return Err(LoadError::OtherFile {
                path: path.as_str().to_owned(),
                found,
            });
        }
    }
    Ok((metadata, bytes))
}

/// Reads and verifies one version of a targets role, which must state that it is that role:
/// what would be published next from another role's metadata would take files away.
async fn targets_role(
    tree: &Directory,
    role: &RoleName,
    listed: RoleFile,
    keys: &BTreeMap<KeyId, Key>,
    role_keys: &RoleKeys,
) -> Result<Verified<Targets>, LoadError> {
    let (targets, _): (Verified<Targets>, _) =
        versioned(tree, role, listed, keys, role_keys).await?;
    match targets.stated_role() {
        Some(stated) if stated == role.as_str() => Ok(targets),
        _ => Err(LoadError::OtherRole {
            path: ObjectPath::metadata(role, listed.version)
                .as_str()
                .to_owned(),
        }),
    }
}

fn delegations<'a>(targets: &'a Targets, role: &str) -> Result<&'a Delegations, LoadError> {
    targets
        .delegations
        .as_ref()
        .ok_or_else(|| LoadError::Foreign { role: role.into() })
}

fn delegated<'a>(delegations: &'a Delegations, role: &RoleName) -> Result<&'a RoleKeys, LoadError> {
    roles::keys_of(delegations, role).ok_or_else(|| LoadError::Foreign {
        role: role.to_string(),
    })
}

/// The engine's key among those of an online role below root.
fn online_key_of(role: &str, keyids: &[KeyId], online: &OnlineKeys) -> Result<KeyId, LoadError> {
    let named = online.named(keyids);
    named
        .map(|key| key.keyid().clone())
        .ok_or_else(|| LoadError::AnotherKeyBelow { role: role.into() })
}

fn demand_named(role: &str, keyids: &[KeyId], key: &KeyId) -> Result<(), LoadError> {
    match keyids.contains(key) {
        true => Ok(()),
        false => Err(LoadError::AnotherKeyBelow { role: role.into() }),
    }
}

/// The shards that a list of claims delegates to, with whose keys sign them.
fn shards_of<'a>(
    list: &'a RoleName,
    below: &'a Delegations,
) -> impl Iterator<Item = (&'a RoleName, &'a RoleKeys)> {
    let listed: &[DelegatedRole] = match &below.roles {
        DelegatedRoles::Listed(listed) => listed,
        DelegatedRoles::Succinct(_) => &[],
    };
    let shards = listed
        .iter()
        .filter(move |role| role.as_shard(list).is_some());
    shards.map(|role| (&role.name, &role.keys))
}

/// The project whose page a target path is.
fn project_of_page(path: &TargetPath) -> Option<ProjectName> {
    path.as_str()
        .strip_prefix("simple/")?
        .strip_suffix("/index.json")?
        .parse()
        .ok()
}

/// The project whose list of what is taken away a target path is.
fn project_of_list(path: &TargetPath) -> Option<ProjectName> {
    path.as_str()
        .strip_prefix("status/")?
        .strip_suffix(".json")?
        .parse()
        .ok()
}

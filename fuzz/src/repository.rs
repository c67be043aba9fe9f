//! A small signed repository with a history, for a client to be misled about.
//!
//! | generation | root | timestamp, snapshot | targets | bins |
//! |---|---|---|---|---|
//! | 0 | 1 | 1 | 1 | 1 |
//! | 1 | 2 | 2 | 1 | 2 |
//! | 2 | 3, with another online key | 3 | 2 | 2 |
//! | 3 | 4, with another online key | 4 | 2 | 2 |
//!
//! Every offline role has a key of its own, and the bins share one. (With one key for several
//! roles, a server can pass the file of one off as that of another of the same version, where
//! snapshot gives versions only; the two bins say the same here.) The timestamp of generation 0
//! expires in the middle of 2026, everything else in 2030.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wheelmark_tuf::{
    DelegatedRole, DelegatedRoles, Delegations, MetaFile, PathSet, Role, RoleKeys, Root, RootRoles,
    Sha256, Snapshot, SuccinctRoles, TargetInfo, TargetPath, Targets, TimestampMetadata,
};

use crate::keys::Signer;

/// Number of generations.
pub const GENERATIONS: usize = 4;

/// The content of the one file.
pub const CONTENT: &[u8] = b"a wheel";

/// The path of the one file.
pub fn path() -> TargetPath {
    "packages/demo/demo-1.0.tar.gz"
        .parse()
        .expect("the path is well-formed")
}

/// Every file that was ever published.
pub struct Repository {
    /// By generation: what a server has by then, by file name.
    pub published: [BTreeMap<String, Vec<u8>>; GENERATIONS],
    /// Every file once.
    pub all: Vec<Vec<u8>>,
    online: [Signer; 3],
}

/// Versions of one generation.
struct Versions {
    root: u64,
    online: u64,
    targets: u64,
    bins: u64,
    /// Which online key.
    key: usize,
}

const HISTORY: [Versions; GENERATIONS] = [
    Versions {
        root: 1,
        online: 1,
        targets: 1,
        bins: 1,
        key: 0,
    },
    Versions {
        root: 2,
        online: 2,
        targets: 1,
        bins: 2,
        key: 0,
    },
    Versions {
        root: 3,
        online: 3,
        targets: 2,
        bins: 2,
        key: 1,
    },
    Versions {
        root: 4,
        online: 4,
        targets: 2,
        bins: 2,
        key: 2,
    },
];

/// A moment, as metadata writes it.
pub fn time(text: &str) -> Timestamp {
    text.parse().expect("the time is well-formed")
}

impl Repository {
    pub fn new() -> Repository {
        let online = [11, 12, 13].map(Signer::new);
        let [root_key, targets_key, claimed_key, packages_key, bins_key] =
            [1, 2, 3, 4, 5].map(Signer::new);
        let mut published: [BTreeMap<String, Vec<u8>>; GENERATIONS] = Default::default();
        let mut files = BTreeMap::new();
        for (generation, versions) in HISTORY.iter().enumerate() {
            let online_key = &online[versions.key];
            let root = root(versions.root, &root_key, online_key, &targets_key);
            files.insert(
                format!("{}.root.json", versions.root),
                Signer::file(&root.to_canonical(), &[&root_key]),
            );
            let targets = targets(versions.targets, &claimed_key, &packages_key);
            let file = Signer::file(&targets.to_canonical(), &[&targets_key]);
            files.insert(format!("{}.targets.json", versions.targets), file);
            for (name, key) in [
                ("packages-0", &bins_key),
                ("packages-1", &bins_key),
                ("claimed", &claimed_key),
            ] {
                let bin = bin(versions.bins, name != "claimed");
                let file = Signer::file(&bin.to_canonical(), &[key]);
                files.insert(format!("{}.{name}.json", versions.bins), file);
            }
            let packages = Signer::file(&packages(&bins_key).to_canonical(), &[&packages_key]);
            files.insert("1.packages.json".to_owned(), packages);
            let snapshot = snapshot(versions.online, versions.targets, versions.bins);
            let file = Signer::file(&snapshot.to_canonical(), &[online_key]);
            files.insert(format!("{}.snapshot.json", versions.online), file);
            let timestamp = timestamp(versions.online, versions.online);
            files.insert(
                "timestamp.json".to_owned(),
                Signer::file(&timestamp.to_canonical(), &[online_key]),
            );
            published[generation] = files.clone();
        }
        let mut all: Vec<Vec<u8>> = published
            .iter()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect();
        all.sort();
        all.dedup();
        Repository {
            published,
            all,
            online,
        }
    }

    /// What a thief of an online key can make: a timestamp, or a snapshot, with any versions.
    pub fn forge(
        &self,
        key: usize,
        kind: bool,
        version: u64,
        of_snapshot: u64,
        of_targets: u64,
    ) -> Vec<u8> {
        let signed = if kind {
            timestamp(version, of_snapshot).to_canonical()
        } else {
            snapshot(version, of_targets, of_targets).to_canonical()
        };
        Signer::file(&signed, &[&self.online[key % self.online.len()]])
    }
}

impl Default for Repository {
    fn default() -> Repository {
        Repository::new()
    }
}

fn expires() -> Timestamp {
    time("2030-01-01T00:00:00Z")
}

fn spec_version() -> String {
    wheelmark_tuf::SPEC_VERSION.to_owned()
}

fn root(version: u64, root: &Signer, online: &Signer, targets: &Signer) -> Root {
    let one = |signer: &Signer| RoleKeys::new([&signer.key], 1);
    let keys =
        [root, online, targets].map(|signer| (signer.key.keyid().clone(), signer.key.clone()));
    Root {
        spec_version: spec_version(),
        version,
        expires: expires(),
        consistent_snapshot: true,
        keys: keys.into(),
        roles: RootRoles {
            root: one(root),
            timestamp: one(online),
            snapshot: one(online),
            targets: one(targets),
            extra: BTreeMap::new(),
        },
        extra: BTreeMap::new(),
    }
}

fn timestamp(version: u64, snapshot: u64) -> TimestampMetadata {
    TimestampMetadata {
        spec_version: spec_version(),
        version,
        expires: if version == 1 {
            time("2026-06-01T00:00:00Z")
        } else {
            expires()
        },
        snapshot: MetaFile::version(snapshot),
        other_meta: BTreeMap::new(),
        extra: BTreeMap::new(),
    }
}

fn snapshot(version: u64, targets: u64, bins: u64) -> Snapshot {
    let roles = [
        ("targets", targets),
        ("packages", 1),
        ("packages-0", bins),
        ("packages-1", bins),
        ("claimed", bins),
    ];
    Snapshot {
        spec_version: spec_version(),
        version,
        expires: expires(),
        meta: roles
            .map(|(role, version)| (format!("{role}.json"), MetaFile::version(version)))
            .into(),
        extra: BTreeMap::new(),
    }
}

fn targets(version: u64, claimed: &Signer, packages: &Signer) -> Targets {
    let role = |name: &str, signer: &Signer, terminating| DelegatedRole {
        name: name.parse().expect("the name is well-formed"),
        keys: RoleKeys::new([&signer.key], 1),
        terminating,
        paths: PathSet::Patterns(vec!["packages/*/*".into()]),
    };
    let roles = vec![
        role("claimed", claimed, false),
        role("packages", packages, true),
    ];
    let keys = [claimed, packages].map(|signer| (signer.key.keyid().clone(), signer.key.clone()));
    Targets {
        delegations: Some(Delegations {
            keys: keys.into(),
            roles: DelegatedRoles::Listed(roles),
            extra: BTreeMap::new(),
        }),
        ..bin(version, false)
    }
}

fn packages(bins_key: &Signer) -> Targets {
    let bins = SuccinctRoles::new(RoleKeys::new([&bins_key.key], 1), 1, "packages")
        .expect("one bit is a length");
    Targets {
        delegations: Some(Delegations {
            keys: [(bins_key.key.keyid().clone(), bins_key.key.clone())].into(),
            roles: DelegatedRoles::Succinct(bins),
            extra: BTreeMap::new(),
        }),
        ..bin(1, false)
    }
}

fn bin(version: u64, with_file: bool) -> Targets {
    let info = TargetInfo::new(CONTENT.len() as u64, Sha256::of(CONTENT));
    Targets {
        spec_version: spec_version(),
        version,
        expires: expires(),
        targets: with_file.then(|| (path(), info)).into_iter().collect(),
        delegations: None,
        extra: BTreeMap::new(),
    }
}

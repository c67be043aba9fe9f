//! What a network between a client and its index can do.

use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::StatusCode;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, RngExt as _};
use serde_json::{Value, json};
use wheelmark_signing::{FileKey, SignError, Signer, sign_role};
use wheelmark_tuf::{Key, Sha256, Signature, assemble, canonical};

use crate::door::{Answer, Route};
use crate::index::{Index, Tree, point, replace_key};

/// A tree that changes while others read it.
pub(crate) type Shared = Arc<Mutex<Arc<Tree>>>;

/// What an object is, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Root,
    Timestamp,
    Snapshot,
    /// `targets` and the roles between it and the bins.
    Delegator,
    Bin,
    Page,
    File,
    CoreMetadata,
    Chunks,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Root,
        Self::Timestamp,
        Self::Snapshot,
        Self::Delegator,
        Self::Bin,
        Self::Page,
        Self::File,
        Self::CoreMetadata,
        Self::Chunks,
    ];

    fn of(path: &str) -> Self {
        match path
            .split('/')
            .nth(if path.starts_with("targets/") { 1 } else { 0 })
        {
            Some("simple") => Self::Page,
            Some("packages") if path.ends_with(".metadata") => Self::CoreMetadata,
            Some("packages") if path.ends_with(".chunks") => Self::Chunks,
            Some("packages") => Self::File,
            _ if path.ends_with(".root.json") => Self::Root,
            _ if path.ends_with("timestamp.json") => Self::Timestamp,
            _ if path.ends_with(".snapshot.json") => Self::Snapshot,
            _ if path.contains('-') && !path.contains("recently-claimed") => Self::Bin,
            _ => Self::Delegator,
        }
    }
}

/// What is done to the objects of one kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Twist {
    Withhold,
    Truncate,
    Flip,
    Endless,
    Reset,
    Fail(StatusCode),
    /// Another object of the same kind.
    Swap,
    /// More behind the end.
    Append,
}

/// Where answers come from before they are twisted.
#[derive(Clone)]
enum Base {
    Live(Shared),
    Past(Arc<Tree>),
    /// Metadata of one moment under the timestamp of another.
    Mixed(Arc<Tree>, Arc<Tree>),
}

/// An attack on some clients.
#[derive(Clone)]
pub(crate) struct Attack {
    base: Base,
    /// Objects of the attacker's own.
    forged: Tree,
    twist: Option<(Twist, Kind)>,
    salt: u64,
    /// Whether the online key was used, so that it has to be replaced afterwards.
    pub(crate) theft: bool,
    name: String,
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Attack {
    /// Draws an attack.
    pub(crate) fn draw(rng: &mut StdRng, index: &mut Index, live: &Shared) -> Self {
        let mut attack = Self {
            base: Base::Live(live.clone()),
            forged: Tree::new(),
            twist: None,
            salt: rng.next_u64(),
            theft: false,
            name: String::new(),
        };
        let past = |rng: &mut StdRng| index.history.choose(rng).unwrap().clone();
        match rng.random_range(0..10) {
            0 | 1 => {
                attack.base = Base::Past(past(rng));
                attack.name = "replay".to_owned();
            }
            2 => {
                attack.base = Base::Past(index.now().clone());
                attack.name = "freeze".to_owned();
            }
            3 => {
                attack.base = Base::Mixed(past(rng), past(rng));
                attack.name = "mix".to_owned();
            }
            4..=6 => attack.forge(rng, index),
            7 => {
                // One file of the same key for another hides a project.
                attack.twist = Some((Twist::Swap, Kind::Bin));
                attack.name = "bins swapped".to_owned();
            }
            _ => {}
        }
        if attack.name.is_empty() || attack.twist.is_none() && rng.random_range(0..4) == 0 {
            let kind = *Kind::ALL.choose(rng).unwrap();
            let twist = match rng.random_range(0..8) {
                0 => Twist::Withhold,
                1 => Twist::Truncate,
                2 => Twist::Flip,
                3 => Twist::Endless,
                4 => Twist::Reset,
                5 => Twist::Fail(*FAILURES.choose(rng).unwrap()),
                6 => Twist::Swap,
                _ => Twist::Append,
            };
            attack.twist = Some((twist, kind));
            attack.name.push_str(&format!(" {twist:?} {kind:?}"));
        }
        attack
    }

    /// What answers a client that is under this attack.
    pub(crate) fn route(self) -> Route {
        Arc::new(move |path| self.answer(path))
    }

    fn answer(&self, path: &str) -> Answer {
        let tree = match &self.base {
            Base::Live(shared) => shared.lock().unwrap().clone(),
            Base::Past(tree) => tree.clone(),
            Base::Mixed(first, _) if path.ends_with("timestamp.json") => first.clone(),
            Base::Mixed(_, second) => second.clone(),
        };
        let found = self.forged.get(path).or_else(|| tree.get(path)).cloned();
        let found = match &self.base {
            // A version that this moment does not have is answered with one that it has.
            Base::Mixed(..) => found.or_else(|| self.other(&tree, path)),
            _ => found,
        };
        let Some((twist, kind)) = self.twist else {
            return found.map_or(Answer::Absent, Answer::Whole);
        };
        if Kind::of(path) != kind {
            return found.map_or(Answer::Absent, Answer::Whole);
        }
        let random = self.number(path);
        match (twist, found) {
            (Twist::Endless, _) => Answer::Endless,
            (Twist::Fail(status), _) => Answer::Status(status),
            (Twist::Swap, _) => self
                .other(&tree, path)
                .map_or(Answer::Absent, Answer::Whole),
            (Twist::Withhold, _) | (_, None) => Answer::Absent,
            (Twist::Truncate, Some(bytes)) => {
                Answer::Whole(bytes.slice(..random % bytes.len().max(1)))
            }
            (Twist::Flip, Some(bytes)) => {
                let mut bytes = bytes.to_vec();
                let at = random % bytes.len();
                bytes[at] ^= 1 << (random % 7);
                Answer::Whole(bytes.into())
            }
            (Twist::Reset, Some(bytes)) => {
                let after = random % (bytes.len() + 1);
                Answer::Reset(bytes, after)
            }
            (Twist::Append, Some(bytes)) => Answer::Whole([&bytes[..], b"\n"].concat().into()),
        }
    }

    /// Another object of the same kind: a bin of the same version, or an object of the same
    /// length, if there is one.
    fn other(&self, tree: &Tree, path: &str) -> Option<Bytes> {
        let kind = Kind::of(path);
        let candidates = tree
            .iter()
            .filter(|(name, _)| *name != path && Kind::of(name) == kind);
        let length = tree.get(path).map(Bytes::len);
        let alike: Vec<&Bytes> = candidates
            .clone()
            .filter(|(name, other)| match kind {
                Kind::Bin => version(name) == version(path),
                _ => Some(other.len()) == length,
            })
            .map(|(_, bytes)| bytes)
            .collect();
        let others: Vec<&Bytes> = candidates.map(|(_, bytes)| bytes).collect();
        let from = if alike.is_empty() { others } else { alike };
        from.get(self.number(path) % from.len().max(1))
            .map(|bytes| Bytes::clone(bytes))
    }

    /// A number that is the same whenever the same path is asked for.
    fn number(&self, path: &str) -> usize {
        let digest = Sha256::of(format!("{}{path}", self.salt).as_bytes());
        usize::from_le_bytes(digest.0[..size_of::<usize>()].try_into().unwrap())
    }

    /// Puts signatures under metadata of the attacker's own.
    fn forge(&mut self, rng: &mut StdRng, index: &mut Index) {
        let unknown = index.unknown_key();
        match rng.random_range(0..12) {
            0 => {
                self.forge_online(index, &unknown, rng.random_range(1..1_000), |_| {});
                self.name = "state signed by an unknown key".to_owned();
            }
            1 => {
                let mut root = next_root(index);
                let old: Vec<_> = index.root_keys().iter().map(|k| k.key().clone()).collect();
                replace_key(&mut root, index.online.key(), unknown.key());
                let other = index.unknown_key();
                replace_key(&mut root, &old[0], unknown.key());
                replace_key(&mut root, &old[1], other.key());
                self.forge_root(&root, &[&unknown, &other]);
                self.name = "root signed by unknown keys".to_owned();
            }
            2 => {
                let mut root = next_root(index);
                replace_key(&mut root, index.online.key(), unknown.key());
                let one = index.root_keys()[0];
                let signature = one.sign(&canonical::encode(&root)).unwrap();
                let twice = assemble(&canonical::encode(&root), &[signature.clone(), signature]);
                let file = if rng.random() {
                    twice.into()
                } else {
                    sign_role(&canonical::encode(&root), &[one]).unwrap().into()
                };
                let path = format!("metadata/{}.root.json", root["version"]);
                self.forged.insert(path, file);
                self.name = "root signed by too few keys".to_owned();
            }
            3 => {
                // As a ceremony might leave it that was broken off.
                let mut root = next_root(index);
                let old = index.root_keys()[0].key().clone();
                replace_key(&mut root, &old, unknown.key());
                let signers = index.root_keys();
                self.forge_root(&root, &signers);
                self.name = "root that does not sign itself".to_owned();
            }
            4 => {
                let mut root = next_root(index);
                root["version"] = (root["version"].as_u64().unwrap() + 1).into();
                let asked = root["version"].as_u64().unwrap() - 1;
                let signers = index.root_keys();
                let file = sign_role(&canonical::encode(&root), &signers).unwrap();
                let path = format!("metadata/{asked}.root.json");
                self.forged.insert(path, file.into());
                self.name = "root that skips a version".to_owned();
            }
            5 | 6 => {
                let online = index.online.clone();
                self.forge_online(index, &*online, rng.random_range(1..1 << 40), |_| {});
                self.theft = true;
                self.name = "stolen key: far ahead".to_owned();
            }
            7 => {
                let snapshot = index.snapshot();
                self.forge_timestamp(index, &snapshot, rng.random_range(1..1 << 40));
                self.name = "stolen key: the timestamp far ahead".to_owned();
            }
            8 => {
                let back = rng.random_range(1..4);
                let version = snapshot_version(&index.snapshot()).saturating_sub(back);
                let path = format!("metadata/{}.snapshot.json", version.max(1));
                let snapshot = serde_json::from_slice(&index.now()[&path]).unwrap();
                self.forge_timestamp(index, &snapshot, 1);
                self.name = "stolen key: back to an old snapshot".to_owned();
            }
            9 => {
                let pretender = Pretender {
                    key: index.online.key().clone(),
                    hand: unknown,
                };
                self.forge_online(index, &pretender, rng.random_range(1..1_000), |_| {});
                self.name = "state under the name of the online key".to_owned();
            }
            10 => {
                let online = index.online.clone();
                let bin = rng.random_range(0..2);
                self.forge_online(index, &*online, 1, |meta| {
                    meta.as_object_mut()
                        .unwrap()
                        .remove(&format!("simple-{bin}.json"));
                });
                self.theft = true;
                self.name = "stolen key: a role vanishes".to_owned();
            }
            _ => {
                let online = index.online.clone();
                let bin = rng.random_range(0..2);
                self.forge_online(index, &*online, 1, |meta| {
                    let version = &mut meta[format!("simple-{bin}.json")]["version"];
                    *version = (version.as_u64().unwrap().saturating_sub(1)).max(1).into();
                });
                self.theft = true;
                self.name = "stolen key: a role goes back".to_owned();
            }
        }
    }

    fn forge_root(&mut self, root: &Value, signers: &[&dyn Signer]) {
        let file = sign_role(&canonical::encode(root), signers).unwrap();
        let path = format!("metadata/{}.root.json", root["version"]);
        self.forged.insert(path, file.into());
    }

    /// A timestamp alone, for a snapshot that was published once.
    fn forge_timestamp(&mut self, index: &Index, snapshot: &Value, ahead: u64) {
        let path = format!("metadata/{}.snapshot.json", snapshot_version(snapshot));
        let mut timestamp = later(&index.timestamp()["signed"], ahead);
        point(&mut timestamp, &snapshot["signed"], &index.now()[&path]);
        let file = sign_role(&canonical::encode(&timestamp), &[&*index.online]).unwrap();
        self.forged
            .insert("metadata/timestamp.json".to_owned(), file.into());
        self.theft = true;
    }

    /// A timestamp and a snapshot that are so many versions ahead, valid for ten years.
    fn forge_online(
        &mut self,
        index: &Index,
        key: &dyn Signer,
        ahead: u64,
        edit: impl FnOnce(&mut Value),
    ) {
        let mut snapshot = later(&index.snapshot()["signed"], ahead);
        edit(&mut snapshot["meta"]);
        let file = sign_role(&canonical::encode(&snapshot), &[key]).unwrap();
        let mut timestamp = later(&index.timestamp()["signed"], ahead);
        point(&mut timestamp, &snapshot, &file);
        let path = format!("metadata/{}.snapshot.json", snapshot["version"]);
        self.forged.insert(path, file.into());
        let file = sign_role(&canonical::encode(&timestamp), &[key]).unwrap();
        self.forged
            .insert("metadata/timestamp.json".to_owned(), file.into());
    }
}

/// Signs with one key, and says that it was another.
struct Pretender {
    key: Key,
    hand: FileKey,
}

impl Signer for Pretender {
    fn key(&self) -> &Key {
        &self.key
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        let Signature { sig, .. } = self.hand.sign(message)?;
        let keyid = self.key.keyid().clone();
        Ok(Signature { keyid, sig })
    }
}

fn snapshot_version(snapshot: &Value) -> u64 {
    snapshot["signed"]["version"].as_u64().unwrap()
}

const FAILURES: [StatusCode; 4] = [
    StatusCode::FORBIDDEN,
    StatusCode::NO_CONTENT,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// The version in the name of a metadata file.
fn version(path: &str) -> Option<&str> {
    path.rsplit('/').next()?.split('.').next()
}

/// So many versions later, and valid for long.
fn later(signed: &Value, ahead: u64) -> Value {
    let mut signed = signed.clone();
    signed["version"] = (signed["version"].as_u64().unwrap() + ahead).into();
    signed["expires"] = json!("2046-01-01T00:00:00Z");
    signed
}

/// The root that would come next.
fn next_root(index: &Index) -> Value {
    let mut root = index.root()["signed"].clone();
    root["version"] = (root["version"].as_u64().unwrap() + 1).into();
    root
}

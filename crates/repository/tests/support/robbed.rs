//! An index that somebody had the online key of, its last good state, and the ceremony that brings it back.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "a test binary may use a part of this alone")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::Value;
use wheelmark_ceremony::{Ceremony, OnlineKey, Plan, Published, Standing, online_proof_message};
use wheelmark_objects::Directory;
use wheelmark_packaging::ProjectName;
use wheelmark_repository::{
    Engine, GoingBack, JournalWriter, Kept, Lifetimes, Named, OnlineKeys, Present, Returning,
};
use wheelmark_signing::{FileKey, Signer, sign_role};
use wheelmark_tuf::{Clock as _, IndexRecovery, RECOVERY_RAISE, RoleName, Sha256, canonical};

use crate::holding::{
    Files, OFFLINE, POLICY, days, engine_with, held, metadata, offline, orders, pair,
};
use crate::index::TestIndex;

/// A copy of the tree as it was, without its timestamp.
pub(crate) struct LastGood {
    pub(crate) folder: PathBuf,
    pub(crate) snapshot: Named,
}

/// The snapshot that is published.
pub(crate) fn published(index: &TestIndex) -> Named {
    let timestamp: Value =
        serde_json::from_slice(&metadata(index, "timestamp.json").unwrap()).unwrap();
    let version = timestamp["signed"]["meta"]["snapshot.json"]["version"].as_u64();
    let version = version.unwrap();
    let snapshot = metadata(index, &format!("{version}.snapshot.json")).unwrap();
    let sha256 = Sha256::of(&snapshot);
    Named { version, sha256 }
}

impl LastGood {
    /// The state of now, and a day goes by.
    pub(crate) fn of(index: &TestIndex) -> Self {
        let folder = index.folder.path().join("last-good");
        copy(&index.folder.path().join("repository"), &folder);
        std::fs::remove_file(folder.join("metadata/timestamp.json")).unwrap();
        let snapshot = published(index);
        index.clock.forward(days(1));
        Self { folder, snapshot }
    }

    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.folder.join("metadata").join(name)).ok()
    }

    fn signed_snapshot(&self) -> Value {
        let name = format!("{}.snapshot.json", self.snapshot.version);
        let file: Value = serde_json::from_slice(&self.read(&name).unwrap()).unwrap();
        file["signed"].clone()
    }

    pub(crate) fn version(&self, role: &str) -> u64 {
        let snapshot = self.signed_snapshot();
        snapshot["meta"][format!("{role}.json")]["version"]
            .as_u64()
            .unwrap()
    }

    fn standing(&self) -> Standing {
        let roots = (1..).map_while(|v| self.read(&format!("{v}.root.json")));
        let roles = OFFLINE[1..].iter().map(|role| {
            let file = format!("{}.{role}.json", self.version(role));
            let name: RoleName = role.parse().unwrap();
            (name, self.read(&file).unwrap())
        });
        let (roots, roles) = (roots.collect(), roles.collect());
        Standing::verify(Published { roots, roles }).unwrap()
    }

    /// The finished ceremony of a recovery in which these claims go on.
    pub(crate) fn ceremony(&self, index: &TestIndex, claims: &BTreeMap<String, Sha256>) -> Files {
        self.ceremony_with(index, claims, |_, _| {})
    }

    /// The same, where `change` changes what is signed.
    pub(crate) fn ceremony_with(
        &self,
        index: &TestIndex,
        claims: &BTreeMap<String, Sha256>,
        change: impl Fn(&str, &mut Value),
    ) -> Files {
        let now = index.clock.now();
        let standing = self.standing();
        let mut plan = Plan::renewal(&standing, &[], &POLICY, now);
        plan.online = Some(public(&standing, &*next_key(index)));
        let ceremony = Ceremony::new(standing, plan, &POLICY, now).unwrap();
        let keys = offline(index);
        let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
        let files = held(&ceremony, &signers, now);
        let statement = IndexRecovery {
            at: now,
            since: now - jiff::SignedDuration::from_hours(24),
            bulletin: "The online key was stolen.\n".to_owned(),
            claims: claims.clone(),
            extra: BTreeMap::new(),
        };
        let raised = files.into_iter().map(|(name, bytes)| {
            let role = name.split('.').nth(1).unwrap().to_owned();
            let file: Value = serde_json::from_slice(&bytes).unwrap();
            let mut content = file["signed"].clone();
            if role != "root" {
                let version = self.version(&role) + RECOVERY_RAISE;
                content["version"] = version.into();
            }
            if role == "targets" {
                content["_wheelmark"]["recovery"] = statement.to_value();
            }
            change(&role, &mut content);
            let version = content["version"].as_u64().unwrap();
            let signed = sign_role(&canonical::encode(&content), &pair(&keys, &role)).unwrap();
            (format!("{version}.{role}.json"), signed)
        });
        raised.collect()
    }

    /// Going back to this state from that of now.
    pub(crate) async fn going_back(
        &self,
        index: &TestIndex,
        ceremony: Files,
        kept: &[(&str, &[Kept])],
    ) -> GoingBack {
        let kept = kept.iter().map(|(project, kept)| {
            let kept: BTreeSet<Kept> = kept.iter().cloned().collect();
            (project.parse::<ProjectName>().unwrap(), kept)
        });
        GoingBack {
            last_good: Arc::new(Directory::open(&self.folder).await.unwrap()),
            root: 1,
            snapshot: self.snapshot,
            present: Present {
                root: 1,
                snapshot: published(index),
            },
            ceremony,
            kept: kept.collect(),
        }
    }
}

/// The next online key, in a file beside the present one.
pub(crate) fn next_key(index: &TestIndex) -> Arc<FileKey> {
    let path = index.folder.path().join("online.next");
    match FileKey::open(&path) {
        Ok(key) => Arc::new(key),
        Err(_) => Arc::new(FileKey::create(&path, &mut UnwrapErr(SysRng)).unwrap()),
    }
}

pub(crate) fn both(index: &TestIndex) -> OnlineKeys {
    OnlineKeys::new(index.online.clone(), Some(next_key(index))).logged(index.log())
}

fn public(standing: &Standing, key: &dyn Signer) -> OnlineKey {
    let first = standing.first_fingerprint();
    let proof = key.sign(&online_proof_message(&first, key.key())).unwrap();
    OnlineKey::new(first, key.key().clone(), proof).unwrap()
}

/// The engine with both keys.
pub(crate) async fn engine(index: &TestIndex) -> Engine {
    engine_with(index, both(index)).await
}

/// An engine that goes back, with both keys.
pub(crate) async fn returning(index: &TestIndex, back: &GoingBack) -> Returning {
    let opened = Returning::open(
        index.tree.clone(),
        index.store.clone(),
        Some(orders(index).await),
        both(index),
        index.clock.clone(),
        Lifetimes::default(),
        JournalWriter::WebProcess,
        back.clone(),
    );
    opened.await.unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') {
            continue;
        }
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(name)),
            false => drop(std::fs::copy(entry.path(), to.join(name)).unwrap()),
        }
    }
}

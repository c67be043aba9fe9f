//! What snapshots say of roles that other keys sign than their own: the digest of the file, and not its
//! version alone (PEP 480, Table 1, row 4).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/holding.rs"]
mod holding;
#[path = "support/index.rs"]
mod index;
#[path = "support/releasing.rs"]
mod releasing;

use std::collections::BTreeMap;
use std::path::PathBuf;

use holding::{Files, POLICY, engine, hand_in, held, metadata, offline, outcome, standing};
use index::TestIndex;
use jiff::SignedDuration;
use releasing::{Draft, claim, draft, key};
use serde_json::Value;
use wheelmark_ceremony::{Ceremony, Plan};
use wheelmark_objects::page_target;
use wheelmark_repository::{BinForm, Engine, Turn};
use wheelmark_signing::{FileKey, Signer, sign_role};
use wheelmark_store::{Bearer, Outcome, Seq};
use wheelmark_tuf::{Clock as _, Hashes, LookupError, RoleError, RoleName, Sha256, canonical};

const FIRST: &str = "demo-1.0.tar.gz";
const BY_OTHERS: [&str; 5] = ["claimed", "packages", "project-demo", "simple", "targets"];

/// An index where alice has claimed `demo`, with one file.
struct World {
    index: TestIndex,
    engine: Engine,
    alice: Bearer,
    key: FileKey,
}

impl World {
    async fn new() -> Self {
        let index = TestIndex::new(4, BinForm::Succinct).await;
        let mut engine = engine(&index).await;
        engine.take_claims(true);
        let (alice, key) = (index.bearer().await, key(&index, "alice"));
        let mut world = Self {
            index,
            engine,
            alice,
            key,
        };
        let file = world.index.place(FIRST, b"first").await;
        let admitted = world.index.store.admit_from(file, &world.alice, None);
        admitted.await.unwrap();
        world.turn().await;
        let mut first = draft(&world.index, "demo", 1, &[]).await;
        first.claim = Some(claim(&[&world.key], 1));
        world.release(first).await.unwrap();
        world
    }

    async fn turn(&mut self) {
        while self.engine.turn().await.unwrap() != Turn::Idle {}
    }

    async fn hand_in(&self, draft: Draft) -> Seq {
        let keys = [&self.key];
        let handed = draft.hand_in(&self.index, &self.alice, &keys);
        handed.await.unwrap()
    }

    async fn release(&mut self, draft: Draft) -> Result<(), String> {
        let seq = self.hand_in(draft).await;
        self.turn().await;
        match self.index.store.outcome(seq).await.unwrap() {
            Some(Outcome::Published { .. }) => Ok(()),
            Some(Outcome::Refused { reason }) => Err(reason),
            None => panic!("it is pending"),
        }
    }

    /// The next version of `demo`, with a file more.
    async fn next(&self, version: u64) -> Draft {
        let filename = format!("demo-{version}.0.tar.gz");
        draft(&self.index, "demo", version, &[(&filename, b"next")]).await
    }

    /// Another engine takes up what is there.
    async fn again(self) -> Self {
        let Self {
            index,
            engine: before,
            alice,
            key,
        } = self;
        drop(before);
        let mut next = engine(&index).await;
        next.take_claims(true);
        Self {
            index,
            engine: next,
            alice,
            key,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.index
            .folder
            .path()
            .join("repository/metadata")
            .join(name)
    }

    /// The roles of which the published snapshot lists a digest, each of which has to be that of its file.
    fn bound(&self) -> Vec<String> {
        let trusted = self.index.client();
        let meta = trusted.snapshot().meta.iter();
        let bound = meta.filter(|(_, file)| file.hashes.is_some());
        bound
            .map(|(name, file)| {
                let bytes = metadata(&self.index, &format!("{}.{name}", file.version)).unwrap();
                assert_eq!(
                    file.hashes,
                    Some(Hashes::sha256_only(Sha256::of(&bytes))),
                    "{name}"
                );
                assert_eq!(file.length, None, "{name}");
                name.strip_suffix(".json").unwrap().to_owned()
            })
            .collect()
    }

    /// Puts another file in the place of the published version of `demo`'s role: one that its key has
    /// signed, which holds for a day longer.
    fn exchange(&self) -> (PathBuf, Vec<u8>) {
        let (version, good) = holding::newest(&self.index, "project-demo");
        let mut file: Value = serde_json::from_slice(&good).unwrap();
        let expires: jiff::Timestamp = file["signed"]["expires"].as_str().unwrap().parse().unwrap();
        let later = expires + SignedDuration::from_hours(24);
        file["signed"]["expires"] = later.to_string().into();
        let evil = sign_role(&canonical::encode(&file["signed"]), &[&self.key]).unwrap();
        let path = self.path(&format!("{version}.project-demo.json"));
        std::fs::write(&path, evil).unwrap();
        (path, good)
    }

    /// Publishes, in place of the engine, a next snapshot that lists versions and nothing else, as engines
    /// before this one did.
    fn forget_digests(&self) {
        let online = [&*self.index.online as &dyn Signer];
        let timestamp = metadata(&self.index, "timestamp.json").unwrap();
        let mut timestamp: Value = serde_json::from_slice(&timestamp).unwrap();
        let mut timestamp = timestamp["signed"].take();
        let listed = &timestamp["meta"]["snapshot.json"]["version"];
        let snapshot = metadata(&self.index, &format!("{listed}.snapshot.json")).unwrap();
        let mut snapshot: Value = serde_json::from_slice(&snapshot).unwrap();
        let mut snapshot = snapshot["signed"].take();
        for file in snapshot["meta"].as_object_mut().unwrap().values_mut() {
            file.as_object_mut().unwrap().remove("hashes");
        }
        let version = listed.as_u64().unwrap() + 1;
        snapshot["version"] = version.into();
        let snapshot = sign_role(&canonical::encode(&snapshot), &online).unwrap();
        timestamp["version"] = (timestamp["version"].as_u64().unwrap() + 1).into();
        timestamp["meta"]["snapshot.json"] = serde_json::json!({
            "version": version,
            "length": snapshot.len(),
            "hashes": { "sha256": Sha256::of(&snapshot).to_string() },
        });
        let timestamp = sign_role(&canonical::encode(&timestamp), &online).unwrap();
        std::fs::write(self.path(&format!("{version}.snapshot.json")), snapshot).unwrap();
        std::fs::write(self.path("timestamp.json"), timestamp).unwrap();
    }

    /// What a client that begins now finds of `demo`'s role.
    fn found(&self) -> Result<(), RoleError> {
        let trusted = self.index.client();
        let mut lookup = trusted.lookup(&page_target(&"demo".parse().unwrap()));
        while let Some(need) = lookup.need() {
            let bytes = metadata(&self.index, &need.fetch.path).unwrap();
            match lookup.supply(bytes) {
                Ok(_) => {}
                Err(LookupError::Refused { role, reason, .. }) => {
                    assert_eq!(role.as_str(), "project-demo");
                    return Err(reason);
                }
                Err(other) => panic!("{other}"),
            }
        }
        Ok(())
    }
}

fn renewal(index: &TestIndex) -> Files {
    let (now, standing) = (index.clock.now(), standing(index));
    let plan = Plan::renewal(&standing, &[], &POLICY, now);
    let ceremony = Ceremony::new(standing, plan, &POLICY, now).unwrap();
    let keys = offline(index);
    let keys: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
    held(&ceremony, &keys, now)
}

#[tokio::test]
async fn what_other_keys_sign_is_bound_by_its_digest() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let trusted = index.client();
    let meta = trusted.snapshot().meta.iter();
    let bound: BTreeMap<_, _> = meta.filter(|(_, file)| file.hashes.is_some()).collect();
    let names: Vec<&str> = bound.keys().map(|name| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "claimed.json",
            "packages.json",
            "simple.json",
            "targets.json"
        ],
        "from the first snapshot on"
    );

    let mut world = World::new().await;
    assert_eq!(world.bound(), BY_OTHERS);
    // Also of what comes later: a release, a renewal of what is signed online, a ceremony.
    let next = world.next(2).await;
    world.release(next).await.unwrap();
    assert_eq!(world.bound(), BY_OTHERS);
    world.index.clock.forward(SignedDuration::from_hours(20));
    world.turn().await;
    assert_eq!(world.bound(), BY_OTHERS);
    let seq = hand_in(&world.index, &renewal(&world.index)).await;
    world.turn().await;
    assert!(matches!(
        outcome(&world.index, seq).await,
        Some(Outcome::Published { .. })
    ));
    let claimed = world.index.client();
    let claimed = claimed
        .snapshot()
        .role(&"claimed".parse::<RoleName>().unwrap());
    assert_eq!(claimed.unwrap().version, 2);
    assert_eq!(world.bound(), BY_OTHERS);
    let mut world = world.again().await;
    let next = world.next(3).await;
    world.release(next).await.unwrap();
    assert_eq!(world.bound(), BY_OTHERS);
}

#[tokio::test]
async fn another_file_of_the_version_is_refused_by_readers_and_not_built_on() {
    let mut world = World::new().await;
    world.engine.flush().await.unwrap();
    let next = world.next(2).await;
    let (path, good) = world.exchange();
    assert!(matches!(world.found(), Err(RoleError::Hash(_))));
    let refused = world.release(next).await.unwrap_err();
    assert!(
        refused.contains("has not the SHA-256 that the snapshot lists"),
        "{refused}"
    );
    // The good one is still what is listed, also by an engine that begins now.
    let mut world = world.again().await;
    world.index.clock.forward(SignedDuration::from_hours(20));
    world.turn().await;
    assert!(matches!(world.found(), Err(RoleError::Hash(_))));
    std::fs::write(path, good).unwrap();
    world.found().unwrap();
    let next = world.next(2).await;
    world.release(next).await.unwrap();
    assert_eq!(world.bound(), BY_OTHERS);
}

#[tokio::test]
async fn an_index_from_before_lists_digests_from_its_next_snapshot_on() {
    let mut world = World::new().await;
    world.engine.flush().await.unwrap();
    world.forget_digests();
    assert!(world.bound().is_empty());
    // Then another file of the version is as good as any.
    let (path, good) = world.exchange();
    world.found().unwrap();
    std::fs::write(path, good).unwrap();

    let mut world = world.again().await;
    let next = world.next(2).await;
    world.release(next).await.unwrap();
    assert_eq!(world.bound(), BY_OTHERS);
    world.found().unwrap();
}

#[tokio::test]
async fn a_project_whose_role_is_damaged_holds_up_no_index_from_before() {
    let mut world = World::new().await;
    world.engine.flush().await.unwrap();
    world.forget_digests();
    let (path, good) = world.exchange();
    std::fs::write(&path, b"damaged").unwrap();
    let mut world = world.again().await;
    world.index.clock.forward(SignedDuration::from_hours(20));
    world.turn().await;
    let others: Vec<&str> = BY_OTHERS
        .into_iter()
        .filter(|r| *r != "project-demo")
        .collect();
    assert_eq!(world.bound(), others);
    // It follows with the first snapshot of an engine that can read it.
    std::fs::write(&path, good).unwrap();
    let mut world = world.again().await;
    world.index.clock.forward(SignedDuration::from_hours(20));
    world.turn().await;
    assert_eq!(world.bound(), BY_OTHERS);
}

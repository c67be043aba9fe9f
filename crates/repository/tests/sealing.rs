//! Claims that go over to the offline key and come back, on their way into the tree (PEP 480,
//! *claimed*), and what the index goes on with before and after.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/holding.rs"]
mod holding;
#[path = "support/index.rs"]
mod index;
#[path = "support/releasing.rs"]
mod releasing;
#[path = "sealing/taking_over.rs"]
mod taking_over;

use std::collections::BTreeMap;

use holding::{
    Files, OFFLINE, POLICY, days, engine, hand_in, held, metadata, newest, offline, orders,
    outcome, pair, signed,
};
use index::TestIndex;
use releasing::{Draft, claim, draft, key};
use serde_json::{Value, json};
use wheelmark_ceremony::{Ceremony, Plan, Published, Standing};
use wheelmark_objects::page_target;
use wheelmark_repository::{BinForm, Engine, Phase, Turn};
use wheelmark_signing::{FileKey, Signer, sign_role};
use wheelmark_store::{Admission, Bearer, Change, Outcome, Seq};
use wheelmark_tuf::{Clock as _, RoleName, canonical};

const FIRST: &str = "demo-1.0-py3-none-any.whl";
const SECOND: &str = "demo-2.0-py3-none-any.whl";

/// An index where alice has claimed `demo`, twenty days ago.
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
        world.upload(FIRST).await.unwrap();
        let mut first = draft(&world.index, "demo", 1, &[]).await;
        first.claim = Some(claim(&[&world.key], 1));
        world.release(first).await.unwrap();
        world.index.clock.forward(days(20));
        world.turn().await;
        world
    }

    async fn turn(&mut self) {
        while self.engine.turn().await.unwrap() != Turn::Idle {}
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

    async fn outcome(&mut self, seq: Seq) -> Result<(), String> {
        self.turn().await;
        told(self.index.store.outcome(seq).await.unwrap())
    }

    async fn upload(&mut self, filename: &str) -> Result<(), String> {
        let file = self.index.place(filename, filename.as_bytes()).await;
        let admission = self.index.store.admit_from(file, &self.alice, None).await;
        let Admission::Recorded(seq) = admission.unwrap() else {
            panic!("not new");
        };
        self.outcome(seq).await
    }

    async fn hand_in(&self, draft: Draft) -> Seq {
        let keys = [&self.key];
        let handed = draft.hand_in(&self.index, &self.alice, &keys);
        handed.await.unwrap()
    }

    async fn release(&mut self, draft: Draft) -> Result<(), String> {
        let seq = self.hand_in(draft).await;
        self.outcome(seq).await
    }

    /// The next version of `demo`, with one file more.
    async fn next(&self, version: u64, filename: &str) -> Draft {
        draft(
            &self.index,
            "demo",
            version,
            &[(filename, filename.as_bytes())],
        )
        .await
    }

    /// Ends the claim as whoever runs the index does.
    async fn unclaim(&mut self) -> Result<(), String> {
        let project = "demo".parse().unwrap();
        let orders = orders(&self.index).await;
        let changes = [Change::ClaimEnded { project }];
        let now = self.index.clock.now();
        let asked = orders.ask_all(&changes, now, "somebody").await.unwrap();
        self.turn().await;
        told(orders.outcome(asked[0]).await.unwrap())
    }

    async fn ceremony(&mut self, files: &Files) -> Result<(), String> {
        let seq = hand_in(&self.index, files).await;
        self.turn().await;
        told(outcome(&self.index, seq).await)
    }

    /// Which role the page of `demo` leads through, and the projects of both lists.
    fn lists(&self) -> (Vec<String>, Vec<String>) {
        let page = page_target(&"demo".parse().unwrap());
        let found = self.index.find(&page).unwrap();
        assert_eq!(found.role.as_str(), "project-demo");
        (
            claims(&self.index, "claimed"),
            claims(&self.index, "recently-claimed"),
        )
    }
}

fn told(outcome: Option<Outcome>) -> Result<(), String> {
    match outcome {
        Some(Outcome::Published { .. }) => Ok(()),
        Some(Outcome::Refused { reason }) => Err(reason),
        None => panic!("it is pending"),
    }
}

/// The version of a role that the newest snapshot names.
fn current(index: &TestIndex, role: &str) -> Value {
    let timestamp: Value =
        serde_json::from_slice(&metadata(index, "timestamp.json").unwrap()).unwrap();
    let version = &timestamp["signed"]["meta"]["snapshot.json"]["version"];
    let snapshot = metadata(index, &format!("{version}.snapshot.json")).unwrap();
    let snapshot: Value = serde_json::from_slice(&snapshot).unwrap();
    let version = &snapshot["signed"]["meta"][format!("{role}.json")]["version"];
    let role = metadata(index, &format!("{version}.{role}.json")).unwrap();
    let mut role: Value = serde_json::from_slice(&role).unwrap();
    role["signed"].take()
}

fn claims(index: &TestIndex, role: &str) -> Vec<String> {
    let roles = current(index, role)["delegations"]["roles"].clone();
    let names = roles.as_array().unwrap().iter();
    names
        .map(|role| role["name"].as_str().unwrap().to_owned())
        .collect()
}

/// What the next ceremony stands on, claims included.
fn standing(index: &TestIndex) -> Standing {
    let roots = (1..).map_while(|v| metadata(index, &format!("{v}.root.json")));
    let roles = OFFLINE[1..]
        .iter()
        .chain(&["recently-claimed", "project-demo"]);
    let roles = roles.map(|role| (role.parse::<RoleName>().unwrap(), newest(index, role).1));
    let (roots, roles) = (roots.collect(), roles.collect());
    Standing::verify(Published { roots, roles }).unwrap()
}

/// A renewal that changes claims, by the keys of the first run.
fn sealing(index: &TestIndex, change: impl FnOnce(&mut Plan)) -> Files {
    let (now, standing) = (index.clock.now(), standing(index));
    let mut plan = Plan::renewal(&standing, &[], &POLICY, now);
    plan.claims.older_than = days(14);
    change(&mut plan);
    let ceremony = Ceremony::new(standing, plan, &POLICY, now).unwrap();
    let keys = offline(index);
    let keys: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
    held(&ceremony, &keys, now)
}

fn seal(index: &TestIndex) -> Files {
    sealing(index, |plan| {
        plan.claims.seal.insert("project-demo".parse().unwrap());
    })
}

fn unseal(index: &TestIndex) -> Files {
    sealing(index, |plan| {
        plan.claims.unseal.insert("project-demo".parse().unwrap());
    })
}

fn both(claimed: &[&str], recently: &[&str]) -> (Vec<String>, Vec<String>) {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    (owned(claimed), owned(recently))
}

#[tokio::test]
async fn a_claim_goes_over_to_the_offline_key_and_its_releases_go_on() {
    let mut world = World::new().await;
    assert_eq!(world.lists(), both(&[], &["project-demo"]));
    let files = seal(&world.index);
    world.ceremony(&files).await.unwrap();
    assert_eq!(world.lists(), both(&["project-demo"], &[]));
    let role = current(&world.index, "claimed")["delegations"]["roles"][0].clone();
    assert_eq!(role["_wheelmark"]["floor"], 1);
    assert_eq!(role["keyids"], json!([world.key.key().keyid().as_str()]));
    assert!(
        current(&world.index, "recently-claimed")["delegations"]["keys"]
            .as_object()
            .unwrap()
            .is_empty()
    );

    // Its people go on, and nobody else can; also after another start and a plain renewal.
    let next = world.next(2, SECOND).await;
    world.release(next).await.unwrap();
    let refused = world.upload("demo-9.0.tar.gz").await.unwrap_err();
    assert!(refused.contains("claimed"), "{refused}");
    let mut world = world.again().await;
    world.index.clock.forward(days(5));
    let renewal = sealing(&world.index, |_| {});
    world.ceremony(&renewal).await.unwrap();
    assert_eq!(world.lists(), both(&["project-demo"], &[]));
    let next = world.next(3, "demo-3.0-py3-none-any.whl").await;
    world.release(next).await.unwrap();
    assert_eq!(world.index.files("demo").len(), 3);

    // Whoever runs the index cannot end it alone; with the offline keys they can.
    let refused = world.unclaim().await.unwrap_err();
    assert!(refused.contains("a ceremony ends that"), "{refused}");
    world.index.clock.forward(days(5));
    let files = unseal(&world.index);
    world.ceremony(&files).await.unwrap();
    assert_eq!(world.lists(), both(&[], &["project-demo"]));
    let role = current(&world.index, "recently-claimed")["delegations"]["roles"][0].clone();
    assert_eq!(role["_wheelmark"].get("floor"), None);
    let next = world.next(4, "demo-4.0-py3-none-any.whl").await;
    world.release(next).await.unwrap();
    world.unclaim().await.unwrap();
    assert_eq!(world.index.files("demo").len(), 4);
    assert!(claims(&world.index, "recently-claimed").is_empty());
}

#[tokio::test]
async fn a_release_under_way_comes_after_the_ceremony() {
    let mut world = World::new().await;
    let files = seal(&world.index);
    let next = world.next(2, SECOND).await;
    let release = world.hand_in(next).await;
    let ceremony = hand_in(&world.index, &files).await;
    world.engine.turn().await.unwrap();
    told(outcome(&world.index, ceremony).await).unwrap();
    assert!(world.index.store.outcome(release).await.unwrap().is_none());
    assert_eq!(world.lists(), both(&["project-demo"], &[]));
    world.outcome(release).await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
    // A release between the beginning of a ceremony and its end is in nobody's way either.
    world.index.clock.forward(days(5));
    world.turn().await;
    let files = unseal(&world.index);
    let next = world.next(3, "demo-3.0.tar.gz").await;
    world.release(next).await.unwrap();
    world.ceremony(&files).await.unwrap();
    assert_eq!(world.lists(), both(&[], &["project-demo"]));
}

#[tokio::test]
async fn a_claim_that_ended_meanwhile_stops_the_whole_ceremony() {
    let mut world = World::new().await;
    let files = seal(&world.index);
    world.unclaim().await.unwrap();
    let refused = world.ceremony(&files).await.unwrap_err();
    assert!(
        refused.contains("has ended since the ceremony began"),
        "{refused}"
    );
    assert!(claims(&world.index, "claimed").is_empty());
    assert_eq!(signed(&world.index, "root")["version"], 1);
    world.upload(SECOND).await.unwrap();
}

/// What the offline keys have signed, though no ceremony brings it.
async fn refusal(change: impl FnOnce(&mut Value)) -> String {
    let mut world = World::new().await;
    let mut files = seal(&world.index);
    let keys = offline(&world.index);
    let claimed = files
        .iter_mut()
        .find(|(name, _)| name.ends_with(".claimed.json"));
    let (_, bytes) = claimed.unwrap();
    let mut content: Value = serde_json::from_slice(bytes).unwrap();
    let mut content = content["signed"].take();
    change(&mut content);
    *bytes = sign_role(&canonical::encode(&content), &pair(&keys, "claimed")).unwrap();
    let before = world.index.versions();
    let refused = world.ceremony(&files).await.unwrap_err();
    assert_eq!(world.lists(), both(&[], &["project-demo"]), "{refused}");
    let is_claimed = |versions: BTreeMap<String, Vec<u8>>| {
        let names = versions.into_keys();
        names
            .filter(|name| name.ends_with("claimed.json"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        is_claimed(before),
        is_claimed(world.index.versions()),
        "{refused}"
    );
    let next = world.next(2, SECOND).await;
    world.release(next).await.unwrap();
    refused
}

fn role(signed: &mut Value) -> &mut Value {
    &mut signed["delegations"]["roles"][0]
}

#[tokio::test]
async fn what_differs_from_the_claim_that_waits_is_refused() {
    let says = |refused: String, words: &str| assert!(refused.contains(words), "{refused}");
    let other = "is not the one that the ceremony seals";
    let refused = refusal(|signed| role(signed)["threshold"] = 2.into()).await;
    says(refused, other);
    let refused = refusal(|signed| role(signed)["paths"] = json!(["simple/*/*"])).await;
    says(refused, other);
    let refused = refusal(|signed| role(signed)["terminating"] = false.into()).await;
    says(refused, other);
    let earlier = "2020-01-01T00:00:00Z";
    let refused = refusal(|signed| role(signed)["_wheelmark"]["claimed-at"] = earlier.into()).await;
    says(refused, other);
    let refused = refusal(|signed| role(signed)["name"] = "project-other".into()).await;
    says(refused, "does not wait to be sealed");
    let refused = refusal(|signed| role(signed)["_wheelmark"]["floor"] = 2.into()).await;
    says(refused, "version 1 is published");
    // A key more, for whom nobody asks yet; a key in the place of another.
    let evil = json!({ "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": "07".repeat(32) } });
    let more = evil.clone();
    let refused = refusal(move |signed| signed["delegations"]["keys"]["more"] = more).await;
    says(refused, "what it delegates");
    let refused = refusal(move |signed| {
        let keys = signed["delegations"]["keys"].as_object_mut().unwrap();
        keys.values_mut().for_each(|key| *key = evil.clone());
    });
    says(refused.await, "what it delegates");
    let refused = refusal(|signed| {
        let sha256 = "00".repeat(32);
        signed["targets"]["simple/demo/index.json"] =
            json!({ "length": 1, "hashes": { "sha256": sha256 } });
    });
    says(refused.await, "what it delegates");
}

#[tokio::test]
async fn a_crash_anywhere_leaves_the_project_in_one_list() {
    for phase in [
        Phase::Plan,
        Phase::Sign,
        Phase::Record,
        Phase::Write,
        Phase::Done,
    ] {
        let mut world = World::new().await;
        let files = seal(&world.index);
        let seq = hand_in(&world.index, &files).await;
        world
            .engine
            .observe(move |now| assert!(now != phase, "the crash that this test wants"));
        let World {
            index,
            engine: mut crashing,
            alice,
            key,
        } = world;
        let crashed = tokio::spawn(async move { crashing.turn().await.map(drop) }).await;
        assert!(crashed.unwrap_err().is_panic());
        let mut next = engine(&index).await;
        next.take_claims(true);
        let mut world = World {
            index,
            engine: next,
            alice,
            key,
        };
        world.turn().await;
        told(outcome(&world.index, seq).await).unwrap();
        assert_eq!(world.lists(), both(&["project-demo"], &[]), "{phase:?}");
        let next = world.next(2, SECOND).await;
        world.release(next).await.unwrap();
    }
}

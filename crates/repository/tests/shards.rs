//! Lists of claims that have grown and are split, on their way into the tree.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/holding.rs"]
mod holding;
#[path = "support/index.rs"]
mod index;
#[path = "support/releasing.rs"]
mod releasing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holding::{
    Client, Files, NAME, OFFLINE, POLICY, days, engine_with, hand_in, held, metadata, newest,
    offline, orders, outcome,
};
use index::TestIndex;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use releasing::{claim, draft, key};
use serde_json::Value;
use wheelmark_ceremony::{
    Ceremony, OnlineKey, Plan, Published, Standing, StandingError, online_proof_message,
};
use wheelmark_objects::{file_target, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_repository::{BinForm, Engine, OnlineKeys, Turn};
use wheelmark_signing::{FileKey, Signer};
use wheelmark_store::{Admission, Bearer, Change, Outcome, Seq};
use wheelmark_tuf::{Clock as _, RoleName, SPLIT_CLAIMS_ABOVE};

/// Room for two claims, and not for a third.
const LIMIT: u64 = 1_700;

const RECENTLY: &str = "recently-claimed";

/// `demo` is what every client of the support looks for.
const PROJECTS: [&str; 11] = [
    "demo", "p", "py", "pip", "py-test", "pyyaml", "py-tz", "zope", "0x", "pypi", "d",
];

struct World {
    index: TestIndex,
    engine: Engine,
    alice: Bearer,
    key: FileKey,
}

impl World {
    async fn new() -> Self {
        let index = TestIndex::new(4, BinForm::Succinct).await;
        let online = index.online.clone().into();
        let engine = engine(&index, online).await;
        let (alice, key) = (index.bearer().await, key(&index, "alice"));
        Self {
            index,
            engine,
            alice,
            key,
        }
    }

    /// One where all of the projects are claimed.
    async fn claimed() -> Self {
        let mut world = Self::new().await;
        for project in PROJECTS {
            world.claim(project).await;
        }
        world
    }

    /// Another engine takes up what is there, with these keys.
    async fn with(self, online: OnlineKeys) -> Self {
        let Self {
            index,
            engine: before,
            alice,
            key,
        } = self;
        drop(before);
        let engine = engine(&index, online).await;
        Self {
            index,
            engine,
            alice,
            key,
        }
    }

    async fn turn(&mut self) {
        while self.engine.turn().await.unwrap() != Turn::Idle {}
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

    async fn claim(&mut self, project: &str) {
        self.upload(&wheel(project, "1.0")).await.unwrap();
        let mut first = draft(&self.index, project, 1, &[]).await;
        first.claim = Some(claim(&[&self.key], 1));
        let before = self.engine.snapshot_version();
        let handed = first.hand_in(&self.index, &self.alice, &[&self.key]).await;
        self.outcome(handed.unwrap()).await.unwrap();
        assert_eq!(self.engine.snapshot_version(), before + 1, "one snapshot");
    }

    async fn release(&mut self, project: &str, version: u64) {
        let filename = wheel(project, &format!("{version}.0"));
        let files: [(&str, &[u8]); 1] = [(&filename, filename.as_bytes())];
        let next = draft(&self.index, project, version, &files).await;
        let handed = next.hand_in(&self.index, &self.alice, &[&self.key]).await;
        self.outcome(handed.unwrap()).await.unwrap();
        assert!(self.index.files(project).contains(&filename));
    }

    async fn unclaim(&mut self, project: &str) {
        let project = project.parse().unwrap();
        let orders = orders(&self.index).await;
        let changes = [Change::ClaimEnded { project }];
        let now = self.index.clock.now();
        let asked = orders.ask_all(&changes, now, "somebody").await.unwrap();
        self.turn().await;
        told(orders.outcome(asked[0]).await.unwrap()).unwrap();
    }

    async fn ceremony(&mut self, files: &Files) -> Result<(), String> {
        let seq = hand_in(&self.index, files).await;
        self.turn().await;
        told(outcome(&self.index, seq).await)
    }

    /// Who delegates to each project's own role, as a client finds it out.
    fn delegators(&self) -> BTreeMap<String, String> {
        let delegator = |project: &&str| {
            let name: ProjectName = project.parse().unwrap();
            let ways = [
                page_target(&name),
                file_target(&name, &wheel(project, "1.0")).unwrap(),
            ];
            let ways = ways.map(|path| {
                let found = self.index.find(&path).unwrap();
                let (delegator, _) = found.via.last().unwrap();
                (found.role.to_string(), delegator.to_string())
            });
            let is_claimed = ways[0].0 == format!("project-{project}");
            assert!(!is_claimed || ways[0] == ways[1], "page and files");
            let [(_, delegator), _] = ways;
            is_claimed.then_some(((*project).to_owned(), delegator))
        };
        PROJECTS.iter().filter_map(delegator).collect()
    }
}

async fn engine(index: &TestIndex, online: OnlineKeys) -> Engine {
    let mut engine = engine_with(index, online).await;
    engine.take_claims(true);
    engine.split_claims_above(LIMIT);
    engine
}

fn told(outcome: Option<Outcome>) -> Result<(), String> {
    match outcome {
        Some(Outcome::Published { .. }) => Ok(()),
        Some(Outcome::Refused { reason }) => Err(reason),
        None => panic!("it is pending"),
    }
}

fn wheel(project: &str, version: &str) -> String {
    format!("{}-{version}-py3-none-any.whl", project.replace('-', "_"))
}

/// The versions of all roles that the newest snapshot lists.
fn listed(index: &TestIndex) -> BTreeMap<String, u64> {
    let timestamp = metadata(index, "timestamp.json").unwrap();
    let timestamp: Value = serde_json::from_slice(&timestamp).unwrap();
    let version = &timestamp["signed"]["meta"]["snapshot.json"]["version"];
    let snapshot = metadata(index, &format!("{version}.snapshot.json")).unwrap();
    let snapshot: Value = serde_json::from_slice(&snapshot).unwrap();
    let meta = snapshot["signed"]["meta"].as_object().unwrap().iter();
    let role = |name: &str| name.strip_suffix(".json").unwrap().to_owned();
    meta.map(|(name, meta)| (role(name), meta["version"].as_u64().unwrap()))
        .collect()
}

fn current(index: &TestIndex, role: &str) -> Value {
    let file = metadata(index, &format!("{}.{role}.json", listed(index)[role])).unwrap();
    let mut file: Value = serde_json::from_slice(&file).unwrap();
    file["signed"].take()
}

/// The roles that a list delegates to.
fn below(index: &TestIndex, list: &str) -> Vec<String> {
    let roles = current(index, list)["delegations"]["roles"].clone();
    let names = roles.as_array().unwrap().iter();
    let mut names: Vec<String> = names
        .map(|role| role["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn shards(index: &TestIndex, list: &str) -> Vec<String> {
    let below = below(index, list).into_iter();
    below.filter(|name| !name.starts_with("project-")).collect()
}

#[tokio::test]
async fn a_list_that_grows_is_split_and_every_project_stays_whose_it_was() {
    let mut world = World::new().await;
    world.upload("unclaimed-1.0.tar.gz").await.unwrap();
    let mut client: Option<Client> = None;
    let mut before = listed(&world.index);
    for (number, project) in PROJECTS.into_iter().enumerate() {
        world.claim(project).await;
        let claimed: BTreeSet<&str> = PROJECTS[..=number].iter().copied().collect();
        let now = listed(&world.index);
        for (role, version) in before {
            assert!(
                now[&role] >= version,
                "{role} is listed as before, or newer"
            );
        }
        before = now;
        // A client that has been here before sees no role vanish, and finds its project.
        client
            .get_or_insert_with(|| Client::new(&world.index))
            .uses(&world.index, &[]);
        // Every claimed project leads to its own role, and by the list for its name.
        let found = found(&world.index, &claimed);
        for list in found.values().collect::<BTreeSet<_>>() {
            let length = newest(&world.index, list).1.len() as u64;
            let alone = below(&world.index, list).len() == 1;
            assert!(length <= LIMIT + 300 || alone, "{list} has {length} bytes");
        }
        assert_eq!(world.index.files("unclaimed").len(), 1);
    }
    let found = world.delegators();
    let expected = [
        ("demo", "d"),
        ("p", "p"),
        ("py", "py"),
        ("pip", "pi"),
        ("py-test", "py-"),
        ("pyyaml", "pyy"),
        ("py-tz", "py-"),
        ("zope", "z"),
        ("0x", "0"),
        ("pypi", "pyp"),
        ("d", "d"),
    ];
    for (project, prefix) in expected {
        assert_eq!(found[project], format!("{RECENTLY}-{prefix}"), "{project}");
    }
    assert!(
        !below(&world.index, RECENTLY)
            .iter()
            .any(|role| role.starts_with("project-"))
    );

    // Releases, refused uploads, another start and a renewal of everything go on from there.
    world.release("py-test", 2).await;
    let refused = world.upload(&wheel("pyyaml", "9.0")).await.unwrap_err();
    assert!(refused.contains("claimed"), "{refused}");
    let online = world.index.online.clone().into();
    let mut world = world.with(online).await;
    world.release("p", 2).await;
    let before = listed(&world.index);
    world.index.clock.forward(days(5));
    world.turn().await;
    let after = listed(&world.index);
    for shard in shards(&world.index, RECENTLY) {
        assert!(after[&shard] > before[&shard], "{shard} is signed anew");
    }
    assert_eq!(world.delegators().len(), PROJECTS.len());

    // A claim ends where it stands; the shard stays, and takes the next one.
    world.unclaim("zope").await;
    assert_eq!(world.delegators().len(), PROJECTS.len() - 1);
    assert!(below(&world.index, "recently-claimed-z").is_empty());
    world.upload(&wheel("zope", "3.0")).await.unwrap();
    let mut again = draft(&world.index, "zope", 2, &[]).await;
    again.claim = Some(claim(&[&world.key], 1));
    let keys = [&world.key];
    let handed = again.hand_in(&world.index, &world.alice, &keys);
    let handed = handed.await.unwrap();
    world.outcome(handed).await.unwrap();
    assert_eq!(world.delegators()["zope"], "recently-claimed-z");
    let mut client = client.unwrap();
    client.uses(&world.index, &[]);
}

/// Who delegates to these projects.
fn found(index: &TestIndex, claimed: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let found = claimed.iter().map(|project| {
        let name: ProjectName = project.parse().unwrap();
        let found = index.find(&page_target(&name)).unwrap();
        assert_eq!(found.role.to_string(), format!("project-{project}"));
        let (delegator, _) = found.via.last().unwrap();
        ((*project).to_owned(), delegator.to_string())
    });
    found.collect()
}

/// What the next ceremony stands on, claims included.
fn standing(index: &TestIndex) -> Standing {
    let roots = (1..).map_while(|v| metadata(index, &format!("{v}.root.json")));
    let mut names: Vec<String> = OFFLINE[1..].iter().map(|role| (*role).to_owned()).collect();
    names.push(RECENTLY.to_owned());
    names.extend(shards(index, RECENTLY));
    let lists = names.iter().filter(|name| name.contains("claimed"));
    let below: Vec<String> = lists.flat_map(|list| below(index, list)).collect();
    names.extend(
        below
            .into_iter()
            .filter(|name| name.starts_with("project-")),
    );
    let roles = names.into_iter().map(|role| {
        let name: RoleName = role.parse().unwrap();
        (name, newest(index, &role).1)
    });
    let (roots, roles) = (roots.collect(), roles.collect());
    Standing::verify(Published { roots, roles }).unwrap()
}

fn ceremony(index: &TestIndex, change: impl FnOnce(&mut Plan)) -> Files {
    let (now, standing) = (index.clock.now(), standing(index));
    let mut plan = Plan::renewal(&standing, &[], &POLICY, now);
    plan.claims.older_than = days(14);
    change(&mut plan);
    let ceremony = Ceremony::new(standing, plan, &POLICY, now).unwrap();
    let keys = offline(index);
    let keys: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
    held(&ceremony, &keys, now)
}

fn roles(projects: &[&str]) -> BTreeSet<RoleName> {
    let roles = projects.iter();
    roles
        .map(|project| RoleName::of_project(project).unwrap())
        .collect()
}

#[tokio::test]
async fn claims_go_over_to_the_offline_key_out_of_shards_and_come_back() {
    let mut world = World::claimed().await;
    world.index.clock.forward(days(20));
    world.turn().await;
    let waiting = standing(&world.index).waiting().unwrap();
    assert_eq!(waiting.len(), PROJECTS.len());
    // Whoever leaves a shard away hides nothing: what is delegated to has to be there.
    let mut less = standing(&world.index).published().clone();
    let hidden: RoleName = "recently-claimed-py-".parse().unwrap();
    assert!(less.roles.remove(&hidden).is_some());
    let refused = Standing::verify(less).unwrap_err();
    assert!(matches!(refused, StandingError::Missing { role } if role == hidden));
    let moved = ["py-test", "py-tz", "zope", "demo"];
    let files = ceremony(&world.index, |plan| plan.claims.seal = roles(&moved));
    world.ceremony(&files).await.unwrap();
    let found = world.delegators();
    assert_eq!(found.len(), PROJECTS.len());
    for project in PROJECTS {
        let is_sealed = found[project].starts_with("claimed");
        assert_eq!(is_sealed, moved.contains(&project), "{project}");
    }
    assert!(below(&world.index, "recently-claimed-py-").is_empty());
    world.release("py-test", 2).await;

    // One claim that ended meanwhile stops all of it, also where it stood in a shard.
    world.index.clock.forward(days(2));
    let files = ceremony(&world.index, |plan| {
        plan.claims.seal = roles(&["pip", "py"])
    });
    world.unclaim("pip").await;
    let refused = world.ceremony(&files).await.unwrap_err();
    assert!(refused.contains("has ended since"), "{refused}");

    // What comes back goes into the list for its name, which may be split for it.
    world.index.clock.forward(days(2));
    let back = roles(&["py-test", "zope"]);
    let files = ceremony(&world.index, |plan| plan.claims.unseal = back);
    world.ceremony(&files).await.unwrap();
    let found = world.delegators();
    assert_eq!(found["py-test"], "recently-claimed-py-");
    assert_eq!(found["zope"], "recently-claimed-z");
    assert!(found["demo"].starts_with("claimed"));
    world.release("py-test", 3).await;
}

#[tokio::test]
async fn shards_go_over_to_the_next_online_key() {
    let world = World::claimed().await;
    let mut client = Client::new(&world.index);
    client.uses(&world.index, &[]);
    let path = world.index.folder.path().join("online.next");
    let next = Arc::new(FileKey::create(&path, &mut UnwrapErr(SysRng)).unwrap());
    let both = OnlineKeys::new(world.index.online.clone(), Some(next.clone()));
    let mut world = world.with(both).await;
    world.turn().await;
    let first = standing(&world.index).first_fingerprint();
    let proof = next
        .sign(&online_proof_message(&first, next.key()))
        .unwrap();
    let public = OnlineKey::new(first, next.key().clone(), proof).unwrap();
    world.index.clock.forward(days(5));
    world.turn().await;
    let files = ceremony(&world.index, |plan| plan.online = Some(public));
    world.ceremony(&files).await.unwrap();
    for shard in current(&world.index, RECENTLY)["delegations"]["roles"]
        .as_array()
        .unwrap()
    {
        assert_eq!(shard["keyids"][0], next.key().keyid().as_str());
    }
    client.uses(&world.index, &[]);
    assert_eq!(world.delegators().len(), PROJECTS.len());
    // With the new key alone it goes on.
    let mut world = world.with(OnlineKeys::from(next)).await;
    world.release("pypi", 2).await;
    world.claim("pypy").await;
    let found = found(&world.index, &BTreeSet::from(["pypy", "pypi"]));
    assert!(
        found
            .values()
            .all(|list| list.starts_with("recently-claimed-pyp"))
    );
}

#[tokio::test]
async fn an_index_that_has_not_grown_has_no_shards() {
    let mut world = World::new().await;
    world.engine.split_claims_above(SPLIT_CLAIMS_ABOVE as u64);
    for project in PROJECTS {
        world.claim(project).await;
    }
    assert_eq!(below(&world.index, RECENTLY).len(), PROJECTS.len());
    assert!(world.delegators().values().all(|list| list == RECENTLY));
    // With a lower limit than before, it is split when it is signed again.
    world.engine.split_claims_above(LIMIT);
    world.index.clock.forward(days(5));
    world.turn().await;
    assert_eq!(world.delegators().len(), PROJECTS.len());
    assert!(!shards(&world.index, RECENTLY).is_empty());
    assert_eq!(NAME, wheel("demo", "1.0"));
}

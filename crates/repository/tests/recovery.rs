//! Other keys take the place of those of a claimed project that are lost (PEP 480, *Key compromise*).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/holding.rs"]
mod holding;
#[path = "support/index.rs"]
mod index;
#[path = "support/releasing.rs"]
mod releasing;

use std::net::IpAddr;

use holding::{OFFLINE, POLICY, days, engine, hand_in, held, metadata, newest, offline, orders};
use index::TestIndex;
use jiff::Timestamp;
use releasing::{Draft, claim, draft, key};
use wheelmark_ceremony::{Ceremony, Plan, Published, Standing};
use wheelmark_objects::status_target;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{RecoveryNotice, TakenAway};
use wheelmark_repository::{BinForm, Engine, Turn, project_role};
use wheelmark_signing::{FileKey, Signer, sign_role};
use wheelmark_store::{
    Admission, Bearer, Change, NewRecovery, Outcome, ReleaseDenied, ReleaseError, ReleasedBy,
    Scope, Seq,
};
use wheelmark_tuf::{Clock as _, KeySet, RecoveryRequest, RoleName, Targets, verify};

const FIRST: &str = "demo-1.0-py3-none-any.whl";

fn demo() -> ProjectName {
    "demo".parse().unwrap()
}

fn set(keys: &[&FileKey], threshold: u32) -> KeySet {
    KeySet::new(keys.iter().map(|key| key.key().clone()), threshold).unwrap()
}

/// An index where alice has claimed `demo` with a key that she then loses.
struct World {
    index: TestIndex,
    engine: Engine,
    alice: Bearer,
    lost: FileKey,
    new: FileKey,
}

impl World {
    async fn new() -> Self {
        let index = TestIndex::new(4, BinForm::Succinct).await;
        let mut engine = engine(&index).await;
        engine.take_claims(true);
        engine.recover_after(days(14));
        let alice = index.bearer().await;
        let (lost, new) = (key(&index, "lost"), key(&index, "new"));
        let mut world = Self {
            index,
            engine,
            alice,
            lost,
            new,
        };
        let file = world.index.place(FIRST, b"one").await;
        let admitted = world.index.store.admit_from(file, &world.alice, None).await;
        let Admission::Recorded(seq) = admitted.unwrap() else {
            panic!("not new");
        };
        world.outcome(seq).await.unwrap();
        let mut first = world.next(1).await;
        first.claim = Some(claim(&[&world.lost], 1));
        world.by_lost(first).await.unwrap();
        world
    }

    async fn turn(&mut self) {
        while self.engine.turn().await.unwrap() != Turn::Idle {}
    }

    async fn outcome(&mut self, seq: Seq) -> Result<(), String> {
        self.turn().await;
        match self.index.store.outcome(seq).await.unwrap() {
            Some(Outcome::Published { .. }) => Ok(()),
            Some(Outcome::Refused { reason }) => Err(reason),
            None => panic!("{seq} is pending"),
        }
    }

    async fn days(&mut self, count: i64) {
        self.index.clock.forward(days(count));
        self.turn().await;
    }

    async fn next(&self, version: u64) -> Draft {
        draft(&self.index, "demo", version, &[]).await
    }

    async fn hand_in(&mut self, draft: Draft, keys: &[&FileKey]) -> Result<(), String> {
        let handed = draft.hand_in(&self.index, &self.alice, keys).await;
        let seq = handed.map_err(|error| error.to_string())?;
        self.outcome(seq).await
    }

    async fn by_lost(&mut self, draft: Draft) -> Result<(), String> {
        let lost = open(&self.index, "lost");
        self.hand_in(draft, &[&lost]).await
    }

    /// A request by these keys, signed by those.
    fn request(&self, to: &KeySet, by: &[&FileKey], made_at: Timestamp) -> NewRecovery {
        let request = RecoveryRequest {
            role: project_role(&demo()),
            made_at: Timestamp::from_second(made_at.as_second()).unwrap(),
            to: to.clone(),
        };
        let by: Vec<&dyn Signer> = by.iter().map(|key| *key as &dyn Signer).collect();
        let file = sign_role(&request.to_canonical(), &by).unwrap();
        NewRecovery {
            project: demo(),
            request: serde_json::from_slice(&file).unwrap(),
            by: "alice".to_owned(),
        }
    }

    fn by(&self) -> ReleasedBy<'_> {
        ReleasedBy {
            bearer: &self.alice,
            address: None::<IpAddr>,
            at: self.index.clock.now(),
        }
    }

    async fn ask_as(&mut self, recovery: NewRecovery, keys: &[&FileKey]) -> Result<(), String> {
        let wanted = claim(keys, 1);
        let (store, by) = (self.index.store.clone(), self.by());
        let asked = store.ask_recovery(recovery, &wanted, by).await;
        let seq = asked.map_err(|error| error.to_string())?;
        self.outcome(seq).await
    }

    /// Asks for the new key.
    async fn ask(&mut self) -> Result<(), String> {
        let new = open(&self.index, "new");
        let now = self.index.clock.now();
        let request = self.request(&set(&[&new], 1), &[&new], now);
        self.ask_as(request, &[&new]).await
    }

    /// The release that finishes it.
    async fn finishing(&self, version: u64) -> Draft {
        let mut draft = self.next(version).await;
        draft.recovers = Some(claim(&[&self.new], 1));
        draft
    }

    async fn finish(&mut self, version: u64) -> Result<(), String> {
        let (draft, new) = (self.finishing(version).await, open(&self.index, "new"));
        self.hand_in(draft, &[&new]).await
    }

    /// What a client verifies to be said of lost keys.
    fn notice(&self) -> Option<RecoveryNotice> {
        let target = self.index.find(&status_target(&demo()))?;
        let path = format!("repository/targets/{}", target.hash_named());
        let bytes = std::fs::read(self.index.folder.path().join(path)).unwrap();
        target.check(&bytes).unwrap();
        TakenAway::parse(&bytes, &demo()).unwrap().recovery
    }

    /// Whose key `recently-claimed` names.
    fn delegated(&self) -> KeySet {
        let (_, bytes) = newest(&self.index, "recently-claimed");
        let online = open(&self.index, "online");
        let keys = set(&[&online], 1);
        let read = verify::<Targets>(&bytes, keys.keys(), &keys.role_keys());
        let delegations = read.unwrap().into_inner().delegations.unwrap();
        KeySet::delegated(&delegations, &project_role(&demo())).unwrap()
    }

    /// Holds a ceremony, with the claims of the tree at hand.
    async fn ceremony(&mut self, change: impl FnOnce(&mut Plan)) {
        let roots = (1..).map_while(|v| metadata(&self.index, &format!("{v}.root.json")));
        let roles = OFFLINE[1..]
            .iter()
            .chain(&["recently-claimed", "project-demo"]);
        let roles = roles.map(|role| {
            let name = role.parse::<RoleName>().unwrap();
            (name, newest(&self.index, role).1)
        });
        let (roots, roles) = (roots.collect(), roles.collect());
        let standing = Standing::verify(Published { roots, roles }).unwrap();
        let now = self.index.clock.now();
        let mut plan = Plan::renewal(&standing, &[], &POLICY, now);
        plan.claims.older_than = days(14);
        change(&mut plan);
        let ceremony = Ceremony::new(standing, plan, &POLICY, now).unwrap();
        let keys = offline(&self.index);
        let keys: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
        let seq = hand_in(&self.index, &held(&ceremony, &keys, now)).await;
        self.turn().await;
        let outcome = holding::outcome(&self.index, seq).await;
        assert!(
            matches!(outcome, Some(Outcome::Published { .. })),
            "{outcome:?}"
        );
    }
}

fn open(index: &TestIndex, name: &str) -> FileKey {
    FileKey::open(&index.folder.path().join(name)).unwrap()
}

#[tokio::test]
async fn new_keys_take_a_project_over_when_everybody_could_see_it() {
    let mut world = World::new().await;
    let refused = world.finish(2).await.unwrap_err();
    assert!(refused.contains("no notice stands"), "{refused}");
    world.ask().await.unwrap();
    let notice = world.notice().unwrap();
    let id = world.new.key().keyid().as_str();
    assert_eq!((notice.threshold, notice.by.as_str()), (1, "alice"));
    assert!(notice.keyids.iter().eq([id]), "{notice:?}");
    // Nothing changes by that, and asking once more does not begin it anew.
    assert_eq!(world.delegated(), set(&[&world.lost], 1));
    world.days(13).await;
    world.ask().await.unwrap();
    assert_eq!(world.notice().unwrap().since, notice.since);
    let refused = world.finish(2).await.unwrap_err();
    assert!(refused.contains("can take their place from"), "{refused}");
    world.days(1).await;

    // Exactly those keys, all of them, the page as it is, and nothing besides.
    let evil = key(&world.index, "evil");
    let mut other = world.finishing(2).await;
    other.recovers = Some(claim(&[&evil], 1));
    let refused = world.hand_in(other, &[&evil]).await.unwrap_err();
    assert!(refused.contains("no notice stands"), "{refused}");
    let both = [&open(&world.index, "new"), &evil];
    let mut other = world.finishing(2).await;
    other.recovers = Some(claim(&both, 1));
    let refused = world.hand_in(other, &both).await.unwrap_err();
    assert!(refused.contains("no notice stands"), "{refused}");
    let unsigned = world.finishing(2).await;
    let refused = world.by_lost(unsigned).await.unwrap_err();
    assert!(refused.contains("signed by 0 of the 1"), "{refused}");
    let new = [("demo-9.0.tar.gz", b"x".as_slice())];
    let mut more = draft(&world.index, "demo", 2, &new).await;
    more.recovers = Some(claim(&both[..1], 1));
    let refused = world.hand_in(more, &both[..1]).await.unwrap_err();
    assert!(refused.contains("it has new files"), "{refused}");
    assert_eq!(world.delegated(), set(&[&world.lost], 1));

    // Files that nobody has looked at are marked as taken over.
    let mut finishing = world.finishing(2).await;
    let at = Timestamp::from_second(world.index.clock.now().as_second()).unwrap();
    for file in &mut finishing.page.files {
        *file = file.adopted(at).unwrap_or_else(|| file.clone());
    }
    world.hand_in(finishing, &both[..1]).await.unwrap();
    assert_eq!(world.delegated(), set(&[&world.new], 1));
    assert_eq!(world.notice(), None);
    assert_eq!(world.index.files("demo"), [FIRST]);
    // The lost key is good for nothing any more, and the new one publishes.
    let next = world.next(3).await;
    let refused = world.by_lost(next).await.unwrap_err();
    assert!(refused.contains("signed by 0 of the 1"), "{refused}");
    let second = [("demo-2.0.tar.gz", b"two".as_slice())];
    let next = draft(&world.index, "demo", 3, &second).await;
    world.hand_in(next, &both[..1]).await.unwrap();
    assert_eq!(world.index.files("demo").len(), 2);
}

#[tokio::test]
async fn whatever_the_keys_of_before_sign_ends_it() {
    let mut world = World::new().await;
    world.ask().await.unwrap();
    world.days(13).await;
    // A renewal: a new version with the same page.
    let renewal = world.next(2).await;
    world.by_lost(renewal).await.unwrap();
    assert_eq!(world.notice(), None);
    world.days(2).await;
    let refused = world.finish(3).await.unwrap_err();
    assert!(refused.contains("no notice stands"), "{refused}");
    // It begins anew, from then on.
    world.ask().await.unwrap();
    world.days(13).await;
    assert!(world.finish(3).await.unwrap_err().contains("from"));
    world.days(1).await;
    world.finish(3).await.unwrap();
}

#[tokio::test]
async fn an_owner_or_whoever_runs_the_index_takes_it_back() {
    let mut world = World::new().await;
    world.ask().await.unwrap();
    let store = world.index.store.clone();
    let seq = store.end_recovery(&demo(), world.by()).await.unwrap();
    world.outcome(seq).await.unwrap();
    assert_eq!(world.notice(), None);
    let seq = store.end_recovery(&demo(), world.by()).await.unwrap();
    let refused = world.outcome(seq).await.unwrap_err();
    assert!(refused.contains("nobody asks"), "{refused}");

    world.ask().await.unwrap();
    let orders = orders(&world.index).await;
    let changes = [Change::RecoveryEnded { project: demo() }];
    let now = world.index.clock.now();
    let asked = orders.ask_all(&changes, now, "somebody").await.unwrap();
    world.turn().await;
    let outcome = orders.outcome(asked[0]).await.unwrap();
    assert!(
        matches!(outcome, Some(Outcome::Published { .. })),
        "{outcome:?}"
    );
    assert_eq!(world.notice(), None);
}

#[tokio::test]
async fn a_request_that_does_not_hold_is_refused() {
    let mut world = World::new().await;
    let now = world.index.clock.now();
    let (new, evil) = (open(&world.index, "new"), key(&world.index, "evil"));
    let online = open(&world.index, "online");
    let good = world.request(&set(&[&new], 1), &[&new], now);
    let cases = [
        // A key of which nobody has shown that they have it.
        (
            world.request(&set(&[&new, &evil], 1), &[&new], now),
            "not signed by every key",
        ),
        // One of the index's own.
        (
            world.request(&set(&[&online], 1), &[&online], now),
            "one of the index's own",
        ),
        // One of some time ago.
        (
            world.request(&set(&[&new], 1), &[&new], now - days(1)),
            "its request",
        ),
        (
            NewRecovery {
                by: "no user\n".to_owned(),
                ..good.clone()
            },
            "is no user",
        ),
        (
            NewRecovery {
                request: serde_json::json!({ "signatures": [], "signed": {} }),
                ..good.clone()
            },
            "malformed",
        ),
    ];
    for (recovery, words) in cases {
        let refused = world.ask_as(recovery, &[&new]).await.unwrap_err();
        assert!(refused.contains(words), "{words}: {refused}");
        assert_eq!(world.notice(), None);
    }
    // While one stands, another one has to wait until it is taken back.
    world.ask().await.unwrap();
    let other = world.request(&set(&[&evil], 1), &[&evil], now);
    let refused = world.ask_as(other, &[&evil]).await.unwrap_err();
    assert!(refused.contains("take that back first"), "{refused}");
    // Of a project that nobody has claimed.
    let file = world.index.place("open-1.0.tar.gz", b"x").await;
    let admitted = world.index.store.admit_from(file, &world.alice, None).await;
    assert!(matches!(admitted.unwrap(), Admission::Recorded(_)));
    world.turn().await;
    let unclaimed = NewRecovery {
        project: "open".parse().unwrap(),
        ..good
    };
    let refused = world.ask_as(unclaimed, &[&new]).await.unwrap_err();
    assert!(refused.contains("not claimed"), "{refused}");
}

#[tokio::test]
async fn owners_alone_ask_and_not_with_a_token_of_one_project() {
    let mut world = World::new().await;
    let (new, now) = (open(&world.index, "new"), world.index.clock.now());
    let request = world.request(&set(&[&new], 1), &[&new], now);
    let wanted = claim(&[&new], 1);
    let store = world.index.store.clone();
    let everything = world.index.bearer_of("mallory", "m-1", Scope::Admin);
    let everything = everything.await;
    let upload = world.index.bearer_of("mallory", "m-2", Scope::Upload).await;
    let for_one = Scope::UploadTo(demo());
    let for_one = world.index.bearer_of("alice", "a-2", for_one).await;
    for (bearer, words) in [
        (&everything, "no owner"),
        (&upload, "neither owner nor"),
        (&for_one, "a token for some projects alone"),
    ] {
        let by = ReleasedBy {
            bearer,
            ..world.by()
        };
        let asked = store.ask_recovery(request.clone(), &wanted, by).await;
        let refused = asked.unwrap_err().to_string();
        assert!(refused.contains(words), "{words}: {refused}");
        let ended = store.end_recovery(&demo(), by).await;
        assert!(ended.unwrap_err().to_string().contains(words));
    }
    // A key that is registered for somebody else.
    let request = world.request(&set(&[&new], 1), &[&new], now);
    let mut wanted = claim(&[&new], 1);
    wanted.keys[0].maintainer = "mallory".to_owned();
    let asked = store.ask_recovery(request, &wanted, world.by()).await;
    let refused = asked.unwrap_err();
    assert!(
        matches!(
            refused,
            ReleaseError::Release(ReleaseDenied::NotMember { .. })
        ),
        "{refused}"
    );
    world.turn().await;
    assert_eq!(world.notice(), None);
}

#[tokio::test]
async fn of_a_sealed_project_a_ceremony_takes_the_seal_off_first() {
    let mut world = World::new().await;
    world.days(20).await;
    let role = project_role(&demo());
    world
        .ceremony(|plan| plan.claims.seal.extend([role.clone()]))
        .await;
    world.ask().await.unwrap();
    world.days(15).await;
    let refused = world.finish(2).await.unwrap_err();
    assert!(refused.contains("take the seal off first"), "{refused}");
    world
        .ceremony(|plan| plan.claims.unseal.extend([role.clone()]))
        .await;
    // The notice stands, and its time counts from when the offline key let go.
    assert!(world.notice().is_some());
    let refused = world.finish(2).await.unwrap_err();
    assert!(refused.contains("can take their place from"), "{refused}");
    world.days(14).await;
    world.finish(2).await.unwrap();
    assert_eq!(world.delegated(), set(&[&world.new], 1));
    // And it is sealed again, with the new key.
    world.days(15).await;
    world
        .ceremony(|plan| plan.claims.seal.extend([role.clone()]))
        .await;
    let next = world.next(3).await;
    let new = open(&world.index, "new");
    world.hand_in(next, &[&new]).await.unwrap();
}

//! What the index takes away from projects whose own people sign for them: a list beside the page.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/index.rs"]
mod index;
#[path = "support/releasing.rs"]
mod releasing;

use index::TestIndex;
use jiff::SignedDuration;
use releasing::{claim, draft, key};
use wheelmark_objects::status_target;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{ProjectPage, Status, TakenAway, Yanked};
use wheelmark_repository::{BinForm, Engine, Keep, Lifetimes, READER_TIME, collect};
use wheelmark_signing::FileKey;
use wheelmark_store::{Bearer, Change, Orders, Outcome};
use wheelmark_tuf::Clock as _;

const FIRST: &str = "demo-1.0-py3-none-any.whl";
const SECOND: &str = "demo-2.0-py3-none-any.whl";

fn demo() -> ProjectName {
    "demo".parse().unwrap()
}

/// An index with a claimed project of two files.
struct World {
    index: TestIndex,
    engine: Engine,
    orders: Orders,
    alice: Bearer,
    version: u64,
}

impl World {
    async fn new() -> Self {
        Self::of(TestIndex::new(16, BinForm::Succinct).await).await
    }

    async fn of(index: TestIndex) -> Self {
        let path = index.folder.path().join("orders.sqlite");
        let orders = Orders::open(&path).await.unwrap();
        let alice = index.bearer().await;
        key(&index, "alice");
        let mut world = Self {
            engine: open(&index, &orders).await,
            index,
            orders,
            alice,
            version: 0,
        };
        let file = world.index.place(FIRST, b"one").await;
        world
            .index
            .store
            .admit_from(file, &world.alice, None)
            .await
            .unwrap();
        world.engine.turn().await.unwrap();
        world.release(&[], SignedDuration::ZERO).await.unwrap();
        world
            .release(&[(SECOND, b"two")], SignedDuration::ZERO)
            .await
            .unwrap();
        world
    }

    /// The project's next release, or the claim, that waited for so long; why it is refused.
    async fn release(
        &mut self,
        new: &[(&str, &[u8])],
        waited: SignedDuration,
    ) -> Result<(), String> {
        let key = FileKey::open(&self.index.folder.path().join("alice")).unwrap();
        let mut next = draft(&self.index, "demo", self.version + 1, new).await;
        if self.version == 0 {
            next.claim = Some(claim(&[&key], 1));
        }
        let seq = next
            .hand_in(&self.index, &self.alice, &[&key])
            .await
            .unwrap();
        self.index.clock.forward(waited);
        self.engine.turn().await.unwrap();
        match self.index.store.outcome(seq).await.unwrap().unwrap() {
            Outcome::Published { .. } => {
                self.version += 1;
                Ok(())
            }
            Outcome::Refused { reason } => Err(reason),
        }
    }

    async fn order(&mut self, change: Change) -> Result<(), String> {
        let mut outcomes = self.order_all(&[change]).await;
        outcomes.pop().unwrap()
    }

    async fn order_all(&mut self, changes: &[Change]) -> Vec<Result<(), String>> {
        let now = self.index.clock.now();
        let asked = self.orders.ask_all(changes, now, "somebody").await.unwrap();
        self.engine.turn().await.unwrap();
        let mut outcomes = Vec::new();
        for order in asked {
            outcomes.push(match self.orders.outcome(order).await.unwrap().unwrap() {
                Outcome::Published { .. } => Ok(()),
                Outcome::Refused { reason } => Err(reason),
            });
        }
        outcomes
    }

    /// What a client verifies to be taken away.
    fn list(&self) -> Option<TakenAway> {
        let target = self.index.find(&status_target(&demo()))?;
        assert_eq!(target.role.as_str(), "status");
        let path = format!("repository/targets/{}", target.hash_named());
        let bytes = std::fs::read(self.index.folder.path().join(path)).unwrap();
        target.check(&bytes).unwrap();
        Some(TakenAway::parse(&bytes, &demo()).unwrap())
    }

    /// The page as a client shows it, which the unsigned copy has to be.
    fn shown(&self) -> ProjectPage {
        let signed = self.index.page("demo").unwrap();
        let shown = match self.list() {
            Some(list) => list.apply(&signed),
            None => signed,
        };
        let copy = self.index.folder.path().join("repository/simple/demo");
        let json = std::fs::read(copy.join("index.json")).unwrap();
        assert_eq!(String::from_utf8(json), String::from_utf8(shown.to_json()));
        let html = std::fs::read_to_string(copy.join("index.html")).unwrap();
        assert_eq!(html, shown.to_html());
        for name in [FIRST, SECOND] {
            assert_eq!(self.has_name(name), shown.file(name).is_some(), "{name}");
        }
        shown
    }

    fn names(&self) -> Vec<String> {
        let files = self.shown().files.into_iter();
        files
            .map(|file| file.filename.as_str().to_owned())
            .collect()
    }

    fn has_name(&self, filename: &str) -> bool {
        let path = format!("repository/packages/demo/{filename}");
        self.index.folder.path().join(path).exists()
    }
}

async fn open(index: &TestIndex, orders: &Orders) -> Engine {
    let engine = Engine::open_with_orders(
        index.tree.clone(),
        index.store.clone(),
        orders.clone(),
        index.logged(),
        index.clock.clone(),
        Lifetimes::default(),
    );
    let mut engine = engine.await.unwrap();
    engine.take_claims(true);
    engine
}

fn remove(filename: &str) -> Change {
    Change::FileRemoved {
        project: demo(),
        filename: filename.to_owned(),
        reason: Some("it eats\nthe disk".to_owned()),
    }
}

fn restore(filename: &str) -> Change {
    Change::FileRestored {
        project: demo(),
        filename: filename.to_owned(),
    }
}

fn yank(filename: &str, yanked: Option<&str>) -> Change {
    Change::FileYanked {
        project: demo(),
        filename: filename.to_owned(),
        yanked: yanked.map(str::to_owned),
    }
}

fn status(word: &str) -> Change {
    Change::StatusSet {
        project: demo(),
        status: word.to_owned(),
        reason: Some("looks bad".to_owned()),
    }
}

#[tokio::test]
async fn a_withdrawn_file_is_on_the_signed_page_and_nowhere_else() {
    let mut world = World::new().await;
    assert_eq!(
        (world.names(), world.list()),
        (vec![FIRST.to_owned(), SECOND.to_owned()], None)
    );
    let page = world.index.page("demo").unwrap();
    world.order(remove(SECOND)).await.unwrap();
    assert_eq!(
        world.index.page("demo").unwrap(),
        page,
        "what the project has signed stays"
    );
    assert_eq!(world.names(), [FIRST]);
    let list = world.list().unwrap();
    let taken = &list.withdrawn[SECOND];
    assert_eq!(taken.reason.as_deref(), Some("it eats the disk"));
    assert_eq!(world.shown().wheelmark.removed[SECOND].removed_at, taken.at);
    // Once more changes nothing, and neither does a restart.
    world.order(remove(SECOND)).await.unwrap();
    drop(world.engine);
    world.engine = open(&world.index, &world.orders).await;
    assert_eq!(world.list().unwrap(), list);

    // The project goes on: its next page is built on the one that it signed.
    world
        .release(&[("demo-3.0.tar.gz", b"three")], SignedDuration::ZERO)
        .await
        .unwrap();
    assert_eq!(world.names(), [FIRST, "demo-3.0.tar.gz"]);
    world.order(restore(SECOND)).await.unwrap();
    assert_eq!(world.names(), [FIRST, SECOND, "demo-3.0.tar.gz"]);
    assert_eq!(world.list(), None, "what says nothing is not there");

    for (change, expected) in [
        (remove("demo-9.0.tar.gz"), "is not in the index"),
        (restore("demo-9.0.tar.gz"), "was not removed"),
        (yank("demo-9.0.tar.gz", None), "is not in the index"),
        (status("frozen"), "is no state"),
    ] {
        let refused = world.order(change).await.unwrap_err();
        assert!(refused.contains(expected), "{refused}");
    }
}

#[tokio::test]
async fn a_yank_is_the_index_s_to_take_back_and_the_project_s_is_not() {
    let mut world = World::new().await;
    world.order(yank(FIRST, Some("too old"))).await.unwrap();
    let yanked = |world: &World| world.shown().file(FIRST).unwrap().yanked.clone();
    assert_eq!(yanked(&world), Yanked::Because("too old".to_owned()));
    world.order(yank(FIRST, Some(""))).await.unwrap();
    assert_eq!(yanked(&world), Yanked::Yes);
    world.order(yank(FIRST, None)).await.unwrap();
    assert_eq!((yanked(&world), world.list()), (Yanked::No, None));
    // When the claim ends, what was yanked is yanked on the page that the index signs.
    let ended = Change::ClaimEnded { project: demo() };
    world.order(yank(FIRST, Some("too old"))).await.unwrap();
    world.order(ended.clone()).await.unwrap();
    assert_eq!(yanked(&world), Yanked::Because("too old".to_owned()));
    // Claimed anew, that is the project's own word.
    let (version, _) = (std::mem::replace(&mut world.version, 0), ());
    let mut again = draft(&world.index, "demo", version + 1, &[]).await;
    let key = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    again.claim = Some(claim(&[&key], 1));
    again
        .hand_in(&world.index, &world.alice, &[&key])
        .await
        .unwrap();
    world.engine.turn().await.unwrap();
    for change in [yank(FIRST, None), yank(FIRST, Some("x"))] {
        let refused = world.order(change).await.unwrap_err();
        assert!(refused.contains("their keys must sign"), "{refused}");
    }
    assert_eq!(yanked(&world), Yanked::Because("too old".to_owned()));
}

#[tokio::test]
async fn a_quarantine_lists_nothing_until_it_is_lifted() {
    let mut world = World::new().await;
    world.order(remove(FIRST)).await.unwrap();
    world.order(status("quarantined")).await.unwrap();
    assert!(world.names().is_empty());
    assert_eq!(
        world.shown().project_status.unwrap().status,
        Status::Quarantined
    );
    let refused = world.order(restore(FIRST)).await.unwrap_err();
    assert!(refused.contains("quarantined"), "{refused}");
    let refused = world
        .release(&[("demo-3.0.tar.gz", b"x")], SignedDuration::ZERO)
        .await;
    assert!(refused.unwrap_err().contains("quarantined"));
    world.order(status("archived")).await.unwrap();
    assert_eq!(world.names(), [SECOND], "what was withdrawn stays so");
    let refused = world
        .release(&[("demo-3.0.tar.gz", b"x")], SignedDuration::ZERO)
        .await;
    assert!(refused.unwrap_err().contains("archived"));
    world.order(status("active")).await.unwrap();
    world
        .release(&[("demo-3.0.tar.gz", b"x")], SignedDuration::ZERO)
        .await
        .unwrap();
    world.order(restore(FIRST)).await.unwrap();
    assert_eq!((world.names().len(), world.list()), (3, None));
}

#[tokio::test]
async fn what_the_index_has_made_of_a_state_it_can_take_back() {
    let index = TestIndex::new(16, BinForm::Succinct).await;
    let path = index.folder.path().join("orders.sqlite");
    let orders = Orders::open(&path).await.unwrap();
    let alice = index.bearer().await;
    key(&index, "alice");
    let mut world = World {
        engine: open(&index, &orders).await,
        index,
        orders,
        alice,
        version: 0,
    };
    let file = world.index.place(FIRST, b"one").await;
    let admitted = world.index.store.admit_from(file, &world.alice, None).await;
    admitted.unwrap();
    world.engine.turn().await.unwrap();
    world.order(status("deprecated")).await.unwrap();
    world.release(&[], SignedDuration::ZERO).await.unwrap();
    let state = |world: &World| world.shown().project_status.unwrap().status;
    let refused = world.order(status("active")).await.unwrap_err();
    assert!(refused.contains("their keys must sign"), "{refused}");
    for back in ["active", "deprecated"] {
        world.order(status("quarantined")).await.unwrap();
        assert_eq!(
            (state(&world), world.names().len()),
            (Status::Quarantined, 0)
        );
        world.order(status(back)).await.unwrap();
        assert_eq!(
            (state(&world), world.names().len()),
            (Status::Deprecated, 1)
        );
        assert_eq!(world.list(), None);
    }
}

#[tokio::test]
async fn what_was_taken_away_stays_away_when_the_claim_ends() {
    let mut world = World::new().await;
    world.order(remove(SECOND)).await.unwrap();
    // In one snapshot, in the order in which it was asked for.
    let changes = [
        Change::ClaimEnded { project: demo() },
        yank(FIRST, Some("old")),
    ];
    for outcome in world.order_all(&changes).await {
        outcome.unwrap();
    }
    assert_eq!(world.list(), None);
    assert_eq!(world.names(), [FIRST]);
    let page = world.index.page("demo").unwrap();
    assert!(
        page.wheelmark.removed.contains_key(SECOND),
        "the index signs it itself"
    );
    assert_eq!(world.index.files("demo"), [FIRST]);
    assert!(
        world
            .index
            .find(&wheelmark_objects::file_target(&demo(), SECOND).unwrap())
            .is_none()
    );
    world.order(restore(SECOND)).await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);

    // Also what is quarantined.
    let mut world = World::new().await;
    world.order(status("quarantined")).await.unwrap();
    world
        .order(Change::ClaimEnded { project: demo() })
        .await
        .unwrap();
    let page = world.index.page("demo").unwrap();
    assert_eq!((page.files.len(), page.wheelmark.withheld.len()), (0, 2));
    assert!(
        world
            .index
            .find(&wheelmark_objects::file_target(&demo(), FIRST).unwrap())
            .is_none()
    );
    world.order(status("active")).await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
}

#[tokio::test]
async fn files_that_waited_for_signatures_count_from_when_they_are_seen() {
    let mut world = World::new().await;
    let hour = SignedDuration::from_hours(1);
    world
        .release(&[("demo-3.0.tar.gz", b"x")], hour)
        .await
        .unwrap();
    assert_eq!(world.list(), None);
    let days = SignedDuration::from_hours(24 * 30);
    world
        .release(
            &[("demo-4.0.tar.gz", b"x"), ("demo-5.0.tar.gz", b"y")],
            days,
        )
        .await
        .unwrap();
    let since = world.list().unwrap().visible_since;
    let now = world.index.clock.now();
    assert_eq!(
        since.keys().collect::<Vec<_>>(),
        ["demo-4.0.tar.gz", "demo-5.0.tar.gz"]
    );
    assert!(since.values().all(|at| now.duration_since(*at) < hour));
    let page = world.shown();
    let marks = page
        .file("demo-4.0.tar.gz")
        .unwrap()
        .wheelmark
        .clone()
        .unwrap();
    assert!(marks.visible_since.unwrap().duration_since(marks.signed_at) >= days);
    // What waited for longer has to be signed anew.
    let longer = days + hour;
    let refused = world
        .release(&[("demo-6.0.tar.gz", b"x")], longer)
        .await
        .unwrap_err();
    assert!(refused.contains("its receipt"), "{refused}");
}

#[tokio::test]
async fn a_collection_keeps_the_list_that_counts_and_what_is_withdrawn() {
    // The clock of the file system is of now, and a collection wants both to agree.
    let second = jiff::Timestamp::now().as_second();
    let index = TestIndex::new_at(std::env::temp_dir(), 16, BinForm::Succinct, second).await;
    let mut world = World::of(index).await;
    world.order(yank(FIRST, Some("old"))).await.unwrap();
    world.order(remove(SECOND)).await.unwrap();
    let list = world.list().unwrap();
    world.engine.flush().await.unwrap();
    let repository = world.index.folder.path().join("repository");
    let lists = || std::fs::read_dir(repository.join("targets/status")).unwrap();
    assert_eq!(lists().count(), 2);
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 60 * 60);
    for folder in [
        "metadata",
        "targets/simple/demo",
        "targets/packages/demo",
        "targets/status",
    ] {
        for entry in std::fs::read_dir(repository.join(folder)).unwrap() {
            let file = std::fs::File::options()
                .append(true)
                .open(entry.unwrap().path());
            file.unwrap().set_modified(old).unwrap();
        }
    }
    drop(world.engine);
    let (tree, store) = (&world.index.tree, &world.index.store);
    let lock = tree.lock().await.unwrap();
    let keep = Keep::new(1, READER_TIME, Some(READER_TIME)).unwrap();
    let now = world.index.clock.now();
    let collected = collect(
        tree,
        Some(&lock),
        store,
        Some(&world.orders),
        keep,
        now,
        |_| {},
    )
    .await;
    assert!(collected.unwrap().unreadable.is_empty());
    drop(lock);
    assert_eq!(lists().count(), 1);
    world.engine = open(&world.index, &world.orders).await;
    assert_eq!(world.list().unwrap(), list);
    // Its project signs for it, so that it can come back at any time.
    world.order(restore(SECOND)).await.unwrap();
    assert_eq!(world.names(), [FIRST, SECOND]);
}

#[tokio::test]
async fn a_list_that_was_changed_on_the_disk_stops_its_project_alone() {
    let mut world = World::new().await;
    world.order(remove(SECOND)).await.unwrap();
    let folder = world.index.folder.path().join("repository/targets/status");
    let path = std::fs::read_dir(folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, br#"{"project":"demo"}"#).unwrap();
    let refused = world.order(yank(FIRST, Some("x"))).await.unwrap_err();
    assert!(
        refused.contains("is not the one that status signed"),
        "{refused}"
    );
    let file = world.index.place("other-1.0.tar.gz", b"x").await;
    world
        .index
        .store
        .admit_from(file, &world.alice, None)
        .await
        .unwrap();
    world.engine.turn().await.unwrap();
    assert_eq!(world.index.files("other"), ["other-1.0.tar.gz"]);
    std::fs::write(&path, whole).unwrap();
    world.order(yank(FIRST, Some("x"))).await.unwrap();
    assert_eq!(world.names(), [FIRST]);
}

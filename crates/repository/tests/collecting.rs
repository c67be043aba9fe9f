//! What a garbage collection takes away, and what it never does.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/index.rs"]
mod index;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use index::TestIndex;
use jiff::SignedDuration;
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::ProjectName;
use wheelmark_repository::{
    BinForm, CollectError, Collected, Engine, Keep, LAST_SNAPSHOTS, Lifetimes, Phase, READER_TIME,
    Turn, collect,
};
use wheelmark_store::{Change, CollectionState, Orders, Outcome, Seq};
use wheelmark_tuf::{Clock as _, Sha256};

const HOUR: Duration = READER_TIME;
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

fn keep(snapshots: u32, removed: Option<Duration>) -> Keep {
    Keep::new(snapshots, HOUR, removed).unwrap()
}

async fn index() -> TestIndex {
    index_of(0).await
}

/// One that began so many days ago, and whose clock stands there. The file system's own is of now, and
/// a collection wants both to agree.
async fn index_of(days_ago: i64) -> TestIndex {
    let second = jiff::Timestamp::now().as_second() - days_ago * 24 * 60 * 60;
    TestIndex::new_at(std::env::temp_dir(), 4, BinForm::Succinct, second).await
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

fn tree(index: &TestIndex) -> PathBuf {
    index.folder.path().join("repository")
}

/// Everything under `metadata/` and `targets/`, by path.
fn there(index: &TestIndex) -> BTreeSet<String> {
    let tree = tree(index);
    ["metadata", "targets"]
        .iter()
        .filter(|folder| tree.join(folder).exists())
        .flat_map(|folder| files(&tree.join(folder)))
        .map(|path| {
            path.strip_prefix(&tree)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

/// Makes everything that is there look as if it had been written two hours ago by the test's clock.
fn age(index: &TestIndex) {
    for path in files(&tree(index)) {
        written(index, &path, 2 * HOUR);
    }
}

fn written(index: &TestIndex, path: &Path, ago: Duration) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::from(index.clock.now()) - ago)
        .unwrap();
}

async fn publish(index: &TestIndex, engine: &mut Engine, names: &[&str]) {
    for name in names {
        index.upload(name, name.as_bytes()).await;
        engine.turn().await.unwrap();
    }
    engine.flush().await.unwrap();
}

async fn orders(index: &TestIndex) -> Orders {
    let path = index.folder.path().join("orders.sqlite");
    Orders::open(&path).await.unwrap()
}

async fn run(index: &TestIndex, keep: Keep) -> Collected {
    let lock = index.tree.lock().await.unwrap();
    let log = orders(index).await;
    let now = index.clock.now();
    collect(
        &index.tree,
        Some(&lock),
        &index.store,
        Some(&log),
        keep,
        now,
        |_| {},
    )
    .await
    .unwrap()
}

const NAMES: [&str; 8] = [
    "demo-1.0.tar.gz",
    "demo-2.0.tar.gz",
    "demo-3.0.tar.gz",
    "other-1.0.tar.gz",
    "demo-4.0.tar.gz",
    "other-2.0.tar.gz",
    "demo-5.0.tar.gz",
    "demo-6.0.tar.gz",
];

#[tokio::test]
async fn what_is_published_and_the_last_snapshots_stay() {
    let index = index().await;
    let mut engine = index.engine().await;
    publish(&index, &mut engine, &NAMES).await;
    drop(engine);
    age(&index);
    let before = there(&index);
    let demo = index.files("demo");

    let collected = run(&index, keep(3, None)).await;
    assert_eq!(collected.kept_snapshots, 3);
    assert_eq!(collected.snapshots.objects, 6, "nine were there");
    assert!(collected.roles.objects > 0 && collected.pages.objects > 0);
    assert_eq!(collected.unnamed.objects + collected.removed.objects, 0);
    let after = there(&index);
    assert_eq!(
        before.len() - after.len(),
        usize::try_from(collected.total().objects).unwrap()
    );
    assert!(collected.total().bytes > 0);
    for path in [
        "1.root.json",
        "timestamp.json",
        "9.snapshot.json",
        "7.snapshot.json",
    ] {
        assert!(after.contains(&format!("metadata/{path}")), "{path}");
    }
    assert!(!after.contains("metadata/6.snapshot.json"));
    let pages = after
        .iter()
        .filter(|path| path.contains("targets/simple/demo/"));
    assert_eq!(pages.count(), 3, "of snapshots 7, 8 and 9");
    assert_eq!(index.files("demo"), demo);
    assert_eq!(index.files("other").len(), 2);

    let again = run(&index, keep(3, None)).await;
    assert_eq!(again.total().objects, 0);
    let mut engine = index.engine().await;
    publish(&index, &mut engine, &["demo-7.0.tar.gz"]).await;
    assert_eq!(index.files("demo").len(), demo.len() + 1, "it goes on");
}

#[tokio::test]
async fn a_dry_run_counts_the_same_and_takes_nothing() {
    let index = index().await;
    let mut engine = index.engine().await;
    publish(&index, &mut engine, &NAMES).await;
    age(&index);
    let before = there(&index);
    let (now, keep) = (index.clock.now(), keep(1, None));
    // While the index runs.
    let dry = collect(&index.tree, None, &index.store, None, keep, now, |_| {});
    let dry = dry.await.unwrap();
    assert_eq!(there(&index), before);
    drop(engine);
    assert_eq!(run(&index, keep).await, dry);
}

#[tokio::test]
async fn a_reader_of_the_last_hour_finds_everything() {
    let index = index().await;
    let mut engine = index.engine().await;
    publish(&index, &mut engine, &NAMES).await;
    drop(engine);
    age(&index);
    // Snapshot 4 was current until 5 came, a moment less than an hour ago.
    let metadata = tree(&index).join("metadata");
    written(
        &index,
        &metadata.join("5.snapshot.json"),
        HOUR - Duration::from_secs(60),
    );
    let collected = run(&index, keep(1, None)).await;
    let after = there(&index);
    assert_eq!(collected.kept_snapshots, 2, "4 and 9");
    assert!(
        after.contains("metadata/4.snapshot.json") && !after.contains("metadata/3.snapshot.json")
    );
    let snapshot = std::fs::read(metadata.join("4.snapshot.json")).unwrap();
    let snapshot: serde_json::Value = serde_json::from_slice(&snapshot).unwrap();
    let mut pages = 0;
    for (role, listed) in snapshot["signed"]["meta"].as_object().unwrap() {
        let path = format!("{}.{role}", listed["version"]);
        let role = std::fs::read(metadata.join(&path)).unwrap();
        let role: serde_json::Value = serde_json::from_slice(&role).unwrap();
        let targets = role["signed"]["targets"].as_object();
        for (path, target) in targets.into_iter().flatten() {
            let (folder, name) = path.rsplit_once('/').unwrap();
            let sha256 = target["hashes"]["sha256"].as_str().unwrap();
            assert!(
                after.contains(&format!("targets/{folder}/{sha256}.{name}")),
                "{path}"
            );
            pages += 1;
        }
    }
    assert!(pages > 3);
}

#[tokio::test]
async fn nothing_shorter_than_readers_need_can_be_asked_for() {
    let minute = Duration::from_secs(60);
    assert!(Keep::new(LAST_SNAPSHOTS, HOUR, None).is_ok());
    assert!(Keep::new(0, HOUR, None).is_err());
    assert!(Keep::new(1, HOUR - minute, None).is_err());
    assert!(Keep::new(1, HOUR, Some(minute)).is_err());
}

#[tokio::test]
async fn every_root_stays() {
    let index = index().await;
    let mut engine = index.engine().await;
    publish(&index, &mut engine, &NAMES).await;
    drop(engine);
    // As if there had been more of them; only the chain of real ones is followed.
    let metadata = tree(&index).join("metadata");
    for version in [7, 8] {
        std::fs::write(metadata.join(format!("{version}.root.json")), "{}").unwrap();
    }
    age(&index);
    run(&index, keep(1, None)).await;
    let after = there(&index);
    for version in [1, 7, 8] {
        assert!(
            after.contains(&format!("metadata/{version}.root.json")),
            "{version}"
        );
    }
}

#[tokio::test]
async fn what_was_uploaded_and_never_named_goes_and_what_waits_does_not() {
    let index = index().await;
    let mut engine = index.engine().await;
    publish(&index, &mut engine, &NAMES).await;
    let left = index.place("left-1.0.tar.gz", b"never named").await;
    let left = ObjectPath::file(&left.project, &left.sha256, &left.filename).unwrap();
    let other = index.place("demo-1.0.tar.gz", b"other bytes").await;
    let other = ObjectPath::file(&other.project, &other.sha256, &other.filename).unwrap();
    let waiting = index.upload("waiting-1.0.tar.gz", b"in the journal").await;
    age(&index);
    let young = index.place("young-1.0.tar.gz", b"on its way").await;
    let young = ObjectPath::file(&young.project, &young.sha256, &young.filename).unwrap();
    drop(engine);

    let collected = run(&index, keep(1, None)).await;
    assert_eq!(collected.unnamed.objects, 2);
    assert_eq!(
        collected.unnamed.bytes,
        ("never named".len() + "other bytes".len()) as u64
    );
    let after = there(&index);
    assert!(!after.contains(left.as_str()) && !after.contains(other.as_str()));
    assert!(
        after.contains(young.as_str()),
        "its row may come in a moment"
    );
    let mut engine = index.engine().await;
    engine.turn().await.unwrap();
    assert!(index.published(waiting).await);
    assert_eq!(index.files("waiting").len(), 1);
}

/// An index with a file that was removed 40 days ago, and a project in quarantine.
async fn with_a_removed_file() -> (TestIndex, Orders, ObjectPath) {
    let index = index_of(40).await;
    let mut engine = index.engine().await;
    let names = ["demo-1.0.tar.gz", "demo-2.0.tar.gz", "safe-1.0.tar.gz"];
    publish(&index, &mut engine, &names).await;
    let demo: ProjectName = "demo".parse().unwrap();
    index.store.remove(&demo, names[0]).await.unwrap();
    engine.turn().await.unwrap();
    drop(engine);
    let orders = orders(&index).await;
    ask(&index, &orders, status("quarantined")).await;
    let mut engine = with_orders(&index, &orders).await;
    engine.turn().await.unwrap();
    engine.flush().await.unwrap();
    drop(engine);
    index.clock.forward(SignedDuration::from_hours(40 * 24));
    age(&index);
    let sha256 = Sha256::of(names[0].as_bytes());
    let removed = ObjectPath::file(&demo, &sha256, names[0]).unwrap();
    (index, orders, removed)
}

fn status(word: &str) -> Change {
    Change::StatusSet {
        project: "safe".parse().unwrap(),
        status: word.to_owned(),
        reason: None,
    }
}

async fn ask(index: &TestIndex, orders: &Orders, change: Change) -> Seq {
    let now = index.clock.now();
    orders.ask_all(&[change], now, "me").await.unwrap()[0]
}

#[tokio::test]
async fn removed_files_stay_until_their_time_is_over_and_withheld_ones_for_good() {
    let (index, orders, removed) = with_a_removed_file().await;
    assert_eq!(run(&index, keep(1, None)).await.removed.objects, 0);
    let longer = keep(1, Some(2 * MONTH));
    assert_eq!(run(&index, longer).await.removed.objects, 0);
    let collected = run(&index, keep(1, Some(MONTH))).await;
    let counts = (collected.removed.objects, collected.unnamed.objects);
    assert_eq!(counts, (1, 0));
    assert!(!there(&index).contains(removed.as_str()));

    // The name stays taken, and what is withheld comes back.
    let mut engine = with_orders(&index, &orders).await;
    ask(&index, &orders, status("active")).await;
    engine.turn().await.unwrap();
    assert_eq!(index.files("safe").len(), 1);
    let demo = index.page("demo").unwrap();
    assert!(demo.wheelmark.removed.contains_key("demo-1.0.tar.gz"));
}

#[tokio::test]
async fn a_removed_file_that_is_asked_for_stays() {
    let (index, orders, removed) = with_a_removed_file().await;
    let back = Change::FileRestored {
        project: "demo".parse().unwrap(),
        filename: "demo-1.0.tar.gz".to_owned(),
    };
    let asked = ask(&index, &orders, back).await;
    assert_eq!(run(&index, keep(1, Some(MONTH))).await.removed.objects, 0);
    assert!(there(&index).contains(removed.as_str()));
    let mut engine = with_orders(&index, &orders).await;
    engine.turn().await.unwrap();
    let answer = orders.outcome(asked).await.unwrap();
    assert!(
        matches!(answer, Some(Outcome::Published { .. })),
        "{answer:?}"
    );
    assert_eq!(index.files("demo").len(), 2);
}

#[tokio::test]
async fn without_the_operators_journal_no_removed_file_goes() {
    let (index, _, removed) = with_a_removed_file().await;
    let lock = index.tree.lock().await.unwrap();
    let (now, keep) = (index.clock.now(), keep(1, Some(MONTH)));
    let collected = collect(
        &index.tree,
        Some(&lock),
        &index.store,
        None,
        keep,
        now,
        |_| {},
    );
    assert_eq!(collected.await.unwrap().removed.objects, 0);
    assert!(there(&index).contains(removed.as_str()));
}

/// A snapshot stands and is not settled, since the process died in between: what the record names is
/// no more than a part of what is published.
#[tokio::test]
async fn a_snapshot_that_was_published_and_not_settled_keeps_all_that_it_names() {
    let index = index().await;
    let mut engine = index.engine().await;
    publish(&index, &mut engine, &NAMES).await;
    index
        .sql(
            "CREATE TRIGGER dies BEFORE UPDATE ON intent \
             BEGIN SELECT raise(ABORT, 'the crash that this test wants'); END",
        )
        .await;
    for name in ["demo-9.0.tar.gz", "third-1.0.tar.gz"] {
        index.upload(name, name.as_bytes()).await;
    }
    assert!(engine.turn().await.is_err());
    drop(engine);
    let before: Vec<_> = ["demo", "other", "third"]
        .map(|name| index.files(name))
        .into();
    assert_eq!(before.iter().map(Vec::len).sum::<usize>(), 10);
    age(&index);
    let collected = run(&index, keep(1, None)).await;
    assert_eq!(collected.unnamed.objects, 0);
    let after: Vec<_> = ["demo", "other", "third"]
        .map(|name| index.files(name))
        .into();
    assert_eq!(after, before);
    index.sql("DROP TRIGGER dies").await;
    let mut engine = index.engine().await;
    publish(&index, &mut engine, &["demo-10.0.tar.gz"]).await;
    assert_eq!(index.files("demo").len(), 8);
}

#[tokio::test]
async fn with_a_clock_that_is_wrong_nothing_goes() {
    let index = index().await;
    let mut engine = index.engine().await;
    publish(&index, &mut engine, &NAMES).await;
    let orders = orders(&index).await;
    engine.take_ceremonies_from(orders.clone());
    let before = there(&index);
    // Two hours ahead at once: everything looks old that was written a moment ago.
    index.clock.forward(SignedDuration::from_hours(2));
    let wish = serde_json::to_string(&keep(1, None)).unwrap();
    let asked = orders
        .ask_to_collect(&wish, index.clock.now(), "me")
        .await
        .unwrap();
    while engine.collect_some().await {}
    let state = orders.collection(asked).await.unwrap();
    assert!(
        matches!(&state, CollectionState::Failed(why) if why.contains("clock")),
        "{state:?}"
    );
    drop(engine);
    let lock = index.tree.lock().await.unwrap();
    let now = index.clock.now();
    let ended = collect(
        &index.tree,
        Some(&lock),
        &index.store,
        Some(&orders),
        keep(1, None),
        now,
        |_| {},
    );
    assert!(matches!(ended.await, Err(CollectError::Clock { .. })));
    assert_eq!(there(&index), before);
}

#[tokio::test]
async fn what_stands_in_the_place_of_a_folder_stops_nothing() {
    let index = index().await;
    let mut engine = index.engine().await;
    publish(&index, &mut engine, &NAMES).await;
    drop(engine);
    age(&index);
    let folder = tree(&index).join("targets/packages/mine");
    std::os::unix::fs::symlink("/", &folder).unwrap();
    let collected = run(&index, keep(1, None)).await;
    assert!(collected.total().objects > 0);
    std::fs::create_dir(tree(&index).join("packages/mine")).unwrap();
    let collected = run(&index, keep(1, None)).await;
    assert_eq!(collected.unreadable, ["targets/packages/mine"]);
}

async fn with_orders(index: &TestIndex, orders: &Orders) -> Engine {
    Engine::open_with_orders(
        index.tree.clone(),
        index.store.clone(),
        orders.clone(),
        index.online.clone(),
        index.clock.clone(),
        Lifetimes::default(),
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn a_page_that_cannot_be_read_keeps_its_project_and_a_role_ends_it() {
    let index = index().await;
    let mut engine = index.engine().await;
    publish(&index, &mut engine, &NAMES).await;
    drop(engine);
    let page = index.page("demo").unwrap();
    let bytes = page.to_json();
    let page = ObjectPath::page(&page.name, &Sha256::of(&bytes));
    let path = tree(&index).join(page.as_str());
    std::fs::write(&path, b"{}").unwrap();
    age(&index);
    let collected = run(&index, keep(1, None)).await;
    assert_eq!(collected.unreadable, [page.as_str()]);
    let after = there(&index);
    let kept = after
        .iter()
        .filter(|path| path.starts_with("targets/packages/demo/"));
    assert_eq!(kept.count(), 6);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(index.files("demo").len(), 6);

    // A bin with one byte changed could lead anywhere: nothing goes.
    let bin = after
        .iter()
        .rfind(|path| path.contains(".packages-"))
        .unwrap();
    let bin = tree(&index).join(bin);
    let good = std::fs::read(&bin).unwrap();
    let bad = String::from_utf8(good).unwrap().replacen("2026", "2027", 1);
    std::fs::write(&bin, bad).unwrap();
    let before = there(&index);
    let lock = index.tree.lock().await.unwrap();
    let ended = collect(
        &index.tree,
        Some(&lock),
        &index.store,
        None,
        keep(1, None),
        index.clock.now(),
        |_| {},
    );
    assert!(ended.await.is_err());
    assert_eq!(there(&index), before);
}

#[tokio::test]
async fn the_engine_collects_between_turns_and_what_they_publish_stays() {
    let index = index().await;
    let orders = orders(&index).await;
    let mut engine = with_orders(&index, &orders).await;
    publish(&index, &mut engine, &NAMES).await;
    age(&index);
    let wish = serde_json::to_string(&keep(1, None)).unwrap();
    let asked = orders
        .ask_to_collect(&wish, index.clock.now(), "me")
        .await
        .unwrap();
    assert!(engine.collect_some().await, "it begins");
    // Between its pieces a snapshot is published that brings old objects back.
    let page = index.page("demo").unwrap();
    let file =
        ObjectPath::file(&page.name, &Sha256::of(b"never named"), "demo-9.0.tar.gz").unwrap();
    index.upload("demo-9.0.tar.gz", b"never named").await;
    written(&index, &tree(&index).join(file.as_str()), 2 * HOUR);
    let Turn::Published {
        snapshot_version, ..
    } = engine.turn().await.unwrap()
    else {
        panic!("nothing was published");
    };
    age(&index);
    while engine.collect_some().await {}
    let CollectionState::Done(done) = orders.collection(asked).await.unwrap() else {
        panic!("not done");
    };
    let done: Collected = serde_json::from_str(&done).unwrap();
    assert!(done.total().objects > 0);
    assert_eq!(index.files("demo").len(), 7);
    let after = there(&index);
    assert!(after.contains(&format!("metadata/{snapshot_version}.snapshot.json")));
    assert!(!engine.collect_some().await, "it was asked for once");
    let logged = orders.logged_snapshots().await.unwrap();
    assert_eq!(logged.len() as u64, done.snapshots.objects);
}

#[tokio::test]
async fn a_wish_that_keeps_too_little_is_refused() {
    let index = index().await;
    let orders = orders(&index).await;
    let mut engine = with_orders(&index, &orders).await;
    publish(&index, &mut engine, &NAMES).await;
    age(&index);
    let before = there(&index);
    let wish = r#"{"snapshots":1,"seconds":0,"removed_seconds":null}"#;
    let asked = orders
        .ask_to_collect(wish, index.clock.now(), "me")
        .await
        .unwrap();
    while engine.collect_some().await {}
    assert!(matches!(
        orders.collection(asked).await.unwrap(),
        CollectionState::Failed(_)
    ));
    assert_eq!(there(&index), before);
}

/// What is there after each of the first `steps` removals is enough for everything that goes on.
#[tokio::test]
async fn it_can_be_cut_off_anywhere() {
    let whole = index().await;
    let mut engine = whole.engine().await;
    publish(&whole, &mut engine, &NAMES).await;
    drop(engine);
    age(&whole);
    let before = there(&whole);
    run(&whole, keep(2, None)).await;
    let after = there(&whole);
    let gone: Vec<&String> = before.difference(&after).collect();
    assert!(gone.len() > 10);
    // Whatever part of it went: the rest goes next time, and clients find everything meanwhile.
    for part in [1, gone.len() / 3, gone.len() / 2, gone.len() - 1] {
        let index = index().await;
        let mut engine = index.engine().await;
        publish(&index, &mut engine, &NAMES).await;
        age(&index);
        let there_before = there(&index);
        for path in there_before
            .iter()
            .filter(|path| gone.contains(path))
            .take(part)
        {
            std::fs::remove_file(tree(&index).join(path)).unwrap();
        }
        assert_eq!(index.files("demo").len(), 6);
        drop(engine);
        let mut engine = index.engine().await;
        publish(&index, &mut engine, &["demo-8.0.tar.gz"]).await;
        drop(engine);
        age(&index);
        run(&index, keep(2, None)).await;
        assert_eq!(index.files("demo").len(), 7);
        let left = there(&index);
        let left = left.iter().filter(|path| path.ends_with(".snapshot.json"));
        assert_eq!(left.count(), 2);
    }
}

/// A snapshot that was recorded and not written keeps what it names, until the next start has
/// written it.
#[tokio::test]
async fn what_is_recorded_and_not_published_is_named() {
    let index = index().await;
    let mut engine = index.engine().await;
    publish(&index, &mut engine, &NAMES).await;
    let seq = index.upload("late-1.0.tar.gz", b"late").await;
    engine.observe(|now| assert!(now != Phase::Write, "the crash that this test wants"));
    let crashed = tokio::spawn(async move { engine.turn().await.map(drop) }).await;
    assert!(crashed.unwrap_err().is_panic());
    age(&index);
    let collected = run(&index, keep(1, None)).await;
    assert_eq!(collected.unnamed.objects, 0);
    let engine = index.engine().await;
    drop(engine);
    assert!(index.published(seq).await);
    assert_eq!(index.files("late").len(), 1);
}

#[tokio::test]
async fn snapshots_that_could_not_be_written_down_stay() {
    let index = index().await;
    let mut engine = index.engine().await;
    publish(&index, &mut engine, &NAMES).await;
    drop(engine);
    age(&index);
    let lock = index.tree.lock().await.unwrap();
    let now = index.clock.now();
    let collected = collect(
        &index.tree,
        Some(&lock),
        &index.store,
        None,
        keep(1, None),
        now,
        |_| {},
    );
    let collected = collected.await.unwrap();
    assert!(collected.not_logged.is_some());
    assert_eq!(collected.snapshots.objects, 0);
    assert!(
        collected.pages.objects > 0,
        "the rest goes: that is what makes room"
    );
    drop(lock);
    let log = orders(&index).await;
    let before: Vec<(u64, Sha256)> = (1..9)
        .map(|version| {
            let path = tree(&index).join(format!("metadata/{version}.snapshot.json"));
            (version, Sha256::of(&std::fs::read(path).unwrap()))
        })
        .collect();
    run(&index, keep(1, None)).await;
    let logged = log.logged_snapshots().await.unwrap();
    let logged: Vec<(u64, Sha256)> = logged.iter().map(|row| (row.version, row.sha256)).collect();
    assert_eq!(logged, before);
}

#[tokio::test]
async fn an_intruders_row_keeps_and_never_takes() {
    let index = index().await;
    let mut engine = index.engine().await;
    publish(&index, &mut engine, &NAMES).await;
    drop(engine);
    // What the web process can write: that files are gone, that there are none.
    index.sql("DELETE FROM file").await;
    age(&index);
    run(&index, keep(1, Some(HOUR))).await;
    assert_eq!(index.files("demo").len(), 6);
    assert_eq!(index.files("other").len(), 2);
}

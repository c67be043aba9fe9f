//! Orders beside uploads that arrive at any moment, and beside somebody who writes to the
//! catalogue what no upload writes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/index.rs"]
mod index;

use index::TestIndex;
use jiff::Timestamp;
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{Status, Yanked};
use wheelmark_repository::{BinForm, Engine, Lifetimes, Phase, Turn};
use wheelmark_store::{Change, Orders, Outcome, Seq, Store};
use wheelmark_tuf::Sha256;

const NAME: &str = "demo-1.0-py3-none-any.whl";
const OTHER: &str = "demo-2.0-py3-none-any.whl";

fn project(name: &str) -> ProjectName {
    name.parse().unwrap()
}

async fn orders(index: &TestIndex) -> Orders {
    let path = index.folder.path().join("orders.sqlite");
    Orders::open(&path).await.unwrap()
}

async fn engine(index: &TestIndex) -> Engine {
    Engine::open_with_orders(
        index.tree.clone(),
        index.store.clone(),
        orders(index).await,
        index.online.clone(),
        index.clock.clone(),
        Lifetimes::default(),
    )
    .await
    .unwrap()
}

async fn turn(index: &TestIndex) -> Turn {
    engine(index).await.turn().await.unwrap()
}

async fn ask(index: &TestIndex, change: Change) -> Seq {
    let orders = orders(index).await;
    let changes = [change];
    let asked = orders.ask_all(&changes, Timestamp::UNIX_EPOCH, "somebody");
    asked.await.unwrap()[0]
}

async fn outcome(index: &TestIndex, order: Seq) -> Outcome {
    orders(index).await.outcome(order).await.unwrap().unwrap()
}

async fn is_done(index: &TestIndex, order: Seq) -> bool {
    matches!(outcome(index, order).await, Outcome::Published { .. })
}

fn remove(filename: &str) -> Change {
    Change::FileRemoved {
        project: project("demo"),
        filename: filename.to_owned(),
        reason: None,
    }
}

fn restore(filename: &str) -> Change {
    Change::FileRestored {
        project: project("demo"),
        filename: filename.to_owned(),
    }
}

fn yank(filename: &str, reason: &str) -> Change {
    Change::FileYanked {
        project: project("demo"),
        filename: filename.to_owned(),
        yanked: Some(reason.to_owned()),
    }
}

fn status(word: &str, reason: Option<&str>) -> Change {
    Change::StatusSet {
        project: project("demo"),
        status: word.to_owned(),
        reason: reason.map(str::to_owned),
    }
}

/// An index with one file of one project.
async fn one_file() -> TestIndex {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    index.upload(NAME, b"a wheel").await;
    turn(&index).await;
    index
}

async fn highest_serial(index: &TestIndex) -> Seq {
    let serials = index.store.serials_after(Seq(0)).await.unwrap();
    serials.last().unwrap().1
}

#[tokio::test]
async fn a_mirror_sees_an_upload_that_arrives_while_an_order_is_signed() {
    for (uploaded, filename) in [("other", "other-1.0-py3-none-any.whl"), ("demo", OTHER)] {
        let index = one_file().await;
        let order = ask(&index, yank(NAME, "broken")).await;
        let file = index.place(filename, b"late").await;
        let catalogue = index.folder.path().join("catalogue.sqlite");
        let mut engine = engine(&index).await;
        engine.observe(move |phase| {
            if phase == Phase::Sign {
                let (file, catalogue) = (file.clone(), catalogue.clone());
                let web_process = move || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build();
                    runtime.unwrap().block_on(async {
                        let store = Store::open(&catalogue).await.unwrap();
                        store.admit(file).await.unwrap();
                        store.close().await;
                    });
                };
                std::thread::spawn(web_process).join().unwrap();
            }
        });
        engine.turn().await.unwrap();
        drop(engine);
        assert!(is_done(&index, order).await);
        assert_eq!(index.files("demo"), [NAME]);
        // Here a mirror asks for everything there is.
        let seen = highest_serial(&index).await;

        turn(&index).await;
        assert_eq!(
            index.page(uploaded).unwrap().files.len(),
            1 + usize::from(uploaded == "demo")
        );
        let serial = index.store.serial(&project(uploaded)).await.unwrap();
        assert!(serial > Some(seen), "{uploaded}: {serial:?} after {seen}");
        let newer = index.store.serials_after(seen).await.unwrap();
        assert_eq!(newer, [(project(uploaded), serial.unwrap())]);
    }
}

#[tokio::test]
async fn orders_alone_raise_the_serial_and_so_does_what_comes_after_them() {
    let index = one_file().await;
    let mut seen = highest_serial(&index).await;
    for change in [yank(NAME, "broken"), remove(NAME), restore(NAME)] {
        ask(&index, change).await;
        turn(&index).await;
        let now = highest_serial(&index).await;
        assert!(now > seen);
        seen = now;
    }
    index.upload(OTHER, b"another wheel").await;
    turn(&index).await;
    assert!(highest_serial(&index).await > seen);
}

#[tokio::test]
async fn a_journal_without_free_positions_does_not_stop_orders() {
    let index = one_file().await;
    index
        .sql("UPDATE sqlite_sequence SET seq = 9223372036854775807 WHERE name = 'journal'")
        .await;
    let order = ask(&index, status("quarantined", None)).await;
    let mut engine = engine(&index).await;
    engine.turn().await.unwrap();
    assert_eq!(engine.turn().await.unwrap(), Turn::Idle);
    assert!(is_done(&index, order).await);
    drop(engine);
    assert_eq!(turn(&index).await, Turn::Idle);
}

#[tokio::test]
async fn an_unreadable_journal_does_not_stop_orders() {
    let index = one_file().await;
    let order = ask(&index, yank(NAME, "broken")).await;
    let mut engine = engine(&index).await;
    index.sql("ALTER TABLE journal RENAME TO gone").await;
    engine.turn().await.unwrap();
    assert!(is_done(&index, order).await);
    assert_eq!(engine.turn().await.unwrap(), Turn::Idle);
    // What it holds is taken up when it can be read again.
    index.sql("ALTER TABLE gone RENAME TO journal").await;
    let seq = index.upload(OTHER, b"another wheel").await;
    engine.turn().await.unwrap();
    assert!(index.published(seq).await);
}

#[tokio::test]
async fn a_row_without_end_is_refused_in_few_words() {
    let index = one_file().await;
    index
        .sql("INSERT INTO journal (change) VALUES (hex(zeroblob(1000000)))")
        .await;
    let long = index.store.journal_end().await.unwrap();
    index
        .sql("INSERT INTO journal (change) VALUES ('no change: ' || hex(zeroblob(5000)))")
        .await;
    let garbled = index.store.journal_end().await.unwrap();
    let sound = index.upload(OTHER, b"another wheel").await;
    turn(&index).await;
    for seq in [long, garbled] {
        match index.store.outcome(seq).await.unwrap() {
            Some(Outcome::Refused { reason }) => assert!(reason.len() < 500, "{}", reason.len()),
            other => panic!("not refused: {other:?}"),
        }
    }
    assert!(index.published(sound).await);
}

#[tokio::test]
async fn no_lease_that_somebody_else_writes_keeps_an_engine_from_starting() {
    let index = one_file().await;
    for statement in [
        "DELETE FROM lease",
        "UPDATE lease SET fence = 9223372036854775807",
        "UPDATE lease SET fence = -7",
    ] {
        index.sql(statement).await;
        let order = ask(&index, yank(NAME, statement)).await;
        turn(&index).await;
        assert!(is_done(&index, order).await, "{statement}");
    }
}

#[tokio::test]
async fn a_record_that_follows_on_an_earlier_timestamp_does_not_come_back() {
    let index = one_file().await;
    index.upload(OTHER, b"another wheel").await;
    // Somebody occupies the next version, so that the one after it is signed and recorded.
    let before = index.versions();
    let next = engine(&index).await.snapshot_version() + 1;
    let occupied = format!("repository/metadata/{next}.snapshot.json");
    let occupied = index.folder.path().join(occupied);
    std::fs::write(&occupied, "in the way").unwrap();
    let mut crashing = engine(&index).await;
    let mut writes = 0;
    crashing.observe(move |phase| {
        writes += usize::from(phase == Phase::Write);
        assert!(writes < 2, "the crash that this test wants");
    });
    let crashed = tokio::spawn(async move { crashing.turn().await.map(drop) }).await;
    assert!(crashed.unwrap_err().is_panic());
    let kept = index.store.intent().await.unwrap().unwrap();
    assert_eq!(kept.snapshot_version, next + 1);
    index.sql("DELETE FROM intent_object").await;
    index.sql("DELETE FROM intent").await;
    let metadata = index.folder.path().join("repository/metadata");
    for written in index.versions().keys() {
        if !before.contains_key(written) {
            std::fs::remove_file(metadata.join(written)).unwrap();
        }
    }

    let order = ask(&index, status("quarantined", None)).await;
    turn(&index).await;
    assert!(is_done(&index, order).await);
    let timestamp = || {
        let path = index
            .folder
            .path()
            .join("repository/metadata/timestamp.json");
        std::fs::read(path).unwrap()
    };
    let published = timestamp();

    let fence = index.store.acquire_lease("somebody").await.unwrap();
    index.store.record_intent(fence, &kept).await.unwrap();
    assert_eq!(turn(&index).await, Turn::Idle);
    assert_eq!(timestamp(), published);
    assert_eq!(index.page("demo").unwrap().files, []);
}

#[tokio::test]
async fn a_file_that_comes_back_is_yanked_as_it_was() {
    let index = one_file().await;
    for change in [yank(NAME, "vulnerable"), remove(NAME), restore(NAME)] {
        let order = ask(&index, change).await;
        turn(&index).await;
        assert!(is_done(&index, order).await);
    }
    let page = index.page("demo").unwrap();
    let entry = page.file(NAME).unwrap();
    assert_eq!(entry.yanked, Yanked::Because("vulnerable".to_owned()));
    let row = index.store.file(&project("demo"), NAME).await.unwrap();
    assert_eq!(row.unwrap().yanked.as_deref(), Some("vulnerable"));
}

#[tokio::test]
async fn a_project_is_not_released_without_the_bytes_of_its_files() {
    let index = one_file().await;
    index.upload(OTHER, b"another wheel").await;
    turn(&index).await;
    ask(&index, status("quarantined", None)).await;
    turn(&index).await;
    let object = ObjectPath::file(&project("demo"), &Sha256::of(b"a wheel"), NAME).unwrap();
    std::fs::remove_file(index.tree.local_path(&object)).unwrap();

    let order = ask(&index, status("active", None)).await;
    turn(&index).await;
    match outcome(&index, order).await {
        Outcome::Refused { reason } => {
            assert!(
                reason.contains(NAME) && reason.contains("not in the tree"),
                "{reason}"
            );
        }
        other => panic!("not refused: {other:?}"),
    }
    assert_eq!(index.page("demo").unwrap().files, []);
    let state = index
        .store
        .project_standing(&project("demo"))
        .await
        .unwrap()
        .status;
    assert_eq!(state.status, Status::Quarantined);

    // Without that one, the others can go back.
    ask(&index, remove(NAME)).await;
    ask(&index, status("active", None)).await;
    turn(&index).await;
    assert_eq!(index.files("demo"), [OTHER]);
}

#[tokio::test]
async fn the_catalogue_has_the_words_that_are_signed() {
    let index = one_file().await;
    let long = format!("one line\nand {}", "another ".repeat(1_000));
    ask(&index, yank(NAME, &long)).await;
    ask(&index, status("archived", Some(&long))).await;
    turn(&index).await;
    let page = index.page("demo").unwrap();
    let signed = page.project_status.clone().unwrap().reason.unwrap();
    assert!(signed.len() <= 2_000 && !signed.contains('\n'));
    let state = index
        .store
        .project_standing(&project("demo"))
        .await
        .unwrap()
        .status;
    assert_eq!(state.reason, Some(signed.clone()));
    let entry = page.file(NAME).unwrap();
    assert_eq!(entry.yanked, Yanked::Because(signed.clone()));
    let row = index.store.file(&project("demo"), NAME).await.unwrap();
    assert_eq!(row.unwrap().yanked, Some(signed));
}

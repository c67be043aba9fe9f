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

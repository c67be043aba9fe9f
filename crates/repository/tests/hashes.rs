//! SHA-256, then both, then SHA-512, and back: while files come and go, and whatever is cut off.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/index.rs"]
mod index;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use index::TestIndex;
use jiff::Timestamp;
use wheelmark_objects::{ObjectPath, file_target, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_repository::{BinForm, Engine, Lifetimes, Phase, Turn};
use wheelmark_store::{Change, ListedHashes, Orders, Outcome, Seq};
use wheelmark_tuf::{Hashes, Sha256, Sha512};

const NAME: &str = "demo-1.0-py3-none-any.whl";
const LARGE: usize = 300 * 1024;

fn demo() -> ProjectName {
    "demo".parse().unwrap()
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

async fn settle(index: &TestIndex) {
    let mut engine = engine(index).await;
    while engine.turn().await.unwrap() != Turn::Idle {}
}

async fn order(index: &TestIndex, change: Change) -> Seq {
    let (orders, changes) = (orders(index).await, [change]);
    let asked = orders.ask_all(&changes, Timestamp::UNIX_EPOCH, "somebody");
    asked.await.unwrap()[0]
}

async fn ask(index: &TestIndex, listed: ListedHashes) -> Seq {
    order(index, Change::HashesSet { listed }).await
}

/// Why it was refused, if it was.
async fn refusal(index: &TestIndex, order: Seq) -> Option<String> {
    match orders(index).await.outcome(order).await.unwrap() {
        Some(Outcome::Refused { reason }) => Some(reason),
        Some(Outcome::Published { .. }) => None,
        None => panic!("not answered"),
    }
}

fn at(index: &TestIndex, path: &ObjectPath) -> PathBuf {
    let tree = index.folder.path().join("repository");
    tree.join(path.as_str())
}

/// Two names of one file have one number.
fn file_number(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().ino()
}

fn names(hashes: &Hashes) -> Vec<String> {
    hashes.iter().map(|(name, _)| name.to_owned()).collect()
}

/// Everything lists these, and has the names by them; what a client does with each is tried.
fn lists(index: &TestIndex, listed: ListedHashes, project: &str, files: usize) {
    let timestamp = index.client();
    let hashes = timestamp.timestamp().snapshot.hashes.clone().unwrap();
    assert_eq!(names(&hashes), listed.names());
    let project: ProjectName = project.parse().unwrap();
    assert_eq!(index.files(project.as_str()).len(), files);
    let page = index.page(project.as_str()).unwrap();
    let target = index.find(&page_target(&project)).unwrap();
    assert_eq!(names(&target.hashes), listed.names());
    let bytes = std::fs::read(at(
        index,
        &ObjectPath::page(&project, &target.sha256().unwrap()),
    ));
    let bytes = bytes.unwrap();
    let second = ObjectPath::page_by_sha512(&project, &Sha512::of(&bytes));
    if listed.sha512() {
        assert_eq!(std::fs::read(at(index, &second)).unwrap(), bytes);
    }
    for file in &page.files {
        let name = file.filename.as_str();
        let stated: Vec<&str> = file.hashes.iter().map(|(name, _)| name).collect();
        assert_eq!(stated, listed.names(), "{name}");
        let target = index.find(&file_target(&project, name).unwrap()).unwrap();
        assert_eq!(names(&target.hashes), listed.names(), "{name}");
        let sha256 = Sha256(file.sha256().unwrap().into());
        assert_eq!(target.sha256(), Some(sha256));
        let first = at(index, &ObjectPath::file(&project, &sha256, name).unwrap());
        let bytes = std::fs::read(&first).unwrap();
        assert_eq!(sha256, Sha256::of(&bytes));
        if listed.sha512() {
            let sha512 = Sha512::of(&bytes);
            assert_eq!(file.hashes.get("sha512"), Some(sha512.to_string().as_str()));
            let second = ObjectPath::file_by_sha512(&project, &sha512, name).unwrap();
            assert_eq!(file_number(&first), file_number(&at(index, &second)));
        }
    }
}

#[tokio::test]
async fn both_follow_on_one_and_one_on_both_and_back() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    index.upload(NAME, b"a wheel").await;
    index.upload("demo-1.0.tar.gz", &[7; LARGE]).await;
    index.upload("other-1.0.tar.gz", b"another").await;
    settle(&index).await;
    lists(&index, ListedHashes::Sha256, "demo", 2);
    let before = index.page("demo").unwrap();

    let asked = ask(&index, ListedHashes::Both).await;
    settle(&index).await;
    assert_eq!(refusal(&index, asked).await, None);
    lists(&index, ListedHashes::Both, "demo", 2);
    lists(&index, ListedHashes::Both, "other", 1);

    // What comes now lists both at once.
    let seq = index.upload("demo-2.0.tar.gz", b"newer").await;
    assert!(matches!(
        engine(&index).await.turn().await.unwrap(),
        Turn::Published { .. }
    ));
    assert!(index.published(seq).await);
    lists(&index, ListedHashes::Both, "demo", 3);
    assert_eq!(engine(&index).await.turn().await.unwrap(), Turn::Idle);

    let asked = ask(&index, ListedHashes::Sha512).await;
    settle(&index).await;
    assert_eq!(refusal(&index, asked).await, None);
    lists(&index, ListedHashes::Sha512, "demo", 3);
    lists(&index, ListedHashes::Sha512, "other", 1);
    index.upload("third-1.0.tar.gz", b"third").await;
    settle(&index).await;
    lists(&index, ListedHashes::Sha512, "third", 1);
    // A name takes the bytes alone that it has, by whichever hash that is seen.
    let again = index.place(NAME, b"other bytes").await;
    let seq = index.store.admit(again).await;
    assert!(
        !matches!(seq, Ok(wheelmark_store::Admission::Recorded(_))),
        "{seq:?}"
    );

    let removed = Change::FileRemoved {
        project: demo(),
        filename: "demo-2.0.tar.gz".to_owned(),
        reason: None,
    };
    order(&index, removed).await;
    for listed in [ListedHashes::Both, ListedHashes::Sha256] {
        let asked = ask(&index, listed).await;
        settle(&index).await;
        assert_eq!(refusal(&index, asked).await, None);
        lists(&index, listed, "demo", 2);
        lists(&index, listed, "third", 1);
    }
    let mut after = index.page("demo").unwrap();
    after.wheelmark.removed.clear();
    assert_eq!(after, before, "nothing is left of it");

    // One that comes back has what is listed now, in the end.
    let restored = Change::FileRestored {
        project: demo(),
        filename: "demo-2.0.tar.gz".to_owned(),
    };
    order(&index, restored).await;
    settle(&index).await;
    lists(&index, ListedHashes::Sha256, "demo", 3);
}

#[tokio::test]
async fn no_step_leaves_readers_without_a_hash_that_they_had() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    index.upload(NAME, b"a wheel").await;
    settle(&index).await;
    let asked = ask(&index, ListedHashes::Sha512).await;
    settle(&index).await;
    let why = refusal(&index, asked).await.unwrap();
    assert!(why.contains("list both first"), "{why}");
    // Dropped before everything has both.
    let both = ask(&index, ListedHashes::Both).await;
    let mut engine = engine(&index).await;
    engine.turn().await.unwrap();
    let early = ask(&index, ListedHashes::Sha512).await;
    engine.turn().await.unwrap();
    assert_eq!(refusal(&index, both).await, None);
    let why = refusal(&index, early).await.unwrap();
    assert!(why.contains("1 projects do not list both"), "{why}");
    assert!(engine.is_relisting());
    // Abandoned; and in one go it is not done either.
    drop(engine);
    settle(&index).await;
    ask(&index, ListedHashes::Sha256).await;
    settle(&index).await;
    let both = ask(&index, ListedHashes::Both).await;
    let early = ask(&index, ListedHashes::Sha512).await;
    let mut engine = self::engine(&index).await;
    engine.turn().await.unwrap();
    assert_eq!(refusal(&index, both).await, None);
    let why = refusal(&index, early).await.unwrap();
    assert!(why.contains("begins only now"), "{why}");
    ask(&index, ListedHashes::Sha256).await;
    while engine.turn().await.unwrap() != Turn::Idle {}
    drop(engine);
    lists(&index, ListedHashes::Sha256, "demo", 1);
}

#[tokio::test]
async fn whatever_is_cut_off_the_next_start_goes_on() {
    for phase in [
        Phase::Plan,
        Phase::Sign,
        Phase::Record,
        Phase::Write,
        Phase::Done,
    ] {
        for turns in [0, 1] {
            let index = TestIndex::new(4, BinForm::Succinct).await;
            index.upload(NAME, b"a wheel").await;
            settle(&index).await;
            ask(&index, ListedHashes::Both).await;
            let mut engine = engine(&index).await;
            for _ in 0..turns {
                engine.turn().await.unwrap();
            }
            engine.observe(move |at| assert!(at != phase, "stopped"));
            let turning = tokio::spawn(async move { drop(engine.turn().await) });
            assert!(turning.await.is_err(), "{phase:?}");
            settle(&index).await;
            lists(&index, ListedHashes::Both, "demo", 1);
        }
    }
}

#[tokio::test]
async fn a_file_that_is_altered_holds_up_its_own_project_alone() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    index.upload(NAME, b"a wheel").await;
    index.upload("other-1.0.tar.gz", b"another").await;
    settle(&index).await;
    let path = at(
        &index,
        &ObjectPath::file(&demo(), &Sha256::of(b"a wheel"), NAME).unwrap(),
    );
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"A WHEEL").unwrap();
    ask(&index, ListedHashes::Both).await;
    let mut engine = engine(&index).await;
    while engine.turn().await.unwrap() != Turn::Idle {}
    assert_eq!(engine.projects_behind(), 1);
    drop(engine);
    lists(&index, ListedHashes::Both, "other", 1);
    let page = index.page("demo").unwrap();
    assert_eq!(page.files[0].hashes.get("sha512"), None);
    let early = ask(&index, ListedHashes::Sha512).await;
    settle(&index).await;
    assert!(refusal(&index, early).await.is_some());

    // It is mended, and asked for once more.
    std::fs::write(&path, b"a wheel").unwrap();
    ask(&index, ListedHashes::Both).await;
    settle(&index).await;
    assert_eq!(std::fs::read(&path).unwrap(), b"a wheel");
    let page = index.page("demo").unwrap();
    assert!(page.files[0].hashes.get("sha512").is_some());
}

#[tokio::test]
async fn what_is_missing_is_looked_for_once_and_a_restart_knows_what_is_behind() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    // The first project in their order, and more than a turn reads.
    let size = 100 * 1024 * 1024;
    for name in ["aaa-1.0.tar.gz", "aaa-2.0.tar.gz"] {
        let mut file = index.place(name, name.as_bytes()).await;
        let path = at(
            &index,
            &ObjectPath::file(&file.project, &file.sha256, name).unwrap(),
        );
        std::fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(size)
            .unwrap();
        file.size = size;
        index.store.admit(file).await.unwrap();
    }
    index.upload("aaa-3.0.tar.gz", b"good").await;
    index.upload("other-1.0.tar.gz", b"another").await;
    settle(&index).await;
    ask(&index, ListedHashes::Both).await;
    let mut engine = engine(&index).await;
    for _ in 0..10 {
        engine.turn().await.unwrap();
    }
    assert_eq!(engine.turn().await.unwrap(), Turn::Idle);
    assert_eq!(engine.projects_behind(), 1);
    lists(&index, ListedHashes::Both, "other", 1);
    // Abandoned, and stopped before it was done.
    ask(&index, ListedHashes::Sha256).await;
    engine.turn().await.unwrap();
    drop(engine);
    let mut engine = self::engine(&index).await;
    assert_eq!(engine.projects_behind(), 2, "as the signed state says");
    while engine.turn().await.unwrap() != Turn::Idle {}
    assert_eq!(engine.projects_behind(), 0);
    let page = index.page("aaa").unwrap();
    assert!(
        page.files
            .iter()
            .all(|file| file.hashes.get("sha512").is_none())
    );
}

#[tokio::test]
async fn an_upload_that_is_not_what_its_row_says_is_found_out_where_it_is_read() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    ask(&index, ListedHashes::Both).await;
    settle(&index).await;
    let file = index.place(NAME, b"a wheel").await;
    let path = at(
        &index,
        &ObjectPath::file(&demo(), &file.sha256, NAME).unwrap(),
    );
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"A WHEEL").unwrap();
    let wheelmark_store::Admission::Recorded(seq) = index.store.admit(file).await.unwrap() else {
        panic!("not recorded");
    };
    settle(&index).await;
    match index.store.outcome(seq).await.unwrap() {
        Some(Outcome::Refused { reason }) => assert!(reason.contains("sha256"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(index.page("demo").is_none());
}

#[tokio::test]
async fn a_name_that_is_too_long_keeps_its_sha256() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let long = format!("demo-1.0+{}.tar.gz", "a".repeat(120));
    assert!(long.len() > 126);
    index.upload(&long, b"long").await;
    index.upload(NAME, b"a wheel").await;
    settle(&index).await;
    ask(&index, ListedHashes::Both).await;
    settle(&index).await;
    let target = file_target(&demo(), &long).unwrap();
    let found = index.find(&target).unwrap();
    assert_eq!(names(&found.hashes), ["sha256"]);
    assert_eq!(index.files("demo").len(), 2);
    let page = index.page("demo").unwrap();
    assert!(
        page.files
            .iter()
            .all(|file| file.hashes.get("sha512").is_some())
    );
    ask(&index, ListedHashes::Sha512).await;
    settle(&index).await;
    let found = index.find(&target).unwrap();
    assert_eq!(names(&found.hashes), ["sha256"]);
    assert_eq!(index.files("demo").len(), 2);
    let short = index.find(&file_target(&demo(), NAME).unwrap()).unwrap();
    assert_eq!(names(&short.hashes), ["sha512"]);
    // New ones are refused now.
    let long = format!("demo-2.0+{}.tar.gz", "a".repeat(120));
    let seq = index.upload(&long, b"long").await;
    settle(&index).await;
    match index.store.outcome(seq).await.unwrap() {
        Some(Outcome::Refused { reason }) => assert!(reason.contains("too long"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn names_that_were_lost_come_back_when_it_is_asked_for_once_more() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    index.upload(NAME, b"a wheel").await;
    settle(&index).await;
    ask(&index, ListedHashes::Both).await;
    settle(&index).await;
    let second = ObjectPath::file_by_sha512(&demo(), &Sha512::of(b"a wheel"), NAME).unwrap();
    let mut engine = engine(&index).await;
    std::fs::remove_file(at(&index, &second)).unwrap();
    assert_eq!(engine.turn().await.unwrap(), Turn::Idle);
    assert!(!at(&index, &second).exists());
    ask(&index, ListedHashes::Both).await;
    while engine.turn().await.unwrap() != Turn::Idle {}
    lists(&index, ListedHashes::Both, "demo", 1);
    std::fs::remove_file(at(&index, &second)).unwrap();
    engine.relist_all();
    while engine.turn().await.unwrap() != Turn::Idle {}
    drop(engine);
    lists(&index, ListedHashes::Both, "demo", 1);
}

#[tokio::test]
async fn uploads_go_on_meanwhile() {
    let index = TestIndex::new(16, BinForm::Succinct).await;
    for number in 0..300 {
        index.upload(&format!("p{number}-1.0.tar.gz"), b"one").await;
    }
    settle(&index).await;
    let asked = ask(&index, ListedHashes::Both).await;
    let mut engine = engine(&index).await;
    let mut turns = 0;
    loop {
        let seq = index.upload(&format!("q{turns}-1.0.tar.gz"), b"new").await;
        engine.turn().await.unwrap();
        assert!(index.published(seq).await, "turn {turns}");
        turns += 1;
        if !engine.is_relisting() && turns > 2 {
            break;
        }
    }
    drop(engine);
    assert!(turns > 2, "in several turns");
    assert_eq!(refusal(&index, asked).await, None);
    for project in ["p0", "p299", "q0", "q1"] {
        lists(&index, ListedHashes::Both, project, 1);
    }
}

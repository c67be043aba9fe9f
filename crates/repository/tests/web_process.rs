//! What a journal that a web process writes can ask of the index: new files, and nothing more.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/index.rs"]
mod index;

use index::TestIndex;
use jiff::SignedDuration;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{PageFile, ProjectPage, Signed};
use wheelmark_repository::{BinForm, JournalWriter, Turn};
use wheelmark_store::{Change, ListedHashes, NewFile, Outcome, Seq};

const NAME: &str = "demo-1.0-py3-none-any.whl";
const OTHER: &str = "demo-2.0-py3-none-any.whl";

fn demo() -> ProjectName {
    "demo".parse().unwrap()
}

async fn turn(index: &TestIndex) -> Turn {
    let engine = index.engine_of(JournalWriter::WebProcess).await;
    engine.unwrap().turn().await.unwrap()
}

/// Appends to the journal whatever the store itself would say to it.
async fn intrude(index: &TestIndex, change: &Change) -> Seq {
    let change = serde_json::to_string(change).unwrap().replace('\'', "''");
    index
        .sql(&format!("INSERT INTO journal (change) VALUES ('{change}')"))
        .await;
    index.store.journal_end().await.unwrap()
}

async fn refusal(index: &TestIndex, seq: Seq) -> String {
    match index.store.outcome(seq).await.unwrap() {
        Some(Outcome::Refused { reason }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn page(index: &TestIndex) -> ProjectPage {
    index.page("demo").unwrap()
}

fn entry(index: &TestIndex, name: &str) -> PageFile {
    page(index).file(name).unwrap().clone()
}

#[tokio::test]
async fn it_neither_removes_nor_yanks_nor_brings_back() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    index.upload(NAME, b"a wheel").await;
    index.upload(OTHER, b"another wheel").await;
    turn(&index).await;
    // Whoever runs the index takes one away, and yanks the other.
    let reason = Some("broken".to_owned());
    index.store.remove(&demo(), NAME).await.unwrap().unwrap();
    let yank = index.store.set_yanked(&demo(), OTHER, reason).await;
    yank.unwrap().unwrap();
    index.engine().await.turn().await.unwrap();
    let before = page(&index);
    assert_eq!(before.files.len(), 1);

    let (project, filename) = (demo(), OTHER.to_owned());
    let removed = Change::FileRemoved {
        project: project.clone(),
        filename: filename.clone(),
        reason: None,
    };
    let unyanked = Change::FileYanked {
        project,
        filename,
        yanked: None,
    };
    let back = Change::FileAdded(index.place(NAME, b"a wheel").await);
    let hashes = Change::HashesSet {
        listed: ListedHashes::Both,
    };
    for change in [removed, unyanked, back, hashes, Change::Renewal] {
        let seq = intrude(&index, &change).await;
        turn(&index).await;
        let why = refusal(&index, seq).await;
        assert!(why.contains("whoever runs the index"), "{why}");
    }
    assert_eq!(page(&index), before);
}

#[tokio::test]
async fn it_adds_nothing_that_was_there_before_or_is_yanked() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let marked = NewFile {
        back_signed: true,
        ..index.place(NAME, b"a wheel").await
    };
    let yanked = NewFile {
        yanked: Some(String::new()),
        ..index.place(OTHER, b"another wheel").await
    };
    for file in [marked, yanked] {
        let seq = intrude(&index, &Change::FileAdded(file)).await;
        turn(&index).await;
        let why = refusal(&index, seq).await;
        assert!(why.contains("an upload is neither"), "{why}");
    }
    assert!(index.page("demo").is_none());
}

#[tokio::test]
async fn its_upload_times_are_of_today_and_waiting_loses_nothing() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let old = NewFile {
        uploaded_at: "2019-03-01T12:00:00Z".parse().unwrap(),
        ..index.place(NAME, b"a wheel").await
    };
    let old = intrude(&index, &Change::FileAdded(old)).await;
    let recent = index.upload(OTHER, b"another wheel").await;
    index.clock.forward(SignedDuration::from_mins(9));
    turn(&index).await;
    assert!(index.published(old).await && index.published(recent).await);
    let time = |name| entry(&index, name).upload_time.unwrap().as_second();
    assert_eq!(time(NAME), 1_780_000_000 - 60);
    assert_eq!(time(OTHER), 1_780_000_000);

    // The index was off for a month.
    let waited = index.upload("demo-3.0-py3-none-any.whl", b"a third").await;
    index.clock.forward(SignedDuration::from_hours(30 * 24));
    turn(&index).await;
    assert!(index.published(waited).await);
    let late = entry(&index, "demo-3.0-py3-none-any.whl");
    let signed_at = late.wheelmark.as_ref().unwrap().signed_at;
    let before = signed_at.duration_since(late.upload_time.unwrap());
    assert_eq!(before, SignedDuration::from_mins(10));
    assert_eq!(late.wheelmark.unwrap().signed, Signed::AtUpload);
}

#[tokio::test]
async fn a_position_far_away_does_not_become_the_last_one() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let first = index.upload(NAME, b"a wheel").await;
    for seq in [first.0 + 1_000_001, i64::MAX.unsigned_abs()] {
        index
            .sql(&format!(
                "INSERT INTO journal (seq, change) VALUES ({seq}, '{{}}')"
            ))
            .await;
    }
    turn(&index).await;
    assert!(index.published(first).await);
    assert_eq!(turn(&index).await, Turn::Idle);
    assert_eq!(
        index.store.outcome(Seq(first.0 + 1_000_001)).await.unwrap(),
        None
    );

    // Once they are gone, all is as before.
    index
        .sql(&format!("DELETE FROM journal WHERE seq > {first}"))
        .await;
    index
        .sql(&format!(
            "UPDATE sqlite_sequence SET seq = {first} WHERE name = 'journal'"
        ))
        .await;
    let next = index.upload(OTHER, b"another wheel").await;
    turn(&index).await;
    assert!(index.published(next).await);

    // A gap that additions can leave is one to go over.
    index
        .sql(&format!(
            "UPDATE sqlite_sequence SET seq = {} WHERE name = 'journal'",
            next.0 + 999_999
        ))
        .await;
    let beyond = index.upload("demo-3.0-py3-none-any.whl", b"a third").await;
    assert_eq!(beyond.0, next.0 + 1_000_000);
    turn(&index).await;
    assert!(index.published(beyond).await);
}

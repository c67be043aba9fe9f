//! A crash after any step of a publish loses nothing and signs no version twice.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/index.rs"]
mod index;

use std::collections::BTreeMap;

use index::TestIndex;
use wheelmark_repository::{BinForm, Phase, Turn};

/// Lets the engine run into `phase` of its next turn, and no further.
async fn crash_in(index: &TestIndex, phase: Phase) {
    let mut engine = index.engine().await;
    engine.observe(move |now| assert!(now != phase, "the crash that this test wants"));
    let crashed = tokio::spawn(async move { engine.turn().await.map(drop) }).await;
    assert!(crashed.unwrap_err().is_panic());
}

#[tokio::test]
async fn every_step_can_be_the_last_one() {
    for phase in [
        Phase::Plan,
        Phase::Sign,
        Phase::Record,
        Phase::Write,
        Phase::Done,
    ] {
        let index = TestIndex::new(4, BinForm::Succinct).await;
        let seq = index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
        crash_in(&index, phase).await;
        let seen = index.versions();

        let mut engine = index.engine().await;
        let turn = engine.turn().await.unwrap();
        let replayed = matches!(phase, Phase::Write | Phase::Done);
        assert_eq!(matches!(turn, Turn::Idle), replayed, "{phase:?}: {turn:?}");
        assert!(index.published(seq).await, "{phase:?}");
        assert_eq!(index.files("demo").len(), 1, "{phase:?}");
        assert_unchanged(&seen, &index.versions());
    }
}

#[tokio::test]
async fn a_record_is_replayed_whatever_part_of_it_was_written() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let seq = index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
    crash_in(&index, Phase::Write).await;
    let intent = index.store.intent().await.unwrap().unwrap();
    // As if the crash had come after the first object.
    let (path, bytes) = &intent.objects[1];
    let file = index.folder.path().join("repository").join(path);
    std::fs::write(&file, bytes).unwrap();

    let engine = index.engine().await;
    assert_eq!(engine.snapshot_version(), intent.snapshot_version);
    assert!(index.published(seq).await);
    for (path, bytes) in &intent.objects {
        let file = index.folder.path().join("repository").join(path);
        assert_eq!(&std::fs::read(file).unwrap(), bytes, "{path}");
    }
}

#[tokio::test]
async fn a_record_that_was_tampered_with_is_dropped_and_planned_anew() {
    let changes = [
        "UPDATE intent_object SET bytes = CAST(REPLACE(CAST(bytes AS TEXT), '\"length\":7', '\"length\":8') AS BLOB)",
        "UPDATE intent SET timestamp_version = 1000",
        "UPDATE intent SET through = 1000",
        "UPDATE intent SET after_publish = REPLACE(after_publish, 'demo', 'evil')",
        "UPDATE intent SET after_publish = 'no JSON'",
        "DELETE FROM intent_object WHERE position = 0",
    ];
    for change in changes {
        let index = TestIndex::new(4, BinForm::Succinct).await;
        let seq = index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
        crash_in(&index, Phase::Write).await;
        assert!(index.sql(change).await > 0, "{change}");
        let before = index.versions();

        let mut engine = index.engine().await;
        assert!(
            index.page("demo").is_none(),
            "{change}: published as it was"
        );
        engine.turn().await.unwrap();
        assert_eq!(index.files("demo").len(), 1, "{change}");
        assert!(index.published(seq).await, "{change}");
        assert_unchanged(&before, &index.versions());
    }
}

#[tokio::test]
async fn a_genuine_record_of_earlier_days_does_not_come_back() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let name = "demo-1.0-py3-none-any.whl";
    index.upload("first-1.0-py3-none-any.whl", b"a wheel").await;
    crash_in(&index, Phase::Write).await;
    for table in ["intent", "intent_object"] {
        index
            .sql(&format!(
                "CREATE TABLE kept_{table} AS SELECT * FROM {table}"
            ))
            .await;
    }
    // Under a number of its own, so that it stands beside those that are there.
    index.sql("UPDATE kept_intent SET id = 100").await;
    index
        .sql("UPDATE kept_intent_object SET intent = 100")
        .await;
    let mut engine = index.engine().await;
    index.upload(name, b"a wheel").await;
    engine.turn().await.unwrap();
    let published = index.files("demo");

    // An intruder brings the old record back and rewrites the journal behind it.
    for table in ["intent", "intent_object"] {
        index
            .sql(&format!("INSERT INTO {table} SELECT * FROM kept_{table}"))
            .await;
    }
    let other = index.place(name, b"another wheel").await;
    let change = serde_json::to_string(&wheelmark_store::Change::FileAdded(other)).unwrap();
    index
        .sql(&format!(
            "UPDATE journal SET change = '{change}' WHERE seq = 2"
        ))
        .await;

    index.upload("later-1.0-py3-none-any.whl", b"a wheel").await;
    // The turn that finds the record in its way drops it, and the next one goes on.
    assert!(engine.turn().await.is_err());
    engine.turn().await.unwrap();
    assert_eq!(index.files("demo"), published);
    assert_eq!(index.files("later").len(), 1);
}

#[tokio::test]
async fn a_version_under_which_another_file_stands_is_skipped() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    let metadata = index.folder.path().join("repository/metadata");
    std::fs::write(metadata.join("2.snapshot.json"), b"foreign").unwrap();
    let seq = index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
    let turn = engine.turn().await.unwrap();
    assert!(
        matches!(
            turn,
            Turn::Published {
                snapshot_version: 3,
                ..
            }
        ),
        "{turn:?}"
    );
    assert!(index.published(seq).await);
    assert_eq!(
        std::fs::read(metadata.join("2.snapshot.json")).unwrap(),
        b"foreign"
    );
    assert_eq!(index.files("demo").len(), 1);
}

fn assert_unchanged(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in before {
        assert_eq!(after.get(name), Some(bytes), "{name} was signed twice");
    }
}

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
async fn a_record_that_was_tampered_with_is_not_published() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
    crash_in(&index, Phase::Write).await;
    let path = index.folder.path().join("catalogue.sqlite");
    let url = format!("sqlite://{}", path.display());
    let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url)
        .await
        .unwrap();
    let changed = sqlx::query(
        "UPDATE intent_object SET bytes = CAST(REPLACE(CAST(bytes AS TEXT), '\"length\":7', '\"length\":8') AS BLOB)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    assert!(changed.rows_affected() > 0);
    let before = index.versions();
    let error = match index.try_engine().await {
        Ok(_) => panic!("a changed record was taken"),
        Err(error) => error,
    };
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    assert!(text.contains("not as this index signed it"), "{text}");
    assert_unchanged(&before, &index.versions());
    assert!(index.page("demo").is_none());
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

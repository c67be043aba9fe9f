use std::time::Duration;

use wheelmark_store::{Admission, FileState, Outcome, Seq, Settlement, Store};

use super::backend::{Backend, file, intent, project, recorded};

/// Far longer than any wait in here should be.
const LONG: Duration = Duration::from_secs(20);

pub(crate) fn published(version: u64) -> Outcome {
    Outcome::Published {
        snapshot_version: version,
    }
}

pub(crate) fn refused(reason: &str) -> Outcome {
    Outcome::Refused {
        reason: reason.to_owned(),
    }
}

/// What a snapshot does that has these outcomes and nothing else: its serial number is the last
/// position.
pub(crate) fn settled(outcomes: &[(Seq, Outcome)]) -> Settlement<'_> {
    Settlement {
        serial: outcomes.last().unwrap().0,
        outcomes,
        ordered: &[],
    }
}

/// Publishes a snapshot that settles `outcomes`.
pub(crate) async fn publish(store: &Store, version: u64, outcomes: &[(Seq, Outcome)]) {
    let fence = store.acquire_lease("test").await.unwrap();
    let through = outcomes.last().unwrap().0;
    let id = store
        .record_intent(fence, &intent(version, through))
        .await
        .unwrap();
    store
        .complete_intent(fence, id, settled(outcomes))
        .await
        .unwrap();
}

pub(crate) async fn a_published_file_is_marked_and_its_project_listed(backend: &impl Backend) {
    let store = backend.open().await;
    let seq = recorded(&store, file("b", "b-1.tar.gz", "x")).await;
    recorded(&store, file("a", "a-1.tar.gz", "x")).await;
    assert_eq!(store.outcome(seq).await.unwrap(), None);

    publish(&store, 2, &[(seq, published(2))]).await;

    assert_eq!(store.outcome(seq).await.unwrap(), Some(published(2)));
    let row = store.file(&project("b"), "b-1.tar.gz").await.unwrap();
    assert_eq!(row.unwrap().state, FileState::Published);
    let pending = store.file(&project("a"), "a-1.tar.gz").await.unwrap();
    assert_eq!(pending.unwrap().state, FileState::Pending);
    assert_eq!(store.projects().await.unwrap(), [project("b")]);
}

pub(crate) async fn a_refused_file_leaves_its_name_free(backend: &impl Backend) {
    let store = backend.open().await;
    let first = recorded(&store, file("a", "a-1.tar.gz", "bad")).await;
    publish(&store, 2, &[(first, refused("the blob is missing"))]).await;

    assert_eq!(
        store.outcome(first).await.unwrap(),
        Some(refused("the blob is missing"))
    );
    let gone = store.file(&project("a"), "a-1.tar.gz").await.unwrap();
    assert_eq!(gone, None);
    // Both other bytes and the same bytes may come again; each is a new row.
    let second = recorded(&store, file("a", "a-1.tar.gz", "good")).await;
    assert!(second > first);
    publish(&store, 3, &[(second, refused("again"))]).await;
    let third = recorded(&store, file("a", "a-1.tar.gz", "good")).await;
    assert!(third > second);
}

pub(crate) async fn refusing_a_published_row_takes_nothing_away(backend: &impl Backend) {
    let store = backend.open().await;
    let seq = recorded(&store, file("a", "a-1.tar.gz", "x")).await;
    publish(&store, 2, &[(seq, published(2))]).await;
    publish(&store, 3, &[(seq, refused("confused"))]).await;
    let row = store.file(&project("a"), "a-1.tar.gz").await.unwrap();
    assert_eq!(row.unwrap().state, FileState::Published);
    assert_eq!(
        store.admit(file("a", "a-1.tar.gz", "x")).await.unwrap(),
        Admission::Same(seq)
    );
}

pub(crate) async fn an_outcome_is_said_once(backend: &impl Backend) {
    let store = backend.open().await;
    let seq = recorded(&store, file("a", "a-1.tar.gz", "x")).await;
    publish(&store, 2, &[(seq, refused("first"))]).await;
    publish(&store, 3, &[(seq, published(3))]).await;
    assert_eq!(store.outcome(seq).await.unwrap(), Some(refused("first")));
}

pub(crate) async fn waiting_ends_with_the_outcome(backend: &impl Backend) {
    let store = backend.open().await;
    let seq = recorded(&store, file("a", "a-1.tar.gz", "x")).await;
    let waiters: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.wait(seq, LONG).await.unwrap() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    publish(&store, 2, &[(seq, published(2))]).await;
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), Some(published(2)));
    }
    // What is settled is said at once, even to one who has no time.
    let said = store.wait(seq, Duration::ZERO).await.unwrap();
    assert_eq!(said, Some(published(2)));
}

pub(crate) async fn waiting_sees_the_outcome_of_another_process(backend: &impl Backend) {
    let here = backend.open().await;
    let there = backend.open().await;
    let seq = recorded(&here, file("a", "a-1.tar.gz", "x")).await;
    let waiter = tokio::spawn(async move { here.wait(seq, LONG).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(20)).await;
    publish(&there, 2, &[(seq, published(2))]).await;
    assert_eq!(waiter.await.unwrap(), Some(published(2)));
}

pub(crate) async fn waiting_ends_with_its_time(backend: &impl Backend) {
    let store = backend.open().await;
    let seq = recorded(&store, file("a", "a-1.tar.gz", "x")).await;
    let none = store.wait(seq, Duration::from_millis(150)).await.unwrap();
    assert_eq!(none, None);
    // The upload stays recorded all the same.
    let row = store.file(&project("a"), "a-1.tar.gz").await.unwrap();
    assert_eq!(row.unwrap().seq, seq);
}

pub(crate) async fn refusals_need_no_snapshot(backend: &impl Backend) {
    let store = backend.open().await;
    let seq = recorded(&store, file("a", "a-1.tar.gz", "x")).await;
    let fence = store.acquire_lease("test").await.unwrap();
    store
        .record_outcomes(fence, &[(seq, refused("no"))])
        .await
        .unwrap();
    let said = store.wait(seq, Duration::ZERO).await.unwrap();
    assert_eq!(said, Some(refused("no")));
    let gone = store.file(&project("a"), "a-1.tar.gz").await.unwrap();
    assert_eq!(gone, None);
}

use wheelmark_store::{IntentError, Outcome, Seq, Settlement};

use super::backend::{Backend, file, intent, recorded};
use super::outcome::settled;

pub(crate) async fn an_intent_comes_back_byte_for_byte(backend: &impl Backend) {
    let store = backend.open().await;
    assert_eq!(store.intent().await.unwrap(), None);
    let fence = store.acquire_lease("test").await.unwrap();
    let written = intent(2, Seq(0));
    store.record_intent(fence, &written).await.unwrap();
    assert_eq!(store.intent().await.unwrap(), Some(written));
    store
        .complete_intent(fence, 2, Settlement::default())
        .await
        .unwrap();
    assert_eq!(store.intent().await.unwrap(), None);
}

pub(crate) async fn an_intent_survives_reopening(backend: &impl Backend) {
    let store = backend.open().await;
    let fence = store.acquire_lease("test").await.unwrap();
    let written = intent(2, Seq(0));
    store.record_intent(fence, &written).await.unwrap();
    store.close().await;
    drop(store);
    let store = backend.open().await;
    assert_eq!(store.intent().await.unwrap(), Some(written));
}

pub(crate) async fn a_second_intent_waits_for_the_first(backend: &impl Backend) {
    let store = backend.open().await;
    let fence = store.acquire_lease("test").await.unwrap();
    let first = intent(2, Seq(0));
    store.record_intent(fence, &first).await.unwrap();

    let refused = store.record_intent(fence, &intent(3, Seq(0))).await;

    assert!(
        matches!(
            refused,
            Err(IntentError::Unfinished {
                snapshot_version: 2
            })
        ),
        "{refused:?}"
    );
    assert_eq!(store.intent().await.unwrap(), Some(first));
}

pub(crate) async fn a_repeated_path_records_nothing(backend: &impl Backend) {
    let store = backend.open().await;
    let fence = store.acquire_lease("test").await.unwrap();
    let mut twice = intent(2, Seq(0));
    twice.objects.push(twice.objects[0].clone());
    assert!(store.record_intent(fence, &twice).await.is_err());
    assert_eq!(store.intent().await.unwrap(), None);
    let sound = intent(2, Seq(0));
    store.record_intent(fence, &sound).await.unwrap();
    assert_eq!(store.intent().await.unwrap(), Some(sound));
}

pub(crate) async fn completing_another_version_changes_nothing(backend: &impl Backend) {
    let store = backend.open().await;
    let seq = recorded(&store, file("a", "a-1.tar.gz", "x")).await;
    let fence = store.acquire_lease("test").await.unwrap();
    let published = |version| {
        [(
            seq,
            Outcome::Published {
                snapshot_version: version,
            },
        )]
    };
    let none = store
        .complete_intent(fence, 2, settled(&published(2)))
        .await;
    assert!(
        matches!(
            none,
            Err(IntentError::NotRecorded {
                snapshot_version: 2
            })
        ),
        "{none:?}"
    );
    store.record_intent(fence, &intent(2, seq)).await.unwrap();
    let other = store
        .complete_intent(fence, 3, settled(&published(3)))
        .await;
    assert!(
        matches!(other, Err(IntentError::NotRecorded { .. })),
        "{other:?}"
    );
    assert_eq!(store.outcome(seq).await.unwrap(), None);
    assert!(store.intent().await.unwrap().is_some());
}

pub(crate) async fn a_discarded_intent_leaves_its_rows_pending(backend: &impl Backend) {
    let store = backend.open().await;
    let seq = recorded(&store, file("a", "a-1.tar.gz", "x")).await;
    let fence = store.acquire_lease("test").await.unwrap();
    store.record_intent(fence, &intent(2, seq)).await.unwrap();
    store.clear_intent(fence).await.unwrap();
    assert_eq!(store.intent().await.unwrap(), None);
    assert_eq!(store.outcome(seq).await.unwrap(), None);
    store.record_intent(fence, &intent(3, seq)).await.unwrap();
}

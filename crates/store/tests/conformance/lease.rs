use wheelmark_store::{IntentError, Outcome, Seq};

use super::backend::{Backend, file, intent, recorded};
use super::outcome::settled;

pub(crate) async fn fences_strictly_grow(backend: &impl Backend) {
    let stores = [backend.open().await, backend.open().await];
    let takers = (0..12).map(|n| {
        let store = stores[n % 2].clone();
        tokio::spawn(async move { store.acquire_lease(&format!("holder {n}")).await.unwrap() })
    });
    let mut numbers = Vec::new();
    for taker in takers.collect::<Vec<_>>() {
        numbers.push(taker.await.unwrap().number());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=12).collect::<Vec<u64>>());
}

pub(crate) async fn fences_grow_across_reopening(backend: &impl Backend) {
    let store = backend.open().await;
    let first = store.acquire_lease("first").await.unwrap();
    store.close().await;
    let second = backend.open().await.acquire_lease("second").await.unwrap();
    assert!(second > first);
}

pub(crate) async fn an_old_fence_can_record_nothing(backend: &impl Backend) {
    let paused = backend.open().await;
    let successor = backend.open().await;
    let old = paused.acquire_lease("paused").await.unwrap();
    let new = successor.acquire_lease("successor").await.unwrap();

    let refused = paused.record_intent(old, &intent(2, Seq(0))).await;

    match refused {
        Err(IntentError::Fenced { held, current }) => {
            assert_eq!((held, current), (old.number(), new.number()));
        }
        other => panic!("not fenced: {other:?}"),
    }
    assert_eq!(successor.intent().await.unwrap(), None);
    let taken = intent(3, Seq(0));
    successor.record_intent(new, &taken).await.unwrap();
    assert_eq!(successor.intent().await.unwrap(), Some(taken));
}

pub(crate) async fn an_old_fence_can_complete_nothing(backend: &impl Backend) {
    let store = backend.open().await;
    let seq = recorded(&store, file("a", "a-1.tar.gz", "x")).await;
    let old = store.acquire_lease("paused").await.unwrap();
    let id = store.record_intent(old, &intent(2, seq)).await.unwrap();
    let new = store.acquire_lease("successor").await.unwrap();
    let outcomes = [(
        seq,
        Outcome::Published {
            snapshot_version: 2,
        },
    )];

    for refused in [
        store.complete_intent(old, id, settled(&outcomes)).await,
        store.forget_intents(old, id).await,
        store.drop_intent(old, id).await,
        store.clear_intent(old).await,
        store.record_outcomes(old, &outcomes).await,
    ] {
        assert!(
            matches!(refused, Err(IntentError::Fenced { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(store.outcome(seq).await.unwrap(), None);
    assert!(store.intent().await.unwrap().is_some());

    store
        .complete_intent(new, id, settled(&outcomes))
        .await
        .unwrap();
    assert!(store.outcome(seq).await.unwrap().is_some());
}

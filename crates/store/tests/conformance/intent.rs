use wheelmark_store::{
    Admission, IntentError, KeptObject, KeptPlace, Outcome, Scope, Seq, Settlement,
};

use super::backend::{Backend, added_user, file, intent, recorded, token_of};
use super::outcome::settled;

pub(crate) async fn an_intent_comes_back_byte_for_byte(backend: &impl Backend) {
    let store = backend.open().await;
    assert_eq!(store.intent().await.unwrap(), None);
    let fence = store.acquire_lease("test").await.unwrap();
    let written = intent(2, Seq(0));
    let id = store.record_intent(fence, &written).await.unwrap();
    assert_eq!(store.intent().await.unwrap(), Some(written));
    store
        .complete_intent(fence, id, Settlement::default())
        .await
        .unwrap();
    assert_eq!(store.intent().await.unwrap(), None);
}

pub(crate) async fn a_completed_intent_stays_until_it_is_forgotten(backend: &impl Backend) {
    let store = backend.open().await;
    let fence = store.acquire_lease("test").await.unwrap();
    let mut ids = Vec::new();
    for version in [2, 3, 4] {
        let id = store
            .record_intent(fence, &intent(version, Seq(0)))
            .await
            .unwrap();
        ids.push(id);
        if version < 4 {
            let completed = store.complete_intent(fence, id, Settlement::default());
            completed.await.unwrap();
            let again = store.complete_intent(fence, id, Settlement::default());
            let again = again.await;
            assert!(matches!(again, Err(IntentError::NotRecorded)), "{again:?}");
        }
    }
    let standing = || async {
        let recorded = store.recorded_intents().await.unwrap();
        let standing = recorded.into_iter().map(|recorded| {
            let intent = recorded.intent.unwrap();
            assert_eq!(intent.objects.len(), 3);
            (recorded.id, recorded.completed, intent.snapshot_version)
        });
        standing.collect::<Vec<_>>()
    };
    let (two, three, four) = ((ids[0], true, 2), (ids[1], true, 3), (ids[2], false, 4));
    assert_eq!(standing().await, [two, three, four]);
    store.forget_intents(fence, ids[0]).await.unwrap();
    assert_eq!(standing().await, [three, four]);
    store.forget_intents(fence, ids[2]).await.unwrap();
    assert_eq!(standing().await, [four], "it is not completed");
    store.clear_intent(fence).await.unwrap();
    assert_eq!(standing().await, []);
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

pub(crate) async fn completing_what_is_not_recorded_changes_nothing(backend: &impl Backend) {
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
    let gone = store.record_intent(fence, &intent(2, seq)).await.unwrap();
    let kept = store.record_intent(fence, &intent(3, seq)).await;
    assert!(
        matches!(kept, Err(IntentError::Unfinished { .. })),
        "{kept:?}"
    );
    store.drop_intent(fence, gone).await.unwrap();
    let other = store
        .complete_intent(fence, gone, settled(&published(2)))
        .await;
    assert!(matches!(other, Err(IntentError::NotRecorded)), "{other:?}");
    assert_eq!(store.outcome(seq).await.unwrap(), None);
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

pub(crate) async fn kept_objects_go_with_the_snapshot_that_takes_them_in(backend: &impl Backend) {
    let store = backend.open().await;
    added_user(&store, "alice").await;
    let bearer = token_of(&store, "alice", Scope::Admin, 1).await;
    let kept = |content: &str, len| KeptObject {
        path: format!("targets/packages/a/{content}"),
        bytes: content.as_bytes().repeat(len),
    };
    let mut admitted = Vec::new();
    for content in ["x", "y", "z"] {
        let objects = [kept(content, 1), kept(content, 2)];
        let new = file("a", &format!("a-{content}.tar.gz"), content);
        match store.admit_keeping(new, &objects, &bearer, None).await {
            Ok(Admission::Recorded(seq)) => admitted.push(seq),
            other => panic!("not recorded: {other:?}"),
        }
    }
    let standing = || async {
        let (mut standing, mut place) = (Vec::new(), KeptPlace::default());
        while let Some((objects, next)) = store.kept_objects(place).await.unwrap() {
            standing.extend(objects);
            place = next;
        }
        standing
    };
    let all = ["x", "y", "z"].map(|content| [kept(content, 1), kept(content, 2)]);
    assert_eq!(standing().await, all.concat());

    let fence = store.acquire_lease("test").await.unwrap();
    let id = store.record_intent(fence, &intent(2, admitted[1])).await;
    let id = id.unwrap();
    store.forget_intents(fence, id).await.unwrap();
    assert_eq!(standing().await, all.concat(), "it is not completed");
    let refused = [(
        admitted[1],
        Outcome::Refused {
            reason: "no".to_owned(),
        },
    )];
    store
        .complete_intent(fence, id, settled(&refused))
        .await
        .unwrap();
    let of_files = [all[0].clone(), all[2].clone()].concat();
    assert_eq!(standing().await, of_files, "one of them came to nothing");
    store.forget_intents(fence, id).await.unwrap();
    assert_eq!(standing().await, all[2], "its row waits for a snapshot");
}

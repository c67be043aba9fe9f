//! Mirrors on record, and what is found when one is added.

use wheelmark_client::{
    FetchError, Mirror, MirrorState, RefreshFailure, TrustError, TrustStore, Turn, check_mirror,
};
use wheelmark_tuf::Clock as _;

use super::Pair;
use crate::index::tamper;
use crate::setup::remote;

#[tokio::test]
async fn mirrors_come_and_go_without_trust_beginning_anew() {
    let pair = Pair::new().await;
    let reader = pair.reader();
    let store = TrustStore::open(pair.home.path()).unwrap();
    let find = || store.find(pair.trusted.urls().simple()).unwrap().unwrap();
    assert_eq!(
        find().record(),
        pair.trusted.record(),
        "the record holds the mirrors"
    );

    let files = Mirror::new(None, None, Some("http://m.example/files"), Turn::Before).unwrap();
    let mut index = find();
    assert!(index.add_mirror(files.clone()).await.unwrap());
    assert!(!find().add_mirror(files.clone()).await.unwrap(), "once");
    assert_eq!(find().urls().mirrors().len(), 2);
    assert_eq!(find().urls().mirrors()[1], files);
    // A run that began before goes on.
    assert_eq!(reader.refresh().await.unwrap(), 2);

    for mirror in find().urls().mirrors() {
        assert!(find().remove_mirror(mirror).await.unwrap());
    }
    assert!(!find().remove_mirror(&files).await.unwrap());
    // Without mirrors the record is what it was before there were any.
    let text = std::fs::read_to_string(pair.trusted.directory().join("index.toml")).unwrap();
    assert!(!text.contains("mirror"), "{text}");
    store.remove(pair.trusted.urls().simple()).await.unwrap();
    assert!(matches!(
        index.add_mirror(files).await,
        Err(TrustError::BegunAnew { .. })
    ));
}

#[tokio::test]
async fn what_a_mirror_has_is_told_when_it_is_added() {
    let mut pair = Pair::new().await;
    let listed = pair.trusted.urls().mirrors()[0].clone();
    let now = pair.index.clock.now();
    let check = async |mirror: &Mirror| {
        check_mirror(&pair.trusted, mirror, &remote(), now)
            .await
            .unwrap()
    };
    assert!(matches!(
        check(&listed).await,
        MirrorState::Current { version: 2 }
    ));
    let files = Mirror::new(
        None,
        None,
        Some(&format!("{}/targets", pair.mirror.base)),
        Turn::After,
    );
    assert!(matches!(
        check(&files.unwrap()).await,
        MirrorState::TargetsAlone
    ));
    let nobody = Mirror::new(Some("http://127.0.0.1:9/"), None, None, Turn::After).unwrap();
    assert!(matches!(
        check(&nobody).await,
        MirrorState::Down(RefreshFailure::Fetch(FetchError::Connect { .. }))
    ));
    let bad = tamper(&pair.copy.path().join("metadata/timestamp.json"), 150);
    assert!(matches!(check(&listed).await, MirrorState::Bad(_)));
    bad.undo();
    pair.publish("demo-4.0.tar.gz").await;
    pair.reader().refresh().await.unwrap();
    let now = pair.index.clock.now();
    let state = check_mirror(&pair.trusted, &listed, &remote(), now)
        .await
        .unwrap();
    assert!(
        matches!(
            state,
            MirrorState::Behind {
                version: 2,
                known: 3
            }
        ),
        "{state:?}"
    );
}

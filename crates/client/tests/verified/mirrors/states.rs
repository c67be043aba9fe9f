//! Root, timestamp and what they name, from sources that are not of one mind.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use jiff::SignedDuration;
use wheelmark_client::{
    Beginning, Patience, Reader, RefreshFailure, Remote, TrustStore, Turn, add_trust,
};
use wheelmark_tuf::Clock as _;

use super::{Pair, SMALL_FILE, only};
use crate::index::SMALL;
use crate::setup::{Front, PLAIN, remote};
use wheelmark_testing::{At, Fault};

#[tokio::test]
async fn the_newest_timestamp_wins_and_who_is_behind_is_told() {
    for mirror_first in [Turn::Before, Turn::After] {
        let mut pair = Pair::with(mirror_first).await;
        pair.publish("demo-4.0.tar.gz").await;
        let reader = pair.reader();
        assert_eq!(reader.refresh().await.unwrap(), 3);
        let warning = only(reader.warnings());
        assert_eq!(warning.source, pair.mirror_name());
        let said = "is behind: its state is version 2, valid until 20";
        assert!(warning.what.starts_with(said), "{warning:?}");
        assert!(warning.what.ends_with("version 3 is known"), "{warning:?}");
        // What it has is used all the same, after the others.
        pair.own
            .set_fault(Fault::Answers(SMALL, StatusCode::NOT_FOUND));
        let front = Front::new(reader).await;
        assert_eq!(front.get_file(SMALL).await.status(), 200);
    }
}

#[tokio::test]
async fn behind_the_mirrors_of_an_index_that_is_down() {
    let mut pair = Pair::new().await;
    pair.own
        .set_fault(Fault::Answers("", StatusCode::BAD_GATEWAY));
    let reader = pair.reader();
    assert_eq!(reader.refresh().await.unwrap(), 2);
    assert_eq!(only(reader.warnings()).source, pair.own_name());

    // The mirror goes back, while the index itself is down: the cached state goes on.
    pair.own.set_fault(Fault::None);
    let old = std::fs::read(pair.copy.path().join("metadata/timestamp.json")).unwrap();
    pair.publish("demo-4.0.tar.gz").await;
    pair.update_mirror();
    assert_eq!(pair.reader().refresh().await.unwrap(), 3);
    std::fs::write(pair.copy.path().join("metadata/timestamp.json"), old).unwrap();
    pair.own
        .set_fault(Fault::Answers("", StatusCode::BAD_GATEWAY));
    let reader = pair.reader();
    assert_eq!(reader.refresh().await.unwrap(), 3);
    let warnings = reader.warnings();
    let behind = warnings.iter().find(|w| w.source == pair.mirror_name());
    assert!(behind.unwrap().what.contains("is behind"), "{warnings:#?}");
    let front = Front::new(reader).await;
    let page = front.page().await;
    assert_eq!(page["files"].as_array().unwrap().len(), 4);

    // Not for longer than it is valid.
    pair.index.clock.forward(SignedDuration::from_hours(25));
    match &*pair.reader().refresh().await.unwrap_err() {
        RefreshFailure::EverySource { what, tried } => {
            assert_eq!(what, "timestamp.json");
            assert!(matches!(
                tried[..],
                [
                    (_, RefreshFailure::Refused { .. } | RefreshFailure::Fetch(_)),
                    _
                ]
            ));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_new_timestamp_alone_keeps_nobody_from_an_install() {
    let mut pair = Pair::new().await;
    pair.publish("demo-4.0.tar.gz").await;
    // One source has the new timestamp and nothing that it names, the other the old state whole.
    pair.own
        .set_fault(Fault::Answers("3.snapshot", StatusCode::NOT_FOUND));
    let store_at = tempfile::tempdir().unwrap();
    let trusted = add_trust(
        &TrustStore::open(store_at.path()).unwrap(),
        &remote(),
        pair.trusted.urls().clone(),
        Beginning::Fingerprint(pair.index.fingerprint),
        pair.index.clock.now(),
    )
    .await
    .unwrap();
    assert_eq!(trusted.state().unwrap().timestamp.unwrap().version, 2);
    // Nor does it the next time: the timestamp is no floor before its snapshot was seen.
    let mut reader = None;
    for _ in 0..2 {
        let (trusted, clock) = (trusted.clone(), pair.index.clock.clone());
        let this = Arc::new(Reader::new(trusted, remote(), clock, PLAIN));
        assert_eq!(this.refresh().await.unwrap(), 2);
        let warnings = this.warnings();
        let said = "nobody has all of it; version 2 is used";
        assert!(
            warnings.iter().any(|w| w.what.contains(said)),
            "{warnings:#?}"
        );
        reader = Some(this);
    }
    let reader = reader.unwrap();
    // When the attack ends, so does this.
    pair.own.set_fault(Fault::None);
    pair.index
        .clock
        .forward(wheelmark_client::RUN_VIEW_LIFETIME);
    assert_eq!(reader.refresh().await.unwrap(), 3);
}

#[tokio::test]
async fn the_next_root_may_come_from_any_source() {
    let pair = Pair::new().await;
    let first = std::fs::read(pair.index.path("metadata/1.root.json")).unwrap();
    pair.index.publish_second_root(&first);
    pair.update_mirror();
    for fault in [
        Fault::Answers("root", StatusCode::NOT_FOUND),
        Fault::Answers("root", StatusCode::BAD_GATEWAY),
        Fault::Says("2.root", Bytes::from(first.clone())),
        Fault::Alters("2.root", At::Middle),
    ] {
        let store_at = tempfile::tempdir().unwrap();
        let store = TrustStore::open(store_at.path()).unwrap();
        let urls = pair.trusted.urls().clone();
        let from = pair.index.path("metadata/1.root.json");
        let bytes = first.clone();
        pair.own.set_fault(fault.clone());
        let now = pair.index.clock.now();
        let root = Beginning::Root { bytes, from };
        let trusted = add_trust(&store, &remote(), urls, root, now).await.unwrap();
        assert_eq!(trusted.state().unwrap().root.version, 2, "{fault:?}");
    }
}

#[tokio::test]
async fn an_error_names_every_source() {
    let pair = Pair::new().await;
    pair.own
        .set_fault(Fault::Answers("timestamp", StatusCode::BAD_GATEWAY));
    pair.mirror
        .set_fault(Fault::Alters("timestamp", At::Byte(150)));
    let failure = pair.reader().refresh().await.unwrap_err();
    assert!(failure.is_refusal());
    let text = failure.to_string();
    for part in [
        &pair.own_name(),
        "502",
        &pair.mirror_name(),
        "timestamp.json failed verification",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    pair.mirror
        .set_fault(Fault::Answers("timestamp", StatusCode::NOT_FOUND));
    let failure = pair.reader().refresh().await.unwrap_err();
    assert!(
        failure.to_string().contains("missing from the repository"),
        "{failure}"
    );
    pair.mirror
        .set_fault(Fault::Answers("timestamp", StatusCode::BAD_GATEWAY));
    let failure = pair.reader().refresh().await.unwrap_err();
    assert!(!failure.is_refusal(), "{failure}");
}

#[tokio::test]
async fn one_fault_of_the_index_does_not_make_a_mirror_behind_it_the_newest() {
    for lie in [SMALL_FILE, ".simple-"] {
        let mut pair = Pair::new().await;
        let reader = pair.reader();
        pair.own.set_fault(Fault::Alters(lie, At::Middle));
        for file in ["timestamp.json", "snapshot.json", "targets.json"] {
            std::fs::remove_file(pair.trusted.directory().join(file)).unwrap();
        }
        let front = Front::new(reader.clone()).await;
        assert_eq!(front.get_file(SMALL).await.status(), 200);
        assert_eq!(only(reader.warnings()).source, pair.own_name());
        pair.publish("demo-4.0.tar.gz").await;
        // It answers somewhat later than the mirror that has not heard of the new state.
        pair.own.set_fault(Fault::Slow("timestamp", 2000));
        pair.index.clock.forward(SignedDuration::from_secs(60));
        assert_eq!(reader.refresh().await.unwrap(), 3, "{lie}");
    }
}

#[tokio::test]
async fn a_fresh_client_waits_for_the_slow_where_the_quick_one_withholds() {
    let mut pair = Pair::new().await;
    pair.publish("demo-4.0.tar.gz").await;
    pair.own
        .set_fault(Fault::Answers("3.snapshot", StatusCode::NOT_FOUND));
    let patience = Patience {
        grace: Duration::from_millis(100),
        ..Patience::default()
    };
    let remote = Remote::with_patience("wheelmark-test", patience).unwrap();
    pair.mirror.set_fault(Fault::Slow("timestamp", 1000));
    for file in ["timestamp.json", "snapshot.json", "targets.json"] {
        std::fs::remove_file(pair.trusted.directory().join(file)).unwrap();
    }
    assert_eq!(pair.reader_by(remote).refresh().await.unwrap(), 2);
    // What nobody has all of is no floor.
    let floor = pair.trusted.state().unwrap().timestamp.unwrap();
    assert_eq!(floor.version, 2);
}

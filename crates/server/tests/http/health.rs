use jiff::SignedDuration;
use wheelmark_objects::ObjectPath;
use wheelmark_server::Limits;

use super::form::told;
use super::index::Index;

async fn ill(index: &Index, reason: &str) {
    let told = told(index.get("/healthz").await).await;
    assert_eq!((told.status, told.title.as_str()), (503, "Not ready"));
    assert!(told.detail.contains(reason), "{told:?}");
}

#[tokio::test]
async fn an_index_that_nobody_renews_is_not_well() {
    let index = Index::without_snapshot_process(Limits::default()).await;
    for _ in 0..18 {
        assert_eq!(index.get("/healthz").await.status(), 200);
        index.clock.forward(SignedDuration::from_hours(1));
    }
    ill(&index, "expires at 2026-11-21T10:00:00Z").await;
    index.clock.forward(SignedDuration::from_hours(6));
    ill(&index, "expired at 2026-11-21T10:00:00Z").await;
}

#[tokio::test]
async fn an_index_without_a_readable_timestamp_is_not_well() {
    let index = Index::new().await;
    assert_eq!(index.get("/healthz").await.status(), 200);
    let path = index.tree.local_path(&ObjectPath::timestamp());
    for damaged in ["", "{}", r#"{"signed": {"expires": "tomorrow"}}"#] {
        std::fs::write(&path, damaged).unwrap();
        ill(&index, "cannot be read").await;
    }
    std::fs::remove_file(&path).unwrap();
    ill(&index, "has no timestamp").await;
}

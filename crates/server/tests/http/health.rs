use jiff::SignedDuration;
use wheelmark_objects::ObjectPath;
use wheelmark_server::Limits;

use super::form::told;
use super::index::Index;

async fn ill(index: &Index, reason: &str) {
    let told = told(index.get("/readyz").await).await;
    assert_eq!((told.status, told.title.as_str()), (503, "Not ready"));
    assert!(told.detail.contains(reason), "{told:?}");
    assert_eq!(index.get("/healthz").await.status(), 200);
}

async fn ready(index: &Index) -> String {
    let answer = index.get("/readyz").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    answer.text().await.unwrap()
}

#[tokio::test]
async fn an_index_that_nobody_renews_says_so_and_is_not_ready_in_the_end() {
    let index = Index::without_snapshot_process(Limits::default()).await;
    for _ in 0..18 {
        assert_eq!(ready(&index).await, "ok\n");
        index.clock.forward(SignedDuration::from_hours(1));
    }
    let late = ready(&index).await;
    assert!(late.contains("should have been renewed"), "{late}");
    index.clock.forward(SignedDuration::from_hours(6));
    ill(&index, "expired at 2026-11-21T10:00:00Z").await;
}

#[tokio::test]
async fn an_index_without_a_readable_timestamp_is_not_ready() {
    let index = Index::new().await;
    assert_eq!(ready(&index).await, "ok\n");
    let path = index.tree.local_path(&ObjectPath::timestamp());
    for damaged in ["", "{}", r#"{"signed": {"expires": "tomorrow"}}"#] {
        std::fs::write(&path, damaged).unwrap();
        ill(&index, "cannot be read").await;
    }
    std::fs::remove_file(&path).unwrap();
    ill(&index, "has no timestamp").await;
}

#[tokio::test]
async fn an_index_that_can_keep_no_upload_is_not_ready() {
    let index = Index::new().await;
    std::fs::remove_dir_all(index.tree.incoming()).unwrap();
    ill(&index, "the folder for uploads").await;
    std::fs::create_dir(index.tree.incoming()).unwrap();
    assert_eq!(ready(&index).await, "ok\n");
    index.store.close().await;
    ill(&index, "database").await;
}

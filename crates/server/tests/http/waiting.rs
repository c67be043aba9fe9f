use std::time::Duration;

use wheelmark_server::Limits;
use wheelmark_store::{Outcome, Seq};

use super::form::{Upload, told};
use super::index::Index;

fn impatient() -> Limits {
    Limits {
        publish_timeout: Duration::from_millis(300),
        ..Limits::default()
    }
}

#[tokio::test]
async fn without_a_snapshot_process_an_upload_is_recorded_and_said_to_be() {
    let mut index = Index::without_snapshot_process(impatient()).await;
    let upload = Upload::wheel("flask", "3.0");
    for _ in 0..2 {
        let answer = upload.send(&index).await;
        assert_eq!(answer.headers()["retry-after"], "30");
        let told = told(answer).await;
        assert_eq!(told.status, 503);
        assert!(told.title.contains("Recorded"), "{told:?}");
    }
    assert_eq!(index.get("/simple/flask/").await.status(), 404);
    assert_eq!(
        index.store.journal_after(Seq(0), 10).await.unwrap().len(),
        1
    );

    index.start_snapshot_process().await;
    let published = index
        .store
        .wait(Seq(1), Duration::from_secs(20))
        .await
        .unwrap();
    assert!(
        matches!(published, Some(Outcome::Published { .. })),
        "{published:?}"
    );
    upload.publish(&index).await;
    assert_eq!(
        index.page("flask").await["files"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn a_refusal_of_the_snapshot_process_reaches_the_uploader() {
    let index = Index::without_snapshot_process(Limits::default()).await;
    let upload = Upload::wheel("flask", "3.0");
    let refusing = async {
        while index
            .store
            .journal_after(Seq(0), 1)
            .await
            .unwrap()
            .is_empty()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let fence = index.store.acquire_lease("test").await.unwrap();
        let reason = "its hash \u{2260} the published one".to_owned();
        index
            .store
            .record_outcomes(fence, &[(Seq(1), Outcome::Refused { reason })])
            .await
            .unwrap();
    };
    let (answer, ()) = tokio::join!(upload.send(&index), refusing);
    let told = told(answer).await;
    assert_eq!((told.status, told.title.as_str()), (400, "Refused"));
    assert!(
        told.detail.contains("its hash \u{2260} the published one"),
        "{told:?}"
    );
    assert!(
        told.reason.contains("its hash ? the published one"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_shutdown_lets_uploads_end_and_takes_no_more() {
    let mut index = Index::without_snapshot_process(Limits::default()).await;
    let upload = Upload::wheel("flask", "3.0");
    let sending = {
        let form = upload.form();
        let request = index
            .request(reqwest::Method::POST, "/legacy/")
            .basic_auth("__token__", Some(&index.token))
            .multipart(form);
        tokio::spawn(request.send())
    };
    while index
        .store
        .journal_after(Seq(0), 1)
        .await
        .unwrap()
        .is_empty()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let server = index.shut_down();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let another = index.request(reqwest::Method::GET, "/healthz").send().await;
    assert!(another.is_err(), "{another:?}");
    assert!(!server.is_finished());

    index.start_snapshot_process().await;
    assert_eq!(sending.await.unwrap().unwrap().status(), 200);
    tokio::time::timeout(Duration::from_secs(20), server)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn an_uploader_who_leaves_while_waiting_has_still_uploaded() {
    let mut index = Index::without_snapshot_process(Limits::default()).await;
    let upload = Upload::wheel("flask", "3.0");
    let sending = tokio::spawn(
        index
            .request(reqwest::Method::POST, "/legacy/")
            .basic_auth("__token__", Some(&index.token))
            .multipart(upload.form())
            .send(),
    );
    while index
        .store
        .journal_after(Seq(0), 1)
        .await
        .unwrap()
        .is_empty()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sending.abort();
    index.start_snapshot_process().await;
    let published = index
        .store
        .wait(Seq(1), Duration::from_secs(20))
        .await
        .unwrap();
    assert!(
        matches!(published, Some(Outcome::Published { .. })),
        "{published:?}"
    );
    assert_eq!(
        index.page("flask").await["files"].as_array().unwrap().len(),
        1
    );
}

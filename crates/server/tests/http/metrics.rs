//! `/metrics`, and the id of a request.

use jiff::SignedDuration;
use reqwest::Method;
use wheelmark_server::Limits;

use super::form::{Upload, told};
use super::index::Index;

/// The value of a figure, which has to be there.
async fn figure(index: &Index, name: &str) -> f64 {
    let text = figures(index).await;
    let found = text.lines().find_map(|line| {
        let (key, value) = line.rsplit_once(' ')?;
        (key == name).then(|| value.parse().unwrap())
    });
    found.unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

async fn figures(index: &Index) -> String {
    let answer = index.get("/metrics").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    answer.text().await.unwrap()
}

#[tokio::test]
async fn what_happens_is_counted() {
    let index = Index::new().await;
    Upload::wheel("flask", "1.0").publish(&index).await;
    let refused = Upload::wheel("flask", "2.0").with("version", "3.0");
    assert_eq!(refused.send(&index).await.status(), 400);
    let denied = index
        .request(Method::POST, "/legacy/")
        .send()
        .await
        .unwrap();
    assert_eq!(denied.status(), 401);
    // The first one reads the page, and the others find it in memory.
    for _ in 0..3 {
        index.get("/simple/flask/").await;
    }
    index.get("/simple/nothing/").await;
    for (name, value) in [
        ("wheelmark_uploads_total{outcome=\"published\"}", 1.0),
        ("wheelmark_uploads_total{outcome=\"refused\"}", 1.0),
        ("wheelmark_uploads_total{outcome=\"denied\"}", 1.0),
        (
            "wheelmark_http_requests_total{route=\"page\",status=\"200\"}",
            3.0,
        ),
        (
            "wheelmark_http_requests_total{route=\"page\",status=\"404\"}",
            1.0,
        ),
        ("wheelmark_http_answer_seconds_count{route=\"page\"}", 4.0),
        ("wheelmark_rate_limited_total", 0.0),
        ("wheelmark_journal_pending", 0.0),
        ("wheelmark_snapshot_version", 2.0),
        ("wheelmark_database_up", 1.0),
    ] {
        assert!((figure(&index, name).await - value).abs() < 0.1, "{name}");
    }
}

#[tokio::test]
async fn every_line_is_of_the_text_format() {
    let index = Index::new().await;
    Upload::wheel("flask", "1.0").publish(&index).await;
    let mut seen = std::collections::BTreeSet::new();
    let mut of_type = String::new();
    for line in figures(&index).await.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(seen.insert(name.to_owned()), "{name} twice");
            of_type = name.to_owned();
        } else if !line.starts_with("# HELP ") {
            let (key, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap();
            assert!(key.starts_with(&of_type), "{line} under {of_type}");
        }
    }
}

#[tokio::test]
async fn the_next_expiry_of_each_kind_of_role_is_told() {
    let index = Index::without_snapshot_process(Limits::default()).await;
    let day = 24.0 * 3600.0;
    let left = async |role: &str| {
        figure(
            &index,
            &format!("wheelmark_expiry_seconds{{role=\"{role}\"}}"),
        )
        .await
    };
    assert!((left("timestamp").await - day).abs() < 2.0);
    assert!(left("snapshot").await <= day);
    assert!(left("simple-bins").await <= day && left("packages-bins").await <= day);
    assert!(left("claimed").await > 80.0 * day);
    assert!(left("root").await > 300.0 * day && left("targets").await > 300.0 * day);
    index.clock.forward(SignedDuration::from_hours(25));
    assert!(left("timestamp").await < 0.0);
}

#[tokio::test]
async fn a_renewed_role_is_seen() {
    let mut index = Index::without_snapshot_process(Limits::default()).await;
    let version = async |index: &Index| figure(index, "wheelmark_snapshot_version").await;
    assert!((version(&index).await - 1.0).abs() < 0.1);
    index.start_snapshot_process().await;
    Upload::wheel("flask", "1.0").publish(&index).await;
    assert!((version(&index).await - 2.0).abs() < 0.1);
    assert!(figures(&index).await.contains("role=\"simple-bins\""));
}

#[tokio::test]
async fn each_answer_has_an_id_of_its_own() {
    let index = Index::new().await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        // Nobody but a trusted proxy says what the id is.
        let answer = index
            .get_with("/nothing", &[("x-request-id", "mine")])
            .await;
        let id = answer.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let body: serde_json::Value =
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(body["request_id"], id.as_str());
        assert!(ids.insert(id));
    }
    assert!(!ids.contains("mine"));
    let denied = index
        .request(Method::POST, "/legacy/")
        .send()
        .await
        .unwrap();
    assert!(denied.headers().contains_key("x-request-id"));
    assert_eq!(told(denied).await.status, 401);
}

//! Objects that are too large to be kept in memory.

use bytes::Bytes;
use reqwest::Response;
use wheelmark_objects::ObjectPath;
use wheelmark_server::{Limits, SHELVED_LEN};
use wheelmark_tuf::RoleName;

use super::index::Index;

const CODINGS: (&str, &str) = ("accept-encoding", "zstd, gzip");

/// Asks for it as installers do: it comes as it is, and a second time as a 304.
async fn comes_as_it_is(index: &Index, path: &str, accept: &str, expected: &[u8]) -> Response {
    let asked = [CODINGS, ("accept", accept)];
    let answer = index.get_with(path, &asked).await;
    assert_eq!(answer.status(), 200, "{path}");
    assert!(!answer.headers().contains_key("content-encoding"), "{path}");
    let len = expected.len().to_string();
    assert_eq!(answer.headers()["content-length"], *len, "{path}");
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    assert!(answer.bytes().await.unwrap() == expected, "{path}");

    let again = [CODINGS, ("accept", accept), ("if-none-match", tag.as_str())];
    let again = index.get_with(path, &again).await;
    assert_eq!(again.status(), 304, "{path}");
    index.get_with(path, &asked).await
}

#[tokio::test]
async fn what_is_not_kept_is_not_compressed_either() {
    let index = Index::without_snapshot_process(Limits::default()).await;
    let large = vec![b' '; SHELVED_LEN + 1];
    let path = ObjectPath::metadata(&RoleName::snapshot(), 99);
    let bytes = Bytes::from(large.clone());
    index.tree.create(&path, bytes).await.unwrap();
    let served = comes_as_it_is(&index, "/metadata/99.snapshot.json", "*/*", &large).await;
    assert_eq!(served.headers()["content-type"], "application/json");
    assert_eq!(served.headers()["vary"], "Accept-Encoding");
    assert!(
        served.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
}

#[tokio::test]
async fn a_page_that_is_not_kept_is_not_rendered_either() {
    let index = Index::without_snapshot_process(Limits::default()).await;
    let lock = index.tree.lock().await.unwrap();
    let name = "large".parse().unwrap();
    let json = vec![b' '; SHELVED_LEN + 1];
    for (of_page, path, json_path, html_path) in [
        (
            true,
            "/simple/large/",
            ObjectPath::simple_json(&name),
            ObjectPath::simple_html(&name),
        ),
        (
            false,
            "/simple/",
            ObjectPath::simple_list_json(),
            ObjectPath::simple_list_html(),
        ),
    ] {
        let bytes = Bytes::from(json.clone());
        index.tree.replace(&lock, &json_path, bytes).await.unwrap();
        let kind = "application/vnd.pypi.simple.v1+json";
        let served = comes_as_it_is(&index, path, kind, &json).await;
        assert_eq!(served.headers()["content-type"], kind);
        assert_eq!(served.headers()["cache-control"], "no-cache");

        let html = format!("<!DOCTYPE html>{of_page}").into_bytes();
        let bytes = Bytes::from(html.clone());
        index.tree.replace(&lock, &html_path, bytes).await.unwrap();
        let served = comes_as_it_is(&index, path, "text/html", &html).await;
        assert_eq!(served.headers()["content-type"], "text/html; charset=utf-8");
        assert_eq!(served.headers()["vary"], "Accept, Accept-Encoding");
        assert!(served.headers().contains_key("content-security-policy"));
    }
}

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::form::{Upload, told};
use super::index::Index;

#[tokio::test]
async fn metadata_is_served_as_it_is_signed() {
    let index = Index::new().await;
    Upload::wheel("flask", "3.0").publish(&index).await;
    let root = index.tree.root().to_owned();
    let mut seen = 0;
    for entry in std::fs::read_dir(root.join("metadata")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let served = index.get(&format!("/metadata/{name}")).await;
        assert_eq!(served.status(), 200, "{name}");
        assert_eq!(served.headers()["content-type"], "application/json");
        let cache = if name == "timestamp.json" {
            "no-cache"
        } else {
            "public, max-age=31536000, immutable"
        };
        assert_eq!(served.headers()["cache-control"], cache, "{name}");
        assert_eq!(
            served.bytes().await.unwrap(),
            std::fs::read(entry.path()).unwrap()
        );
        seen += 1;
    }
    assert!(seen > 10);
}

#[tokio::test]
async fn the_timestamp_changes_as_soon_as_it_is_replaced() {
    let index = Index::new().await;
    let tag = |answer: &reqwest::Response| answer.headers()["etag"].to_str().unwrap().to_owned();
    let before = tag(&index.get("/metadata/timestamp.json").await);
    Upload::wheel("flask", "3.0").publish(&index).await;
    let after = index
        .get_with("/metadata/timestamp.json", &[("if-none-match", &before)])
        .await;
    assert_eq!(after.status(), 200);
    assert_ne!(tag(&after), before);
}

#[tokio::test]
async fn a_version_that_is_not_there_yet_is_not_remembered() {
    let index = Index::new().await;
    let next = told(index.get("/metadata/2.root.json").await).await;
    assert_eq!((next.status, next.title.as_str()), (404, "Not found"));
}

/// Sends a path as it is: clients tidy paths up before they send them.
async fn status_of(index: &Index, path: &str) -> String {
    let address = index.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer)
        .get(9..12)
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn nothing_outside_the_tree_can_be_named() {
    let index = Index::new().await;
    Upload::wheel("flask", "3.0").publish(&index).await;
    for path in [
        "/metadata/../../catalogue.sqlite",
        "/metadata/..%2f..%2fcatalogue.sqlite",
        "/targets/../../catalogue.sqlite",
        "/targets/packages/../../../online",
        "/packages/%2e%2e/%2e%2e/online",
        "/packages/..%5c..%5conline",
        "/packages/flask/../../../online",
        "/packages/flask/%00",
        "/packages/flask/%ff",
        "/packages/flask/",
        "/packages/Flask/flask-3.0-py3-none-any.whl",
        "/packages/flask//flask-3.0-py3-none-any.whl",
        "/metadata/.lock",
        "/.lock",
        "/.incoming/x",
        "/simple/../metadata/timestamp.json",
        "/metadata//etc/passwd",
        "/metadata/timestamp.json/",
    ] {
        assert_eq!(status_of(&index, path).await, "404", "{path}");
    }
    assert_eq!(status_of(&index, "/metadata/timestamp.json").await, "200");
}

#[tokio::test]
async fn a_symbolic_link_in_the_tree_leads_nowhere() {
    let index = Index::new().await;
    Upload::wheel("flask", "3.0").publish(&index).await;
    let link = index
        .tree
        .root()
        .join("packages/flask/flask-9-py3-none-any.whl");
    std::os::unix::fs::symlink(index.folder.path().join("online"), link).unwrap();
    let refused = told(index.get("/packages/flask/flask-9-py3-none-any.whl").await).await;
    assert_eq!(refused.status, 500);
    assert!(!refused.detail.contains("online"), "{refused:?}");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let index = Index::new().await;
    assert_eq!(told(index.get("/nothing/here").await).await.status, 404);
    assert_eq!(told(index.get("/legacy/").await).await.status, 405);
    let delete = index.request(reqwest::Method::DELETE, "/simple/");
    assert_eq!(told(delete.send().await.unwrap()).await.status, 405);
}

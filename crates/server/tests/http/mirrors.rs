//! What mirrors ask for: serial numbers, and the JSON document of a project.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use wheelmark_repository::JournalWriter;
use wheelmark_server::Limits;
use wheelmark_store::Seq;

use super::distributions::sdist;
use super::form::{Upload, told};
use super::index::{Index, NOW};

const LIST: (&str, &str) = ("accept", "application/vnd.pypi.simple.v1+json");
const SERIAL: &str = "x-pypi-last-serial";

async fn body(answer: Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

/// The serial that a document states, in its header and in itself.
async fn document(index: &Index, path: &str) -> (u64, Value) {
    let answer = index.get(path).await;
    assert_eq!(answer.status(), 200, "{path}");
    let stated: u64 = answer.headers()[SERIAL].to_str().unwrap().parse().unwrap();
    let document = body(answer).await;
    assert_eq!(document["last_serial"], stated, "{path}");
    (stated, document)
}

/// Every project with its serial, and that of the index.
async fn serials(index: &Index) -> (Value, u64) {
    let answer = index.get_with("/simple/", &[LIST]).await;
    let stated: u64 = answer.headers()[SERIAL].to_str().unwrap().parse().unwrap();
    let list = body(answer).await;
    assert_eq!(list["meta"]["_last-serial"], stated);
    (list["projects"].clone(), stated)
}

async fn sdist_of(index: &Index, project: &str, version: &str) {
    let content = sdist(project, version);
    let name = format!("{project}-{version}.tar.gz");
    Upload::new(&name, project, version, &content)
        .publish(index)
        .await;
}

#[tokio::test]
async fn the_document_of_a_project_says_what_its_page_says() {
    let index = Index::new().await;
    let wheel = Upload::wheel("flask", "3.0");
    wheel.publish(&index).await;
    sdist_of(&index, "flask", "2.0").await;

    let (serial, document) = document(&index, "/pypi/flask/json").await;
    assert_eq!(serial, 2);
    assert_eq!(document["info"]["name"], "flask");
    assert_eq!(document["info"]["version"], "3.0");
    assert_eq!(document["info"]["requires_python"], ">=3.8");
    let page = index.page("flask").await;
    let listed = &page["files"][1];
    let file = &document["releases"]["3.0"][0];
    assert_eq!(document["urls"], document["releases"]["3.0"]);
    assert_eq!(file["filename"], listed["filename"]);
    assert_eq!(file["digests"], listed["hashes"]);
    assert_eq!(file["size"], wheel.content.len());
    assert_eq!(file["upload_time_iso_8601"], NOW);
    let content = index.get(file["url"].as_str().unwrap()).await;
    assert_eq!(content.bytes().await.unwrap(), wheel.content);
}

#[tokio::test]
async fn the_document_of_a_version_has_that_version() {
    let index = Index::new().await;
    sdist_of(&index, "flask", "3.0").await;
    sdist_of(&index, "flask", "2.0").await;
    let (serial, document) = document(&index, "/pypi/flask/2.0/json").await;
    assert_eq!((serial, &document["info"]["version"]), (2, &json!("2.0")));
    assert_eq!(document["urls"][0]["filename"], "flask-2.0.tar.gz");
}

#[tokio::test]
async fn documents_are_plain_json_that_is_asked_for_again() {
    let index = Index::new().await;
    sdist_of(&index, "flask", "3.0").await;
    for path in ["/pypi/flask/json", "/pypi/flask/3.0/json"] {
        let first = index.get(path).await;
        let header = |name: &str| first.headers()[name].to_str().unwrap();
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(header("cache-control"), "no-cache");
        assert_eq!(header("vary"), "Accept-Encoding");
        assert_eq!(header("x-content-type-options"), "nosniff");
        let again = index
            .get_with(path, &[("if-none-match", header("etag"))])
            .await;
        assert_eq!(again.status(), 304, "{path}");
        // An unchanged document is as new as it says now.
        assert_eq!(again.headers()[SERIAL], "1");
        let small = index.get_with(path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(small.headers()["content-encoding"], "gzip");
        assert_ne!(small.headers()["etag"], first.headers()["etag"]);
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_in_json() {
    let index = Index::new().await;
    sdist_of(&index, "flask", "3.0").await;
    for path in [
        "/pypi/nothing/json",
        "/pypi/nothing/3.0/json",
        "/pypi/flask/4.0/json",
        "/pypi/flask/latest/json",
        "/pypi/-/json",
        "/pypi/%ff/json",
        "/pypi/flask/%ff/json",
        "/pypi/..%2fflask/json",
        "/pypi/flask",
    ] {
        let told = told(index.get(path).await).await;
        assert_eq!(told.status, 404, "{path}: {told:?}");
    }
}

#[tokio::test]
async fn other_spellings_lead_to_the_normalised_name() {
    let index = Index::new().await;
    sdist_of(&index, "foo_bar", "1.0").await;
    for (asked, location) in [
        ("/pypi/Foo.Bar/json", "../foo-bar/json"),
        ("/pypi/Foo.Bar/1.0.0/json", "../../foo-bar/1.0.0/json"),
    ] {
        let answer = index.get(asked).await;
        assert_eq!(answer.status(), 301, "{asked}");
        assert_eq!(answer.headers()["location"], location, "{asked}");
    }
}

#[tokio::test]
async fn serials_follow_what_was_published() {
    let index = Index::new().await;
    assert_eq!(serials(&index).await, (json!([]), 0));
    sdist_of(&index, "a", "1.0").await;
    sdist_of(&index, "b", "1.0").await;
    let first = json!([{"name": "a", "_last-serial": 1}, {"name": "b", "_last-serial": 2}]);
    assert_eq!(serials(&index).await, (first, 2));
    sdist_of(&index, "a", "2.0").await;
    let second = json!([{"name": "a", "_last-serial": 3}, {"name": "b", "_last-serial": 2}]);
    assert_eq!(serials(&index).await, (second, 3));
    assert_eq!(document(&index, "/pypi/a/json").await.0, 3);
    assert_eq!(document(&index, "/pypi/b/1.0/json").await.0, 2);
}

#[tokio::test]
async fn a_change_has_no_serial_before_it_is_published() {
    let mut index = Index::without_snapshot_process(Limits {
        publish_timeout: Duration::from_secs(1),
        ..Limits::default()
    })
    .await;
    let upload = Upload::wheel("flask", "3.0");
    let (answer, ()) = tokio::join!(upload.send(&index), async {
        while index.store.journal_end().await.unwrap() == Seq(0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(serials(&index).await, (json!([]), 0));
        assert_eq!(index.get("/pypi/flask/json").await.status(), 404);
        assert_eq!(index.get("/simple/flask/").await.status(), 404);
    });
    assert_eq!(answer.status(), 503);
    index.start_snapshot_process().await;
    upload.publish(&index).await;
    let list = json!([{"name": "flask", "_last-serial": 1}]);
    assert_eq!(serials(&index).await, (list, 1));
}

#[tokio::test]
async fn an_index_without_its_catalogue_still_lists_its_projects() {
    let index = Index::new().await;
    sdist_of(&index, "a", "1.0").await;
    // Who may read has been known before: an index that never knew lets nobody read.
    assert_eq!(index.get("/simple/").await.status(), 200);
    index.store.close().await;
    let answer = index.get_with("/simple/", &[LIST]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers().get(SERIAL), None);
    assert_eq!(body(answer).await["projects"], json!([{"name": "a"}]));
    assert_eq!(index.get("/simple/a/").await.status(), 200);
    assert_eq!(told(index.get("/pypi/a/json").await).await.status, 500);
}

#[tokio::test]
async fn what_goes_and_what_is_yanked_has_a_serial_too() {
    let index = Index::written_by(JournalWriter::Operator).await;
    sdist_of(&index, "flask", "1.0").await;
    sdist_of(&index, "flask", "2.0").await;
    let flask = "flask".parse().unwrap();
    let settled = async |seq: Option<Seq>| {
        let seq = seq.unwrap();
        let long = Duration::from_secs(60);
        assert_ne!(index.store.wait(seq, long).await.unwrap(), None);
        seq.0
    };

    let reason = Some("leaks <memory>".to_owned());
    let yank = index.store.set_yanked(&flask, "flask-2.0.tar.gz", reason);
    let yank = settled(yank.await.unwrap()).await;
    let (serial, yanked) = document(&index, "/pypi/flask/json").await;
    assert_eq!((serial, &yanked["info"]["version"]), (yank, &json!("1.0")));
    let file = &yanked["releases"]["2.0"][0];
    assert_eq!(file["yanked_reason"], "leaks <memory>");

    for name in ["flask-1.0.tar.gz", "flask-2.0.tar.gz"] {
        let removal = index.store.remove(&flask, name).await.unwrap();
        let removal = settled(removal).await;
        let (serial, left) = document(&index, "/pypi/flask/json").await;
        assert_eq!(serial, removal);
        assert!(!left.to_string().contains(name), "{left}");
        assert_eq!(serials(&index).await.1, removal);
    }
    // An empty document, and not 404, which mirrors would take for no news.
    let (_, left) = document(&index, "/pypi/flask/json").await;
    assert_eq!(left["releases"], json!({}));
}

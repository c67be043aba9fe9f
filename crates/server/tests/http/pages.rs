use reqwest::Method;

use super::distributions::sdist;
use super::form::{Upload, told};
use super::index::{Index, NOW};

const JSON: (&str, &str) = ("accept", "application/vnd.pypi.simple.v1+json");
const HTML: (&str, &str) = ("accept", "text/html");

#[tokio::test]
async fn an_index_without_projects_has_an_empty_list() {
    let index = Index::new().await;
    let json = index.get_with("/simple/", &[JSON]).await;
    assert_eq!(json.status(), 200);
    assert_eq!(json.headers()["content-type"], JSON.1);
    let list: serde_json::Value = serde_json::from_slice(&json.bytes().await.unwrap()).unwrap();
    assert_eq!(list["projects"], serde_json::json!([]));
    let html = index.get_with("/simple/", &[HTML]).await;
    assert_eq!(html.headers()["content-type"], "text/html; charset=utf-8");
    assert!(html.text().await.unwrap().contains("<!DOCTYPE html>"));
}

#[tokio::test]
async fn the_list_names_what_was_published() {
    let index = Index::new().await;
    Upload::wheel("foo_bar", "1.0").publish(&index).await;
    let list = index.get_with("/simple/", &[JSON]).await;
    let list: serde_json::Value = serde_json::from_slice(&list.bytes().await.unwrap()).unwrap();
    let listed = serde_json::json!([{"name": "foo-bar", "_last-serial": 1}]);
    assert_eq!(list["projects"], listed);
    let html = index
        .get_with("/simple/", &[HTML])
        .await
        .text()
        .await
        .unwrap();
    assert!(html.contains("foo-bar/"), "{html}");
}

#[tokio::test]
async fn a_page_says_what_pep_700_and_658_ask_for() {
    let index = Index::new().await;
    let wheel = Upload::wheel("flask", "3.0");
    wheel.publish(&index).await;
    let content = sdist("flask", "3.0");
    Upload::new("flask-3.0.tar.gz", "Flask", "3.0.0", &content)
        .publish(&index)
        .await;

    let page = index.page("flask").await;
    assert_eq!(page["meta"]["api-version"], "1.4");
    assert_eq!(page["name"], "flask");
    assert_eq!(page["versions"], serde_json::json!(["3.0"]));
    let files = page["files"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    let entry = &files[0];
    assert_eq!(entry["filename"], "flask-3.0-py3-none-any.whl");
    assert_eq!(entry["size"], wheel.content.len());
    assert_eq!(entry["upload-time"], NOW);
    assert_eq!(entry["requires-python"], ">=3.8");
    let metadata = &entry["core-metadata"]["sha256"];
    assert_eq!(
        metadata.as_str().unwrap(),
        wheelmark_tuf::Sha256::of(super::distributions::metadata("flask", "3.0").as_bytes())
            .to_string()
    );
    // What a source distribution says of its requirements need not be true.
    assert_eq!(files[1]["filename"], "flask-3.0.tar.gz");
    let none = files[1]
        .get("core-metadata")
        .unwrap_or(&serde_json::Value::Bool(false));
    assert_eq!(*none, false);
}

#[tokio::test]
async fn each_client_gets_the_form_it_asks_for() {
    let index = Index::new().await;
    Upload::wheel("flask", "3.0").publish(&index).await;
    let pip = "application/vnd.pypi.simple.v1+json, \
               application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01";
    for (accept, expected) in [
        (pip, "application/vnd.pypi.simple.v1+json"),
        (
            "application/vnd.pypi.simple.v1+html",
            "application/vnd.pypi.simple.v1+html",
        ),
        ("text/html", "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
        ("image/png", "text/html; charset=utf-8"),
    ] {
        let page = index
            .get_with("/simple/flask/", &[("accept", accept)])
            .await;
        assert_eq!(page.status(), 200, "{accept}");
        assert_eq!(page.headers()["content-type"], expected, "{accept}");
        assert_eq!(page.headers()["vary"], "Accept, Accept-Encoding");
        assert_eq!(page.headers()["cache-control"], "no-cache");
        assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    }
    let wished = "/simple/flask/?format=application/vnd.pypi.simple.v1%2Bjson";
    let page = index.get(wished).await;
    assert_eq!(page.headers()["content-type"], JSON.1);
    let html = index.get("/simple/flask/").await.text().await.unwrap();
    assert!(
        html.contains("../../packages/flask/flask-3.0-py3-none-any.whl#sha256="),
        "{html}"
    );
}

#[tokio::test]
async fn the_json_page_is_byte_for_byte_the_signed_one() {
    let index = Index::new().await;
    Upload::wheel("flask", "3.0").publish(&index).await;
    let page = index
        .get_with("/simple/flask/", &[JSON])
        .await
        .bytes()
        .await
        .unwrap();
    let digest = wheelmark_tuf::Sha256::of(&page);
    let target = format!("/targets/simple/flask/{digest}.index.json");
    let target = index.get(&target).await;
    assert_eq!(target.status(), 200);
    assert_eq!(
        target.headers()["cache-control"],
        "public, max-age=31536000, immutable"
    );
    assert_eq!(target.bytes().await.unwrap(), page);
}

#[tokio::test]
async fn an_unchanged_page_costs_a_304_in_every_form() {
    let index = Index::new().await;
    Upload::wheel("flask", "3.0").publish(&index).await;
    let mut tags = Vec::new();
    for accept in [JSON, HTML] {
        for coding in ["identity", "gzip", "zstd"] {
            let coding = ("accept-encoding", coding);
            let first = index.get_with("/simple/flask/", &[accept, coding]).await;
            let tag = first.headers()["etag"].to_str().unwrap().to_owned();
            let again = [accept, coding, ("if-none-match", tag.as_str())];
            let again = index.get_with("/simple/flask/", &again).await;
            assert_eq!(again.status(), 304);
            assert_eq!(again.headers()["etag"], tag.as_str());
            assert_eq!(again.headers()["cache-control"], "no-cache");
            assert_eq!(again.bytes().await.unwrap().len(), 0);
            tags.push(tag);
        }
    }
    let held = tags.join(", ");
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 6, "a tag for each form: {tags:?}");

    Upload::wheel("flask", "3.1").publish(&index).await;
    let changed = [JSON, ("if-none-match", held.as_str())];
    let changed = index.get_with("/simple/flask/", &changed).await;
    assert_eq!(changed.status(), 200);
}

#[tokio::test]
async fn codings_decode_to_the_identity() {
    let index = Index::new().await;
    Upload::wheel("flask", "3.0").publish(&index).await;
    for path in ["/simple/flask/", "/metadata/1.root.json"] {
        let plain = index.get_with(path, &[JSON]).await.bytes().await.unwrap();
        let gzip = index
            .get_with(path, &[JSON, ("accept-encoding", "gzip")])
            .await;
        assert_eq!(gzip.headers()["content-encoding"], "gzip");
        let gzip = gzip.bytes().await.unwrap();
        let mut decoded = Vec::new();
        std::io::copy(&mut flate2::read::GzDecoder::new(&gzip[..]), &mut decoded).unwrap();
        assert_eq!(decoded, plain);
        let zstd = index
            .get_with(path, &[JSON, ("accept-encoding", "zstd")])
            .await;
        assert_eq!(zstd.headers()["content-encoding"], "zstd");
        assert_eq!(
            zstd.headers()["content-length"]
                .to_str()
                .unwrap()
                .parse::<usize>()
                .unwrap(),
            zstd.content_length()
                .map(|len| usize::try_from(len).unwrap())
                .unwrap()
        );
        let zstd = zstd.bytes().await.unwrap();
        assert_eq!(zstd::decode_all(&zstd[..]).unwrap(), plain);
        assert!(gzip.len() < plain.len() && zstd.len() < plain.len());
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let index = Index::new().await;
    Upload::wheel("flask", "3.0").publish(&index).await;
    for path in [
        "/simple/",
        "/simple/flask/",
        "/metadata/timestamp.json",
        "/packages/flask/flask-3.0-py3-none-any.whl",
        "/packages/flask/flask-3.0-py3-none-any.whl.metadata",
    ] {
        let get = index.get(path).await;
        let head = index.request(Method::HEAD, path).send().await.unwrap();
        assert_eq!(head.status(), 200, "{path}");
        for header in ["content-length", "content-type", "etag", "cache-control"] {
            assert_eq!(head.headers()[header], get.headers()[header], "{path}");
        }
        assert_eq!(head.bytes().await.unwrap().len(), 0);
    }
}

#[tokio::test]
async fn other_spellings_are_redirected() {
    let index = Index::new().await;
    Upload::wheel("foo_bar", "1.0").publish(&index).await;
    for (path, location) in [
        ("/simple", "simple/"),
        ("/simple/foo-bar", "foo-bar/"),
        ("/simple/Foo.Bar", "foo-bar/"),
        ("/simple/Foo_Bar/", "../foo-bar/"),
        ("/simple/FOO%2Ebar/", "../foo-bar/"),
    ] {
        let moved = index.get(path).await;
        assert_eq!(moved.status(), 301, "{path}");
        assert_eq!(moved.headers()["location"], location, "{path}");
        let base = reqwest::Url::parse(&format!("{}{path}", index.url)).unwrap();
        let target = base.join(location).unwrap();
        assert_eq!(index.get(target.path()).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_project_that_is_not_there_is_told_so() {
    let index = Index::new().await;
    for path in [
        "/simple/nothing/",
        "/simple/-x-/",
        "/simple/%ff/",
        "/simple/a%2Fb/",
    ] {
        let told = told(index.get(path).await).await;
        assert_eq!(told.status, 404, "{path}");
    }
    let missing = told(index.get("/simple/nothing/").await).await;
    assert_eq!(missing.title, "No such project");
    assert!(missing.detail.contains("`nothing`"), "{missing:?}");
}

#[tokio::test]
async fn people_and_monitors_get_a_page_each() {
    let index = Index::new().await;
    let home = index.get("/").await;
    assert_eq!(home.headers()["content-type"], "text/html; charset=utf-8");
    assert!(
        home.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'none'")
    );
    let text = home.text().await.unwrap();
    assert!(
        text.contains(&format!("--index-url {}/simple/", index.url)),
        "{text}"
    );
    assert!(
        text.contains(&format!("--repository-url {}/legacy/", index.url)),
        "{text}"
    );
    let health = index.get("/healthz").await;
    assert_eq!(
        (
            health.status().as_u16(),
            health.text().await.unwrap().as_str()
        ),
        (200, "ok\n")
    );
}

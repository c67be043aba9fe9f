use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wheelmark_server::Limits;
use wheelmark_store::Seq;

use super::distributions::{sdist, wheel};
use super::form::{Told, Upload, told};
use super::index::Index;

/// Sends a form that must be refused, and checks that nothing of it stays.
async fn refused(index: &Index, upload: Upload, title: &str, detail: &str) -> Told {
    let told = told(upload.send(index).await).await;
    assert_eq!(told.title, title, "{told:?}");
    assert!(told.detail.contains(detail), "{told:?}");
    assert_eq!(
        index.uploaded_files().len(),
        0,
        "{:?}",
        index.uploaded_files()
    );
    assert_eq!(index.store.journal_after(Seq(0), 10).await.unwrap(), []);
    told
}

#[tokio::test]
async fn what_the_form_gets_wrong_is_named() {
    let index = Index::new().await;
    let good = || Upload::wheel("flask", "3.0");
    let zeros = "0".repeat(64);
    for (upload, title, detail) in [
        (good().without(":action"), "Missing field", ":action"),
        (good().with(":action", "submit"), "Unknown action", "submit"),
        (
            good().without("protocol_version"),
            "Missing field",
            "protocol_version",
        ),
        (
            good().with("protocol_version", "2"),
            "Unknown protocol version",
            "`2`",
        ),
        (good().without("name"), "Missing field", "`name`"),
        (good().with("name", ""), "Missing field", "`name`"),
        (good().with("name", "../x"), "Invalid project name", "../x"),
        (good().with("name", "other"), "Invalid file name", "`other`"),
        (good().without("version"), "Missing field", "`version`"),
        (good().with("version", "new"), "Invalid version", "`new`"),
        (good().with("version", "3.1"), "Wrong version", "3.1"),
        (good().without("filetype"), "Missing field", "filetype"),
        (
            good().with("filetype", "sdist"),
            "Wrong file type",
            "a wheel",
        ),
        (
            good().with("filetype", "bdist_egg"),
            "Wrong file type",
            "bdist_egg",
        ),
        (
            good().without("sha256_digest"),
            "Missing digest",
            "no digest",
        ),
        (
            good().with("sha256_digest", ""),
            "Missing digest",
            "no digest",
        ),
        (
            good().with("sha256_digest", &zeros),
            "Wrong digest",
            "SHA-256 0000",
        ),
        (
            good().with("blake2_256_digest", &zeros),
            "Wrong digest",
            "BLAKE2b-256 0000",
        ),
        (
            good().with("md5_digest", "nonsense"),
            "Wrong digest",
            "MD5 nonsense",
        ),
        (good().and("name", "flask"), "Repeated field", "`name`"),
        (
            good().and("attestations", "[]"),
            "Not supported",
            "attestations",
        ),
        (
            good().and("gpg_signature", "x"),
            "Invalid signature",
            "BEGIN PGP SIGNATURE",
        ),
    ] {
        assert_eq!(refused(&index, upload, title, detail).await.status, 400);
    }
}

#[tokio::test]
async fn file_names_that_are_none_are_named() {
    let index = Index::new().await;
    let content = wheel("flask", "3.0", 0);
    for filename in [
        "",
        "flask-3.0.egg",
        "flask.whl",
        "flask-3.0-py3-none.whl",
        "../flask-3.0-py3-none-any.whl",
        "a/flask-3.0-py3-none-any.whl",
        "flask-3.0-py3-none-any.whl.metadata",
        "flask-3.0-py3-none-any\u{e4}.whl",
        "other-3.0-py3-none-any.whl",
    ] {
        let upload = Upload::new(filename, "flask", "3.0", &content);
        refused(&index, upload, "Invalid file name", "").await;
    }
    let long = format!("flask-3.0-py3-none-{}.whl", "a".repeat(200));
    let upload = Upload::new(&long, "flask", "3.0", &content);
    refused(&index, upload, "Invalid file name", "too long").await;
}

#[tokio::test]
async fn archives_that_are_not_what_they_should_be_are_refused() {
    let index = Index::new().await;
    let filename = "flask-3.0-py3-none-any.whl";
    let good = wheel("flask", "3.0", 1000);
    let cut = &good[..good.len() - 30];
    let foreign = wheel("other", "3.0", 0);
    let older = wheel("flask", "2.0", 0);
    let mut longer = good.clone();
    longer.extend_from_slice(b"trailing");
    for content in [&b""[..], b"not a zip", cut, &foreign, &older, &longer] {
        let upload = Upload::new(filename, "flask", "3.0", content);
        refused(&index, upload, "Invalid distribution file", filename).await;
    }
    let good = sdist("flask", "3.0");
    for content in [&b""[..], &good[..good.len() / 2], &sdist("flask", "2.0")] {
        let upload = Upload::new("flask-3.0.tar.gz", "flask", "3.0", content);
        refused(
            &index,
            upload,
            "Invalid distribution file",
            "flask-3.0.tar.gz",
        )
        .await;
    }
}

#[tokio::test]
async fn a_good_file_is_welcome_after_a_bad_one() {
    let index = Index::new().await;
    let bad = Upload::new("flask-3.0-py3-none-any.whl", "flask", "3.0", b"nonsense");
    refused(&index, bad, "Invalid distribution file", "").await;
    Upload::wheel("flask", "3.0").publish(&index).await;
}

#[tokio::test]
async fn uploading_needs_a_known_token() {
    let index = Index::new().await;
    // Large enough that the answer comes while the body is still being sent.
    let content = wheel("flask", "3.0", 8 * 1024 * 1024);
    let upload = Upload::new("flask-3.0-py3-none-any.whl", "flask", "3.0", &content);
    let unknown = wheelmark_store::format_token(&[8; 32]);
    let post = || {
        index
            .request(Method::POST, "/legacy/")
            .multipart(upload.form())
    };
    for (request, status, title) in [
        (post(), 401, "Token missing"),
        (
            post().header("authorization", "Digest username=\"flask\""),
            401,
            "Malformed credentials",
        ),
        (
            post().basic_auth("flask", Some(&index.token)),
            401,
            "Wrong user name",
        ),
        (
            post().basic_auth("__token__", Some(&unknown)),
            403,
            "Unknown token",
        ),
        (
            post().basic_auth("__token__", Some("")),
            401,
            "Token missing",
        ),
        (
            post().basic_auth("__token__", None::<&str>),
            401,
            "Token missing",
        ),
    ] {
        let answer = request.send().await.unwrap();
        if status == 401 {
            assert_eq!(
                answer.headers()["www-authenticate"],
                "Basic realm=\"wheelmark\""
            );
        }
        let told = told(answer).await;
        assert_eq!((told.status, told.title.as_str()), (status, title));
        assert!(!told.detail.contains("wmk_"), "{told:?}");
    }
    assert_eq!(index.uploaded_files().len(), 0);
}

/// As twine does: it sends all, and only then looks for an answer.
#[tokio::test]
async fn the_reason_reaches_an_uploader_who_sends_everything_first() {
    let index = Index::new().await;
    let len = 32 << 20;
    for path in ["/legacy/", "/"] {
        let address = index.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..len >> 20 {
            stream.write_all(&vec![0; 1 << 20]).await.unwrap();
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let expected = "HTTP/1.1 401 Token missing: uploading needs a token; use __token__ as the ";
        assert!(answer.starts_with(expected), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused() {
    let index = Index::new().await;
    for content_type in [
        "application/json",
        "multipart/form-data",
        "text/plain; boundary=x",
    ] {
        let answer = index
            .request(Method::POST, "/legacy/")
            .basic_auth("__token__", Some(&index.token))
            .header("content-type", content_type)
            .body("{}")
            .send()
            .await
            .unwrap();
        let told = told(answer).await;
        assert_eq!(
            (told.status, told.title.as_str()),
            (415, "Not an upload form")
        );
    }
}

#[tokio::test]
async fn a_project_takes_no_more_than_it_may() {
    let one = Upload::wheel("flask", "1.0");
    let mut index = Index::without_snapshot_process(Limits {
        project_len: Some(one.content.len() as u64 + 10),
        ..Limits::default()
    })
    .await;
    index.start_snapshot_process().await;
    one.publish(&index).await;
    let told = told(Upload::wheel("flask", "2.0").send(&index).await).await;
    assert_eq!(
        (told.status, told.title.as_str()),
        (413, "Project too large")
    );
    // What is there already is still a success, and other projects have room of their own.
    one.publish(&index).await;
    Upload::wheel("other", "1.0").publish(&index).await;
}

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::{Body, Method, Response};
use wheelmark_server::{Limits, MAX_FIELDS, MAX_FORM_LEN, MAX_HEADERS_LEN, MAX_VALUE_LEN};
use wheelmark_store::Seq;

use super::distributions::wheel;
use super::form::{Upload, begin, file_head, told};
use super::index::Index;

async fn post(index: &Index, body: impl Into<Body>) -> Response {
    index
        .request(Method::POST, "/legacy/")
        .basic_auth("__token__", Some(&index.token))
        .header("content-type", "multipart/form-data; boundary=x")
        .body(body)
        .send()
        .await
        .unwrap()
}

fn text(name: &str, value: &str) -> String {
    format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

async fn nothing_stays(index: &Index) {
    assert_eq!(
        index.uploaded_files().len(),
        0,
        "{:?}",
        index.uploaded_files()
    );
    assert_eq!(index.store.journal_after(Seq(0), 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_form_has_limits_besides_the_file() {
    let index = Index::new().await;
    let fields: String = (0..=MAX_FIELDS).map(|_| text("classifiers", "x")).collect();
    let many = told(post(&index, format!("{fields}--x--\r\n")).await).await;
    assert_eq!((many.status, many.title.as_str()), (413, "Form too large"));

    let long = "d".repeat(usize::try_from(MAX_FORM_LEN).unwrap());
    let body = format!("{}--x--\r\n", text("description", &long));
    let long = told(post(&index, body).await).await;
    assert_eq!((long.status, long.title.as_str()), (413, "Form too large"));

    let value = "1".repeat(MAX_VALUE_LEN + 1);
    let body = format!("{}--x--\r\n", text("version", &value));
    let value = told(post(&index, body).await).await;
    assert_eq!(
        (value.status, value.title.as_str()),
        (400, "Field too long")
    );
    assert!(value.detail.contains("`version`"), "{value:?}");
    nothing_stays(&index).await;
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_announced_or_not() {
    let limits = Limits {
        file_len: 100_000,
        ..Limits::default()
    };
    let mut index = Index::without_snapshot_process(limits).await;
    index.start_snapshot_process().await;
    let content = wheel("flask", "3.0", 200_000);
    let upload = Upload::new("flask-3.0-py3-none-any.whl", "flask", "3.0", &content);
    let over = told(upload.send(&index).await).await;
    assert_eq!((over.status, over.title.as_str()), (413, "File too large"));

    let announced = vec![0_u8; 100_000 + usize::try_from(MAX_FORM_LEN).unwrap() + 1];
    let over = told(post(&index, announced).await).await;
    assert_eq!((over.status, over.title.as_str()), (413, "File too large"));

    // Of unknown length, and without end as far as the server can tell.
    let pieces = futures::stream::iter(std::iter::repeat_n(Bytes::from(vec![0; 65_536]), 64));
    let head = futures::stream::iter([Bytes::from(file_head())]);
    let endless = head.chain(pieces).map(Ok::<Bytes, std::io::Error>);
    let over = told(post(&index, Body::wrap_stream(endless)).await).await;
    assert_eq!((over.status, over.title.as_str()), (413, "File too large"));
    nothing_stays(&index).await;

    let small = Upload::wheel("flask", "3.0");
    assert!(small.content.len() < 100_000);
    small.publish(&index).await;
}

#[tokio::test]
async fn headers_of_a_part_have_an_end() {
    let index = Index::new().await;
    let endless = format!("--x\r\nX: {}", "y".repeat(MAX_HEADERS_LEN * 32));
    for body in [endless, "z".repeat(MAX_HEADERS_LEN * 32)] {
        let malformed = told(post(&index, body).await).await;
        assert_eq!(
            (malformed.status, malformed.title.as_str()),
            (400, "Malformed form")
        );
        assert!(malformed.detail.contains("headers"), "{malformed:?}");
    }
    nothing_stays(&index).await;
}

#[tokio::test]
async fn malformed_forms_are_refused() {
    let index = Index::new().await;
    let utf8 = [
        b"--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n".as_slice(),
        b"\xff\r\n--x--\r\n",
    ]
    .concat();
    for (body, title) in [
        (b"".to_vec(), "Upload broken off"),
        (b"--x--\r\n".to_vec(), "Missing field"),
        (b"--y\r\n\r\n".to_vec(), "Upload broken off"),
        (
            b"--x\r\nbad header\r\n\r\nv\r\n--x--\r\n".to_vec(),
            "Malformed form",
        ),
        (text("name", "flask").into_bytes(), "Upload broken off"),
        (
            format!("{}PK", file_head()).into_bytes(),
            "Upload broken off",
        ),
        (
            format!("{}PK\r\n{}PK\r\n--x--\r\n", file_head(), file_head()).into_bytes(),
            "Repeated field",
        ),
        (utf8, "Malformed form"),
    ] {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let told = told(post(&index, body).await).await;
        assert_eq!((told.status, told.title.as_str()), (400, title), "{shown}");
    }
    nothing_stays(&index).await;
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never happened: {what}");
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let index = Index::new().await;
    let stream = begin(&index, 3_000_000, 10_000_000).await;
    eventually("the upload is under way", || {
        index.uploaded_files().values().any(|len| *len >= 2_000_000)
    })
    .await;
    drop(stream);
    eventually("its file is gone", || index.uploaded_files().is_empty()).await;
    nothing_stays(&index).await;
}

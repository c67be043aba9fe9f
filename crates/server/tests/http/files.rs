use super::distributions::{metadata, wheel};
use super::form::{Upload, told};
use super::index::Index;

const WHEEL: &str = "/packages/flask/flask-3.0-py3-none-any.whl";

#[tokio::test]
async fn a_file_is_served_whole_and_for_ever() {
    let index = Index::new().await;
    let upload = Upload::wheel("flask", "3.0");
    upload.publish(&index).await;
    let file = index
        .get_with(WHEEL, &[("accept-encoding", "gzip, zstd")])
        .await;
    assert_eq!(file.status(), 200);
    assert_eq!(file.headers()["content-type"], "application/octet-stream");
    assert_eq!(
        file.headers()["cache-control"],
        "public, max-age=31536000, immutable"
    );
    assert_eq!(file.headers()["accept-ranges"], "bytes");
    assert_eq!(file.headers()["x-content-type-options"], "nosniff");
    assert!(!file.headers().contains_key("content-encoding"));
    let tag = file.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(file.bytes().await.unwrap(), upload.content);
    let held = index.get_with(WHEEL, &[("if-none-match", &tag)]).await;
    assert_eq!(held.status(), 304);
    let digest = wheelmark_tuf::Sha256::of(&upload.content);
    let target = format!("/targets/packages/flask/{digest}.flask-3.0-py3-none-any.whl");
    assert_eq!(
        index.get(&target).await.bytes().await.unwrap(),
        upload.content
    );
}

#[tokio::test]
async fn parts_of_a_file_are_served() {
    let index = Index::new().await;
    let upload = Upload::wheel("flask", "3.0");
    upload.publish(&index).await;
    let content = &upload.content;
    let len = content.len();
    let tag = index.get(WHEEL).await.headers()["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    for (range, start, end) in [
        ("bytes=0-9".to_owned(), 0, 10),
        ("bytes=-100".to_owned(), len - 100, len),
        (format!("bytes={}-", len - 1), len - 1, len),
        (format!("bytes=5-{}", len * 2), 5, len),
    ] {
        let part = index
            .get_with(WHEEL, &[("range", &range), ("if-range", &tag)])
            .await;
        assert_eq!(part.status(), 206, "{range}");
        assert_eq!(
            part.headers()["content-range"],
            format!("bytes {start}-{}/{len}", end - 1)
        );
        assert_eq!(part.headers()["content-length"], (end - start).to_string());
        assert_eq!(part.bytes().await.unwrap(), content[start..end], "{range}");
    }
    let other = [("range", "bytes=0-9"), ("if-range", "\"other\"")];
    let whole = index.get_with(WHEEL, &other).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.bytes().await.unwrap(), *content);

    let behind = index
        .get_with(WHEEL, &[("range", &format!("bytes={len}-"))])
        .await;
    assert_eq!(behind.headers()["content-range"], format!("bytes */{len}"));
    assert_eq!(told(behind).await.status, 416);
}

#[tokio::test]
async fn core_metadata_stands_beside_the_wheel() {
    let index = Index::new().await;
    Upload::wheel("flask", "3.0").publish(&index).await;
    let served = index.get(&format!("{WHEEL}.metadata")).await;
    assert_eq!(served.status(), 200);
    assert_eq!(
        served.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
    assert_eq!(served.text().await.unwrap(), metadata("flask", "3.0"));
}

#[tokio::test]
async fn a_large_file_has_a_list_of_its_chunks() {
    let index = Index::new().await;
    let chunk = wheelmark_server::CHUNK_LEN as usize;
    let content = wheel("large", "1.0", 5 * chunk);
    assert!(content.len() as u64 > wheelmark_server::CHUNKS_ABOVE);
    let upload = Upload::new("large-1.0-py3-none-any.whl", "large", "1.0", &content);
    upload.publish(&index).await;

    let page = index.page("large").await;
    let listed = page["files"][0]["_wheelmark"]["chunks-sha256"]
        .as_str()
        .unwrap();
    let path = format!("/targets/packages/large/{listed}.large-1.0-py3-none-any.whl.chunks");
    let list = index.get(&path).await.bytes().await.unwrap();
    let expected: Vec<u8> = content
        .chunks(chunk)
        .flat_map(|chunk| *wheelmark_tuf::Sha256::of(chunk).as_bytes())
        .collect();
    assert_eq!(list, expected);
    assert_eq!(wheelmark_tuf::Sha256::of(&list).to_string(), listed);
    let file = index
        .get("/packages/large/large-1.0-py3-none-any.whl")
        .await;
    assert_eq!(file.bytes().await.unwrap(), content);
}

#[tokio::test]
async fn caches_see_the_same_of_files_in_memory_and_on_the_disk() {
    let index = Index::new().await;
    // Small ones are kept in memory, others come from the disk.
    for (version, payload) in [("1.0", 0), ("2.0", 200_000)] {
        let content = wheel("six", version, payload);
        let name = format!("six-{version}-py3-none-any.whl");
        Upload::new(&name, "six", version, &content)
            .publish(&index)
            .await;
        let path = format!("/packages/six/{name}");
        let whole = index.get(&path).await;
        let header = |name: &str| whole.headers()[name].to_str().unwrap().to_owned();
        let (tag, len) = (header("etag"), content.len());
        assert_eq!(
            header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        assert_eq!(header("accept-ranges"), "bytes");
        // No coding is chosen for them, so caches keep one form.
        assert_eq!(whole.headers().get("vary"), None);
        assert_eq!(whole.bytes().await.unwrap(), content);

        for (asked, status, expected) in [
            ("bytes=5-9", 206, &content[5..10]),
            ("bytes=-7", 206, &content[len - 7..]),
            ("bytes=0-4,10-14", 200, &content[..]),
            ("bytes=9-5", 200, &content[..]),
            ("lines=1-2", 200, &content[..]),
            ("bytes=x-", 200, &content[..]),
        ] {
            let part = index.get_with(&path, &[("range", asked)]).await;
            assert_eq!(part.status(), status, "{asked}");
            assert_eq!(part.headers()["etag"], tag.as_str(), "{asked}");
            assert_eq!(part.bytes().await.unwrap(), expected, "{asked}");
        }
        let behind = format!("bytes={len}-");
        let behind = index.get_with(&path, &[("range", &behind)]).await;
        assert_eq!(behind.status(), 416);
        assert_eq!(behind.headers()["content-range"], format!("bytes */{len}"));
        let held = [("if-none-match", tag.as_str()), ("range", "bytes=0-4")];
        assert_eq!(index.get_with(&path, &held).await.status(), 304);
        let other = [("if-range", "\"other\""), ("range", "bytes=0-4")];
        assert_eq!(index.get_with(&path, &other).await.status(), 200);

        let head = index.request(reqwest::Method::HEAD, &path);
        let head = head.header("range", "bytes=5-9").send().await.unwrap();
        assert_eq!(head.status(), 206);
        assert_eq!(head.headers()["content-length"], "5");
        assert_eq!(head.headers()["content-range"], format!("bytes 5-9/{len}"));
        assert_eq!(head.bytes().await.unwrap(), "");
    }
}

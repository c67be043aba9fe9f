//! What an installer sees of the proxy while everything verifies.

use std::sync::Arc;

use crate::index::{
    Chunks, LARGE, SMALL, TestIndex, UNLISTED, large, metadata, signature, small, tamper,
};
use crate::setup::{Front, PLAIN, SECRET, Setup, password, status_line};
use wheelmark_client::installer::NamedProject;
use wheelmark_client::{
    Chain, Entrance, Freshness, Homes, MAX_FILE_LEN, Manner, Proxy, RUN_VIEW_LIFETIME,
    ReaderOptions,
};
use wheelmark_testing::Fault;
use wheelmark_tuf::Sha256;

#[tokio::test]
async fn a_page_in_both_forms() {
    let setup = Setup::with_files().await;
    let front = setup.proxy().await;
    let page = front.page().await;
    assert_eq!(page["name"], "demo");
    let files = page["files"].as_array().unwrap();
    assert_eq!(files.len(), 3);
    assert_eq!(files[0]["filename"], SMALL);
    assert_eq!(files[0]["url"], format!("../../packages/demo/{SMALL}"));
    assert_eq!(
        files[0]["hashes"]["sha256"],
        Sha256::of(&small()).to_string()
    );
    assert!(files[0]["core-metadata"]["sha256"].is_string());

    let html = front.get("/simple/demo/").await;
    assert_eq!(html.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(html.headers()["vary"], "Accept");
    let etag = html.headers()["etag"].clone();
    assert!(html.text().await.unwrap().contains(SMALL));
    let again = front
        .request("/simple/demo/")
        .header("If-None-Match", &etag)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 304);
    let json = front
        .request("/simple/demo/")
        .header("If-None-Match", &etag)
        .header("Accept", "application/vnd.pypi.simple.v1+json")
        .send()
        .await
        .unwrap();
    assert_eq!(json.status(), 200, "the other form has another tag");
}

#[tokio::test]
async fn files_come_whole_in_parts_and_by_head() {
    let setup = Setup::with_files().await;
    let front = setup.proxy().await;
    for (file, content) in [(SMALL, small()), (LARGE, large()), (UNLISTED, large())] {
        let path = format!("/packages/demo/{file}");
        let whole = front.get(&path).await;
        assert_eq!(whole.status(), 200, "{file}");
        assert_eq!(whole.headers()["content-length"], content.len().to_string());
        let etag = whole.headers()["etag"].clone();
        assert!(whole.bytes().await.unwrap() == content, "{file}");

        let url = format!("{}{path}", front.base);
        let head = front.client.head(url).send().await.unwrap();
        assert_eq!(head.status(), 200);
        assert_eq!(head.headers()["content-length"], content.len().to_string());
        assert!(head.bytes().await.unwrap().is_empty());

        let held = front.request(&path).header("If-None-Match", etag);
        assert_eq!(held.send().await.unwrap().status(), 304);
    }
    let report = front.ledger.report(Vec::new());
    let files: Vec<_> = report
        .files
        .iter()
        .map(|entry| (entry.file.as_str(), entry.verified, entry.chain))
        .collect();
    let signed = Chain::IndexSigned;
    assert_eq!(
        files,
        [
            (SMALL, Manner::Whole, signed),
            (LARGE, Manner::ByChunk, signed),
            (UNLISTED, Manner::LastChunkWithheld, signed),
        ]
    );
    assert!(report.refused.is_empty());
    assert!(
        report.files[0]
            .role
            .as_ref()
            .unwrap()
            .starts_with("simple-")
    );
    assert_eq!(report.files[0].role_version, Some(2));
}

#[tokio::test]
async fn ranges_are_verified_by_chunk() {
    let setup = Setup::with_files().await;
    for ignoring in [false, true] {
        if ignoring {
            setup.web.set_fault(Fault::IgnoresRanges);
        }
        let front = setup.proxy().await;
        let content = large();
        let size = content.len();
        for (header, start, end) in [
            ("bytes=0-0".to_owned(), 0, 1),
            ("bytes=1048570-1048585".to_owned(), 1_048_570, 1_048_586),
            ("bytes=3000000-".to_owned(), 3_000_000, size),
            ("bytes=-100".to_owned(), size - 100, size),
            (format!("bytes=0-{}", size * 2), 0, size),
        ] {
            let part = front
                .request(&format!("/packages/demo/{LARGE}"))
                .header("Range", &header)
                .send()
                .await
                .unwrap();
            assert_eq!(part.status(), 206, "{header}");
            assert_eq!(
                part.headers()["content-range"],
                format!("bytes {start}-{}/{size}", end - 1)
            );
            assert!(
                part.bytes().await.unwrap() == content[start..end],
                "{header}"
            );
        }
        let beyond = front
            .request(&format!("/packages/demo/{LARGE}"))
            .header("Range", format!("bytes={size}-"))
            .send()
            .await
            .unwrap();
        assert_eq!(beyond.status(), 416);
        assert_eq!(beyond.headers()["content-range"], format!("bytes */{size}"));

        let part = front
            .request(&format!("/packages/demo/{SMALL}"))
            .header("Range", "bytes=10-19")
            .send()
            .await
            .unwrap();
        assert_eq!(part.status(), 206);
        assert!(part.bytes().await.unwrap() == small()[10..20]);

        // Without a chunk list no part can be verified alone: all of it comes.
        let whole = front
            .request(&format!("/packages/demo/{UNLISTED}"))
            .header("Range", "bytes=10-19")
            .send()
            .await
            .unwrap();
        assert_eq!(whole.status(), 200);
        assert_eq!(whole.headers()["accept-ranges"], "none");
        assert_eq!(whole.bytes().await.unwrap().len(), size);
    }
    let asked = setup.web.asked();
    let ranged = format!("{LARGE} bytes=0-2097151");
    assert!(
        asked.iter().any(|path| path.ends_with(&ranged)),
        "only the chunks that are needed are asked for: {asked:?}"
    );
}

#[tokio::test]
async fn companions_redirects_and_what_is_not_there() {
    let setup = Setup::with_files().await;
    let front = setup.proxy().await;
    let answer = front.get_file(&format!("{SMALL}.metadata")).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.bytes().await.unwrap(), metadata(SMALL));
    let answer = front.get_file(&format!("{SMALL}.asc")).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["content-type"],
        "application/pgp-signature"
    );
    assert_eq!(answer.bytes().await.unwrap(), signature(SMALL));

    for path in ["/simple/demo", "/simple/Demo/", "/simple/DEMO"] {
        let moved = front.get(path).await;
        assert_eq!(moved.status(), 301, "{path}");
        assert_eq!(
            moved.headers()["location"],
            format!("/{SECRET}/simple/demo/")
        );
    }
    for path in [
        "/simple/other/",
        "/packages/other/other-1.0.tar.gz",
        "/packages/demo/demo-9.0.tar.gz",
        "/packages/demo/demo-9.0.tar.gz.metadata",
        "/packages/demo/demo-9.0.tar.gz.asc",
        "/simple/",
        "/",
    ] {
        assert_eq!(front.get(path).await.status(), 404, "{path}");
    }
    assert!(
        !front.ledger.any_refused(),
        "what is not there is no refusal"
    );
}

#[tokio::test]
async fn only_this_index_under_this_address_and_secret() {
    let setup = Setup::with_files().await;
    let front = setup.proxy().await;
    let address = front.address.clone();
    let page = format!("/{SECRET}/simple/demo/");
    let request = |line: &str, host: &str| {
        let password = password();
        format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: {password}\r\nConnection: close\r\n\r\n"
        )
    };

    let own = request(&format!("GET {page}"), &address);
    assert!(front.raw(&own).await.starts_with("HTTP/1.1 200"));
    let through_proxy = request(&format!("GET http://{address}{page}"), &address);
    assert!(front.raw(&through_proxy).await.starts_with("HTTP/1.1 200"));
    assert!(!front.ledger.any_refused());

    let rebound = request(&format!("GET {page}"), "evil.example");
    assert!(front.raw(&rebound).await.starts_with("HTTP/1.1 403"));
    let no_secret = request("GET /simple/demo/", &address);
    assert!(front.raw(&no_secret).await.starts_with("HTTP/1.1 404"));
    let post = request(&format!("POST {page}"), &address);
    assert!(front.raw(&post).await.starts_with("HTTP/1.1 405"));
    assert!(!front.ledger.any_refused());

    for (line, host) in [
        (
            "GET http://pypi.example/simple/demo/".to_owned(),
            "pypi.example",
        ),
        ("CONNECT files.example:443".to_owned(), "files.example:443"),
        (
            format!("GET http://user@{address}{page}"),
            &*format!("user@{address}"),
        ),
        (format!("CONNECT {address}"), &*address),
    ] {
        let answer = front.raw(&request(&line, host)).await;
        let status = status_line(&answer);
        assert!(
            status.starts_with("HTTP/1.1 403 wheelmark refused"),
            "{status}"
        );
        assert!(answer.contains("application/problem+json"), "{answer}");
        let refused = front.ledger.report(Vec::new()).refused;
        assert_eq!(
            refused.last().unwrap().host.as_deref(),
            Some(host),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_run_sees_one_state_and_a_daemon_the_newest() {
    let mut setup = Setup::with_files().await;
    let run = setup.proxy().await;
    let daemon = Front::new(setup.reader_with(ReaderOptions {
        freshness: Freshness::Periodic,
        ..PLAIN
    }))
    .await;
    let count = async |front: &Front| front.page().await["files"].as_array().unwrap().len();
    assert_eq!((count(&run).await, count(&daemon).await), (3, 3));
    let sdist = "demo-4.0.tar.gz";
    setup.index.add(sdist, b"sdist", Chunks::Listed).await;
    setup.index.publish().await;
    assert_eq!((count(&run).await, count(&daemon).await), (3, 3));
    setup
        .index
        .clock
        .forward(wheelmark_client::REFRESH_INTERVAL);
    assert_eq!((count(&run).await, count(&daemon).await), (3, 4));
}

#[tokio::test]
async fn a_daemon_reads_a_page_once_and_its_role_as_often_as_it_must() {
    let mut setup = Setup::with_files().await;
    let daemon = Front::new(setup.reader_with(ReaderOptions {
        freshness: Freshness::Periodic,
        ..PLAIN
    }))
    .await;
    daemon.page().await;
    for _ in 0..3 {
        setup.web.asked();
        setup
            .index
            .clock
            .forward(wheelmark_client::REFRESH_INTERVAL);
        daemon.page().await;
        let asked = setup.web.asked();
        assert!(
            !asked.iter().any(|path| path.contains("/targets/")),
            "{asked:?}"
        );
    }
    // Two days later, with the index renewed, the page is the same and its role a new one.
    setup
        .index
        .clock
        .forward(jiff::SignedDuration::from_hours(48));
    setup.index.publish().await;
    assert_eq!(daemon.get_file(SMALL).await.status(), 200);
    let asked = setup.web.asked();
    assert!(
        asked.iter().any(|path| path.contains(".simple-")),
        "{asked:?}"
    );
    assert!(
        !asked.iter().any(|path| path.contains("index.json")),
        "{asked:?}"
    );
    assert!(daemon.ledger.report(Vec::new()).files[0].role_version > Some(2));
    // And without renewal nothing is served, however well it is known.
    setup
        .index
        .clock
        .forward(jiff::SignedDuration::from_hours(48));
    assert_eq!(daemon.get_file(SMALL).await.status(), 409);
}

#[tokio::test]
async fn many_requests_share_one_refresh_and_each_role() {
    let setup = Setup::with_files().await;
    let front = Arc::new(setup.proxy().await);
    let mut requests = tokio::task::JoinSet::new();
    for i in 0..50 {
        let front = front.clone();
        requests.spawn(async move {
            match i % 3 {
                0 => assert_eq!(front.get("/simple/demo/").await.status(), 200),
                1 => assert_eq!(front.get_file(SMALL).await.status(), 200),
                _ => {
                    let answer = front.get_file(&format!("{SMALL}.metadata")).await;
                    assert_eq!(answer.status(), 200);
                }
            }
        });
    }
    while let Some(done) = requests.join_next().await {
        done.unwrap();
    }
    let asked = setup.web.asked();
    let count = |word: &str| asked.iter().filter(|path| path.contains(word)).count();
    assert_eq!(count("timestamp.json"), 1);
    assert_eq!(count("index.json"), 1);
    for role in [
        ".claimed.json",
        ".recently-claimed.json",
        ".simple.json",
        ".simple-",
    ] {
        assert_eq!(count(role), 1, "{role} {asked:?}");
    }

    // A second run takes all of it from the cache.
    let second = setup.proxy().await;
    assert_eq!(second.get("/simple/demo/").await.status(), 200);
    let asked = setup.web.asked();
    let metadata: Vec<_> = asked
        .iter()
        .filter(|path| path.contains("/metadata/"))
        .collect();
    assert_eq!(
        metadata,
        ["/metadata/2.root.json", "/metadata/timestamp.json"]
    );
}

#[tokio::test]
async fn what_is_small_is_not_worth_keeping_for_one_run() {
    let setup = Setup::with_files().await;
    let daemon = Entrance::of_homes(&Homes::only(setup.reader()));
    let daemon = Front::with_entrance(daemon, setup.reader()).await;
    let run = setup.proxy().await;
    let file = format!("/packages/demo/{SMALL}");
    for (front, path, expected) in [
        (&run, "/simple/demo/", "no-store"),
        (&run, &format!("{file}.metadata"), "no-store"),
        (&run, &file, "no-cache"),
        (&daemon, "/simple/demo/", "no-cache"),
        (&daemon, &format!("{file}.metadata"), "no-cache"),
        (&daemon, &file, "no-cache"),
    ] {
        let answer = front.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["cache-control"], expected, "{path}");
    }
}

#[tokio::test]
async fn where_everything_is_asked_for_once_nothing_is_worth_keeping() {
    let setup = Setup::with_files().await;
    let address = "127.0.0.1:0".parse().unwrap();
    let homes = Arc::new(Homes::only(setup.reader()));
    let entrance = Entrance::Secret(SECRET.to_owned());
    let proxy = Proxy::bind(address, entrance, homes, Arc::default()).await;
    let proxy = proxy.unwrap().asked_once();
    let base = proxy.index_url().replace("/simple/", "");
    let serving = tokio::spawn(proxy.serve(std::future::pending()));
    for path in ["simple/demo/".to_owned(), format!("packages/demo/{SMALL}")] {
        let answer = reqwest::get(format!("{base}/{path}")).await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
    }
    serving.abort();
}

#[tokio::test]
async fn a_role_of_which_half_is_kept_is_asked_for_again() {
    let setup = Setup::with_files().await;
    assert_eq!(setup.proxy().await.get("/simple/demo/").await.status(), 200);
    let kept = setup.reader().index().directory().join("delegated/targets");
    let whole = std::fs::read(kept.join("simple.json")).unwrap();
    let damaged = [&whole[..whole.len() / 2], b"", b"{}", &[0xff; 9]];
    for left in damaged {
        std::fs::write(kept.join("simple.json"), left).unwrap();
        setup.web.asked();
        assert_eq!(setup.proxy().await.get("/simple/demo/").await.status(), 200);
        let asked = setup.web.asked();
        let roles = asked.iter().filter(|path| path.ends_with(".simple.json"));
        assert_eq!(roles.count(), 1, "{asked:?}");
        assert_eq!(std::fs::read(kept.join("simple.json")).unwrap(), whole);
    }
}

#[tokio::test]
async fn what_was_looked_up_ahead_is_there_when_it_is_asked_for() {
    let setup = Setup::with_files().await;
    let homes = Arc::new(Homes::only(setup.reader()));
    let named = ["demo", "missing"].map(|name| likely(name, false));
    homes.clone().look_ahead(named.to_vec()).await;
    assert!(!setup.web.asked().is_empty());
    let front = Front::with_homes(Entrance::Secret("s".to_owned()), homes).await;
    assert_eq!(front.get("/simple/demo/").await.status(), 200);
    assert_eq!(front.get("/simple/missing/").await.status(), 404);
    assert!(setup.web.asked().is_empty(), "nothing is asked for twice");
    assert!(front.ledger.report(Vec::new()).refused.is_empty());
}

fn likely(project: &str, newest: bool) -> NamedProject {
    let project = project.parse().unwrap();
    NamedProject { project, newest }
}

#[tokio::test]
async fn a_small_file_that_was_fetched_ahead_is_verified_and_told_like_any_other() {
    let mut index = TestIndex::new().await;
    index.add(SMALL, &small(), Chunks::Listed).await;
    index.publish().await;
    let setup = Setup::new(index).await;
    let of_file = || {
        let asked = setup.web.asked();
        asked.iter().filter(|path| path.ends_with(SMALL)).count()
    };
    let looked_ahead = async |newest| {
        let homes = Arc::new(Homes::only(setup.reader()));
        let named = vec![likely("demo", newest)];
        homes.clone().look_ahead(named).await;
        let entrance = Entrance::Secret(SECRET.to_owned());
        (Front::with_homes(entrance, homes).await, of_file())
    };

    let (front, ahead) = looked_ahead(false).await;
    assert_eq!(ahead, 0, "another version may be wanted");
    assert_eq!(front.get_file(SMALL).await.status(), 200);
    assert_eq!(of_file(), 1);

    let (front, ahead) = looked_ahead(true).await;
    assert_eq!(ahead, 1);
    let files = || front.ledger.report(Vec::new()).files.len();
    assert_eq!(files(), 0, "nobody has got it yet");
    let answer = front.get_file(SMALL).await;
    assert_eq!(answer.bytes().await.unwrap(), small());
    assert_eq!((of_file(), files()), (0, 1));
    let again = front.get_file(SMALL).await;
    assert_eq!(again.bytes().await.unwrap(), small());
    assert_eq!(of_file(), 1, "it is kept for whoever comes first");

    let object = setup.index.object("targets/packages/demo", &[SMALL]);
    let wheel = object.with_file_name(format!("{}.{SMALL}", Sha256::of(&small())));
    tamper(&wheel, 9);
    let (front, ahead) = looked_ahead(true).await;
    assert_eq!(ahead, 1);
    assert!(front.ledger.report(Vec::new()).refused.is_empty());
    assert_eq!(front.get_file(SMALL).await.status(), 409);
    assert_eq!(of_file(), 0, "the one request has told");
    let refused = front.ledger.report(Vec::new()).refused;
    assert_eq!(refused.len(), 1, "{refused:?}");
}

#[tokio::test]
async fn a_daemon_has_an_url_of_its_own_for_each_index_and_trust() {
    let setup = Setup::with_files().await;
    let entrance = Entrance::of_homes(&Homes::only(setup.reader()));
    let front = Front::with_entrance(entrance, setup.reader()).await;
    let (here, id) = front.base.rsplit_once('/').unwrap();
    assert_eq!(id.len(), 16);
    assert!(id.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(front.get("/simple/demo/").await.status(), 200);
    assert_eq!(front.get_file(SMALL).await.status(), 200);
    for path in [
        "/",
        "/simple/",
        "/simple/demo/",
        "/0123456789abcdef/simple/demo/",
        &format!("/packages/demo/{SMALL}"),
    ] {
        let answer = front
            .client
            .get(format!("{here}{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        let body = answer.text().await.unwrap();
        assert!(body.contains(&format!("{}/simple/", front.base)), "{body}");
    }
}

#[tokio::test]
async fn a_run_does_not_say_where_its_secret_is() {
    let setup = Setup::with_files().await;
    let front = setup.proxy().await;
    let url = format!("http://{}/simple/demo/", front.address);
    let answer = front.client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert!(!answer.text().await.unwrap().contains(SECRET));
}

#[tokio::test]
async fn a_long_run_looks_again_and_stops_when_the_index_has_expired() {
    let mut setup = Setup::with_files().await;
    let run = setup.proxy().await;
    let count = async |front: &Front| front.page().await["files"].as_array().unwrap().len();
    assert_eq!(count(&run).await, 3);
    let sdist = "demo-4.0.tar.gz";
    setup.index.add(sdist, b"sdist", Chunks::Listed).await;
    setup.index.publish().await;
    let almost = RUN_VIEW_LIFETIME - jiff::SignedDuration::from_secs(1);
    setup.index.clock.forward(almost);
    assert_eq!(count(&run).await, 3);
    setup
        .index
        .clock
        .forward(jiff::SignedDuration::from_secs(1));
    assert_eq!(count(&run).await, 4);

    // The index is gone, and so is the time of what it signed.
    setup
        .index
        .clock
        .forward(jiff::SignedDuration::from_hours(48));
    assert_eq!(run.get_file(SMALL).await.status(), 409);
}

#[tokio::test]
async fn a_state_is_not_used_when_it_has_expired() {
    let setup = Setup::with_files().await;
    let stopped = setup.trusted.state().unwrap().timestamp.unwrap().expires;
    let expires: jiff::Timestamp = stopped.parse().unwrap();
    // A run that began a minute before the timestamp's end.
    let left = expires.duration_since(wheelmark_tuf::Clock::now(&*setup.index.clock));
    let minute = jiff::SignedDuration::from_secs(60);
    setup.index.clock.forward(left - minute);
    let run = setup.proxy().await;
    assert_eq!(run.get_file(SMALL).await.status(), 200);
    setup.index.clock.forward(minute);
    assert_eq!(run.get_file(SMALL).await.status(), 409);
}

#[tokio::test]
async fn a_file_of_absurd_size_is_refused_before_anything_is_fetched() {
    let mut setup = Setup::with_files().await;
    let content = large();
    let (most, more) = ("demo-4.0-py3-none-any.whl", "demo-5.0-py3-none-any.whl");
    for (file, size) in [(most, MAX_FILE_LEN), (more, MAX_FILE_LEN + 1)] {
        setup
            .index
            .add_as(file, &content, size, Chunks::Listed)
            .await;
    }
    setup.index.publish().await;
    let front = setup.proxy().await;
    front.page().await;
    setup.web.asked();
    let answer = front.get_file(more).await;
    assert_eq!(answer.status(), 409);
    assert!(setup.web.asked().is_empty());
    let body = answer.text().await.unwrap();
    assert!(body.contains("allowed for a file"), "{body}");
    // The largest size that is accepted gets as far as its chunk list, which is not one.
    assert_eq!(front.get_file(most).await.status(), 409);
    assert!(!setup.web.asked().is_empty());
}

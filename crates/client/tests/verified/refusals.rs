//! Every kind of byte that can be changed, and what an installer sees of it.

use std::path::PathBuf;

use crate::index::{Chunks, LARGE, SMALL, UNLISTED, large, small, tamper};
use crate::setup::{Front, PLAIN, SECRET, Setup, status_line};
use http::StatusCode;
use wheelmark_client::{CHUNK_LEN, Freshness, ReaderOptions, RefusedEntry};
use wheelmark_testing::Fault;
use wheelmark_tuf::Sha256;

impl Front {
    /// Asks for a path, and expects a refusal: the reason on the status line for pip, a
    /// problem for uv.
    async fn refused(&self, path: &str, status: u16, reason: &str) -> serde_json::Value {
        let line = format!(
            "GET /{SECRET}{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        );
        let answer = self.raw(&line).await;
        let first = status_line(&answer);
        let expected = format!("HTTP/1.1 {status} wheelmark refused");
        assert!(first.starts_with(&expected), "{first}");
        assert!(first.contains(reason), "{first}");
        assert!(first.is_ascii() && first.len() < 250, "{first}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains("content-type: application/problem+json"),
            "{head}"
        );
        assert!(head.contains("cache-control: no-store"), "{head}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["status"], status);
        for member in ["title", "detail", "failed", "meaning", "next"] {
            assert!(!problem[member].as_str().unwrap().is_empty(), "{member}");
        }
        problem
    }

    fn last_refused(&self) -> RefusedEntry {
        self.ledger.report(Vec::new()).refused.pop().unwrap()
    }
}

fn file(name: &str) -> String {
    format!("/packages/demo/{name}")
}

#[tokio::test]
async fn a_changed_wheel_is_refused_at_once_and_again() {
    let setup = Setup::with_files().await;
    let object = setup.index.object("targets/packages/demo", &[SMALL]);
    let wheel = object.with_file_name(format!("{}.{SMALL}", Sha256::of(&small())));
    tamper(&wheel, 99_999);
    let front = setup.proxy().await;
    let problem = front
        .refused(
            &file(SMALL),
            409,
            "sha256 is not the signed one (role simple-",
        )
        .await;
    assert_eq!(problem["file"], SMALL);
    assert_eq!(problem["role_version"], 2);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("Signed for by role simple-"), "{detail}");
    assert_eq!(problem["title"], format!("wheelmark refused {SMALL}"));
    setup.web.asked();
    front.refused(&file(SMALL), 409, SMALL).await;
    assert!(
        setup.web.asked().is_empty(),
        "the verdict stands without asking"
    );
    let refused = front.ledger.report(Vec::new()).refused;
    assert_eq!(refused.len(), 1, "the same refusal counts once");
    assert_eq!(refused[0].file.as_deref(), Some(SMALL));
    assert_eq!(
        front.get_file(LARGE).await.status(),
        200,
        "others are not affected"
    );
}

#[tokio::test]
async fn a_wheel_of_another_length_is_refused() {
    let setup = Setup::with_files().await;
    let wheel = setup.index.path(&format!(
        "targets/packages/demo/{}.{SMALL}",
        Sha256::of(&small())
    ));
    for content in [&small()[..50_000], &[small(), vec![0; 9]].concat()] {
        std::fs::write(&wheel, content).unwrap();
        let front = setup.proxy().await;
        front
            .refused(&file(SMALL), 409, "length is not the signed one")
            .await;
    }
}

#[tokio::test]
async fn a_large_wheel_is_refused_at_its_bad_chunk() {
    let setup = Setup::with_files().await;
    let wheel = setup.index.path(&format!(
        "targets/packages/demo/{}.{LARGE}",
        Sha256::of(&large())
    ));
    // In the first chunk: not a byte leaves.
    let bad = tamper(&wheel, 0);
    let front = setup.proxy().await;
    front.refused(&file(LARGE), 409, "chunk 1 of 6").await;
    bad.undo();

    // Later: what left before is good, the end never comes, and asking again says why.
    let bad = tamper(&wheel, 3 * CHUNK_LEN as usize + 5);
    let front = setup.proxy().await;
    let mut answer = front.get_file(LARGE).await;
    assert_eq!(answer.status(), 200);
    let mut received = Vec::new();
    let broke = loop {
        match answer.chunk().await {
            Ok(Some(piece)) => received.extend_from_slice(&piece),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broke, "the answer must look cut off");
    assert!(received.len() as u64 <= 3 * CHUNK_LEN);
    assert!(large().starts_with(&received));
    front.refused(&file(LARGE), 409, "chunk 4 of 6").await;
    assert_eq!(front.last_refused().file.as_deref(), Some(LARGE));
    assert!(front.ledger.report(Vec::new()).files.is_empty());

    // A range beside the bad chunk is good, one that touches it is not.
    let front = setup.proxy().await;
    let part = |header: &'static str| front.request(&file(LARGE)).header("Range", header).send();
    assert_eq!(part("bytes=0-100").await.unwrap().status(), 206);
    let touched = part("bytes=3145728-3145729").await.unwrap();
    assert_eq!(touched.status(), 409);
    bad.undo();
}

#[tokio::test]
async fn without_a_chunk_list_a_bad_wheel_never_completes() {
    let setup = Setup::with_files().await;
    let wheel = setup.index.path(&format!(
        "targets/packages/demo/{}.{UNLISTED}",
        Sha256::of(&large())
    ));
    tamper(&wheel, 0);
    let front = setup.proxy().await;
    let mut answer = front.get_file(UNLISTED).await;
    let mut received = 0;
    while let Ok(Some(piece)) = answer.chunk().await {
        received += piece.len() as u64;
    }
    assert!(received <= 5 * CHUNK_LEN, "the last chunk was withheld");
    front
        .refused(&file(UNLISTED), 409, "sha256 is not the signed one")
        .await;
}

#[tokio::test]
async fn a_changed_chunk_list_or_metadata_file_is_refused() {
    let setup = Setup::with_files().await;
    let list = setup
        .index
        .object("targets/packages/demo", &[LARGE, ".chunks"]);
    let metadata = setup
        .index
        .object("targets/packages/demo", &[SMALL, ".metadata"]);
    let bad = tamper(&list, 7);
    tamper(&metadata, 7);
    let front = setup.proxy().await;
    front
        .refused(&file(LARGE), 409, "chunk list is not what was signed")
        .await;
    let problem = front
        .refused(
            &file(&format!("{SMALL}.metadata")),
            409,
            "sha256 is not the signed one",
        )
        .await;
    assert_eq!(problem["file"], format!("{SMALL}.metadata"));
    assert_eq!(front.get_file(SMALL).await.status(), 200);
    bad.undo();
    std::fs::write(&list, []).unwrap();
    let front = setup.proxy().await;
    front.refused(&file(LARGE), 409, LARGE).await;
}

#[tokio::test]
async fn a_changed_signature_is_refused_and_its_file_is_not() {
    let setup = Setup::with_files().await;
    let signature = setup
        .index
        .object("targets/packages/demo", &[SMALL, ".asc"]);
    let bad = tamper(&signature, 7);
    let front = setup.proxy().await;
    let asked = file(&format!("{SMALL}.asc"));
    let problem = front
        .refused(&asked, 409, "sha256 is not the signed one")
        .await;
    assert_eq!(problem["file"], format!("{SMALL}.asc"));
    assert_eq!(front.get_file(SMALL).await.status(), 200);
    bad.undo();
    let mut longer = std::fs::read(&signature).unwrap();
    longer.push(b'\n');
    std::fs::write(&signature, longer).unwrap();
    let front = setup.proxy().await;
    front.refused(&asked, 409, "length").await;
    std::fs::remove_file(&signature).unwrap();
    let front = setup.proxy().await;
    front.refused(&asked, 409, "not there").await;
}

#[tokio::test]
async fn a_changed_page_stands_in_with_names_that_are_all_refused() {
    let mut setup = Setup::with_files().await;
    assert_eq!(
        setup.proxy().await.page().await["files"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    setup
        .index
        .add("demo-4.0.tar.gz", b"new", Chunks::Listed)
        .await;
    setup.index.publish().await;
    let newest: PathBuf = {
        // The page that lists the new file is the one that the first run did not ask for.
        let all = std::fs::read_dir(setup.index.path("targets/simple/demo")).unwrap();
        let mut pages = all.map(|entry| entry.unwrap().path());
        pages
            .find(|path| std::fs::read_to_string(path).unwrap().contains("demo-4.0"))
            .unwrap()
    };
    tamper(&newest, 20);
    let front = setup.proxy().await;
    let page = front.page().await;
    let names: Vec<_> = page["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["filename"].as_str().unwrap())
        .collect();
    let above = "demo-4+refused.by.wheelmark-py3-none-any.whl";
    assert_eq!(names, [SMALL, LARGE, UNLISTED, above]);
    for name in names {
        let problem = front
            .refused(&file(name), 409, "page simple/demo/index.json")
            .await;
        assert!(problem["role"].as_str().unwrap().starts_with("simple-"));
        front
            .refused(&file(&format!("{name}.metadata")), 409, "page")
            .await;
    }
    assert_eq!(front.ledger.report(Vec::new()).refused.len(), 1);
    let html = front.get("/simple/demo/").await;
    assert_eq!(html.headers()["cache-control"], "no-store");
    assert!(html.text().await.unwrap().contains("refused.by.wheelmark"));
}

#[tokio::test]
async fn a_changed_role_is_named() {
    let setup = Setup::with_files().await;
    for role in ["simple-", "simple.json", "claimed.json"] {
        let cached = setup.trusted.directory().join("delegated");
        drop(std::fs::remove_dir_all(cached));
        // Of all bins, the one that the page is in has a second version.
        let path = setup.index.object("metadata", &[role]);
        let bytes = std::fs::read(&path).unwrap();
        let bad = tamper(&path, bytes.len() - 20);
        let front = setup.proxy().await;
        let name = role.trim_end_matches(".json");
        front.refused(&file(SMALL), 409, name).await;
        // Nothing is known of the project: an entry below its releases, and one above them.
        assert_eq!(front.page().await["files"].as_array().unwrap().len(), 2);
        bad.undo();
        let held = path.with_extension("away");
        std::fs::rename(&path, &held).unwrap();
        let front = setup.proxy().await;
        front.refused(&file(SMALL), 409, "is not there").await;
        std::fs::rename(&held, &path).unwrap();
    }
    let front = setup.proxy().await;
    assert_eq!(front.get_file(SMALL).await.status(), 200);
}

#[tokio::test]
async fn strict_asks_the_files_own_target() {
    let setup = Setup::with_files().await;
    let strict = || {
        setup.reader_with(ReaderOptions {
            strict: true,
            ..PLAIN
        })
    };
    let front = Front::new(strict()).await;
    assert_eq!(front.get_file(SMALL).await.status(), 200);
    let entry = &front.ledger.report(Vec::new()).files[0];
    assert!(entry.file_role.as_ref().unwrap().starts_with("packages-"));
    assert_eq!(entry.file_role_version, Some(2));

    // With the cached copy gone and the role changed, only the strict run sees it.
    let cached = setup.trusted.directory().join("delegated");
    std::fs::remove_dir_all(cached).unwrap();
    let bins = std::fs::read_dir(setup.index.path("metadata")).unwrap();
    for bin in bins.map(|entry| entry.unwrap().path()) {
        if bin.to_string_lossy().contains(".packages-") {
            tamper(&bin, 300);
        }
    }
    let front = Front::new(strict()).await;
    front.refused(&file(SMALL), 409, "packages-").await;
    assert_eq!(setup.proxy().await.get_file(SMALL).await.status(), 200);
}

#[tokio::test]
async fn an_index_that_is_down_is_said_to_be_down() {
    let setup = Setup::with_files().await;
    let reader = setup.reader();
    reader.refresh().await.unwrap();
    setup.web.stop();
    tokio::task::yield_now().await;
    let front = Front::new(reader).await;
    let problem = front.refused(&file(SMALL), 424, "could not connect").await;
    assert!(
        problem["meaning"]
            .as_str()
            .unwrap()
            .contains("nothing was found to be false")
    );
    assert!(front.ledger.any_refused());
}

#[tokio::test]
async fn servers_that_misbehave() {
    let setup = Setup::with_files().await;
    for (fault, reason) in [
        (
            Fault::Answers("packages", StatusCode::INTERNAL_SERVER_ERROR),
            "answered 500",
        ),
        (
            Fault::Redirects("packages", "http://elsewhere.example".to_owned()),
            "127.0.0.1 redirects elsewhere",
        ),
    ] {
        let front = setup.proxy().await;
        front.page().await;
        setup.web.set_fault(fault);
        front.refused(&file(SMALL), 424, reason).await;
        setup.web.set_fault(Fault::None);
        // No verdict on the bytes was given, so asking again may go well.
        assert_eq!(front.get_file(SMALL).await.status(), 200);
    }
    setup.web.set_fault(Fault::Floods("targets/packages"));
    let front = setup.proxy().await;
    front
        .refused(&file(SMALL), 409, "length is not the signed one")
        .await;
    front
        .refused(&file(&format!("{SMALL}.metadata")), 424, "longer than")
        .await;
}

#[tokio::test]
async fn what_the_index_dropped_is_asked_for_in_its_newest_state() {
    let mut setup = Setup::with_files().await;
    let front = setup.proxy().await;
    // The run begins with this state, and no page was asked for yet.
    assert_eq!(front.get("/simple/other/").await.status(), 404);
    let old = setup.index.object("targets/simple/demo", &["index.json"]);
    setup
        .index
        .add("demo-4.0.tar.gz", b"new", Chunks::Listed)
        .await;
    setup.index.publish().await;
    std::fs::remove_file(old).unwrap();
    setup.index.clock.forward(wheelmark_client::RETRY_AFTER);
    assert_eq!(front.page().await["files"].as_array().unwrap().len(), 4);
    assert!(!front.ledger.any_refused());
}

#[tokio::test]
async fn a_daemon_stops_when_trust_is_ended() {
    let setup = Setup::with_files().await;
    let daemon = Front::new(setup.reader_with(ReaderOptions {
        freshness: Freshness::Periodic,
        ..PLAIN
    }))
    .await;
    assert_eq!(daemon.get_file(SMALL).await.status(), 200);
    let simple = setup.trusted.urls().simple();
    assert!(setup.store.remove(simple).await.unwrap());
    setup
        .index
        .clock
        .forward(wheelmark_client::REFRESH_INTERVAL);
    let answer = daemon.get_file(SMALL).await;
    assert_eq!(answer.status(), 424);
    let body = answer.text().await.unwrap();
    assert!(body.contains("has ended or begun anew"), "{body}");
    assert!(!setup.trusted.directory().exists());
}

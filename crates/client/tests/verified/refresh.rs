//! How trust begins, and how the chain is kept.

use crate::index::{Chunks, SMALL, TestIndex, tamper};
use crate::setup::{Setup, remote};
use jiff::SignedDuration;
use wheelmark_client::{
    AddError, Began, Beginning, IndexUrls, RefreshFailure, TrustError, TrustStore, add_trust,
};
use wheelmark_testing::{Fault, Web};
use wheelmark_tuf::{Clock as _, Sha256};

struct Candidate {
    index: TestIndex,
    web: Web,
    home: tempfile::TempDir,
}

impl Candidate {
    async fn new() -> Self {
        let index = TestIndex::new().await;
        let web = Web::serve(&index.path("")).await;
        let home = tempfile::tempdir().unwrap();
        Self { index, web, home }
    }

    async fn add(&self, beginning: Beginning) -> Result<wheelmark_client::TrustedIndex, AddError> {
        let store = TrustStore::open(self.home.path()).unwrap();
        let urls = IndexUrls::new(&self.web.simple(), None, None).unwrap();
        let now = self.index.clock.now();
        let added = add_trust(&store, &remote(), urls, beginning, now).await;
        if added.is_err() {
            assert!(store.list().unwrap().is_empty(), "a failure stores nothing");
        }
        added
    }

    fn root(&self) -> Beginning {
        let from = self.index.path("metadata/1.root.json");
        let bytes = std::fs::read(&from).unwrap();
        Beginning::Root { bytes, from }
    }
}

#[tokio::test]
async fn trust_begins_in_three_ways() {
    for way in 0..3 {
        let candidate = Candidate::new().await;
        let (beginning, began) = match way {
            0 => (candidate.root(), Began::RootFile),
            1 => (
                Beginning::Fingerprint(candidate.index.fingerprint),
                Began::Fingerprint,
            ),
            _ => (Beginning::FirstUse, Began::FirstUseOverLoopbackHttp),
        };
        let trusted = candidate.add(beginning.clone()).await.unwrap();
        assert_eq!(trusted.record().began, began);
        assert_eq!(
            trusted.record().first_root_fingerprint,
            candidate.index.fingerprint
        );
        let state = trusted.state().unwrap();
        assert_eq!(
            (state.root.version, state.snapshot.unwrap().version),
            (1, 1)
        );
        let store = TrustStore::open(candidate.home.path()).unwrap();
        let urls = trusted.urls().clone();
        let now = candidate.index.clock.now();
        let again = add_trust(&store, &remote(), urls, beginning, now).await;
        assert!(matches!(
            again,
            Err(AddError::Trust(TrustError::AlreadyTrusted { .. }))
        ));
    }
}

#[tokio::test]
async fn a_fingerprint_names_the_root_where_trust_begins() {
    let candidate = Candidate::new().await;
    let first = candidate.add(Beginning::Fingerprint(candidate.index.fingerprint));
    drop(first.await.unwrap());
    let bytes = std::fs::read(candidate.index.path("metadata/1.root.json")).unwrap();
    let second = candidate.index.publish_second_root(&bytes);

    let other = Candidate {
        home: tempfile::tempdir().unwrap(),
        ..candidate
    };
    // What stands before that root is not believed, so it may be anything.
    tamper(&other.index.path("metadata/1.root.json"), 40);
    let trusted = other.add(Beginning::Fingerprint(second)).await.unwrap();
    assert_eq!(trusted.record().first_root_version, 2);
    assert_eq!(trusted.record().first_root_fingerprint, second);

    let stranger = Candidate {
        home: tempfile::tempdir().unwrap(),
        ..other
    };
    assert!(matches!(
        stranger.add(Beginning::Fingerprint(Sha256::of(b"x"))).await,
        Err(AddError::NoSuchRoot { walked: 2, .. })
    ));
}

#[tokio::test]
async fn trust_does_not_begin_with_what_does_not_verify() {
    let candidate = Candidate::new().await;
    let Beginning::Root { bytes, from } = candidate.root() else {
        unreachable!("a root file is given");
    };
    let text = String::from_utf8(bytes).unwrap();
    let bytes = text.replace("\"version\":1", "\"version\":2").into_bytes();
    assert!(matches!(
        candidate.add(Beginning::Root { bytes, from }).await,
        Err(AddError::NotARoot { .. })
    ));
    for file in ["timestamp.json", "1.snapshot.json", "1.targets.json"] {
        let path = candidate.index.path(&format!("metadata/{file}"));
        let bad = tamper(&path, 150);
        match candidate.add(candidate.root()).await {
            Err(AddError::Refresh(RefreshFailure::Refused { path, .. })) => assert_eq!(path, file),
            other => panic!("{file}: {other:?}"),
        }
        bad.undo();
    }
    // A month later, without anybody who renews, the timestamp has expired.
    candidate
        .index
        .clock
        .forward(SignedDuration::from_hours(24 * 30));
    assert!(matches!(
        candidate.add(candidate.root()).await,
        Err(AddError::Refresh(RefreshFailure::Refused { .. }))
    ));
}

#[tokio::test]
async fn first_use_over_the_net_needs_https() {
    let home = tempfile::tempdir().unwrap();
    let store = TrustStore::open(home.path()).unwrap();
    let now = "2026-11-21T00:00:00Z".parse().unwrap();
    for metadata in [None, Some("https://pkg.example/metadata/")] {
        let urls = IndexUrls::new("http://pkg.example/simple/", metadata, None).unwrap();
        assert!(matches!(
            add_trust(&store, &remote(), urls, Beginning::FirstUse, now).await,
            Err(AddError::NotHttps { .. })
        ));
    }
}

#[tokio::test]
async fn an_error_leaves_the_store_able_to_go_on() {
    let mut setup = Setup::with_files().await;
    setup
        .index
        .add("demo-4.0.tar.gz", b"new", Chunks::Listed)
        .await;
    setup.index.publish().await;
    let bad = tamper(&setup.index.path("metadata/3.snapshot.json"), 30);
    let reader = setup.reader();
    match &*reader.refresh().await.unwrap_err() {
        RefreshFailure::Refused { path, .. } => assert_eq!(path, "3.snapshot.json"),
        other => panic!("{other:?}"),
    }
    // Whoever asks in the next seconds gets the same answer without another request.
    setup.web.asked();
    drop(reader.refresh().await.unwrap_err());
    assert!(setup.web.asked().is_empty());
    bad.undo();
    setup.index.clock.forward(wheelmark_client::RETRY_AFTER);
    assert_eq!(reader.refresh().await.unwrap(), 3);
}

#[tokio::test]
async fn a_damaged_cache_is_fetched_anew_and_the_floor_stays() {
    let mut setup = Setup::with_files().await;
    let front = setup.proxy().await;
    assert_eq!(front.get_file(SMALL).await.status(), 200);
    let cached = walk(setup.trusted.directory());
    assert!(
        cached
            .iter()
            .any(|path| path.to_string_lossy().contains("delegated"))
    );
    for path in cached {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.extension().is_some_and(|e| e == "json") && name != "root.json" {
            std::fs::write(&path, b"{\"signed\":").unwrap();
        }
    }
    let front = setup.proxy().await;
    assert_eq!(front.get_file(SMALL).await.status(), 200);

    // An old timestamp, replayed after a newer one was seen, is refused.
    let old = std::fs::read(setup.index.path("metadata/timestamp.json")).unwrap();
    setup
        .index
        .add("demo-4.0.tar.gz", b"new", Chunks::Listed)
        .await;
    setup.index.publish().await;
    setup.reader().refresh().await.unwrap();
    std::fs::write(setup.index.path("metadata/timestamp.json"), old).unwrap();
    match &*setup.reader().refresh().await.unwrap_err() {
        RefreshFailure::Refused { path, source, .. } => {
            assert_eq!(path, "timestamp.json");
            assert!(source.to_string().contains("goes back"), "{source}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn metadata_without_end_is_cut_off() {
    let setup = Setup::with_files().await;
    setup.web.set_fault(Fault::Floods("timestamp"));
    let failure = setup.reader().refresh().await.unwrap_err();
    assert!(
        matches!(
            &*failure,
            RefreshFailure::Fetch(wheelmark_client::FetchError::TooLarge { limit: 16_384, .. })
        ),
        "{failure:?}"
    );
}

#[tokio::test]
async fn several_processes_share_one_store() {
    let setup = Setup::with_files().await;
    let mut refreshes = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let reader = setup.reader();
        refreshes.spawn(async move { reader.refresh().await.map_err(|e| e.to_string()) });
    }
    while let Some(done) = refreshes.join_next().await {
        assert_eq!(done.unwrap(), Ok(2));
    }
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// The page of another run is at hand, and counts for what its digest says.
#[tokio::test]
async fn a_page_that_did_not_change_is_not_fetched_again() {
    let mut setup = Setup::with_files().await;
    let demo = "demo".parse().unwrap();
    let pages = |asked: Vec<String>| {
        let is_page = |path: &&String| path.contains("targets/simple/demo/");
        asked.iter().filter(is_page).count()
    };
    let first = setup.reader().page(&demo).await.unwrap().unwrap();
    assert_eq!(pages(setup.web.asked()), 1);
    let second = setup.reader().page(&demo).await.unwrap().unwrap();
    assert_eq!(pages(setup.web.asked()), 0);
    assert_eq!(second.page(), first.page());

    // Whoever may write there could as well have written the root; but a disk may fail.
    let kept = setup.trusted.directory().join("pages/demo.json");
    let damaged = tamper(&kept, 60);
    assert!(setup.reader().page(&demo).await.unwrap().is_some());
    assert_eq!(pages(setup.web.asked()), 1);
    drop(damaged);

    let late = "demo-4.0.tar.gz";
    setup.index.add(late, b"new", Chunks::Listed).await;
    setup.index.publish().await;
    let third = setup.reader().page(&demo).await.unwrap().unwrap();
    assert_eq!(pages(setup.web.asked()), 1);
    assert!(
        third
            .page()
            .files
            .iter()
            .any(|file| file.filename.as_str() == late)
    );
}

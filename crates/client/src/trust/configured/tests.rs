#![expect(clippy::unwrap_used, reason = "a test may panic")]

use wheelmark_provenance::Publisher;
use wheelmark_tuf::Sha256;

use super::*;
use crate::mirror::{Mirror, Turn};

fn store() -> (tempfile::TempDir, TrustStore) {
    let home = tempfile::tempdir().unwrap();
    let store = TrustStore::open(home.path()).unwrap();
    (home, store)
}

fn urls(simple: &str) -> IndexUrls {
    IndexUrls::new(simple, None, None).unwrap()
}

fn now() -> jiff::Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

fn signed(simple: &str) -> IndexRecord {
    IndexRecord {
        urls: urls(simple),
        began: Began::Fingerprint,
        trusted_since: now(),
        first_root_version: 1,
        first_root_fingerprint: Sha256::of(b"root"),
    }
}

const PUBLIC: &str = "https://public.example/simple/";
const OURS: &str = "https://ours.example/simple/";

#[tokio::test]
async fn it_is_told_once_and_is_not_trusted() {
    let (_home, store) = store();
    let (index, new) = store.use_configured(urls(PUBLIC), now()).await.unwrap();
    assert!(new && !index.is_signed());
    let (_, again) = store.use_configured(urls(PUBLIC), now()).await.unwrap();
    assert!(!again);
    let (_, other) = store
        .use_configured(urls("https://other.example/simple/"), now())
        .await
        .unwrap();
    assert!(other, "another one is told anew");
    assert!(store.list().unwrap().is_empty());
    assert!(store.find(urls(PUBLIC).simple()).unwrap().is_none());
    assert_eq!(store.configured().unwrap().len(), 2);
}

#[tokio::test]
async fn nothing_that_is_trusted_is_passed_over() {
    let (_home, store) = store();
    store.use_configured(urls(PUBLIC), now()).await.unwrap();
    store.begin(signed(OURS), b"root", &[], None).await.unwrap();
    for simple in [PUBLIC, OURS] {
        let refused = store.use_configured(urls(simple), now()).await;
        assert!(
            matches!(refused, Err(NotUsed::Chosen { .. })),
            "{refused:?}"
        );
    }
    store.remove(urls(OURS).simple()).await.unwrap();
    store.add_unsigned(urls(OURS), now()).await.unwrap();
    let refused = store.use_configured(urls(PUBLIC), now()).await;
    assert!(
        matches!(refused, Err(NotUsed::Chosen { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_was_signed_once_never_comes_back_unsigned() {
    let (_home, store) = store();
    let mut record = signed(OURS);
    let mirror = Mirror::new(Some("https://mirror.example/"), None, None, Turn::default());
    record.urls = record.urls.with_mirrors(vec![mirror.unwrap()]);
    store.begin(record, b"root", &[], None).await.unwrap();
    store.remove(urls(OURS).simple()).await.unwrap();
    for simple in [
        OURS,
        "https://OURS.example:443/simple",
        "https://ours.example./simple/",
        "https://ours.example:8443/simple/",
        "https://ours.example/other/",
        "https://mirror.example/simple/",
    ] {
        let refused = store.use_configured(urls(simple), now()).await;
        assert!(
            matches!(refused, Err(NotUsed::OnceSigned { .. })),
            "{simple}: {refused:?}"
        );
    }
    assert!(store.use_configured(urls(PUBLIC), now()).await.unwrap().1);
    // Who says so may have it unsigned.
    store.add_unsigned(urls(OURS), now()).await.unwrap();
}

#[tokio::test]
async fn on_this_machine_a_port_is_somebody_else() {
    let (_home, store) = store();
    let ours = "http://127.0.0.1:8000/simple/";
    store.begin(signed(ours), b"root", &[], None).await.unwrap();
    store.remove(urls(ours).simple()).await.unwrap();
    for (simple, taken) in [
        (ours, false),
        ("http://localhost:8000/simple/", false),
        ("http://[::1]:8000/x/", false),
        ("http://127.0.0.1:8001/simple/", true),
    ] {
        let used = store.use_configured(urls(simple), now()).await;
        assert_eq!(used.is_ok(), taken, "{simple}: {used:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_taken_for_what_was_signed() {
    let (_home, store) = store();
    let index = store.begin(signed(OURS), b"root", &[], None).await.unwrap();
    fs::write(index.directory().join(super::super::RECORD), "damaged").unwrap();
    assert!(store.use_configured(urls(PUBLIC), now()).await.is_err());
    assert!(store.remove(urls(OURS).simple()).await.unwrap());
    let refused = store.use_configured(urls(OURS), now()).await;
    assert!(
        matches!(refused, Err(NotUsed::OnceSigned { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn not_over_plain_http() {
    let (_home, store) = store();
    let refused = store
        .use_configured(urls("http://public.example/simple/"), now())
        .await;
    assert!(
        matches!(refused, Err(NotUsed::InTheOpen { .. })),
        "{refused:?}"
    );
    assert!(store.configured().unwrap().is_empty());
}

#[tokio::test]
async fn who_attests_stays_known_when_the_index_is_trusted() {
    let project = "demo".parse().unwrap();
    let publisher: Publisher = "github:o/demo@release.yml".parse().unwrap();
    let (_home, store) = store();
    for simple in [PUBLIC, OURS] {
        let (index, _) = store.use_configured(urls(simple), now()).await.unwrap();
        index
            .remember(&project, |known| known.accept(publisher.clone(), now()))
            .await
            .unwrap();
    }
    let unsigned = store.add_unsigned(urls(PUBLIC), now()).await.unwrap();
    let signed = store.begin(signed(OURS), b"root", &[], None).await.unwrap();
    for index in [unsigned, signed] {
        let known = index.remembered(&project).unwrap();
        assert_eq!(known.accepted[0].publisher, publisher, "{:?}", index.urls());
    }
    assert!(store.configured().unwrap().is_empty());
}

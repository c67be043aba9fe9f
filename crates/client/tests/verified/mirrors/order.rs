//! Who is asked after whom.

use std::sync::Arc;

use http::StatusCode;
use wheelmark_client::{CHUNK_LEN, Freshness, Mirror, Reader, ReaderOptions, Turn};

use super::patience::impatient;
use super::{LARGE_FILE, Pair, copy_tree, install_everything, only};
use crate::index::{Chunks, LARGE, SMALL, large};
use crate::setup::{Front, PLAIN, remote};
use wheelmark_testing::{Fault, Web};

#[tokio::test]
async fn who_failed_is_asked_last_and_told_of_once() {
    for (freshness, is_told_at_the_end) in [(Freshness::Once, true), (Freshness::Periodic, false)] {
        failed_once(freshness, is_told_at_the_end).await;
    }
}

async fn failed_once(freshness: Freshness, is_told_at_the_end: bool) {
    let pair = Pair::new().await;
    let gone = Fault::Answers("targets", StatusCode::NOT_FOUND);
    pair.own.set_fault(gone);
    let (trusted, clock) = (pair.trusted.clone(), pair.index.clock.clone());
    let options = ReaderOptions { freshness, ..PLAIN };
    let reader = Arc::new(Reader::new(trusted, remote(), clock, options));
    let warning = only(install_everything(reader.clone()).await);
    assert_eq!(warning.source, pair.own_name());
    assert_eq!(
        warning.what,
        "the page simple/demo/index.json: it is signed for, but not there"
    );
    let own = pair.own.asked();
    let objects = own.iter().filter(|path| path.contains("/targets/"));
    assert_eq!(
        objects.count(),
        1,
        "one request was enough to know: {own:?}"
    );

    // An hour later it gets another chance.
    pair.own.set_fault(Fault::None);
    pair.index.clock.forward(wheelmark_client::ASKED_LAST_FOR);
    // A run tells at its end what happened, however long it took.
    let told: &[_] = if is_told_at_the_end { &[warning] } else { &[] };
    assert_eq!(install_everything(reader).await, told);
    let own = pair.own.asked();
    assert!(own.iter().any(|path| path.ends_with(SMALL)), "{own:?}");
}

/// One more source, the last one.
async fn with_another(pair: &mut Pair) -> (Web, tempfile::TempDir) {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(&pair.index.path(""), copy.path());
    let web = Web::serve(copy.path()).await;
    let mirror = Mirror::new(Some(&web.base), None, None, Turn::After).unwrap();
    assert!(pair.trusted.add_mirror(mirror).await.unwrap());
    (web, copy)
}

#[tokio::test]
async fn of_those_that_failed_the_one_that_failed_last_is_asked_last() {
    let mut pair = Pair::with(Turn::Before).await;
    let files: Vec<String> = (0..10).map(|n| format!("demo-9.{n}.tar.gz")).collect();
    for file in &files {
        pair.index.add(file, b"small", Chunks::Listed).await;
    }
    pair.index.publish().await;
    pair.update_mirror();
    let (third, _copy) = with_another(&mut pair).await;
    let front = Front::new(pair.reader_by(impatient())).await;
    assert_eq!(front.page().await["meta"]["api-version"], "1.4");

    pair.mirror.asked();
    pair.mirror.set_fault(Fault::Silent("targets", 0));
    third.set_fault(Fault::Answers("targets", StatusCode::BAD_GATEWAY));
    pair.own
        .set_fault(Fault::Answers("targets", StatusCode::BAD_GATEWAY));
    assert_eq!(front.get_file(&files[0]).await.status(), 424);
    pair.own.set_fault(Fault::None);
    for file in &files {
        assert_eq!(front.get_file(file).await.status(), 200, "{file}");
    }
    let asked = pair.mirror.asked();
    assert!(asked.len() <= 2, "it was silent each time: {asked:?}");
}

#[tokio::test]
async fn a_failure_of_metadata_says_nothing_about_files() {
    let pair = Pair::new().await;
    pair.own
        .set_fault(Fault::Answers("metadata", StatusCode::BAD_GATEWAY));
    let warning = only(install_everything(pair.reader()).await);
    assert_eq!(warning.source, pair.own_name());
    assert!(pair.own.asked().iter().any(|path| path.ends_with(SMALL)));
}

#[tokio::test]
async fn who_is_only_behind_is_still_asked_before_who_failed() {
    let mut pair = Pair::new().await;
    pair.publish("demo-4.0.tar.gz").await;
    let front = Front::new(pair.reader()).await;
    // The mirror does not have it, as is to be expected.
    pair.own
        .set_fault(Fault::Answers(".tar.gz", StatusCode::BAD_GATEWAY));
    assert_eq!(front.get_file("demo-4.0.tar.gz").await.status(), 409);
    pair.own.asked();
    assert_eq!(front.get_file(SMALL).await.status(), 200);
    let own = pair.own.asked();
    assert!(!own.iter().any(|path| path.ends_with(SMALL)), "{own:?}");
}

#[tokio::test]
async fn a_source_without_ranges_goes_on_only_where_no_other_can() {
    for third_has_it in [true, false] {
        let mut pair = Pair::new().await;
        let (third, _copy) = with_another(&mut pair).await;
        pair.own
            .set_fault(Fault::Breaks(LARGE_FILE, CHUNK_LEN as usize + 10));
        pair.mirror.set_fault(Fault::IgnoresRanges);
        if !third_has_it {
            third.set_fault(Fault::Answers(LARGE_FILE, StatusCode::NOT_FOUND));
        }
        let front = Front::new(pair.reader()).await;
        let answer = front.get_file(LARGE).await;
        assert!(answer.bytes().await.unwrap() == large());
        let of_file = |asked: Vec<String>| asked.iter().filter(|p| p.contains(LARGE)).count();
        assert_eq!(of_file(third.asked()), 1, "{third_has_it}");
        let times = if third_has_it { 1 } else { 2 };
        assert_eq!(of_file(pair.mirror.asked()), times, "{third_has_it}");
    }
}

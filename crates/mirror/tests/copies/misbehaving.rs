//! What upstream can do wrong: readers keep the last good state, whole, and the next run with an
//! upstream that is well comes to its end.

use std::path::Path;

use bytes::Bytes;
use http::StatusCode;
use jiff::SignedDuration;
use wheelmark_mirror::{Blame, CopyError};

use crate::copier::{Copier, plain};
use crate::index::{LARGE, TestIndex, content};
use wheelmark_testing::{At, Fault, Web};

const HTML: &[u8] = b"<!DOCTYPE html><title>Log in</title>";

/// A copy of an index that has changed since.
async fn changed() -> (TestIndex, Copier) {
    let mut index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    copier.run().await.unwrap();
    index
        .add("demo-3.0-py3-none-any.whl", &content("new"))
        .await;
    index.add("new-1.0.tar.gz", &vec![7; 5 << 20]).await;
    index.publish().await;
    (index, copier)
}

#[tokio::test]
async fn whatever_upstream_does_the_last_good_state_stays() {
    let (unavailable, refused) = (Blame::Unavailable, Blame::Refused);
    let html = || Bytes::from_static(HTML);
    let elsewhere = || "http://other.example".to_owned();
    let faults = [
        (
            Fault::Answers("timestamp.json", StatusCode::INTERNAL_SERVER_ERROR),
            unavailable,
        ),
        (
            Fault::Answers("timestamp.json", StatusCode::NOT_FOUND),
            unavailable,
        ),
        (
            Fault::Answers("snapshot.json", StatusCode::NOT_FOUND),
            unavailable,
        ),
        (
            Fault::Answers(".simple-", StatusCode::NOT_FOUND),
            unavailable,
        ),
        (
            Fault::Answers("/targets/simple/", StatusCode::NOT_FOUND),
            unavailable,
        ),
        (
            Fault::Answers("/targets/packages/", StatusCode::FORBIDDEN),
            unavailable,
        ),
        (Fault::Answers(".metadata$", StatusCode::GONE), unavailable),
        (Fault::Answers(".asc$", StatusCode::NOT_FOUND), unavailable),
        (
            Fault::Answers(".chunks$", StatusCode::NOT_FOUND),
            unavailable,
        ),
        (Fault::Says("timestamp.json", html()), refused),
        (Fault::Says(".packages-", html()), refused),
        (Fault::Says("/targets/simple/", html()), refused),
        (Fault::Says("/targets/packages/", html()), refused),
        (Fault::Alters("timestamp.json", At::Middle), refused),
        (Fault::Alters(".simple-", At::Middle), refused),
        (Fault::Alters("/targets/simple/", At::Middle), refused),
        (Fault::Alters(".whl$", At::Byte(0)), refused),
        (Fault::Alters(".asc$", At::Byte(5)), refused),
        (Fault::Alters(".tar.gz$", At::Byte(3 << 20)), refused),
        (Fault::Floods("timestamp.json"), unavailable),
        (Fault::Floods("/targets/simple/"), refused),
        (Fault::Floods("/targets/packages/"), refused),
        (Fault::Redirects("/targets/", elsewhere()), refused),
        (Fault::Breaks("/targets/packages/", 100), unavailable),
        (Fault::Silent("/targets/packages/", 100), unavailable),
    ];
    let (index, mut copier) = changed().await;
    let before = copier.contents(&index).await;
    let first = copier.directory.clone();
    for (number, (fault, blame)) in faults.into_iter().enumerate() {
        // Each has a copy of its own to harm: what one run has fetched, the next one has.
        copier.directory = index.beside(&format!("copy-{number}"));
        duplicate(&first, &copier.directory);
        copier.web.set_fault(fault.clone());
        let error = copier.run().await.unwrap_err();
        assert_eq!(error.blame(), blame, "{fault:?}: {error:?}");
        assert_eq!(copier.contents(&index).await, before, "{fault:?}");
        assert_eq!(plain(&copier.directory), before.projects, "{fault:?}");
    }
    copier.web.set_fault(Fault::None);
    let outcome = copier.run().await.unwrap();
    assert_eq!((outcome.complete.projects, outcome.complete.files), (4, 8));
    let after = copier.contents(&index).await;
    assert!(after.snapshot > before.snapshot);
    assert_eq!(plain(&copier.directory), after.projects);
}

fn duplicate(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let other = to.join(path.file_name().unwrap());
        if path.is_dir() {
            duplicate(&path, &other);
        } else {
            std::fs::copy(&path, &other).unwrap();
        }
    }
}

#[tokio::test]
async fn a_rollback_is_refused_by_the_copy_itself() {
    let (index, copier) = changed().await;
    let old = std::fs::read(copier.directory.join("metadata/timestamp.json")).unwrap();
    copier.run().await.unwrap();
    let before = copier.contents(&index).await;
    copier
        .web
        .set_fault(Fault::Says("timestamp.json", old.into()));
    let error = copier.run().await.unwrap_err();
    assert_eq!(error.blame(), Blame::Refused, "{error:?}");
    assert!(matches!(error, CopyError::Refresh(_)), "{error:?}");
    assert_eq!(copier.contents(&index).await, before);
}

#[tokio::test]
async fn an_index_that_is_not_renewed_is_refused() {
    let (index, copier) = changed().await;
    index.clock.forward(SignedDuration::from_hours(48));
    let error = copier.run().await.unwrap_err();
    assert_eq!(error.blame(), Blame::Refused, "{error:?}");
}

#[tokio::test]
async fn another_source_has_what_the_first_one_alters() {
    let (index, mut copier) = changed().await;
    let second = Web::serve(index.root()).await;
    copier.web.set_fault(Fault::Alters("/targets/", At::Middle));
    assert!(copier.run().await.is_err());
    copier.from.push(second.base.clone());
    let outcome = copier.run().await.unwrap();
    assert_eq!(outcome.complete.files, 8);
    assert!(!outcome.warnings.is_empty());
    assert_eq!(copier.contents(&index).await.files().len(), 8);
}

#[tokio::test]
async fn of_a_large_file_that_was_altered_only_what_follows_is_fetched_again() {
    let index = TestIndex::with_files().await;
    let mut copier = Copier::of(&index, "copy").await;
    let second = Web::serve(index.root()).await;
    copier.from.push(second.base.clone());
    copier
        .web
        .set_fault(Fault::Alters(LARGE_END, At::Byte((3 << 20) + 5)));
    let outcome = copier.run().await.unwrap();
    assert!(!outcome.warnings.is_empty());
    let (begins, size) = (3 << 20, crate::index::large().len() - 1);
    let rest = format!("{LARGE} bytes={begins}-{size}");
    let asked = second.asked();
    let asked: Vec<_> = asked.iter().filter(|path| path.contains(LARGE)).collect();
    assert!(
        matches!(asked[..], [one] if one.ends_with(&rest)),
        "{asked:?}"
    );
    assert_eq!(copier.contents(&index).await.files().len(), 6);
}

#[tokio::test]
async fn a_large_file_goes_on_where_it_broke_off() {
    let index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    copier
        .web
        .set_fault(Fault::Breaks(LARGE_END, (3 << 20) + 77));
    assert_eq!(copier.run().await.unwrap_err().blame(), Blame::Unavailable);
    copier.web.set_fault(Fault::None);
    copier.web.asked();
    copier.run().await.unwrap();
    let asked = copier.web.asked();
    let (begins, size) = (3 << 20, crate::index::large().len() - 1);
    let resumed = format!("{LARGE} bytes={begins}-{size}");
    assert!(
        asked.iter().any(|path| path.ends_with(&resumed)),
        "{asked:?}"
    );
    assert_eq!(copier.contents(&index).await.files().len(), 6);
}

#[tokio::test]
async fn what_comes_too_slowly_is_waited_for_until_the_state_has_expired() {
    let (index, copier) = changed().await;
    let before = copier.contents(&index).await;
    // Five MiB at this pace would take four minutes.
    copier.web.set_fault(Fault::Slow("new-1.0.tar.gz", 20_480));
    index.sign_for(SignedDuration::from_secs(4)).await;
    let error = copier.run().await.unwrap_err();
    assert!(matches!(error, CopyError::Expired { .. }), "{error:?}");
    assert_eq!(error.blame(), Blame::Unavailable);
    assert_eq!(copier.contents(&index).await, before);
    // What else came is here already.
    copier.web.set_fault(Fault::None);
    copier.web.asked();
    copier.run().await.unwrap();
    let asked = copier.web.asked();
    assert!(
        !asked.iter().any(|path| path.contains("demo-3.0")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_piece_is_of_one_source_however_small_the_steps_are() {
    let index = TestIndex::with_files().await;
    let mut copier = Copier::of(&index, "copy").await;
    let second = Web::serve(index.root()).await;
    copier.from.push(second.base.clone());
    // A rate that nobody feels, so that large files come in steps; the third piece breaks off.
    copier.options.rate = Some(1 << 30);
    copier
        .web
        .set_fault(Fault::Breaks(LARGE_END, (2 << 20) + 300_000));
    copier.run().await.unwrap();
    let asked = second.asked();
    assert!(
        asked.iter().any(|path| path.contains("bytes=2097152-")),
        "{asked:?}"
    );
    assert_eq!(copier.contents(&index).await.files().len(), 6);
}

const LARGE_END: &str = "third-3.1-py3-none-any.whl$";

#[tokio::test]
async fn a_part_that_was_damaged_meanwhile_is_not_used() {
    let index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    copier.web.set_fault(Fault::Breaks(LARGE_END, 3 << 20));
    copier.run().await.unwrap_err();
    let mut parts = 0;
    for folder in std::fs::read_dir(copier.directory.join(".incoming")).unwrap() {
        for part in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            crate::index::tamper(&part.unwrap().path(), (1 << 20) + 5);
            parts += 1;
        }
    }
    assert_eq!(parts, 1);
    copier.web.set_fault(Fault::None);
    copier.web.asked();
    copier.run().await.unwrap();
    let asked = copier.web.asked();
    assert!(
        asked.iter().any(|path| path.contains("bytes=1048576-")),
        "{asked:?}"
    );
    assert_eq!(copier.contents(&index).await.files().len(), 6);
}

#[tokio::test]
async fn what_is_signed_as_too_long_is_not_asked_for() {
    let index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    copier.run().await.unwrap();
    let before = copier.contents(&index).await;
    index
        .sign_anew(|role, targets| {
            if role.as_str().starts_with("simple-") {
                for page in targets.targets.values_mut() {
                    page.hashes =
                        wheelmark_tuf::Hashes::sha256_only(wheelmark_tuf::Sha256([1; 32]));
                    page.length = 1 << 40;
                }
            }
        })
        .await;
    copier.web.set_fault(Fault::Floods("/targets/simple/"));
    copier.web.asked();
    let error = copier.run().await.unwrap_err();
    assert_eq!(error.blame(), Blame::Refused, "{error:?}");
    assert!(error.to_string().contains("1099511627776"), "{error}");
    let asked = copier.web.asked();
    assert!(
        !asked.iter().any(|path| path.starts_with("/targets/")),
        "{asked:?}"
    );
    assert_eq!(copier.contents(&index).await, before);
}

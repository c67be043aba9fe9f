//! A run that ends at any step leaves a whole state, and the next run does the rest.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt as _;
use jiff::SignedDuration;
use wheelmark_mirror::Step;
use wheelmark_objects::Directory;

use crate::copier::{Copier, plain};
use crate::index::{TestIndex, content};

/// Lets a run come to the step of this number, and no further. The steps that it saw.
async fn kill_at(copier: &Copier, last: usize) -> Vec<Step> {
    let steps = Arc::new(std::sync::Mutex::new(Vec::new()));
    let count = AtomicUsize::new(0);
    let mut copy = copier.open().await.unwrap();
    let seen = steps.clone();
    copy.observe(move |step| {
        // Also whoever comes after the first is stopped: the process is dead.
        assert!(
            count.fetch_add(1, Ordering::SeqCst) < last,
            "the kill that this test wants"
        );
        seen.lock().unwrap().push(step);
    });
    let ended = AssertUnwindSafe(copy.run().map(drop)).catch_unwind().await;
    drop((ended, copy));
    // What is still running lets go of the tree in a moment, as a dead process would at once.
    let tree = Directory::open(&copier.directory).await.unwrap();
    while tree.lock().await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let steps = steps.lock().unwrap();
    steps.clone()
}

#[tokio::test]
async fn every_step_can_be_the_last_one() {
    let mut last = 0;
    loop {
        let mut index = TestIndex::with_files().await;
        let mut copier = Copier::of(&index, "copy").await;
        copier.options.grace = SignedDuration::from_hours(1);
        copier.run().await.unwrap();
        let before = copier.contents(&index).await;
        index
            .add("demo-3.0-py3-none-any.whl", &content("new"))
            .await;
        index.add("new-1.0.tar.gz", &content("another")).await;
        index.remove("third-3.0.tar.gz").await;
        index.publish().await;

        let steps = kill_at(&copier, last).await;
        let between = copier.contents(&index).await;
        let is_whole = between == before || between.files().len() == 7;
        assert!(is_whole, "{steps:?}: {between:?}");
        let published = steps.contains(&Step::Timestamp) && steps.last() != Some(&Step::Timestamp);
        assert!(!published || between != before, "{steps:?}");
        assert!(
            steps.contains(&Step::Timestamp) || between == before,
            "{steps:?}"
        );
        // Whoever does not verify finds all that the pages link to.
        plain(&copier.directory);

        let outcome = copier.run().await.unwrap();
        assert_eq!(
            (outcome.complete.projects, outcome.complete.files),
            (4, 7),
            "{steps:?}"
        );
        let after = copier.contents(&index).await;
        assert_eq!(after.files().len(), 7, "{steps:?}");
        assert_eq!(plain(&copier.directory), after.projects, "{steps:?}");
        // And what has left goes all the same, when its time has come.
        let removed = copier.directory.join("packages/third/third-3.0.tar.gz");
        assert!(removed.exists(), "{steps:?}");
        index.clock.forward(SignedDuration::from_hours(23));
        index.publish().await;
        copier.run().await.unwrap();
        index.clock.forward(SignedDuration::from_hours(2));
        copier.run().await.unwrap();
        assert!(!removed.exists(), "{steps:?}");
        if steps.len() < last {
            assert!(last > 8, "{steps:?}");
            return;
        }
        last += 1;
    }
}

#[tokio::test]
async fn a_first_run_can_end_at_any_step_as_well() {
    let mut last = 0;
    loop {
        let index = TestIndex::with_files().await;
        let copier = Copier::of(&index, "copy").await;
        let steps = kill_at(&copier, last).await;
        let has_timestamp = copier.directory.join("metadata/timestamp.json").exists();
        if has_timestamp {
            assert_eq!(copier.contents(&index).await.files().len(), 6, "{steps:?}");
        }
        assert!(
            steps.contains(&Step::Timestamp) || !has_timestamp,
            "{steps:?}"
        );
        let outcome = copier.run().await.unwrap();
        assert_eq!(
            (outcome.complete.projects, outcome.complete.files),
            (3, 6),
            "{steps:?}"
        );
        assert_eq!(copier.contents(&index).await.files().len(), 6, "{steps:?}");
        if steps.len() < last {
            return;
        }
        last += 1;
    }
}

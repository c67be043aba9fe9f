//! A run that ends at any step leaves a whole state, and the next run does the rest.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::FutureExt as _;
use jiff::SignedDuration;
use wheelmark_mirror::Step;
use wheelmark_objects::Directory;

use crate::copier::{Copier, plain};
use crate::copying::walk;
use crate::index::{FILES, TestIndex, content, tamper};
use wheelmark_testing::Fault;

/// Lets a run come to the step of this number, and no further. The steps that it saw.
async fn kill_at(copier: &Copier, last: usize) -> Vec<Step> {
    let count = AtomicUsize::new(0);
    kill_when(copier, move |_| {
        count.fetch_add(1, Ordering::SeqCst) >= last
    })
    .await
}

/// Lets a run come to a step of this kind, and no further.
pub(crate) async fn kill_before(copier: &Copier, last: Step) -> Vec<Step> {
    let dead = AtomicBool::new(false);
    // Also whoever comes after the first is stopped: the process is dead.
    kill_when(copier, move |step| {
        dead.fetch_or(step == last, Ordering::SeqCst) || step == last
    })
    .await
}

async fn kill_when(
    copier: &Copier,
    is_dead: impl Fn(Step) -> bool + Send + Sync + 'static,
) -> Vec<Step> {
    let steps = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut copy = copier.open().await.unwrap();
    let seen = steps.clone();
    copy.observe(move |step| {
        assert!(!is_dead(step), "the kill that this test wants");
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

/// The file under its signed name.
fn signed_file(copier: &Copier, name: &str) -> std::path::PathBuf {
    let all = walk(&copier.directory);
    let found = all
        .iter()
        .find(|path| path.starts_with("targets/packages/") && path.ends_with(name));
    copier.directory.join(found.unwrap())
}

/// A copy with a file that is altered, which somebody else has made or which is to be checked.
async fn doubtful(index: &TestIndex, taken_over: bool) -> Copier {
    let mut copier = Copier::of(index, "copy").await;
    copier.run().await.unwrap();
    tamper(&signed_file(&copier, FILES[1]), 10);
    if taken_over {
        std::fs::remove_dir_all(copier.directory.join(".mirror")).unwrap();
    }
    copier.options.check = !taken_over;
    copier
}

/// What comes after a run that was cut off: another selection, and no word of a check.
async fn is_repaired(copier: &mut Copier, index: &TestIndex) {
    copier.options.check = false;
    copier.options.selection =
        wheelmark_mirror::Selection::parse("latest_release.keep = 9").unwrap();
    copier.run().await.unwrap();
    let whole = copier.contents(index).await;
    assert_eq!(plain(&copier.directory), whole.projects);
}

#[tokio::test]
async fn reading_everything_is_not_given_up_when_the_index_fails() {
    for taken_over in [true, false] {
        let mut index = TestIndex::with_files().await;
        let mut copier = doubtful(&index, taken_over).await;
        index.add("new-1.0.tar.gz", &content("another")).await;
        index.publish().await;
        // Before the first file is looked at.
        let gone = http::StatusCode::NOT_FOUND;
        copier.web.set_fault(Fault::Answers(".simple-", gone));
        copier.run().await.unwrap_err();
        copier.web.set_fault(Fault::None);
        is_repaired(&mut copier, &index).await;
    }
}

#[tokio::test]
async fn reading_everything_is_not_given_up_at_any_step() {
    for taken_over in [true, false] {
        // The first thing that a run writes is that it reads everything.
        let mut last = 1;
        loop {
            let index = TestIndex::with_files().await;
            let mut copier = doubtful(&index, taken_over).await;
            let steps = kill_at(&copier, last).await;
            is_repaired(&mut copier, &index).await;
            if steps.len() < last {
                break;
            }
            last += 1;
        }
    }
}

#[tokio::test]
async fn between_a_root_and_its_timestamp_no_run_of_the_index_is_needed() {
    let mut last = 0;
    loop {
        let index = TestIndex::with_files().await;
        let copier = Copier::of(&index, "copy").await;
        copier.run().await.unwrap();
        let before = copier.contents(&index).await;
        index.sign_anew(|_, _| {}).await;
        index.change_keys().await;
        index.change_keys().await;
        let steps = kill_at(&copier, last).await;
        // The index is down from now on.
        let gone = http::StatusCode::SERVICE_UNAVAILABLE;
        copier.web.set_fault(Fault::Answers("/", gone));
        copier.run().await.unwrap_err();
        let after = copier.contents(&index).await;
        let has_begun = steps.iter().filter(|step| **step == Step::Root).count() > 0;
        let snapshot = before.snapshot + u64::from(has_begun || after.snapshot > before.snapshot);
        assert_eq!(after.snapshot, snapshot, "{steps:?}");
        assert_eq!(after.projects, before.projects, "{steps:?}");
        copier.web.set_fault(Fault::None);
        assert_eq!(copier.run().await.unwrap().complete.root, 3);
        if steps.len() < last {
            return;
        }
        last += 1;
    }
}

fn pages_of_demo(root: &std::path::Path) -> Vec<String> {
    let mut pages = walk(root);
    pages.retain(|path| path.starts_with("targets/simple/demo/"));
    pages
}

/// A page that is in place is believed to have its files. So one that leaves goes before they do.
#[tokio::test]
async fn a_removal_that_was_cut_off_leaves_no_page_without_its_files() {
    let mut last = 0;
    loop {
        let mut index = TestIndex::with_files().await;
        let mut copier = Copier::of(&index, "copy").await;
        copier.options.grace = SignedDuration::from_hours(1);
        // A copy of everything also looks at each file that is signed by itself.
        copier.options.selection =
            wheelmark_mirror::Selection::parse("allowlist.packages = ['demo']").unwrap();
        copier.run().await.unwrap();
        index.remove(FILES[1]).await;
        index.publish().await;
        copier.run().await.unwrap();
        index.clock.forward(SignedDuration::from_hours(20));
        index.publish().await;
        copier.run().await.unwrap();
        index.clock.forward(SignedDuration::from_hours(5));
        let steps = kill_at(&copier, last).await;
        // It comes back as what it was, and with it the page, byte for byte.
        index.clock.forward(SignedDuration::from_hours(-25));
        index.add(FILES[1], &content(FILES[1])).await;
        index.clock.forward(SignedDuration::from_hours(25));
        index.publish().await;
        assert_eq!(pages_of_demo(index.root()).len(), 2, "{steps:?}");
        copier.run().await.unwrap();
        let contents = copier.contents(&index).await;
        assert_eq!(contents.files().len(), 3, "{steps:?}");
        assert_eq!(plain(&copier.directory), contents.projects, "{steps:?}");
        if steps.len() < last {
            let removals = steps.iter().filter(|step| **step == Step::Removal);
            assert!(removals.count() >= 2, "{steps:?}");
            return;
        }
        last += 1;
    }
}

#[tokio::test]
async fn a_change_of_the_selection_that_was_cut_off_is_undone_by_going_back() {
    let mut last = 0;
    loop {
        let index = TestIndex::with_files().await;
        let mut copier = Copier::of(&index, "copy").await;
        copier.run().await.unwrap();
        copier.options.selection =
            wheelmark_mirror::Selection::parse("allowlist.packages = ['demo']").unwrap();
        let steps = kill_at(&copier, last).await;
        copier.options.selection = wheelmark_mirror::Selection::default();
        copier.run().await.unwrap();
        let contents = copier.contents(&index).await;
        assert_eq!(contents.files().len(), 6, "{steps:?}");
        assert_eq!(plain(&copier.directory), contents.projects, "{steps:?}");
        if steps.len() < last {
            return;
        }
        last += 1;
    }
}

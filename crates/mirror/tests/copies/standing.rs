//! Which state stands here: what is refused beside it, what stays for its readers, and what of it
//! is not believed.

use jiff::SignedDuration;
use wheelmark_mirror::{Blame, CopyError, Step};

use crate::copier::{Copier, plain};
use crate::copying::walk;
use crate::index::{FILES, TestIndex, content, tamper};
use crate::killed::kill_before;
use wheelmark_testing::Fault;

#[tokio::test]
async fn another_snapshot_of_the_same_version_takes_nobodys_place() {
    let index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    copier.run().await.unwrap();
    let before = walk(&copier.directory);
    let contents = copier.contents(&index).await;
    let version = contents.snapshot;
    let snapshot = copier
        .directory
        .join(format!("metadata/{version}.snapshot.json"));
    let bytes = std::fs::read(&snapshot).unwrap();
    index.sign_snapshot_twice().await;
    for _ in 0..2 {
        let error = copier.run().await.unwrap_err();
        assert!(matches!(error, CopyError::SignedTwice { .. }), "{error:?}");
        assert_eq!(error.blame(), Blame::Refused);
        assert_eq!(std::fs::read(&snapshot).unwrap(), bytes);
        assert_eq!(walk(&copier.directory), before);
        assert_eq!(copier.contents(&index).await, contents);
    }
}

#[tokio::test]
async fn a_damaged_snapshot_gives_way_in_one_step() {
    let index = TestIndex::with_files().await;
    let mut copier = Copier::of(&index, "copy").await;
    copier.run().await.unwrap();
    let version = copier.contents(&index).await.snapshot;
    let snapshot = copier
        .directory
        .join(format!("metadata/{version}.snapshot.json"));
    tamper(&snapshot, 60);
    copier.options.check = true;
    copier.run().await.unwrap();
    assert_eq!(copier.contents(&index).await.files().len(), 6);
}

#[tokio::test]
async fn an_older_state_is_refused_without_the_trust_store_as_well() {
    let mut index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    let old = std::fs::read(index.path("metadata/timestamp.json")).unwrap();
    index.add("demo-3.0.tar.gz", b"new").await;
    index.publish().await;
    copier.run().await.unwrap();
    let before = copier.contents(&index).await;
    std::fs::remove_dir_all(copier.directory.join(".mirror/indexes")).unwrap();
    copier
        .web
        .set_fault(Fault::Says("timestamp.json", old.into()));
    let error = copier.run().await.unwrap_err();
    assert!(matches!(error, CopyError::WentBack { .. }), "{error:?}");
    assert_eq!(error.blame(), Blame::Refused);
    assert_eq!(copier.contents(&index).await, before);
    // The newest one is as good as ever.
    copier.web.set_fault(Fault::None);
    copier.run().await.unwrap();
}

#[tokio::test]
async fn the_grace_is_that_of_the_state_in_the_tree() {
    let mut index = TestIndex::with_files().await;
    let mut copier = Copier::of(&index, "copy").await;
    copier.options.grace = SignedDuration::from_hours(1);
    copier.run().await.unwrap();
    // Twenty hours later there is a state that this run puts in place, and no word of it is left.
    index.clock.forward(SignedDuration::from_hours(20));
    index.add("demo-3.0.tar.gz", b"new").await;
    index.publish().await;
    let steps = kill_before(&copier, Step::Names).await;
    assert_eq!(steps.last(), Some(&Step::Timestamp), "{steps:?}");
    index.remove(FILES[1]).await;
    index.publish().await;
    copier.run().await.unwrap();
    // The first state has ended, and that of between is good for most of a day.
    index.clock.forward(SignedDuration::from_hours(5));
    copier.run().await.unwrap();
    let plain_name = copier.directory.join("packages/demo").join(FILES[1]);
    assert!(plain_name.exists());
    index.clock.forward(SignedDuration::from_hours(11));
    index.publish().await;
    copier.run().await.unwrap();
    index.clock.forward(SignedDuration::from_hours(10));
    index.publish().await;
    copier.run().await.unwrap();
    assert!(!plain_name.exists());
}

#[tokio::test]
async fn a_page_that_was_altered_here_is_neither_obeyed_nor_kept() {
    let mut index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    copier.run().await.unwrap();
    index.add("demo-3.0.tar.gz", &content("new")).await;
    index.publish().await;
    // As a run that was cut off has left it, and the disk has not kept it.
    let here = walk(&copier.directory);
    let page = walk(index.root());
    let page = page
        .iter()
        .find(|path| path.starts_with("targets/simple/demo/") && !here.contains(path));
    let page = page.unwrap();
    let altered = String::from_utf8(std::fs::read(index.path(page)).unwrap()).unwrap();
    let altered = altered.replace("demo-3.0", "demo-4.0");
    std::fs::write(copier.directory.join(page), altered).unwrap();
    copier.run().await.unwrap();
    let contents = copier.contents(&index).await;
    assert_eq!(contents.files().len(), 7);
    assert_eq!(plain(&copier.directory), contents.projects);
}

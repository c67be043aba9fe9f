//! The roots of a copy: without a gap, unaltered, and none too many.

use wheelmark_mirror::{Blame, CopyError};

use crate::copier::Copier;
use crate::index::{TestIndex, tamper};
use wheelmark_testing::{Fault, Web};

/// An index whose keys were changed twice.
async fn with_three_roots() -> TestIndex {
    let index = TestIndex::with_files().await;
    index.sign_anew(|_, _| {}).await;
    index.change_keys().await;
    index.change_keys().await;
    index
}

fn root(of: &std::path::Path, version: u64) -> std::path::PathBuf {
    of.join(format!("metadata/{version}.root.json"))
}

#[tokio::test]
async fn roots_are_repaired_and_completed_and_strangers_go() {
    let index = with_three_roots().await;
    let mut copier = Copier::of(&index, "copy").await;
    copier.run().await.unwrap();
    let here = |version| root(&copier.directory, version);
    std::fs::remove_file(here(1)).unwrap();
    tamper(&here(2), 60);
    tamper(&here(3), 60);
    std::fs::copy(here(3), here(4)).unwrap();
    copier.options.check = true;
    assert_eq!(copier.run().await.unwrap().complete.root, 3);
    for version in 1..=3 {
        let theirs = std::fs::read(root(index.root(), version)).unwrap();
        let ours = std::fs::read(root(&copier.directory, version)).unwrap();
        assert_eq!(ours, theirs, "{version}");
    }
    assert!(!root(&copier.directory, 4).exists());
    assert_eq!(copier.contents(&index).await.files().len(), 6);
}

#[tokio::test]
async fn a_root_that_is_not_shown_any_more_is_not_taken_away() {
    let index = TestIndex::with_files().await;
    let mut copier = Copier::of(&index, "copy").await;
    copier.run().await.unwrap();
    let timestamp = index.path("metadata/timestamp.json");
    let before = std::fs::read(&timestamp).unwrap();
    index.change_keys().await;
    std::fs::rename(root(index.root(), 2), root(&copier.directory, 2)).unwrap();
    std::fs::write(&timestamp, before).unwrap();
    copier.options.check = true;
    let error = copier.run().await.unwrap_err();
    assert!(
        matches!(error, CopyError::NewerRoot { version: 2 }),
        "{error:?}"
    );
    assert_eq!(error.blame(), Blame::Refused);
    assert!(root(&copier.directory, 2).exists());
}

#[tokio::test]
async fn roots_of_before_trust_began_are_the_indexs_word_alone() {
    let index = with_three_roots().await;
    let mut copier = Copier::of(&index, "copy").await;
    copier.root = Some(std::fs::read(root(index.root(), 2)).unwrap());
    let mirror = Web::serve(index.root()).await;
    copier.from.push(mirror.base.clone());
    let gone = http::StatusCode::NOT_FOUND;
    copier.web.set_fault(Fault::Answers("/1.root.json", gone));
    copier.run().await.unwrap();
    assert!(!root(&copier.directory, 1).exists());
    let asked = mirror.asked();
    let first = |path: &String| path.ends_with("/1.root.json");
    assert!(!asked.iter().any(first), "{asked:?}");
    assert!(root(&copier.directory, 2).exists());

    // The index itself has it.
    copier.web.set_fault(Fault::None);
    copier.options.check = true;
    copier.run().await.unwrap();
    assert!(root(&copier.directory, 1).exists());
}

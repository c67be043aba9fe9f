//! What is copied, and what a run costs.

use crate::copier::{Copier, plain};
use crate::index::{FILES, LARGE, TestIndex, content};

fn all_files() -> Vec<&'static str> {
    let mut files: Vec<_> = FILES.into_iter().chain([LARGE]).collect();
    files.sort_unstable();
    files
}

#[tokio::test]
async fn a_copy_is_whole_and_says_so() {
    let index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    let outcome = copier.run().await.unwrap();
    assert!(outcome.changed);
    assert_eq!((outcome.complete.projects, outcome.complete.files), (3, 6));
    let contents = copier.contents(&index).await;
    assert_eq!(contents.snapshot, outcome.complete.snapshot);
    let mut files = contents.files();
    files.sort_unstable();
    assert_eq!(files, all_files());
    assert_eq!(plain(&copier.directory), contents.projects);
    // Every object is the index's, byte for byte.
    for file in walk(&copier.directory) {
        let own = std::fs::read(copier.directory.join(&file)).unwrap();
        let theirs = std::fs::read(index.path(&file)).unwrap();
        assert_eq!(own, theirs, "{file}");
    }
}

/// Every file that is served, relative to the root.
pub(crate) fn walk(root: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(root).unwrap();
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_run_without_a_change_asks_for_a_root_and_the_timestamp() {
    let index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    copier.run().await.unwrap();
    copier.web.asked();
    let outcome = copier.run().await.unwrap();
    assert!(!outcome.changed);
    assert_eq!(
        copier.web.asked(),
        ["/metadata/2.root.json", "/metadata/timestamp.json"]
    );
}

#[tokio::test]
async fn a_run_costs_what_has_changed() {
    let mut index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    copier.run().await.unwrap();
    index.add("demo-3.0.tar.gz", b"new").await;
    index.publish().await;
    copier.web.asked();
    let outcome = copier.run().await.unwrap();
    assert_eq!(outcome.projects_changed, 1);
    assert_eq!((outcome.complete.projects, outcome.complete.files), (3, 7));
    let asked = copier.web.asked();
    let of = |part: &str| asked.iter().filter(|path| path.starts_with(part)).count();
    assert_eq!(of("/targets/simple/"), 1, "{asked:?}");
    // The file and its signature.
    assert_eq!(of("/targets/packages/"), 2, "{asked:?}");
    // The root that is not there, timestamp, snapshot, and the bins of the page and the file.
    assert_eq!(of("/metadata/"), 5, "{asked:?}");
    let contents = copier.contents(&index).await;
    assert_eq!(contents.files().len(), 7);
    assert_eq!(plain(&copier.directory), contents.projects);
}

#[tokio::test]
async fn a_new_project_and_a_new_timestamp_alone_come_along() {
    let mut index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    copier.run().await.unwrap();
    index.add("fourth-1.0.tar.gz", &content("fourth")).await;
    index.publish().await;
    copier.run().await.unwrap();
    assert_eq!(plain(&copier.directory).len(), 4);
    // Everything is signed anew, with nothing in it changed.
    index.clock.forward(jiff::SignedDuration::from_hours(20));
    index.publish().await;
    let outcome = copier.run().await.unwrap();
    assert!(outcome.changed);
    assert_eq!(outcome.projects_changed, 0);
    assert_eq!((outcome.complete.projects, outcome.complete.files), (4, 7));
    let contents = copier.contents(&index).await;
    assert_eq!(contents.snapshot, outcome.complete.snapshot);
    assert_eq!(contents.files().len(), 7);
}

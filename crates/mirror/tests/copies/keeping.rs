//! What stays, what goes, what is chosen, and what is repaired.

use jiff::SignedDuration;
use wheelmark_mirror::{CopyError, Selection, StateError};
use wheelmark_provenance::openpgp::Certificates;

use crate::copier::{Copier, plain};
use crate::copying::walk;
use crate::index::{FILES, TestIndex, content, tamper};
use wheelmark_testing::{Fault, Web};

#[tokio::test]
async fn what_left_goes_when_neither_grace_nor_an_earlier_state_needs_it() {
    let mut index = TestIndex::with_files().await;
    let mut copier = Copier::of(&index, "copy").await;
    copier.options.grace = SignedDuration::from_hours(1);
    copier.run().await.unwrap();
    let before = walk(&copier.directory);
    index.remove("demo-1.0.tar.gz").await;
    index.remove("other_project-0.1-py3-none-any.whl").await;
    index.publish().await;
    let outcome = copier.run().await.unwrap();
    assert_eq!(outcome.complete.files, 4);
    assert!(!plain(&copier.directory)["demo"].contains(&"demo-1.0.tar.gz".to_owned()));
    // Whoever holds the state before finds everything of it.
    let metadata_or_target = |path: &&String| !path.starts_with("simple/");
    let between = walk(&copier.directory);
    for path in before.iter().filter(metadata_or_target) {
        assert!(between.contains(path), "{path}");
    }
    // The grace is over, and the state of before is valid for hours yet.
    index.clock.forward(SignedDuration::from_hours(2));
    assert_eq!(copier.run().await.unwrap().removed, 0);
    index.clock.forward(SignedDuration::from_hours(11));
    index.publish().await;
    copier.run().await.unwrap();
    // Now that has ended as well.
    index.clock.forward(SignedDuration::from_hours(12));
    index.publish().await;
    let outcome = copier.run().await.unwrap();
    assert!(outcome.removed > 0);
    let after = walk(&copier.directory);
    assert!(
        !after.iter().any(|path| path.contains("demo-1.0.tar.gz")),
        "{after:?}"
    );
    assert!(
        !after.iter().any(|path| path.contains("other_project-0.1")),
        "{after:?}"
    );
    assert!(
        !after.contains(&"metadata/2.snapshot.json".to_owned()),
        "{after:?}"
    );
    let contents = copier.contents(&index).await;
    assert_eq!(contents.files().len(), 4);
    assert_eq!(plain(&copier.directory), contents.projects);
}

#[tokio::test]
async fn what_comes_back_within_the_grace_stays() {
    let mut index = TestIndex::with_files().await;
    let mut copier = Copier::of(&index, "copy").await;
    copier.options.grace = SignedDuration::from_hours(1);
    copier.run().await.unwrap();
    index.remove("demo-1.0.tar.gz").await;
    index.publish().await;
    copier.run().await.unwrap();
    index
        .add("demo-1.0.tar.gz", &content("demo-1.0.tar.gz"))
        .await;
    index.publish().await;
    copier.run().await.unwrap();
    for _ in 0..3 {
        index.clock.forward(SignedDuration::from_hours(13));
        index.publish().await;
        copier.run().await.unwrap();
    }
    let contents = copier.contents(&index).await;
    assert_eq!(contents.files().len(), 6);
    assert_eq!(plain(&copier.directory), contents.projects);
}

#[tokio::test]
async fn what_came_back_and_left_again_has_its_grace_anew() {
    let mut index = TestIndex::with_files().await;
    let mut copier = Copier::of(&index, "copy").await;
    copier.options.grace = SignedDuration::from_hours(1);
    copier.run().await.unwrap();
    let name = "demo-1.0.tar.gz";
    index.remove(name).await;
    index.publish().await;
    copier.run().await.unwrap();
    index.add(name, &content(name)).await;
    index.publish().await;
    copier.run().await.unwrap();
    index.clock.forward(SignedDuration::from_hours(23));
    index.publish().await;
    copier.run().await.unwrap();
    index.remove(name).await;
    index.publish().await;
    copier.run().await.unwrap();
    // The state of an hour ago names it, and is valid for most of a day.
    index.clock.forward(SignedDuration::from_hours(2));
    copier.run().await.unwrap();
    assert!(copier.directory.join("packages/demo").join(name).exists());
}

#[tokio::test]
async fn a_selection_is_kept_and_a_change_of_it_is_followed() {
    let index = TestIndex::with_files().await;
    let mut copier = Copier::of(&index, "copy").await;
    let mut check = async |selection: &str, expected: &[&str]| {
        copier.options.selection = Selection::parse(selection).unwrap();
        let outcome = copier.run().await.unwrap();
        assert_eq!(
            outcome.complete.files as usize,
            expected.len(),
            "{selection}"
        );
        let shown = plain(&copier.directory);
        let mut files: Vec<&str> = shown.values().flatten().map(String::as_str).collect();
        files.sort_unstable();
        assert_eq!(files, expected, "{selection}");
        // The signed chain is whole whatever is chosen.
        let verified = copier.contents(&index).await;
        for file in expected {
            assert!(verified.files().contains(file), "{selection}: {file}");
        }
        assert!(!copier.run().await.unwrap().changed, "{selection}");
    };
    check("allowlist.packages = ['demo']", &FILES[..3]).await;
    check("allowlist.packages = ['demo>=2']", &FILES[2..3]).await;
    let with_latest = "latest_release.keep = 1\nblocklist.packages = ['other-project']";
    check(with_latest, &[FILES[2], "third-3.1-py3-none-any.whl"]).await;
    check("size.max_file_size = '1MB'", &FILES).await;
    let mut all = FILES.to_vec();
    all.push("third-3.1-py3-none-any.whl");
    check("", &all).await;
}

#[tokio::test]
async fn a_selection_by_age_lets_go_of_what_grows_old() {
    let mut index = TestIndex::with_files().await;
    let mut copier = Copier::of(&index, "copy").await;
    copier.options.selection = Selection::parse("age.newer_than_days = 7").unwrap();
    assert_eq!(copier.run().await.unwrap().complete.files, 6);
    for _ in 0..8 {
        index.clock.forward(SignedDuration::from_hours(12));
        index.publish().await;
        index.clock.forward(SignedDuration::from_hours(12));
        index.publish().await;
    }
    index.add("demo-3.0.tar.gz", b"young").await;
    index.publish().await;
    assert_eq!(copier.run().await.unwrap().complete.files, 1);
}

#[tokio::test]
async fn a_copy_of_a_copy_is_the_same() {
    let mut index = TestIndex::with_files().await;
    let first = Copier::of(&index, "first").await;
    first.run().await.unwrap();
    let mut second = Copier::of(&index, "second").await;
    second.web = Web::serve(&first.directory).await;
    second.run().await.unwrap();
    assert_eq!(walk(&first.directory), walk(&second.directory));
    index.add("demo-3.0.tar.gz", b"new").await;
    index.publish().await;
    // Not there yet, and then it is.
    assert!(!second.run().await.unwrap().changed);
    first.run().await.unwrap();
    second.run().await.unwrap();
    assert_eq!(second.contents(&index).await, first.contents(&index).await);
    assert_eq!(second.contents(&index).await.files().len(), 7);
}

#[tokio::test]
async fn a_tree_that_was_there_before_is_read_and_repaired() {
    let index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    for file in walk(index.root()) {
        let to = copier.directory.join(&file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(index.path(&file), &to).unwrap();
    }
    let bad = walk(&copier.directory);
    let bad = bad.iter().find(|path| {
        path.starts_with("targets/packages/demo/") && path.ends_with("demo-1.0.tar.gz")
    });
    tamper(&copier.directory.join(bad.unwrap()), 10);
    // Its plain name is a file of its own here, and the good one.
    copier.run().await.unwrap();
    let asked = copier.web.asked();
    let fetched = asked
        .iter()
        .filter(|path| path.starts_with("/targets/packages/"));
    assert_eq!(fetched.count(), 1, "{asked:?}");
    let contents = copier.contents(&index).await;
    assert_eq!(contents.files().len(), 6);
    assert_eq!(plain(&copier.directory), contents.projects);
}

#[tokio::test]
async fn a_check_finds_what_is_damaged_and_what_nothing_needs() {
    let index = TestIndex::with_files().await;
    let mut copier = Copier::of(&index, "copy").await;
    copier.run().await.unwrap();
    let all = walk(&copier.directory);
    let one = |begin: &str, end: &str| {
        let found = all
            .iter()
            .find(|path| path.starts_with(begin) && path.ends_with(end));
        copier.directory.join(found.unwrap())
    };
    tamper(
        &one("targets/packages/demo/", "demo-2.0-py3-none-any.whl"),
        3,
    );
    tamper(&one("targets/packages/", ".chunks"), 3);
    tamper(&one("targets/simple/third/", "index.json"), 3);
    tamper(&one("metadata/", ".simple-1.json"), 3);
    std::fs::remove_file(one("targets/packages/third/", "third-3.0.tar.gz")).unwrap();
    let stray = "0".repeat(64) + ".stray-1.0.tar.gz";
    std::fs::write(
        copier.directory.join("targets/packages/demo").join(stray),
        b"x",
    )
    .unwrap();
    // Without a check nothing is read that has not changed.
    assert!(!copier.run().await.unwrap().changed);
    copier.options.check = true;
    let outcome = copier.run().await.unwrap();
    assert_eq!(outcome.complete.files, 6);
    assert_eq!(outcome.leaving, 1);
    let contents = copier.contents(&index).await;
    assert_eq!(contents.files().len(), 6);
    assert_eq!(plain(&copier.directory), contents.projects);
}

#[tokio::test]
async fn a_damaged_memory_is_said_and_done_without() {
    let index = TestIndex::with_files().await;
    let mut copier = Copier::of(&index, "copy").await;
    copier.run().await.unwrap();
    std::fs::write(copier.directory.join(".mirror/state.json"), "{").unwrap();
    let error = copier.run().await.unwrap_err();
    assert!(
        matches!(error, CopyError::State(StateError::Damaged { .. })),
        "{error:?}"
    );
    copier.options.check = true;
    assert_eq!(copier.run().await.unwrap().complete.files, 6);
    copier.options.check = false;
    assert!(!copier.run().await.unwrap().changed);
    // One that is gone is no damage: everything that is here is read.
    std::fs::remove_file(copier.directory.join(".mirror/state.json")).unwrap();
    assert_eq!(copier.run().await.unwrap().complete.files, 6);
}

#[tokio::test]
async fn only_one_at_a_time_writes() {
    let index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    let first = copier.open().await.unwrap();
    let error = copier.open().await.unwrap_err();
    assert!(matches!(error, CopyError::Lock(_)), "{error:?}");
    drop(first);
    copier.web.set_fault(Fault::None);
    copier.run().await.unwrap();
}

/// Keys of so many numbers, which are none, as a project registers them.
fn armored(numbers: &[u8]) -> String {
    let numbers = numbers.iter();
    let keys: Vec<u8> = numbers
        .flat_map(|number| [0xc6, 3, 4, 0, *number])
        .collect();
    Certificates::parse(&keys).unwrap().to_armor().unwrap()
}

#[tokio::test]
async fn certificates_of_projects_are_copied_and_go_with_them() {
    let mut index = TestIndex::with_files().await;
    let mut copier = Copier::of(&index, "copy").await;
    copier.options.grace = SignedDuration::from_hours(1);
    let (one, two) = (armored(&[1]), armored(&[1, 2]));
    let served = |directory: &std::path::Path, project: &str| {
        std::fs::read_to_string(directory.join(format!("keys/{project}.asc"))).ok()
    };
    let objects = |directory: &std::path::Path| {
        let found = walk(directory).into_iter();
        found
            .filter(|path| path.ends_with(".certificates.asc"))
            .count()
    };
    for project in ["demo", "third"] {
        index.set_certificates(project, "", &one).await;
    }
    index.publish().await;
    copier.run().await.unwrap();
    assert_eq!(served(&copier.directory, "demo"), Some(one.clone()));
    assert_eq!(served(&copier.directory, "third"), Some(one.clone()));
    assert_eq!(served(&copier.directory, "other-project"), None);
    assert_eq!(objects(&copier.directory), 2);

    index.set_certificates("demo", &one, &two).await;
    index.set_certificates("third", &one, "").await;
    index.publish().await;
    copier.run().await.unwrap();
    assert_eq!(served(&copier.directory, "demo"), Some(two.clone()));
    assert_eq!(served(&copier.directory, "third"), None);
    assert_eq!(
        objects(&copier.directory),
        3,
        "the state of before needs them"
    );
    for _ in 0..3 {
        index.clock.forward(SignedDuration::from_hours(12));
        index.publish().await;
        copier.run().await.unwrap();
    }
    assert_eq!(objects(&copier.directory), 1);
    assert_eq!(served(&copier.directory, "demo"), Some(two));

    // A selection without the project has no use for its certificates.
    copier.options.selection = Selection::parse("allowlist.packages = ['third']").unwrap();
    copier.run().await.unwrap();
    assert_eq!(served(&copier.directory, "demo"), None);
}

#[tokio::test]
async fn certificates_that_are_altered_on_the_way_are_not_taken() {
    let mut index = TestIndex::with_files().await;
    index.set_certificates("demo", "", &armored(&[1])).await;
    index.publish().await;
    let object = walk(index.root())
        .into_iter()
        .find(|path| path.ends_with(".certificates.asc"))
        .unwrap();
    tamper(&index.path(&object), 40);
    let mut copier = Copier::of(&index, "copy").await;
    copier.run().await.unwrap_err();
    assert!(!copier.directory.join("keys/demo.asc").exists());
    tamper(&index.path(&object), 40);
    copier.run().await.unwrap();
    // What is damaged here is mended by a run that reads everything.
    tamper(&copier.directory.join(&object), 40);
    copier.options.check = true;
    copier.run().await.unwrap();
    let mended = std::fs::read(copier.directory.join(&object)).unwrap();
    assert_eq!(mended, std::fs::read(index.path(&object)).unwrap());
}

//! What the keeper of a copy needs: which objects are there, and that they go.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::os::unix::fs::symlink;

use bytes::Bytes;
use tempfile::TempDir;
use wheelmark_objects::{Directory, ObjectError, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

async fn tree() -> (TempDir, Directory) {
    let home = tempfile::tempdir().unwrap();
    let tree = Directory::open(&home.path().join("tree")).await.unwrap();
    (home, tree)
}

fn project(name: &str) -> ProjectName {
    name.parse().unwrap()
}

fn page(name: &str, content: &str) -> ObjectPath {
    ObjectPath::page(&project(name), &Sha256::of(content.as_bytes()))
}

async fn create(tree: &Directory, paths: &[&ObjectPath]) {
    for path in paths {
        tree.create(path, Bytes::from("x")).await.unwrap();
    }
}

#[tokio::test]
async fn objects_go_and_so_does_a_projects_empty_directory() {
    let (_home, tree) = tree().await;
    let lock = tree.lock().await.unwrap();
    let (one, two, other) = (page("demo", "1"), page("demo", "2"), page("other", "1"));
    let role = ObjectPath::metadata(&"simple-0".parse().unwrap(), 1);
    create(&tree, &[&one, &two, &other, &role]).await;
    let missing = page("nobody", "1");

    let first = vec![one.clone(), missing.clone()];
    assert_eq!(tree.remove_all(&lock, first).await.unwrap(), 1);
    assert!(!tree.exists(&one).await.unwrap());
    assert!(tree.exists(&two).await.unwrap());

    let rest = vec![one.clone(), two.clone(), role.clone()];
    assert_eq!(tree.remove_all(&lock, rest).await.unwrap(), 2);
    assert!(!tree.root().join("targets/simple/demo").exists());
    // Not what holds projects, or metadata: that is a directory of every tree.
    assert!(tree.root().join("targets/simple/other").exists());
    assert!(tree.root().join("metadata").exists());
    // And the directory comes back when it is needed.
    create(&tree, &[&one]).await;
    assert!(tree.exists(&one).await.unwrap());
}

#[tokio::test]
async fn many_go_at_once() {
    let (_home, tree) = tree().await;
    let lock = tree.lock().await.unwrap();
    let pages: Vec<ObjectPath> = (0..600)
        .map(|number| page(&format!("project-{}", number % 50), &number.to_string()))
        .collect();
    create(&tree, &pages.iter().collect::<Vec<_>>()).await;
    assert_eq!(tree.remove_all(&lock, pages.clone()).await.unwrap(), 600);
    assert_eq!(tree.remove_all(&lock, pages).await.unwrap(), 0);
    assert_eq!(tree.projects().await.unwrap().len(), 0);
}

#[tokio::test]
async fn nothing_goes_without_the_trees_own_lock() {
    let (_home, tree) = tree().await;
    let (_other_home, other) = self::tree().await;
    let lock = other.lock().await.unwrap();
    let one = page("demo", "1");
    create(&tree, &[&one]).await;
    let refused = tree.remove_all(&lock, vec![one.clone()]).await;
    assert!(matches!(refused, Err(ObjectError::LockLost { .. })));
    assert!(tree.exists(&one).await.unwrap());
}

#[tokio::test]
async fn removing_follows_no_link_and_takes_no_directory() {
    let (home, tree) = tree().await;
    let lock = tree.lock().await.unwrap();
    let outside = home.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let (behind, link, folder) = (page("behind", "1"), page("demo", "1"), page("demo", "2"));
    let name = |path: &ObjectPath| path.as_str().rsplit('/').next().unwrap().to_owned();
    fs::write(outside.join(name(&behind)), "x").unwrap();
    fs::create_dir_all(tree.root().join("targets/simple/demo")).unwrap();
    symlink(&outside, tree.root().join("targets/simple/behind")).unwrap();
    symlink(outside.join(name(&behind)), tree.local_path(&link)).unwrap();
    fs::create_dir(tree.local_path(&folder)).unwrap();

    for path in [&behind, &folder] {
        let refused = tree.remove_all(&lock, vec![path.clone()]).await;
        assert!(
            matches!(refused, Err(ObjectError::NotPlain { .. })),
            "{refused:?}"
        );
    }
    // The link itself goes.
    assert_eq!(tree.remove_all(&lock, vec![link]).await.unwrap(), 1);
    assert!(outside.join(name(&behind)).exists());
}

#[tokio::test]
async fn one_that_is_discarded_leaves_its_directory() {
    let (_home, tree) = tree().await;
    let lock = tree.lock().await.unwrap();
    let one = page("demo", "1");
    create(&tree, &[&one]).await;
    tree.discard(&lock, &one).await.unwrap();
    tree.discard(&lock, &one).await.unwrap();
    tree.discard(&lock, &page("nobody", "1")).await.unwrap();
    assert!(!tree.exists(&one).await.unwrap());
    assert!(tree.root().join("targets/simple/demo").exists());
}

#[tokio::test]
async fn what_stands_beside_an_object_is_listed_if_it_is_one() {
    let (_home, tree) = tree().await;
    let (one, two) = (page("demo", "1"), page("demo", "2"));
    assert_eq!(tree.beside(&one).await.unwrap(), []);
    create(&tree, &[&one, &two, &page("other", "3")]).await;
    let folder = tree.root().join("targets/simple/demo");
    for stray in ["stray", ".hidden", "index.json", "a b"] {
        fs::write(folder.join(stray), "x").unwrap();
    }
    let mut expected = vec![one.clone(), two];
    expected.sort();
    assert_eq!(tree.beside(&one).await.unwrap(), expected);
    // The one that is asked by need not be there.
    assert_eq!(tree.beside(&page("demo", "9")).await.unwrap(), expected);
}

#[tokio::test]
async fn projects_are_those_that_have_a_directory_anywhere() {
    let (_home, tree) = tree().await;
    assert!(tree.projects().await.unwrap().is_empty());
    let file = ObjectPath::file(&project("b"), &Sha256::of(b"x"), "b-1.tar.gz").unwrap();
    let plain = ObjectPath::plain_file(&project("c"), "c-1.tar.gz").unwrap();
    create(&tree, &[&page("a", "1"), &file, &plain]).await;
    let lock = tree.lock().await.unwrap();
    for path in [
        ObjectPath::simple_json(&project("d")),
        ObjectPath::simple_list_json(),
    ] {
        tree.replace(&lock, &path, Bytes::from("x")).await.unwrap();
    }
    // What cannot be one is none.
    for stray in ["Not-Normalised", ".hidden", "a..b"] {
        fs::create_dir(tree.root().join("packages").join(stray)).unwrap();
    }
    symlink("c", tree.root().join("packages/link")).unwrap();
    let found: Vec<String> = tree
        .projects()
        .await
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, ["a", "b", "c", "d"]);
}

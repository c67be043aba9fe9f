//! Objects that are brought in steps: contents, names, and a flush between the two.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use bytes::Bytes;
use tempfile::{NamedTempFile, TempDir};
use wheelmark_objects::{Delivery, Directory, ObjectError, ObjectPath, Staged, Unsettled};
use wheelmark_tuf::Sha256;

async fn tree() -> (TempDir, Directory, Delivery) {
    let home = tempfile::tempdir().unwrap();
    let tree = Directory::open(&home.path().join("tree")).await.unwrap();
    let delivery = tree.delivery().unwrap();
    (home, tree, delivery)
}

fn page(project: &str, content: &str) -> ObjectPath {
    let sha256 = Sha256::of(content.as_bytes());
    ObjectPath::page(&project.parse().unwrap(), &sha256)
}

fn unfinished(tree: &Directory) -> usize {
    fs::read_dir(tree.incoming()).unwrap().count()
}

#[tokio::test]
async fn few_and_many_come_under_their_names() {
    for count in [1, 3, 600] {
        let (_home, tree, delivery) = tree().await;
        let objects: Vec<(ObjectPath, Bytes)> = (0..count)
            .map(|number| {
                let content = format!("page {number}");
                let project = format!("project-{}", number % 7);
                (page(&project, &content), Bytes::from(content))
            })
            .collect();
        let staged = delivery.stage(objects.clone()).await.unwrap();
        assert_eq!((staged.len(), unfinished(&tree)), (count, count));
        for (path, _) in &objects {
            assert!(!tree.exists(path).await.unwrap(), "{path} came early");
        }
        let [ready] = delivery
            .flush([staged], Unsettled::default())
            .await
            .unwrap();
        let named = delivery.name(ready).await.unwrap();
        assert!(named.different.is_empty());
        let [] = delivery.flush([], named.unsettled).await.unwrap();
        for (path, bytes) in &objects {
            assert_eq!(tree.read(path, 100).await.unwrap().as_ref(), Some(bytes));
            let mode = fs::metadata(tree.local_path(path)).unwrap().permissions();
            assert_eq!(mode.mode() & 0o7777, 0o644);
        }
        assert_eq!(unfinished(&tree), 0);
    }
}

#[tokio::test]
async fn what_gets_no_name_leaves_nothing() {
    let (_home, tree, delivery) = tree().await;
    let object = (page("demo", "x"), Bytes::from("x"));
    drop(delivery.stage(vec![object.clone()]).await.unwrap());
    let staged = delivery.stage(vec![object]).await.unwrap();
    drop(
        delivery
            .flush([staged], Unsettled::default())
            .await
            .unwrap(),
    );
    assert_eq!(unfinished(&tree), 0);
    assert!(!tree.exists(&page("demo", "x")).await.unwrap());
}

#[tokio::test]
async fn a_name_that_is_taken_is_told_and_can_be_taken_over() {
    let (_home, tree, delivery) = tree().await;
    let lock = tree.lock().await.unwrap();
    let (same, other, new) = (page("demo", "a"), page("demo", "b"), page("demo", "c"));
    tree.create(&same, Bytes::from("a")).await.unwrap();
    tree.create(&other, Bytes::from("altered")).await.unwrap();
    let objects = [(&same, "a"), (&other, "b"), (&new, "c")];
    let objects = objects.map(|(path, content)| (path.clone(), Bytes::from(content)));
    let staged = delivery.stage(objects.to_vec()).await.unwrap();
    let [ready] = delivery
        .flush([staged], Unsettled::default())
        .await
        .unwrap();
    let named = delivery.name(ready).await.unwrap();
    assert_eq!(named.different.paths().collect::<Vec<_>>(), [&other]);
    let read = async |path| tree.read(path, 100).await.unwrap().unwrap();
    assert_eq!(read(&other).await, "altered");
    let replaced = delivery.replace(&lock, named.different).await.unwrap();
    let [] = delivery.flush([], replaced).await.unwrap();
    for (path, bytes) in &objects {
        assert_eq!(read(path).await, bytes);
    }
    assert_eq!(unfinished(&tree), 0);
}

#[tokio::test]
async fn nothing_is_replaced_without_the_trees_own_lock() {
    let (_home, tree, delivery) = tree().await;
    let (_other_home, other, _) = self::tree().await;
    let lock = other.lock().await.unwrap();
    let path = page("demo", "a");
    tree.create(&path, Bytes::from("altered")).await.unwrap();
    let staged = delivery.stage(vec![(path.clone(), Bytes::from("a"))]).await;
    let [ready] = delivery
        .flush([staged.unwrap()], Unsettled::default())
        .await
        .unwrap();
    let refused = delivery.replace(&lock, ready).await;
    assert!(matches!(refused, Err(ObjectError::LockLost { .. })));
    let refused = tree.discard(&lock, &path).await;
    assert!(matches!(refused, Err(ObjectError::LockLost { .. })));
    assert_eq!(tree.read(&path, 9).await.unwrap().unwrap(), "altered");
}

#[tokio::test]
async fn a_file_of_the_trees_own_is_moved_and_no_other() {
    let (home, tree, delivery) = tree().await;
    let path = page("demo", "large");
    let file = NamedTempFile::new_in(tree.incoming()).unwrap();
    fs::write(file.path(), "large").unwrap();
    let inode = fs::metadata(file.path()).unwrap().ino();
    let staged = delivery.stage_file(&path, file).await.unwrap();
    let [ready] = delivery
        .flush([staged], Unsettled::default())
        .await
        .unwrap();
    let named = delivery.name(ready).await.unwrap();
    let [] = delivery.flush([], named.unsettled).await.unwrap();
    let placed = fs::metadata(tree.local_path(&path)).unwrap();
    assert_eq!(placed.ino(), inode);
    assert_eq!(placed.permissions().mode() & 0o7777, 0o644);
    assert_eq!(unfinished(&tree), 0);

    let outside = NamedTempFile::new_in(home.path()).unwrap();
    let refused = delivery.stage_file(&page("demo", "x"), outside).await;
    assert!(
        matches!(refused, Err(ObjectError::Io { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn second_names_are_given_and_taken_ones_are_told() {
    let (_home, tree, delivery) = tree().await;
    let project = "demo".parse().unwrap();
    let file = |content: &str, name: &str| {
        ObjectPath::file(&project, &Sha256::of(content.as_bytes()), name).unwrap()
    };
    let (one, other) = (file("1", "a-1.whl"), file("2", "b-1.whl"));
    let plain = |name| ObjectPath::plain_file(&project, name).unwrap();
    tree.create(&one, Bytes::from("1")).await.unwrap();
    tree.create(&other, Bytes::from("2")).await.unwrap();
    let links = vec![
        (one.clone(), plain("a-1.whl")),
        (other.clone(), plain("a-1.whl")),
        (other, plain("b-1.whl")),
        (file("3", "c-1.whl"), plain("c-1.whl")),
    ];
    // One after the other, so that it is clear which of two has the name.
    let (linked, unsettled) = delivery.link(links).await.unwrap();
    let [] = delivery.flush([], unsettled).await.unwrap();
    assert!(linked[0].is_ok() && linked[2].is_ok(), "{linked:?}");
    assert!(matches!(linked[1], Err(ObjectError::Different { .. })));
    assert!(matches!(linked[3], Err(ObjectError::Missing { .. })));
    assert_eq!(tree.read(&plain("a-1.whl"), 9).await.unwrap().unwrap(), "1");
}

#[tokio::test]
async fn an_empty_flush_is_none() {
    let (_home, _tree, delivery) = tree().await;
    let [ready] = delivery
        .flush([Staged::default()], Unsettled::default())
        .await
        .unwrap();
    assert!(ready.is_empty());
    delivery.flush_all().await.unwrap();
}

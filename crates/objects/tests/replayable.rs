//! Writing without flushes, and what is put right after a power failure.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use bytes::Bytes;
use tempfile::TempDir;
use wheelmark_objects::{Creation, Directory, ObjectError, ObjectPath, Replayable, Restored};
use wheelmark_tuf::{RoleName, Sha256};

async fn tree() -> (TempDir, Directory, Replayable) {
    let home = tempfile::tempdir().unwrap();
    let tree = Directory::open(&home.path().join("tree")).await.unwrap();
    let replayable = tree.replayable().unwrap();
    (home, tree, replayable)
}

fn file(content: &[u8]) -> ObjectPath {
    let sha256 = Sha256::of(content);
    ObjectPath::file(&"demo".parse().unwrap(), &sha256, "demo-1.tar.gz").unwrap()
}

fn plain() -> ObjectPath {
    ObjectPath::plain_file(&"demo".parse().unwrap(), "demo-1.tar.gz").unwrap()
}

fn role(version: u64) -> ObjectPath {
    ObjectPath::metadata(&RoleName::snapshot(), version)
}

fn put(tree: &Directory, path: &ObjectPath, content: &[u8]) {
    let path = tree.local_path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[tokio::test]
async fn what_is_left_of_an_object_is_replaced_and_nothing_else() {
    let (_home, tree, replayable) = tree().await;
    let lock = tree.lock().await.unwrap();
    let whole = Bytes::from_static(b"{\"version\":12}");
    for (left, expected) in [
        (None, Restored::Missing),
        (Some(&b"{\"version\":12}"[..]), Restored::Whole),
        (Some(b""), Restored::Torn),
        (Some(b"{\"vers"), Restored::Torn),
        (Some(b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), Restored::Torn),
        (Some(b"{\"vers\0\0\0\0\0\0\0\0"), Restored::Torn),
        (Some(b"{\"version\":12}\0"), Restored::Different),
        (Some(b"{\"version\":13}"), Restored::Different),
        (Some(b"foreign"), Restored::Different),
    ] {
        let path = tree.local_path(&role(1));
        match left {
            Some(left) => put(&tree, &role(1), left),
            None => assert!(!path.exists()),
        }
        let objects = vec![(role(1), whole.clone())];
        let found = replayable.restore_all(&lock, objects).await.unwrap();
        assert_eq!(found, [expected], "{left:?}");
        let there = fs::read(&path).unwrap();
        match expected {
            Restored::Different => assert_eq!(Some(&*there), left),
            _ => assert_eq!(there, whole),
        }
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(fs::read_dir(tree.incoming()).unwrap().count(), 0);
}

#[tokio::test]
async fn an_object_named_after_its_bytes_is_put_right_whatever_is_there() {
    let (_home, tree, replayable) = tree().await;
    let content = Bytes::from_static(b"a wheel");
    let path = file(&content);
    for (left, expected) in [
        (None, Creation::Created),
        (Some(&b"a wheel"[..]), Creation::AlreadySame),
        (Some(b"a wh"), Creation::Created),
        (Some(b"another"), Creation::Created),
        (Some(b"longer than it"), Creation::Created),
    ] {
        if let Some(left) = left {
            put(&tree, &path, left);
        }
        let object = vec![(path.clone(), content.clone())];
        let created = replayable.create_named(object).await.unwrap();
        assert_eq!(created, [expected], "{left:?}");
        assert_eq!(tree.read(&path, 99).await.unwrap().unwrap(), content);
        fs::remove_file(tree.local_path(&path)).unwrap();
    }

    for (path, bytes) in [(path.clone(), "others"), (role(1), "a wheel")] {
        let misnamed = vec![(path.clone(), Bytes::from(bytes))];
        let refused = replayable.create_named(misnamed).await;
        assert!(
            matches!(refused, Err(ObjectError::Different { .. })),
            "{refused:?}"
        );
        assert!(!tree.exists(&path).await.unwrap());
    }
}

#[tokio::test]
async fn a_second_name_that_is_another_file_can_be_given_again() {
    let (_home, tree, replayable) = tree().await;
    let lock = tree.lock().await.unwrap();
    let path = file(b"a wheel");
    put(&tree, &path, b"a wheel");
    let link = || vec![(path.clone(), plain())];
    for left in [&b""[..], b"a w", b"another", b"a wheel"] {
        put(&tree, &plain(), left);
        replayable.clear_others(&lock, link()).await.unwrap();
        let linked = replayable.link_all(link()).await.unwrap();
        assert!(linked[0].is_ok(), "{left:?}: {linked:?}");
        let inode = |path| fs::metadata(tree.local_path(path)).unwrap().ino();
        assert_eq!(inode(&plain()), inode(&path), "{left:?}");
        fs::remove_file(tree.local_path(&plain())).unwrap();
    }

    // A name of the object itself stays, and so does one whose object is not there.
    replayable.link_all(link()).await.unwrap();
    let inode = || fs::metadata(tree.local_path(&plain())).unwrap().ino();
    let before = inode();
    replayable.clear_others(&lock, link()).await.unwrap();
    assert_eq!(inode(), before);
    fs::remove_file(tree.local_path(&path)).unwrap();
    replayable.clear_others(&lock, link()).await.unwrap();
    assert_eq!(inode(), before);
}

#[tokio::test]
async fn the_rules_of_the_tree_hold() {
    let (_home, tree, replayable) = tree().await;
    let lock = tree.lock().await.unwrap();
    let timestamp = || vec![(ObjectPath::timestamp(), Bytes::from_static(b"1"))];
    replayable.replace_all(&lock, timestamp()).await.unwrap();
    let path = ObjectPath::timestamp();
    assert_eq!(tree.read(&path, 9).await.unwrap().unwrap(), "1");
    let refused = replayable.replace_all(&lock, vec![(role(1), Bytes::new())]);
    let refused = refused.await;
    assert!(
        matches!(refused, Err(ObjectError::NotReplaceable { .. })),
        "{refused:?}"
    );
    let refused = replayable.unname_all(&lock, vec![path.clone()]).await;
    assert!(
        matches!(refused, Err(ObjectError::NotReplaceable { .. })),
        "{refused:?}"
    );
    put(&tree, &plain(), b"x");
    replayable.unname_all(&lock, vec![plain()]).await.unwrap();
    assert!(!tree.exists(&plain()).await.unwrap());
    replayable.flush().await.unwrap();

    fs::remove_file(tree.root().join(".lock")).unwrap();
    let refused = replayable.restore_all(&lock, timestamp()).await;
    assert!(
        matches!(refused, Err(ObjectError::LockLost { .. })),
        "{refused:?}"
    );
}

//! What is particular to a tree in a directory: modes, links, leftovers, locks, other processes.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::io::Errno;
use tempfile::{NamedTempFile, TempDir};
use wheelmark_objects::{Creation, Directory, LockError, ObjectError, ObjectPath, OpenError};
use wheelmark_tuf::Sha256;

const WHEEL: &str = "flask-3.1.0-py3-none-any.whl";

async fn tree() -> (TempDir, Directory) {
    let home = tempfile::tempdir().unwrap();
    let tree = Directory::open(&home.path().join("tree")).await.unwrap();
    (home, tree)
}

fn file() -> ObjectPath {
    ObjectPath::file(&"flask".parse().unwrap(), &Sha256::of(b"wheel"), WHEEL).unwrap()
}

fn plain_file() -> ObjectPath {
    ObjectPath::plain_file(&"flask".parse().unwrap(), WHEEL).unwrap()
}

fn bin(number: usize) -> ObjectPath {
    ObjectPath::metadata(&format!("packages-{number:04x}").parse().unwrap(), 1)
}

/// Every file and directory below `root`, without `.incoming`'s contents.
fn entries(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        found.push(path.clone());
        if path.is_dir() && !path.ends_with(".incoming") {
            found.extend(entries(&path));
        }
    }
    found
}

fn unfinished(tree: &Directory) -> usize {
    fs::read_dir(tree.incoming()).unwrap().count()
}

#[tokio::test]
async fn a_web_server_can_read_the_tree_and_nothing_else() {
    let (_home, tree) = tree().await;
    let lock = tree.lock().await.unwrap();
    let upload = NamedTempFile::new_in(tree.incoming()).unwrap();
    fs::write(upload.path(), b"wheel").unwrap();
    tree.place(&file(), upload).await.unwrap();
    tree.link(&file(), &plain_file()).await.unwrap();
    let many = (0..600)
        .map(|number| (bin(number), Bytes::from("x")))
        .collect();
    tree.create_all(many).await.unwrap();
    tree.replace(&lock, &ObjectPath::timestamp(), Bytes::from("{}"))
        .await
        .unwrap();
    for path in entries(tree.root()) {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o7777;
        let expect = match (metadata.is_dir(), path.ends_with(".incoming")) {
            (true, true) => 0o700,
            (true, false) => 0o755,
            (false, _) => 0o644,
        };
        assert_eq!(mode, expect, "{}", path.display());
    }
    let inode = |path: &ObjectPath| fs::metadata(tree.local_path(path)).unwrap().ino();
    assert_eq!(inode(&file()), inode(&plain_file()));
    assert_eq!(unfinished(&tree), 0);
}

#[tokio::test]
async fn a_relative_or_linked_root_is_resolved_once() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("real")).unwrap();
    symlink("real", home.path().join("link")).unwrap();
    let tree = Directory::open(&home.path().join("link")).await.unwrap();
    assert_eq!(
        tree.root(),
        home.path().canonicalize().unwrap().join("real")
    );
    fs::remove_file(home.path().join("link")).unwrap();
    tree.create(&bin(0), Bytes::from("x")).await.unwrap();
}

#[tokio::test]
async fn a_file_is_not_a_tree() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    fs::write(&path, "").unwrap();
    assert!(matches!(
        Directory::open(&path).await,
        Err(OpenError::Io { .. })
    ));
}

#[tokio::test]
async fn links_do_not_lead_writers_or_readers_out_of_the_tree() {
    let (home, tree) = tree().await;
    let outside = home.path().join("outside");
    fs::create_dir_all(outside.join("flask")).unwrap();
    fs::write(outside.join("flask").join(WHEEL), "wheel").unwrap();
    symlink(&outside, tree.root().join("packages")).unwrap();
    fs::create_dir(tree.root().join("targets")).unwrap();
    symlink("../metadata", tree.root().join("targets/packages")).unwrap();

    let refused = |result: Result<Creation, ObjectError>, path: ObjectPath| {
        assert!(matches!(result, Err(ObjectError::NotPlain { path: named }) if named == path));
    };
    let other = ObjectPath::plain_file(&"flask".parse().unwrap(), "other.whl").unwrap();
    refused(tree.create(&other, Bytes::from("x")).await, other.clone());
    refused(tree.create(&file(), Bytes::from("x")).await, file());
    refused(
        tree.link(&bin(0), &plain_file()).await.or_else(not_missing),
        plain_file(),
    );
    let upload = || NamedTempFile::new_in(tree.incoming()).unwrap();
    refused(tree.place(&other, upload()).await, other.clone());
    assert!(matches!(
        tree.read(&plain_file(), 9).await,
        Err(ObjectError::NotPlain { .. })
    ));
    assert!(matches!(
        tree.exists(&plain_file()).await,
        Err(ObjectError::NotPlain { .. })
    ));
    assert_eq!(fs::read_dir(outside.join("flask")).unwrap().count(), 1);
}

/// `link` looks for what it links first.
fn not_missing(error: ObjectError) -> Result<Creation, ObjectError> {
    match error {
        ObjectError::Missing { .. } => Err(ObjectError::NotPlain { path: plain_file() }),
        other => Err(other),
    }
}

#[tokio::test]
async fn a_link_in_an_objects_place_is_neither_followed_nor_taken_for_it() {
    let (home, tree) = tree().await;
    let lock = tree.lock().await.unwrap();
    let outside = home.path().join("outside");
    fs::write(&outside, "same").unwrap();
    tree.create(&bin(0), Bytes::from("x")).await.unwrap();
    for path in [bin(1), ObjectPath::timestamp()] {
        symlink(&outside, tree.local_path(&path)).unwrap();
        let created = tree.create(&path, Bytes::from("same")).await;
        assert!(
            matches!(created, Err(ObjectError::NotPlain { .. })),
            "{created:?}"
        );
        let linked = tree.link(&path, &plain_file()).await;
        assert!(
            matches!(linked, Err(ObjectError::NotPlain { .. })),
            "{linked:?}"
        );
    }
    // Replacing takes the link away and leaves alone what it pointed to.
    tree.replace(&lock, &ObjectPath::timestamp(), Bytes::from("new"))
        .await
        .unwrap();
    assert_eq!(
        tree.read(&ObjectPath::timestamp(), 9).await.unwrap(),
        Some(Bytes::from("new"))
    );
    assert_eq!(fs::read(&outside).unwrap(), b"same");
}

#[tokio::test]
async fn a_directory_in_an_objects_place_is_refused() {
    let (_home, tree) = tree().await;
    let lock = tree.lock().await.unwrap();
    for path in [bin(0), ObjectPath::timestamp()] {
        fs::create_dir_all(tree.local_path(&path)).unwrap();
        assert!(matches!(
            tree.read(&path, 9).await,
            Err(ObjectError::NotPlain { .. })
        ));
        let created = tree.create(&path, Bytes::from("x")).await;
        assert!(
            matches!(created, Err(ObjectError::NotPlain { .. })),
            "{created:?}"
        );
    }
    let replaced = tree
        .replace(&lock, &ObjectPath::timestamp(), Bytes::from("x"))
        .await;
    assert!(
        matches!(replaced, Err(ObjectError::NotPlain { .. })),
        "{replaced:?}"
    );
    assert_eq!(unfinished(&tree), 0);
}

#[tokio::test]
async fn leftovers_of_the_dead_are_removed_and_the_living_are_left_alone() {
    let (home, tree) = tree().await;
    let neighbour = Directory::open(&home.path().join("tree")).await.unwrap();
    let upload = NamedTempFile::new_in(neighbour.incoming()).unwrap();
    fs::write(upload.path(), b"wheel").unwrap();

    // What a process that was killed in the middle of a batch and of an upload leaves behind.
    let all = tree.root().join(".incoming");
    let dead = all.join("wDEAD");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("object-0"), "half an obj").unwrap();
    fs::write(dead.join(".tmpUpload"), "half a wh").unwrap();
    fs::write(all.join("stray"), "").unwrap();
    symlink(home.path(), all.join("link")).unwrap();

    fs::write(neighbour.incoming().join("object-1"), "of the living").unwrap();
    let abandoned = tree.abandoned("object-").await.unwrap();
    assert_eq!(abandoned, [dead.join("object-0")]);
    fs::remove_file(neighbour.incoming().join("object-1")).unwrap();

    assert_eq!(tree.clean_incoming().await.unwrap(), 3);
    assert_eq!(tree.clean_incoming().await.unwrap(), 0);
    assert!(!dead.exists());
    assert!(home.path().join("tree").exists());
    assert_eq!(
        neighbour.place(&file(), upload).await.unwrap(),
        Creation::Created
    );

    // Leftovers that were never cleaned are not in the way of the same work done again.
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("object-0"), "half an obj").unwrap();
    tree.create(&bin(0), Bytes::from("whole object"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_closed_tree_leaves_nothing_in_incoming() {
    let (home, tree) = tree().await;
    tree.create(&bin(0), Bytes::from("x")).await.unwrap();
    drop(tree);
    assert_eq!(
        fs::read_dir(home.path().join("tree/.incoming"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_failed_batch_leaves_no_temporary_files() {
    let (_home, tree) = tree().await;
    tree.create(&bin(250), Bytes::from("other")).await.unwrap();
    for count in [255, 600] {
        let objects = (240..count)
            .map(|number| (bin(number), Bytes::from("x")))
            .collect();
        assert!(matches!(
            tree.create_all(objects).await,
            Err(ObjectError::Different { .. })
        ));
        assert_eq!(unfinished(&tree), 0);
    }
    let upload = NamedTempFile::new_in(tree.incoming()).unwrap();
    assert!(matches!(
        tree.place(&bin(250), upload).await,
        Err(ObjectError::Different { .. })
    ));
    assert_eq!(unfinished(&tree), 0);
}

#[tokio::test]
async fn the_lock_names_its_holder_and_does_not_survive_its_file() {
    let (home, tree) = tree().await;
    let (_other_home, other_tree) = self::tree().await;
    let lock = tree.lock().await.unwrap();
    match tree.lock().await {
        Err(error @ LockError::Held { .. }) => {
            assert!(
                error
                    .to_string()
                    .contains(&format!("process {}", std::process::id())),
                "{error}"
            );
        }
        other => panic!("expected it to be held, found {other:?}"),
    }
    let timestamp = ObjectPath::timestamp();
    let lost = |result| {
        assert!(
            matches!(result, Err(ObjectError::LockLost { .. })),
            "{result:?}"
        )
    };
    lost(
        other_tree
            .replace(&lock, &timestamp, Bytes::from("x"))
            .await,
    );

    // Somebody removes the file and the next process takes a lock of its own.
    fs::remove_file(home.path().join("tree/.lock")).unwrap();
    let usurper = tree.lock().await.unwrap();
    lost(tree.replace(&lock, &timestamp, Bytes::from("old")).await);
    tree.replace(&usurper, &timestamp, Bytes::from("new"))
        .await
        .unwrap();
    drop(usurper);
    // A file that a dead process left is no obstacle.
    assert!(home.path().join("tree/.lock").exists());
    tree.lock().await.unwrap();
}

#[tokio::test]
async fn a_file_is_as_seen_until_anything_happens_to_it() {
    let (home, tree) = tree().await;
    let path = ObjectPath::timestamp();
    let file = tree.local_path(&path);
    tree.create(&path, Bytes::from_static(b"one"))
        .await
        .unwrap();
    let seen = async || tree.open_object(&path).await.unwrap().unwrap().seen;
    let first = seen().await;
    assert!(tree.is_as_seen(&path, &first));
    assert!(!tree.is_as_seen(&plain_file(), &first), "nothing is there");

    // Its times are set back, as by somebody who has changed it and hides it.
    let kept = fs::metadata(&file).unwrap().modified().unwrap();
    let earlier = kept - std::time::Duration::from_secs(5);
    let open = fs::File::options().write(true).open(&file).unwrap();
    open.set_modified(earlier).unwrap();
    assert!(!tree.is_as_seen(&path, &first));
    let second = seen().await;
    assert!(tree.is_as_seen(&path, &second));

    // Another file takes its place.
    let other = home.path().join("other");
    fs::write(&other, b"two").unwrap();
    fs::rename(&other, &file).unwrap();
    assert!(!tree.is_as_seen(&path, &second));
    let third = seen().await;

    // A link that leads to it.
    fs::rename(&file, &other).unwrap();
    symlink(&other, &file).unwrap();
    assert!(!tree.is_as_seen(&path, &third));
    fs::remove_file(&file).unwrap();
    assert!(!tree.is_as_seen(&path, &third));
}

#[tokio::test]
async fn an_open_object_keeps_its_bytes() {
    let (_home, tree) = tree().await;
    let lock = tree.lock().await.unwrap();
    let timestamp = ObjectPath::timestamp();
    tree.replace(&lock, &timestamp, Bytes::from("old"))
        .await
        .unwrap();
    let open = tree.open_object(&timestamp).await.unwrap().unwrap();
    tree.replace(&lock, &timestamp, Bytes::from("newer"))
        .await
        .unwrap();
    assert_eq!(open.len, 3);
    assert_eq!(std::io::read_to_string(open.file).unwrap(), "old");
}

#[test]
fn being_full_is_told_from_other_failures() {
    let failed = |errno: Errno| ObjectError::Io {
        action: "write",
        path: PathBuf::from("/tree"),
        source: errno.into(),
    };
    for full in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
        assert!(failed(full).is_full(), "{full}");
    }
    for other in [Errno::ACCESS, Errno::IO, Errno::NOENT, Errno::ROFS] {
        assert!(!failed(other).is_full(), "{other}");
    }
    assert!(!ObjectError::Missing { path: bin(0) }.is_full());
}

/// What a batch costs, up to the first ceremony of the largest index.
#[tokio::test]
#[ignore = "a measurement, to be read: run it with --nocapture"]
#[expect(clippy::print_stderr, reason = "it prints what it measures")]
async fn batches_of_every_size() {
    for count in [1, 8, 32, 64, 128, 1024, 32_768] {
        let (_home, tree) = tree().await;
        let objects: Vec<_> = (0..count)
            .map(|n| (bin(n), Bytes::from(vec![b'x'; 700])))
            .collect();
        let mut took = Vec::new();
        for _ in ["created", "created again"] {
            let start = std::time::Instant::now();
            tree.create_all(objects.clone()).await.unwrap();
            took.push(start.elapsed());
        }
        eprintln!(
            "{count} objects: created in {:?}, again in {:?}",
            took[0], took[1]
        );
    }
}

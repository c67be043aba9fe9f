//! Taking in files that lie outside of the tree.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wheelmark_objects::{
    Directory, Manner, ObjectError, ObjectPath, Outside, OutsideFile, Sharing, Stamp, TakenIn,
};
use wheelmark_tuf::Sha256;

struct World {
    home: TempDir,
    tree: Directory,
}

impl World {
    async fn new() -> World {
        let home = tempfile::tempdir().unwrap();
        let tree = Directory::open(&home.path().join("tree")).await.unwrap();
        World { home, tree }
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    async fn take(&self, file: Outside, sharing: Sharing) -> TakenIn {
        self.tree.take_in(vec![file], sharing).await.unwrap()[0]
    }

    fn object(&self) -> PathBuf {
        self.tree.local_path(&object("one"))
    }
}

fn object(content: &str) -> ObjectPath {
    let project = "a".parse().unwrap();
    ObjectPath::file(&project, &Sha256::of(content.as_bytes()), "a-1.tar.gz").unwrap()
}

/// A file that was hashed as it is now.
fn theirs(path: &Path) -> Outside {
    let file = File::open(path).unwrap();
    let stamp = Stamp::of(&file).unwrap();
    Outside {
        path: object("one"),
        file: OutsideFile::Theirs(file, stamp),
    }
}

#[tokio::test]
async fn a_file_is_shared() {
    let world = World::new().await;
    let path = world.write("a", "one");
    let taken = world.take(theirs(&path), Sharing::WherePossible).await;
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    match taken {
        TakenIn::Here(Manner::Linked) => assert_eq!(inode(&path), inode(&world.object())),
        TakenIn::Here(Manner::Reflinked) => assert_ne!(inode(&path), inode(&world.object())),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(world.object()).unwrap(), b"one");
    let again = world.take(theirs(&path), Sharing::WherePossible).await;
    assert_eq!(again, TakenIn::Here(Manner::Present));
    let other = world.write("b", "one");
    let again = world.take(theirs(&other), Sharing::Never).await;
    assert_eq!(
        again,
        TakenIn::Here(Manner::Present),
        "the same bytes are the same object"
    );
}

#[tokio::test]
async fn a_file_is_copied() {
    let world = World::new().await;
    let path = world.write("a", "one");
    let taken = world.take(theirs(&path), Sharing::Never).await;
    assert_eq!(taken, TakenIn::Here(Manner::Copied));
    assert_ne!(
        fs::metadata(&path).unwrap().ino(),
        fs::metadata(world.object()).unwrap().ino()
    );
}

#[tokio::test]
async fn a_private_file_is_not_linked() {
    let world = World::new().await;
    let path = world.write("a", "one");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let taken = world.take(theirs(&path), Sharing::WherePossible).await;
    assert!(!matches!(taken, TakenIn::Here(Manner::Linked)), "{taken:?}");
    assert_eq!(fs::metadata(world.object()).unwrap().mode() & 0o777, 0o644);
    assert_eq!(
        fs::metadata(&path).unwrap().mode() & 0o777,
        0o600,
        "theirs stays as it is"
    );
}

#[tokio::test]
async fn the_file_that_was_hashed_is_taken_whatever_its_name_holds_now() {
    let world = World::new().await;
    let path = world.write("a", "one");
    let hashed = theirs(&path);
    fs::remove_file(&path).unwrap();
    world.write("a", "other");
    let taken = world.take(hashed, Sharing::WherePossible).await;
    // The last name of the file is gone, so it cannot be linked.
    assert!(
        matches!(taken, TakenIn::Here(Manner::Copied | Manner::Reflinked)),
        "{taken:?}"
    );
    assert_eq!(fs::read(world.object()).unwrap(), b"one");
}

#[tokio::test]
async fn a_file_that_was_written_to_is_not_taken() {
    for sharing in [Sharing::WherePossible, Sharing::Never] {
        let world = World::new().await;
        let path = world.write("a", "one");
        let hashed = theirs(&path);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b" more").unwrap();
        assert_eq!(world.take(hashed, sharing).await, TakenIn::Changed);
        assert!(!world.object().exists());
    }
}

#[tokio::test]
async fn other_bytes_under_the_name_stay() {
    let world = World::new().await;
    let path = world.write("a", "one");
    world.take(theirs(&path), Sharing::Never).await;
    fs::write(world.object(), "two").unwrap();
    for sharing in [Sharing::WherePossible, Sharing::Never] {
        assert_eq!(world.take(theirs(&path), sharing).await, TakenIn::Different);
    }
    assert_eq!(fs::read(world.object()).unwrap(), b"two");
}

#[tokio::test]
async fn a_file_of_ours_is_moved() {
    let world = World::new().await;
    let mut ours = tempfile::NamedTempFile::new_in(world.tree.incoming()).unwrap();
    ours.write_all(b"one").unwrap();
    let old = ours.path().to_owned();
    let file = Outside {
        path: object("one"),
        file: OutsideFile::Ours(ours),
    };
    let taken = world.take(file, Sharing::WherePossible).await;
    assert_eq!(taken, TakenIn::Here(Manner::Moved));
    assert!(!old.exists());
    assert_eq!(fs::metadata(world.object()).unwrap().mode() & 0o777, 0o644);
}

#[tokio::test]
async fn many_are_taken_in_their_order() {
    let world = World::new().await;
    let files = (0..700).map(|number| {
        let content = number.to_string();
        let path = world.write(&content, &content);
        let mut file = theirs(&path);
        file.path = object(&content);
        if number % 7 == 0 {
            fs::write(path, "something longer").unwrap();
        }
        file
    });
    let taken = world
        .tree
        .take_in(files.collect(), Sharing::WherePossible)
        .await
        .unwrap();
    for (number, taken) in taken.into_iter().enumerate() {
        assert_eq!(
            taken == TakenIn::Changed,
            number % 7 == 0,
            "{number}: {taken:?}"
        );
    }
}

#[tokio::test]
async fn what_everybody_can_write_to_is_copied() {
    let world = World::new().await;
    let path = world.write("a", "one");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let taken = world.take(theirs(&path), Sharing::WherePossible).await;
    assert_ne!(taken, TakenIn::Here(Manner::Linked));
    fs::write(&path, "two").unwrap();
    assert_eq!(fs::read(world.object()).unwrap(), b"one");
}

#[tokio::test]
async fn what_is_copied_is_looked_at() {
    let world = World::new().await;
    let path = world.write("a", "one");
    // Written to after it was hashed, with its time put back.
    let hashed = theirs(&path);
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "two").unwrap();
    let file = File::options().append(true).open(&path).unwrap();
    file.set_modified(time).unwrap();
    let taken = world.take(hashed, Sharing::Never).await;
    assert_eq!(taken, TakenIn::Changed);
    assert!(!world.object().exists());
}

#[tokio::test]
async fn damage_is_mended() {
    let world = World::new().await;
    let lock = world.tree.lock().await.unwrap();
    let (path, plain) = (object("one"), {
        let project = "a".parse().unwrap();
        ObjectPath::plain_file(&project, "a-1.tar.gz").unwrap()
    });
    let shared = world.write("a", "one");
    world.take(theirs(&shared), Sharing::WherePossible).await;
    world.tree.link(&path, &plain).await.unwrap();
    let plain_place = world.tree.local_path(&plain);
    for place in [&world.object(), &plain_place] {
        fs::write(place, "bad").unwrap();
    }
    // Other bytes are no remedy.
    let bad = File::open(world.write("b", "other")).unwrap();
    let refused = world.tree.mend(&lock, &path, Some(&plain), bad).await;
    assert!(
        matches!(refused, Err(ObjectError::Different { .. })),
        "{refused:?}"
    );
    assert_eq!(fs::read(world.object()).unwrap(), b"bad");

    let good = || File::open(world.write("c", "one")).unwrap();
    let mended = world.tree.mend(&lock, &path, Some(&plain), good());
    mended.await.unwrap();
    for place in [&world.object(), &plain_place] {
        assert_eq!(fs::read(place).unwrap(), b"one");
    }
    // What was shared is shared no more.
    fs::write(&shared, "two").unwrap();
    fs::write(world.home.path().join("c"), "two").unwrap();
    assert_eq!(fs::read(world.object()).unwrap(), b"one");

    // Also what is gone; and never by a name that says nothing, or over one that is no second.
    fs::remove_file(world.object()).unwrap();
    world.tree.mend(&lock, &path, None, good()).await.unwrap();
    assert_eq!(fs::read(world.object()).unwrap(), b"one");
    let refused = world.tree.mend(&lock, &plain, None, good()).await;
    assert!(
        matches!(refused, Err(ObjectError::Different { .. })),
        "{refused:?}"
    );
    let refused = world.tree.mend(&lock, &path, Some(&path), good()).await;
    assert!(
        matches!(refused, Err(ObjectError::NotReplaceable { .. })),
        "{refused:?}"
    );
}

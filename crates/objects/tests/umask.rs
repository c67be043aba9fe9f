//! The umask belongs to the whole process, so this test has one of its own.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use bytes::Bytes;
use rustix::fs::Mode;
use tempfile::NamedTempFile;
use wheelmark_objects::{Directory, ObjectPath};

#[tokio::test]
async fn a_strict_umask_does_not_hide_the_tree() {
    let home = tempfile::tempdir().unwrap();
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let tree = Directory::open(&home.path().join("a/tree")).await.unwrap();
    let lock = tree.lock().await.unwrap();
    let plain = ObjectPath::plain_file(&"flask".parse().unwrap(), "flask-3.1.0.tar.gz").unwrap();
    let upload = NamedTempFile::new_in(tree.incoming()).unwrap();
    tree.place(&plain, upload).await.unwrap();
    let bin = ObjectPath::metadata(&"packages-00".parse().unwrap(), 1);
    tree.create(&bin, Bytes::from("{}")).await.unwrap();
    let timestamp = ObjectPath::timestamp();
    tree.replace(&lock, &timestamp, Bytes::from("{}"))
        .await
        .unwrap();
    for (path, expect) in [
        (tree.root().to_owned(), 0o755),
        (tree.root().join("metadata"), 0o755),
        (tree.root().join("packages"), 0o755),
        (tree.root().join("packages/flask"), 0o755),
        (tree.local_path(&plain), 0o644),
        (tree.local_path(&bin), 0o644),
        (tree.local_path(&timestamp), 0o644),
        (tree.root().join(".incoming"), 0o700),
    ] {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, expect, "{}", path.display());
    }
}

//! Taking objects away beside uploads that go on.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::File;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use wheelmark_objects::{Directory, ObjectError, ObjectPath};
use wheelmark_tuf::Sha256;

#[tokio::test]
async fn what_is_old_goes_and_its_folder_stays() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Directory::open(folder.path()).await.unwrap();
    let object = |name: &str| {
        let path = ObjectPath::file(&"tool".parse().unwrap(), &Sha256::of(name.as_bytes()), name);
        path.unwrap()
    };
    let [old, young, linked] = ["tool-1.tar.gz", "tool-2.tar.gz", "tool-3.tar.gz"].map(object);
    let plain = ObjectPath::plain_file(&"tool".parse().unwrap(), "tool-3.tar.gz").unwrap();
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    for path in [&old, &young, &linked] {
        tree.create(path, Bytes::from_static(b"12345"))
            .await
            .unwrap();
    }
    tree.link(&linked, &plain).await.unwrap();
    for path in [&old, &linked] {
        let file = File::options()
            .write(true)
            .open(tree.local_path(path))
            .unwrap();
        file.set_modified(hour_ago - Duration::from_secs(1))
            .unwrap();
    }
    let described = tree.described_beside(&old).await.unwrap();
    assert_eq!(described.len(), 3);
    assert_eq!(described.iter().map(|file| file.frees()).sum::<u64>(), 10);

    let other = tempfile::tempdir().unwrap();
    let other = Directory::open(other.path()).await.unwrap();
    let wrong = other.lock().await.unwrap();
    let paths = vec![old.clone(), young.clone(), linked.clone()];
    let refused = tree.sweep(&wrong, paths.clone(), hour_ago).await;
    assert!(matches!(refused, Err(ObjectError::LockLost { .. })));

    let lock = tree.lock().await.unwrap();
    let swept = tree.sweep(&lock, paths.clone(), hour_ago).await.unwrap();
    assert_eq!(
        swept.gone,
        [(old.clone(), 5), (linked.clone(), 0)],
        "the plain name has the bytes"
    );
    assert!(tree.exists(&young).await.unwrap() && tree.exists(&plain).await.unwrap());
    let again = tree
        .sweep(&lock, vec![old.clone()], hour_ago)
        .await
        .unwrap();
    assert_eq!(again.gone, []);

    let file = File::options()
        .write(true)
        .open(tree.local_path(&young))
        .unwrap();
    file.set_modified(hour_ago - Duration::from_secs(1))
        .unwrap();
    tree.sweep(&lock, paths, hour_ago).await.unwrap();
    let place = tree.local_path(&old);
    assert!(
        place.parent().unwrap().is_dir(),
        "an upload may be about to place something there"
    );
}

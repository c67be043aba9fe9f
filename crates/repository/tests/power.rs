//! What a power failure can take of what was published without a flush is there again after the
//! next start, and no version is signed twice.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/index.rs"]
mod index;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use index::TestIndex;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use wheelmark_repository::{BinForm, Engine, JournalWriter, Lifetimes, Turn};
use wheelmark_signing::FileKey;
use wheelmark_store::{Admission, KeptObject};

const SNAPSHOTS: usize = 3;

/// What a power failure leaves of a file.
#[derive(Clone, Copy, Debug)]
enum Left {
    Nothing,
    Empty,
    Half,
    Zeros,
}

impl Left {
    const ALL: [Left; 4] = [Left::Nothing, Left::Empty, Left::Half, Left::Zeros];

    fn of(self, path: &PathBuf) {
        let whole = std::fs::read(path).unwrap();
        // Another name of the same file has what is left of it, too.
        match self {
            Left::Nothing => std::fs::remove_file(path).unwrap(),
            Left::Empty => std::fs::write(path, "").unwrap(),
            Left::Half => std::fs::write(path, &whole[..whole.len() / 2]).unwrap(),
            Left::Zeros => std::fs::write(path, vec![0; whole.len()]).unwrap(),
        }
    }
}

/// Every file of the tree, by its path in it.
fn files(index: &TestIndex) -> BTreeMap<PathBuf, Vec<u8>> {
    let root = index.folder.path().join("repository");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().to_owned();
            if name.starts_with(".incoming") || name.starts_with(".lock") {
            } else if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

fn wheel(number: usize) -> String {
    format!("demo-{number}.0-py3-none-any.whl")
}

/// An index that has published a few snapshots, and what was in its tree before the first.
async fn published() -> (TestIndex, BTreeMap<PathBuf, Vec<u8>>) {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let before = files(&index);
    let mut engine = index.engine().await;
    for number in 0..SNAPSHOTS {
        let content = format!("wheel {number}");
        let seq = index.upload(&wheel(number), content.as_bytes()).await;
        engine.turn().await.unwrap();
        assert!(index.published(seq).await);
    }
    (index, before)
}

/// The files that were written without a flush: all that is new or other than before, but for the
/// uploads, which are flushed unless they are kept with their journal rows.
fn unflushed(
    before: &BTreeMap<PathBuf, Vec<u8>>,
    after: &BTreeMap<PathBuf, Vec<u8>>,
) -> Vec<PathBuf> {
    let new = after
        .iter()
        .filter(|(path, bytes)| before.get(*path) != Some(bytes));
    let flushed = |path: &PathBuf| path.starts_with("targets/packages");
    new.map(|(path, _)| path.clone())
        .filter(|path| !flushed(path))
        .collect()
}

#[tokio::test]
async fn every_file_that_is_not_flushed_is_there_again() {
    for left in Left::ALL {
        let (index, before) = published().await;
        let whole = files(&index);
        let root = index.folder.path().join("repository");
        let lost = unflushed(&before, &whole);
        // Pages, roles, plain names, copies: of each kind there is one.
        for kind in [
            "metadata/timestamp.json",
            "metadata/4.snapshot.json",
            "targets/simple",
            "packages/demo/demo-0.0-py3-none-any.whl",
            "simple/demo/index.json",
            "simple/index.html",
        ] {
            assert!(lost.iter().any(|path| path.starts_with(kind)), "{kind}");
        }
        for path in &lost {
            // A plain name is a second name of what was flushed: its contents are safe.
            let left = match path.starts_with("packages") {
                true => Left::Nothing,
                false => left,
            };
            left.of(&root.join(path));
        }

        let mut engine = index.engine().await;
        assert_eq!(files(&index), whole, "{left:?}");
        assert_eq!(index.files("demo").len(), SNAPSHOTS);
        assert_eq!(engine.turn().await.unwrap(), Turn::Idle);
        index.upload(&wheel(SNAPSHOTS), b"one more").await;
        engine.turn().await.unwrap();
        assert_eq!(index.files("demo").len(), SNAPSHOTS + 1);
        let now = files(&index);
        for (path, bytes) in whole {
            let versioned = path.starts_with("metadata") && !path.ends_with("timestamp.json");
            if versioned {
                assert_eq!(now.get(&path), Some(&bytes), "{path:?} was signed twice");
            }
        }
    }
}

#[tokio::test]
async fn each_file_alone_is_there_again() {
    let (index, before) = published().await;
    let whole = files(&index);
    let root = index.folder.path().join("repository");
    for path in unflushed(&before, &whole) {
        for left in [Left::Nothing, Left::Half] {
            if path.starts_with("packages") && matches!(left, Left::Half) {
                continue;
            }
            left.of(&root.join(&path));
            index.engine().await;
            assert_eq!(files(&index), whole, "{path:?}: {left:?}");
        }
    }
}

#[tokio::test]
async fn a_timestamp_of_any_snapshot_before_is_followed_to_the_last() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let timestamp = index
        .folder
        .path()
        .join("repository/metadata/timestamp.json");
    let mut stood = vec![std::fs::read(&timestamp).unwrap()];
    let mut engine = index.engine().await;
    for number in 0..SNAPSHOTS {
        index.upload(&wheel(number), b"a wheel").await;
        engine.turn().await.unwrap();
        stood.push(std::fs::read(&timestamp).unwrap());
    }
    drop(engine);
    let whole = files(&index);
    for older in &stood {
        std::fs::write(&timestamp, older).unwrap();
        let engine = index.engine().await;
        assert_eq!(engine.snapshot_version(), 1 + SNAPSHOTS as u64);
        assert_eq!(files(&index), whole);
    }
}

/// What was completed in the database may be lost, too, and only from its end.
#[tokio::test]
async fn a_settlement_that_was_lost_is_made_again() {
    let (index, _) = published().await;
    let last = "(SELECT max(id) FROM intent)";
    let opened = format!("UPDATE intent SET completed = 0 WHERE id = {last}");
    assert_eq!(index.sql(&opened).await, 1);
    index
        .sql("DELETE FROM outcome WHERE seq = (SELECT max(seq) FROM outcome)")
        .await;
    index
        .sql("UPDATE file SET published = 0 WHERE seq = (SELECT max(seq) FROM file)")
        .await;
    let mut engine = index.engine().await;
    let seq = wheelmark_store::Seq(SNAPSHOTS as u64);
    assert!(index.published(seq).await);
    assert_eq!(index.store.intent().await.unwrap(), None);
    assert_eq!(engine.turn().await.unwrap(), Turn::Idle);
}

#[tokio::test]
async fn records_are_kept_until_their_files_are_flushed() {
    let (index, before) = published().await;
    let standing = || async { index.store.recorded_intents().await.unwrap().len() };
    assert_eq!(standing().await, SNAPSHOTS);
    let mut engine = index.engine().await;
    assert_eq!(standing().await, SNAPSHOTS);
    // The time after which they are flushed, and then as long as the disk takes.
    while standing().await > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(engine.turn().await.unwrap(), Turn::Idle);
    }
    drop(engine);
    // Now they are not there any more, and nothing can be put right.
    let lost = unflushed(&before, &files(&index));
    let snapshot = lost.iter().find(|path| path.ends_with("4.snapshot.json"));
    let root = index.folder.path().join("repository");
    std::fs::remove_file(root.join(snapshot.unwrap())).unwrap();
    assert!(index.try_engine().await.is_err());
}

/// With another key, or beside a timestamp that this index did not sign, every record looks
/// foreign: none is dropped for that.
#[tokio::test]
async fn a_start_that_fails_takes_no_record() {
    let (index, _) = published().await;
    let whole = files(&index);
    let standing = || async { index.store.recorded_intents().await.unwrap().len() };
    let key = index.folder.path().join("another");
    let another = FileKey::create(&key, &mut UnwrapErr(SysRng)).unwrap();
    let opened = Engine::open(
        index.tree.clone(),
        index.store.clone(),
        Arc::new(another),
        index.clock.clone(),
        Lifetimes::default(),
        JournalWriter::Operator,
    );
    assert!(opened.await.is_err());
    assert_eq!(standing().await, SNAPSHOTS);

    let timestamp = index
        .folder
        .path()
        .join("repository/metadata/timestamp.json");
    std::fs::write(&timestamp, "what somebody put here").unwrap();
    assert!(index.try_engine().await.is_err());
    assert_eq!(standing().await, SNAPSHOTS);
    std::fs::write(
        &timestamp,
        &whole[&PathBuf::from("metadata/timestamp.json")],
    )
    .unwrap();
    index.engine().await;
    assert_eq!(files(&index), whole);
}

#[tokio::test]
async fn whoever_goes_in_order_leaves_no_record() {
    let (index, _) = published().await;
    let mut engine = index.engine().await;
    index.upload(&wheel(SNAPSHOTS), b"one more").await;
    engine.turn().await.unwrap();
    engine.flush().await.unwrap();
    assert!(index.store.recorded_intents().await.unwrap().is_empty());
    engine.flush().await.unwrap();
    index.upload(&wheel(SNAPSHOTS + 1), b"another").await;
    engine.turn().await.unwrap();
    engine.run(async {}).await;
    assert!(index.store.recorded_intents().await.unwrap().is_empty());
    assert_eq!(index.files("demo").len(), SNAPSHOTS + 2);
}

#[tokio::test]
async fn an_uploaded_object_that_is_kept_is_written_again() {
    for left in Left::ALL {
        for is_published in [false, true] {
            let index = TestIndex::new(4, BinForm::Succinct).await;
            let content = b"a small wheel";
            let file = index.place(&wheel(0), content).await;
            let stored = format!("targets/packages/demo/{}.{}", file.sha256, file.filename);
            let kept = [KeptObject {
                path: stored.clone(),
                bytes: content.to_vec(),
            }];
            let bearer = index.bearer().await;
            let admitted = index.store.admit_keeping(file, &kept, &bearer, None);
            let Admission::Recorded(seq) = admitted.await.unwrap() else {
                panic!("not recorded");
            };
            if is_published {
                index.engine().await.turn().await.unwrap();
            }
            left.of(&index.folder.path().join("repository").join(stored));

            let mut engine = index.engine().await;
            engine.turn().await.unwrap();
            assert!(index.published(seq).await, "{left:?} {is_published}");
            assert_eq!(index.files("demo"), [wheel(0)], "{left:?} {is_published}");
        }
    }
}

//! Collections that are asked for, the log of snapshots, and a catalogue that is made anew.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use jiff::Timestamp;
use wheelmark_packaging::simple::{ProjectStatus, Status};
use wheelmark_store::{
    Admission, CollectionState, FileState, LoggedSnapshot, NewFile, Orders, RebuildError,
    RebuiltClaim, RebuiltProject, Seq, Store,
};
use wheelmark_tuf::Sha256;

fn file(filename: &str) -> NewFile {
    NewFile {
        project: "tool".parse().unwrap(),
        filename: filename.to_owned(),
        sha256: Sha256::of(filename.as_bytes()),
        size: 3,
        uploaded_at: Timestamp::UNIX_EPOCH,
        requires_python: None,
        core_metadata_sha256: None,
        chunks_sha256: None,
        gpg_signature: None,
        provenance_sha256: None,
        uploaded_by: "rebuilt".to_owned(),
        back_signed: false,
        yanked: Some("old".to_owned()),
    }
}

fn project(files: Vec<(NewFile, bool)>) -> RebuiltProject {
    RebuiltProject {
        name: "tool".parse().unwrap(),
        created_at: Timestamp::UNIX_EPOCH,
        status: ProjectStatus {
            status: Status::Archived,
            ..ProjectStatus::default()
        },
        certificates: None,
        files,
        claim: None,
    }
}

#[tokio::test]
async fn a_collection_is_asked_for_and_answered_once() {
    let folder = tempfile::tempdir().unwrap();
    let orders = Orders::open(&folder.path().join("orders.sqlite"))
        .await
        .unwrap();
    assert_eq!(orders.collection_asked().await.unwrap(), None);
    let now = Timestamp::UNIX_EPOCH;
    let first = orders.ask_to_collect("a", now, "me").await.unwrap();
    let second = orders.ask_to_collect("b", now, "me").await.unwrap();
    let asked = orders.collection_asked().await.unwrap();
    assert_eq!(asked, Some((first, "a".to_owned())));
    let so_far = CollectionState::Waiting(Some("half".to_owned()));
    orders.tell_of_collection(first, &so_far).await.unwrap();
    assert_eq!(orders.collection(first).await.unwrap(), so_far);
    let done = CollectionState::Done("all".to_owned());
    orders.tell_of_collection(first, &done).await.unwrap();
    let failed = CollectionState::Failed("no".to_owned());
    orders.tell_of_collection(first, &failed).await.unwrap();
    assert_eq!(orders.collection(first).await.unwrap(), done);
    assert_eq!(orders.collection_asked().await.unwrap().unwrap().0, second);
}

#[tokio::test]
async fn a_snapshot_is_written_down_once() {
    let folder = tempfile::tempdir().unwrap();
    let orders = Orders::open(&folder.path().join("orders.sqlite"))
        .await
        .unwrap();
    let row = |version, sha256: &[u8]| LoggedSnapshot {
        version,
        sha256: Sha256::of(sha256),
        length: 5,
        expires: Timestamp::UNIX_EPOCH,
    };
    orders
        .log_snapshots(&[row(2, b"two"), row(1, b"one")])
        .await
        .unwrap();
    orders
        .log_snapshots(&[row(2, b"other"), row(3, b"three")])
        .await
        .unwrap();
    let logged = orders.logged_snapshots().await.unwrap();
    assert_eq!(logged, [row(1, b"one"), row(2, b"two"), row(3, b"three")]);
}

#[tokio::test]
async fn a_catalogue_that_was_made_anew_goes_on_behind_what_was_signed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("catalogue.sqlite"))
        .await
        .unwrap();
    let mut rebuilding = store.rebuild(Seq(9), Seq(12), 7).await.unwrap();
    let files = vec![
        (file("tool-1.0.tar.gz"), false),
        (file("tool-0.9.tar.gz"), true),
    ];
    rebuilding.take(project(files)).await.unwrap();
    assert_eq!(rebuilding.finish().await.unwrap(), 2);

    let tool = "tool".parse().unwrap();
    let row = store.file(&tool, "tool-1.0.tar.gz").await.unwrap().unwrap();
    assert_eq!(row.state, FileState::Published);
    assert_eq!(row.yanked.as_deref(), Some("old"));
    let row = store.file(&tool, "tool-0.9.tar.gz").await.unwrap().unwrap();
    assert_eq!(row.state, FileState::Removed);
    assert_eq!(
        store.project_standing(&tool).await.unwrap().status.status,
        Status::Archived
    );
    assert_eq!(store.serial(&tool).await.unwrap(), Some(Seq(12)));
    assert_eq!(store.newest_snapshot().await.unwrap(), 7);
    assert_eq!(store.journal_end().await.unwrap(), Seq(9));
    assert_eq!(store.journal_pending().await.unwrap(), 0);
    let mut other = file("tool-0.9.tar.gz");
    other.sha256 = Sha256::of(b"other bytes");
    let refused = store.admit(other).await.unwrap();
    assert!(
        matches!(refused, Admission::Different { .. }),
        "the name stays taken"
    );
    let admitted = store.admit(file("tool-2.0.tar.gz")).await.unwrap();
    assert_eq!(admitted, Admission::Recorded(Seq(10)));

    let again = store.rebuild(Seq(9), Seq(12), 7).await;
    assert!(matches!(again, Err(RebuildError::NotEmpty)));
}

#[tokio::test]
async fn files_without_any_position_are_refused_and_nothing_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("catalogue.sqlite"))
        .await
        .unwrap();
    let mut rebuilding = store.rebuild(Seq(0), Seq(1), 1).await.unwrap();
    let refused = rebuilding
        .take(project(vec![(file("tool-1.0.tar.gz"), false)]))
        .await;
    assert!(matches!(refused, Err(RebuildError::NoPosition)));
    drop(rebuilding);
    assert_eq!(store.files(None, 10).await.unwrap(), []);
}

/// A release brings several files with one row of the journal.
#[tokio::test]
async fn more_files_than_positions_share_the_last_one_and_a_claim_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("catalogue.sqlite"))
        .await
        .unwrap();
    let mut rebuilding = store.rebuild(Seq(2), Seq(2), 1).await.unwrap();
    let files = (0..4).map(|number| (file(&format!("tool-{number}.0.tar.gz")), number == 3));
    let made = RebuiltProject {
        claim: Some(RebuiltClaim {
            claimed_at: Timestamp::UNIX_EPOCH,
            keys: vec![
                ("5f0c".to_owned(), "alice".to_owned()),
                ("9a41".to_owned(), "bob".to_owned()),
            ],
        }),
        ..project(files.collect())
    };
    rebuilding.take(made).await.unwrap();
    assert_eq!(rebuilding.finish().await.unwrap(), 4);
    let rows = store.files(None, 10).await.unwrap();
    let seqs: Vec<u64> = rows.iter().map(|row| row.seq.0).collect();
    assert_eq!(seqs, [1, 2, 2, 2]);
    let states: Vec<FileState> = rows.iter().map(|row| row.state).collect();
    assert_eq!(states[..3], [FileState::Published; 3]);
    assert_eq!(states[3], FileState::Removed);
    assert!(store.is_claimed(&"tool".parse().unwrap()).await.unwrap());
    // What comes next stands behind all of them.
    let new = NewFile {
        project: "other".parse().unwrap(),
        ..file("other-1.0.tar.gz")
    };
    let Admission::Recorded(seq) = store.admit(new).await.unwrap() else {
        panic!("not new");
    };
    assert_eq!(seq, Seq(3));
}

use wheelmark_store::{Admission, Change, FileRow, FileState, NewFile, Seq, Store};
use wheelmark_tuf::Sha256;

use super::backend::{Backend, file, project, recorded};
use super::outcome::{publish, published, refused};

const NAME: &str = "a-1.tar.gz";

async fn row(store: &Store) -> FileRow {
    store.file(&project("a"), NAME).await.unwrap().unwrap()
}

/// Admits and publishes the one file of these tests, as snapshot 2.
async fn listed(store: &Store) -> Seq {
    let seq = recorded(store, file("a", NAME, "x")).await;
    publish(store, 2, &[(seq, published(2))]).await;
    seq
}

/// Removes it, as snapshot 3.
async fn removed(store: &Store) {
    let seq = store.remove(&project("a"), NAME).await.unwrap().unwrap();
    publish(store, 3, &[(seq, published(3))]).await;
}

pub(crate) async fn a_removal_counts_once_it_is_published(backend: &impl Backend) {
    let store = backend.open().await;
    let added = listed(&store).await;

    let seq = store.remove(&project("a"), NAME).await.unwrap().unwrap();

    let rows = store.journal_after(added, 10).await.unwrap();
    assert_eq!((rows.len(), rows[0].seq), (1, seq));
    assert_eq!(
        rows[0].change,
        Change::FileRemoved {
            project: project("a"),
            filename: NAME.to_owned(),
            reason: None,
        }
    );
    assert_eq!(row(&store).await.state, FileState::Published);
    publish(&store, 3, &[(seq, published(3))]).await;
    assert_eq!(row(&store).await.state, FileState::Removed);
    assert_eq!(store.projects().await.unwrap(), []);
    assert_eq!(store.files(None, 10).await.unwrap(), [row(&store).await]);
}

pub(crate) async fn a_refused_removal_changes_nothing(backend: &impl Backend) {
    let store = backend.open().await;
    listed(&store).await;
    let before = row(&store).await;
    let seq = store.remove(&project("a"), NAME).await.unwrap().unwrap();
    publish(&store, 3, &[(seq, refused("claimed"))]).await;
    assert_eq!(row(&store).await, before);
    assert_eq!(store.projects().await.unwrap(), [project("a")]);
}

pub(crate) async fn what_is_not_there_is_not_removed(backend: &impl Backend) {
    let store = backend.open().await;
    let unknown = store.remove(&project("a"), NAME).await.unwrap();
    assert_eq!(unknown, None);
    listed(&store).await;
    removed(&store).await;
    let end = store.journal_end().await.unwrap();
    assert_eq!(store.remove(&project("a"), NAME).await.unwrap(), None);
    let yank = store.set_yanked(&project("a"), NAME, None).await;
    assert_eq!(yank.unwrap(), None);
    assert_eq!(store.journal_end().await.unwrap(), end);
}

pub(crate) async fn a_removed_name_takes_the_same_bytes_alone(backend: &impl Backend) {
    let store = backend.open().await;
    let first = listed(&store).await;
    removed(&store).await;

    let other = store.admit(file("a", NAME, "other")).await.unwrap();
    let existing = Sha256::of(b"x");
    assert_eq!(other, Admission::Different { existing });

    let again = NewFile {
        back_signed: true,
        yanked: Some(String::new()),
        uploaded_by: "second".to_owned(),
        uploaded_at: "2026-11-21T10:00:00Z".parse().unwrap(),
        gpg_signature: Some(wheelmark_store::FileSignature {
            sha256: Sha256::of(b"signature"),
            length: 9,
        }),
        ..file("a", NAME, "x")
    };
    let seq = recorded(&store, again.clone()).await;
    assert!(seq > first);
    let same = store.admit(again.clone()).await.unwrap();
    assert_eq!(same, Admission::Same(seq));
    assert_eq!(row(&store).await.state, FileState::Pending);
    assert_eq!(store.projects().await.unwrap(), []);

    publish(&store, 4, &[(seq, published(4))]).await;
    let back = row(&store).await;
    assert_eq!((back.state, back.seq), (FileState::Published, seq));
    assert_eq!(back.yanked.as_deref(), Some(""));
    assert!(back.back_signed);
    assert_eq!(back.gpg_signature_sha256, None, "it has what it had");
    assert_eq!(back.uploaded_by, "second");
    assert_eq!(back.uploaded_at, again.uploaded_at);
    assert_eq!(store.projects().await.unwrap(), [project("a")]);
    assert_eq!(
        store.admit(again).await.unwrap(),
        Admission::Same(seq),
        "it is there again"
    );
}

pub(crate) async fn a_refused_return_leaves_the_name_to_its_bytes(backend: &impl Backend) {
    let store = backend.open().await;
    listed(&store).await;
    removed(&store).await;
    let seq = recorded(&store, file("a", NAME, "x")).await;
    publish(&store, 4, &[(seq, refused("the blob is missing"))]).await;
    assert_eq!(row(&store).await.state, FileState::Removed);
    let other = store.admit(file("a", NAME, "other")).await.unwrap();
    assert!(matches!(other, Admission::Different { .. }), "{other:?}");
    let again = recorded(&store, file("a", NAME, "x")).await;
    assert!(again > seq);
}

pub(crate) async fn a_file_can_go_before_it_was_published(backend: &impl Backend) {
    let store = backend.open().await;
    let added = recorded(&store, file("a", NAME, "x")).await;
    let gone = store.remove(&project("a"), NAME).await.unwrap().unwrap();
    publish(&store, 2, &[(added, published(2)), (gone, published(2))]).await;
    assert_eq!(row(&store).await.state, FileState::Removed);
}

pub(crate) async fn a_yank_counts_once_it_is_published(backend: &impl Backend) {
    let store = backend.open().await;
    listed(&store).await;
    for (version, wish) in [
        (3, Some("it is broken \"ü\"".to_owned())),
        (4, Some(String::new())),
        (5, None),
    ] {
        let before = row(&store).await;
        let end = store.journal_end().await.unwrap();
        let seq = store.set_yanked(&project("a"), NAME, wish.clone()).await;
        let seq = seq.unwrap().unwrap();
        assert_eq!(row(&store).await, before);
        let rows = store.journal_after(end, 10).await.unwrap();
        let change = Change::FileYanked {
            project: project("a"),
            filename: NAME.to_owned(),
            yanked: wish.clone(),
        };
        assert_eq!((rows[0].seq, &rows[0].change), (seq, &change));
        publish(&store, version, &[(seq, published(version))]).await;
        assert_eq!(row(&store).await.yanked, wish);
        assert_eq!(row(&store).await.state, FileState::Published);
    }
    let seq = store
        .set_yanked(&project("a"), NAME, Some(String::new()))
        .await;
    let seq = seq.unwrap().unwrap();
    publish(&store, 6, &[(seq, refused("claimed"))]).await;
    assert_eq!(row(&store).await.yanked, None);
}

pub(crate) async fn every_change_wakes_the_one_who_waits(backend: &impl Backend) {
    let store = backend.open().await;
    listed(&store).await;
    for round in 0..3 {
        // What the setting up left behind.
        store.journal_changed().await;
        let waiting = tokio::spawn({
            let store = store.clone();
            let end = store.journal_end().await.unwrap();
            async move {
                while store.journal_after(end, 1).await.unwrap().is_empty() {
                    store.journal_changed().await;
                }
            }
        });
        match round {
            0 => drop(store.set_yanked(&project("a"), NAME, None).await.unwrap()),
            1 => drop(store.remove(&project("a"), NAME).await.unwrap()),
            _ => drop(store.admit_all(vec![file("b", "b-1.tar.gz", "y")]).await),
        }
        tokio::time::timeout(std::time::Duration::from_secs(20), waiting)
            .await
            .unwrap()
            .unwrap();
    }
}

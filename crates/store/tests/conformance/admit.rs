use std::collections::BTreeSet;

use wheelmark_packaging::ProjectName;
use wheelmark_store::{Admission, Change, FileSignature, FileState, NewFile, Seq};
use wheelmark_tuf::Sha256;

use super::backend::{Backend, file, project, recorded};

pub(crate) async fn an_admitted_file_is_in_catalogue_and_journal(backend: &impl Backend) {
    let store = backend.open().await;
    let mut new = file("flask", "flask-3.0.tar.gz", "bytes");
    let sha256 = Sha256::of(b"signature");
    new.gpg_signature = Some(FileSignature { sha256, length: 9 });
    assert_eq!(store.file(&new.project, &new.filename).await.unwrap(), None);

    let seq = recorded(&store, new.clone()).await;

    let row = store
        .file(&new.project, &new.filename)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.seq, seq);
    assert_eq!(row.sha256, new.sha256);
    assert_eq!(row.size, new.size);
    assert_eq!(row.uploaded_at, new.uploaded_at);
    assert_eq!(row.uploaded_by, "first");
    assert_eq!(row.state, FileState::Pending);
    assert_eq!(row.gpg_signature_sha256, Some(sha256));
    assert_eq!((row.yanked, row.back_signed), (None, false));
    let journal = store.journal_after(Seq(0), 10).await.unwrap();
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].seq, seq);
    assert_eq!(journal[0].change, Change::FileAdded(new));
    assert_eq!(store.projects().await.unwrap(), []);
}

pub(crate) async fn the_same_file_again_is_the_same_row(backend: &impl Backend) {
    let store = backend.open().await;
    let new = file("flask", "flask-3.0.tar.gz", "bytes");
    let seq = recorded(&store, new.clone()).await;
    let mut later = new;
    later.uploaded_at = "2026-11-21T00:00:00Z".parse().unwrap();
    later.uploaded_by = "second".to_owned();

    assert_eq!(store.admit(later).await.unwrap(), Admission::Same(seq));
    assert_eq!(store.journal_after(Seq(0), 10).await.unwrap().len(), 1);
}

pub(crate) async fn other_bytes_under_a_taken_name_change_nothing(backend: &impl Backend) {
    let store = backend.open().await;
    let new = file("flask", "flask-3.0.tar.gz", "bytes");
    recorded(&store, new.clone()).await;
    let before = store.file(&new.project, &new.filename).await.unwrap();

    let answer = store
        .admit(file("flask", "flask-3.0.tar.gz", "other"))
        .await
        .unwrap();

    assert_eq!(
        answer,
        Admission::Different {
            existing: Sha256::of(b"bytes")
        }
    );
    let after = store.file(&new.project, &new.filename).await.unwrap();
    assert_eq!(after, before);
    assert_eq!(store.journal_after(Seq(0), 10).await.unwrap().len(), 1);
}

pub(crate) async fn the_same_name_in_another_project_is_another_file(backend: &impl Backend) {
    let store = backend.open().await;
    let first = recorded(&store, file("a", "x-1.tar.gz", "bytes")).await;
    let second = recorded(&store, file("b", "x-1.tar.gz", "other")).await;
    assert!(first < second);
}

pub(crate) async fn of_many_racing_for_a_name_one_is_recorded(backend: &impl Backend) {
    let stores = [backend.open().await, backend.open().await];
    let racers = (0..16).map(|n| {
        let store = stores[n % 2].clone();
        let content = format!("content {}", n / 4);
        tokio::spawn(async move {
            store
                .admit(file("flask", "flask-3.0.tar.gz", &content))
                .await
                .unwrap()
        })
    });
    let mut recorded = Vec::new();
    let (mut same, mut different) = (Vec::new(), 0);
    for racer in racers.collect::<Vec<_>>() {
        match racer.await.unwrap() {
            Admission::Recorded(seq) => recorded.push(seq),
            Admission::Same(seq) => same.push(seq),
            Admission::Different { .. } => different += 1,
        }
    }
    assert_eq!(recorded.len(), 1);
    assert_eq!(same, vec![recorded[0]; 3]);
    assert_eq!(different, 12);
    let journal = stores[0].journal_after(Seq(0), 100).await.unwrap();
    assert_eq!(journal.len(), 1);
}

pub(crate) async fn many_names_at_once_get_positions_without_gaps(backend: &impl Backend) {
    let store = backend.open().await;
    let uploads = (0..32).map(|n| {
        let store = store.clone();
        let name = format!("flask-{n}.tar.gz");
        tokio::spawn(async move { recorded(&store, file("flask", &name, &name)).await })
    });
    let mut positions = BTreeSet::new();
    for upload in uploads.collect::<Vec<_>>() {
        positions.insert(upload.await.unwrap());
    }
    assert_eq!(positions, (1..=32).map(Seq).collect());
}

pub(crate) async fn many_are_recorded_in_their_order(backend: &impl Backend) {
    let store = backend.open().await;
    let taken = file("a", "a-1.tar.gz", "x");
    recorded(&store, taken.clone()).await;
    let old = NewFile {
        back_signed: true,
        yanked: Some("broken".to_owned()),
        ..file("b", "b-1.tar.gz", "y")
    };

    let answers = store
        .admit_all(vec![
            old.clone(),
            taken,
            file("a", "a-1.tar.gz", "other"),
            old.clone(),
            file("b", "b-2.tar.gz", "z"),
        ])
        .await
        .unwrap();

    assert_eq!(
        answers,
        [
            Admission::Recorded(Seq(2)),
            Admission::Same(Seq(1)),
            Admission::Different {
                existing: Sha256::of(b"x")
            },
            Admission::Same(Seq(2)),
            Admission::Recorded(Seq(3)),
        ]
    );
    let row = store.file(&old.project, &old.filename).await.unwrap();
    let row = row.unwrap();
    assert_eq!(
        (row.yanked.as_deref(), row.back_signed),
        (Some("broken"), true)
    );
    let journal = store.journal_after(Seq(1), 10).await.unwrap();
    assert_eq!(journal[0].change, Change::FileAdded(old));
    assert_eq!(store.admit_all(Vec::new()).await.unwrap(), []);
}

/// Through another handle, a transaction is seen whole or not at all.
pub(crate) async fn many_become_visible_together(backend: &impl Backend) {
    const MANY: u64 = 500;
    let (here, there) = (backend.open().await, backend.open().await);
    let files = (0..MANY)
        .map(|n| file("a", &format!("a-{n}.tar.gz"), "x"))
        .collect();
    let writing = tokio::spawn(async move { here.admit_all(files).await.unwrap().len() });
    loop {
        let seen = there.journal_end().await.unwrap().0;
        assert!(seen == 0 || seen == MANY, "{seen} of {MANY} are visible");
        if seen == MANY {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(writing.await.unwrap() as u64, MANY);
}

pub(crate) async fn the_catalogue_comes_by_name_and_in_pages(backend: &impl Backend) {
    let store = backend.open().await;
    let names = [
        ("a", "a-1.tar.gz"),
        ("a", "a-10.tar.gz"),
        ("b", "b-1.tar.gz"),
    ];
    for (project, name) in names.iter().rev() {
        recorded(&store, file(project, name, name)).await;
    }
    let mut seen = Vec::new();
    let mut after: Option<(ProjectName, String)> = None;
    loop {
        let from = after
            .as_ref()
            .map(|(project, name)| (project, name.as_str()));
        let page = store.files(from, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some((last.project.clone(), last.filename.clone()));
        for row in page {
            let alone = store.file(&row.project, &row.filename).await.unwrap();
            assert_eq!(alone.as_ref(), Some(&row));
            seen.push((row.project.to_string(), row.filename));
        }
    }
    assert_eq!(
        seen,
        names.map(|(project, name)| (project.to_owned(), name.to_owned()))
    );
}

pub(crate) async fn what_was_admitted_is_there_after_reopening(backend: &impl Backend) {
    let store = backend.open().await;
    let seq = recorded(&store, file("flask", "flask-3.0.tar.gz", "bytes")).await;
    store.close().await;
    drop(store);

    let store = backend.open().await;
    let row = store.file(&project("flask"), "flask-3.0.tar.gz").await;
    assert_eq!(row.unwrap().unwrap().seq, seq);
    assert_eq!(
        recorded(&store, file("flask", "flask-3.1.tar.gz", "more")).await,
        Seq(seq.0 + 1)
    );
}

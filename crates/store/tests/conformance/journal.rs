use std::time::Duration;

use wheelmark_store::{Change, FileSignature, JournalRow, Seq};
use wheelmark_tuf::Sha256;

use super::backend::{Backend, file, recorded};

/// Far longer than any wait in here should be.
const LONG: Duration = Duration::from_secs(20);

fn positions(rows: &[JournalRow]) -> Vec<u64> {
    rows.iter().map(|row| row.seq.0).collect()
}

pub(crate) async fn rows_come_in_order_and_in_pages(backend: &impl Backend) {
    let store = backend.open().await;
    for n in 0..7 {
        recorded(&store, file("a", &format!("a-{n}.tar.gz"), "x")).await;
    }
    let first = store.journal_after(Seq(0), 3).await.unwrap();
    assert_eq!(positions(&first), [1, 2, 3]);
    let second = store.journal_after(Seq(3), 3).await.unwrap();
    assert_eq!(positions(&second), [4, 5, 6]);
    let last = store.journal_after(Seq(6), 3).await.unwrap();
    assert_eq!(positions(&last), [7]);
    assert_eq!(store.journal_after(Seq(7), 3).await.unwrap(), []);
    assert_eq!(store.journal_after(Seq(u64::MAX), 3).await.unwrap(), []);
}

pub(crate) async fn a_row_keeps_every_field(backend: &impl Backend) {
    let store = backend.open().await;
    let mut new = file("a", "a-1-py3-none-any.whl", "x");
    new.requires_python = Some(">=3.9, <\"4\" ü".to_owned());
    new.core_metadata_sha256 = Some(Sha256::of(b"metadata"));
    new.chunks_sha256 = Some(Sha256::of(b"chunks"));
    new.gpg_signature = Some(FileSignature {
        sha256: Sha256::of(b"signature"),
        length: 228,
    });
    new.back_signed = true;
    new.yanked = Some("because".to_owned());
    recorded(&store, new.clone()).await;
    let rows = store.journal_after(Seq(0), 1).await.unwrap();
    assert_eq!(rows[0].change, Change::FileAdded(new));
}

pub(crate) async fn an_admission_wakes_the_one_who_waits(backend: &impl Backend) {
    let store = backend.open().await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move {
            while store.journal_after(Seq(0), 1).await.unwrap().is_empty() {
                store.journal_changed().await;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    recorded(&store, file("a", "a-1.tar.gz", "x")).await;
    tokio::time::timeout(LONG, waiting).await.unwrap().unwrap();
}

pub(crate) async fn an_admission_before_waiting_is_not_missed(backend: &impl Backend) {
    let store = backend.open().await;
    recorded(&store, file("a", "a-1.tar.gz", "x")).await;
    // Ready at its first poll: the wake-up was kept.
    let changed = store.journal_changed();
    assert_eq!(tokio::time::timeout(Duration::ZERO, changed).await, Ok(()));
}

pub(crate) async fn an_admission_by_another_process_is_noticed(backend: &impl Backend) {
    let here = backend.open().await;
    let there = backend.open().await;
    let waiting = tokio::spawn(async move {
        while here.journal_after(Seq(0), 1).await.unwrap().is_empty() {
            here.journal_changed().await;
        }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    recorded(&there, file("a", "a-1.tar.gz", "x")).await;
    tokio::time::timeout(LONG, waiting).await.unwrap().unwrap();
}

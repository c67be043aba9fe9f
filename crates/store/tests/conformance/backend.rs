//! A fresh database for one test, and what tests put into it.

use wheelmark_packaging::ProjectName;
use wheelmark_store::{Admission, Intent, NewFile, Seq, Store};
use wheelmark_tuf::Sha256;

/// One empty database.
pub(crate) trait Backend {
    /// Makes it.
    async fn new() -> Self;
    /// A handle of its own on the database, as another process would have.
    async fn open(&self) -> Store;
}

/// A SQLite file in a temporary directory.
pub(crate) struct Sqlite {
    directory: tempfile::TempDir,
}

impl Backend for Sqlite {
    async fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    async fn open(&self) -> Store {
        Store::open(&self.directory.path().join("catalogue.sqlite"))
            .await
            .unwrap()
    }
}

pub(crate) fn project(name: &str) -> ProjectName {
    name.parse().unwrap()
}

pub(crate) fn file(name: &str, filename: &str, content: &str) -> NewFile {
    NewFile {
        project: project(name),
        filename: filename.to_owned(),
        sha256: Sha256::of(content.as_bytes()),
        size: content.len() as u64,
        uploaded_at: "2026-11-20T10:00:00.123456Z".parse().unwrap(),
        requires_python: None,
        core_metadata_sha256: None,
        chunks_sha256: None,
        uploaded_by: "first".to_owned(),
        back_signed: false,
        yanked: None,
    }
}

pub(crate) async fn recorded(store: &Store, file: NewFile) -> Seq {
    match store.admit(file).await.unwrap() {
        Admission::Recorded(seq) => seq,
        other => panic!("not recorded: {other:?}"),
    }
}

pub(crate) fn intent(version: u64, through: Seq) -> Intent {
    Intent {
        snapshot_version: version,
        timestamp_version: version + 10,
        through,
        objects: vec![
            (format!("metadata/{version}.snapshot.json"), b"{}".to_vec()),
            ("targets/b".to_owned(), vec![0, 255, 10]),
            ("targets/a".to_owned(), Vec::new()),
        ],
        timestamp: br#"{"signatures":[],"signed":{}}"#.to_vec(),
        after: serde_json::json!({"links": [["a", "b"]], "note": "ü"}),
    }
}

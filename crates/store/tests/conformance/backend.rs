//! A fresh database for one test, and what tests put into it.

use wheelmark_packaging::ProjectName;
use wheelmark_store::{
    Actor, Admission, Bearer, Checked, Intent, NewFile, NewToken, Orders, Scope, Seq, Store,
    UserName, format_token,
};
use wheelmark_tuf::Sha256;

/// One empty database.
pub(crate) trait Backend {
    /// Makes it.
    async fn new() -> Self;
    /// A handle of its own on the database, as another process would have.
    async fn open(&self) -> Store;
    /// A handle of its own on the operator's journal.
    async fn orders(&self) -> Orders;
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

    async fn orders(&self) -> Orders {
        Orders::open(&self.directory.path().join("orders.sqlite"))
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
        gpg_signature: None,
        provenance_sha256: None,
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

pub(crate) fn now() -> jiff::Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

pub(crate) fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

/// Whoever runs the index.
pub(crate) fn operator() -> Actor {
    Actor::Operator {
        account: "root".to_owned(),
    }
}

pub(crate) async fn added_user(store: &Store, name: &str) {
    let added = store.add_user(&user(name), &operator(), now()).await;
    added.unwrap();
}

pub(crate) fn new_token(name: &str, scope: Scope, text: &str) -> NewToken {
    NewToken {
        id: format!("{name}-{}", &Sha256::of(text.as_bytes()).to_string()[..8]),
        user: user(name),
        scope,
        secret_sha256: Sha256::of(text.as_bytes()),
        expires_at: None,
        note: "a note".to_owned(),
    }
}

/// A token of a user, presented.
pub(crate) async fn token_of(store: &Store, name: &str, scope: Scope, secret: u8) -> Bearer {
    let text = format_token(&[secret; 32]);
    let token = new_token(name, scope, &text);
    let created = store.create_token(&token, &operator(), now()).await;
    created.unwrap();
    match store.check_token(&text, now()).await.unwrap() {
        Checked::Good(bearer) => bearer,
        other => panic!("not good: {other:?}"),
    }
}

//! A signed index of the test's own, published into a directory by the real engine.

use std::ops::Deref;
use std::path::Path;

use wheelmark_client::CHUNK_LEN;
use wheelmark_packaging::DistributionFilename;
use wheelmark_repository::{Engine, JournalWriter};
use wheelmark_store::Change;
use wheelmark_testing::{Added, Index};
use wheelmark_tuf::Sha256;

pub(crate) struct TestIndex {
    index: Index,
    engine: Engine,
}

impl Deref for TestIndex {
    type Target = Index;

    fn deref(&self) -> &Index {
        &self.index
    }
}

impl TestIndex {
    pub(crate) async fn new() -> Self {
        let index = Index::new().await;
        let engine = index.engine(JournalWriter::Operator).await;
        Self { index, engine }
    }

    /// An index with some files of three projects.
    pub(crate) async fn with_files() -> Self {
        let mut index = Self::new().await;
        for name in FILES {
            index.add(name, &content(name)).await;
        }
        index.add(LARGE, &large()).await;
        index.publish().await;
        index
    }

    /// Places a file with all that belongs to it, and admits it to the journal: a wheel has
    /// metadata, and a source archive a signature.
    pub(crate) async fn add(&self, filename: &str, content: &[u8]) {
        let wheel = filename.ends_with(".whl");
        let added = Added {
            metadata: wheel.then(|| metadata(filename)),
            signature: (!wheel).then(|| format!("the signature of {filename}\n").into_bytes()),
            ..Added::new(filename, content)
        };
        self.index.add(added).await;
    }

    /// Takes a file away.
    pub(crate) async fn remove(&self, filename: &str) {
        let parsed = DistributionFilename::parse(filename).unwrap();
        let removed = self.store.remove(parsed.project(), filename).await.unwrap();
        assert!(removed.is_some(), "{filename}");
    }

    /// Has a project sign by certificates, or by none. In this journal, which its operator writes,
    /// it stands like everything else.
    pub(crate) async fn set_certificates(&self, project: &str, before: &str, certificates: &str) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let change = Change::CertificatesSet {
            project: project.parse().unwrap(),
            certificates: some(certificates),
            required: false,
            in_place_of: some(before).map(|text| Sha256::of(text.as_bytes())),
        };
        let catalogue = self.beside("catalogue.sqlite");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(catalogue);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        sqlx::query("INSERT INTO journal (change) VALUES (?)")
            .bind(serde_json::to_string(&change).unwrap())
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
    }

    /// Publishes what was added, or what is due.
    pub(crate) async fn publish(&mut self) {
        self.engine.turn().await.unwrap();
    }

    pub(crate) fn root(&self) -> &Path {
        self.tree.root()
    }

    pub(crate) fn first_root(&self) -> Vec<u8> {
        std::fs::read(self.path("metadata/1.root.json")).unwrap()
    }
}

/// Changes one byte of a file that has perhaps another name as well, which keeps its bytes.
pub(crate) fn tamper(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    let folder = path.parent().unwrap();
    let other = tempfile::NamedTempFile::new_in(folder).unwrap();
    std::fs::write(other.path(), bytes).unwrap();
    other.persist(path).unwrap();
}

pub(crate) const FILES: [&str; 5] = [
    "demo-1.0-py3-none-any.whl",
    "demo-1.0.tar.gz",
    "demo-2.0-py3-none-any.whl",
    "other_project-0.1-py3-none-any.whl",
    "third-3.0.tar.gz",
];

pub(crate) const LARGE: &str = "third-3.1-py3-none-any.whl";

/// What a small file of this name holds.
pub(crate) fn content(filename: &str) -> Vec<u8> {
    filename.repeat(400).into_bytes()
}

/// Five whole chunks and a part of one.
pub(crate) fn large() -> Vec<u8> {
    (0..(5 * CHUNK_LEN + 12_345))
        .map(|i| (i * i % 253) as u8)
        .collect()
}

pub(crate) fn metadata(filename: &str) -> Vec<u8> {
    format!("Metadata-Version: 2.1\nName: demo\nSummary: {filename}\n").into_bytes()
}

//! A signed index of the test's own, published into a directory by the real engine.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use wheelmark_client::CHUNK_LEN;
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_packaging::{DistributionFilename, ProjectName};
use wheelmark_repository::{
    BinForm, Bins, Engine, Genesis, JournalWriter, Lifetimes, OfflineSigners,
};
use wheelmark_signing::{FileKey, Signer};
use wheelmark_store::{Admission, Change, FileSignature, NewFile, Store};
use wheelmark_tuf::{Clock, Sha256};

/// A clock that stands still until it is told.
pub(crate) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

impl TestClock {
    pub(crate) fn forward(&self, by: SignedDuration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

pub(crate) struct TestIndex {
    folder: tempfile::TempDir,
    pub(crate) tree: Arc<Directory>,
    store: Store,
    engine: Engine,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) fingerprint: Sha256,
}

impl TestIndex {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tree = Directory::open(&folder.path().join("repository"))
            .await
            .unwrap();
        let store = Store::open(&folder.path().join("catalogue.sqlite"))
            .await
            .unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(1_780_000_000)));
        let key = |name: &str| {
            FileKey::create(&folder.path().join(name), &mut UnwrapErr(SysRng)).unwrap()
        };
        let online = key("online");
        let offline: Vec<FileKey> = (0..8).map(|i| key(&format!("offline-{i}"))).collect();
        let pair = |i: usize| -> Vec<&dyn Signer> { vec![&offline[i], &offline[i + 1]] };
        let signers = OfflineSigners {
            root: pair(0),
            targets: pair(2),
            bins: pair(4),
            claimed: pair(6),
        };
        let genesis = Genesis {
            bins: Bins::new(4, BinForm::Succinct).unwrap(),
            lifetimes: Lifetimes::default(),
            now: clock.now(),
        };
        let fingerprint = genesis.write(&tree, &signers, &online).await.unwrap();
        let tree = Arc::new(tree);
        let engine = Engine::open(
            tree.clone(),
            store.clone(),
            Arc::new(online),
            clock.clone(),
            Lifetimes::default(),
            JournalWriter::Operator,
        )
        .await
        .unwrap();
        Self {
            folder,
            tree,
            store,
            engine,
            clock,
            fingerprint,
        }
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

    /// Places the signature of a file.
    async fn sign(&self, project: &ProjectName, filename: &str) -> FileSignature {
        let bytes = Bytes::from(format!("the signature of {filename}\n"));
        let (sha256, length) = (Sha256::of(&bytes), bytes.len() as u64);
        let path = ObjectPath::signature(project, &sha256, filename).unwrap();
        self.tree.create(&path, bytes).await.unwrap();
        FileSignature { sha256, length }
    }

    /// Places a file with all that belongs to it, and admits it to the journal.
    pub(crate) async fn add(&self, filename: &str, content: &[u8]) {
        let parsed = DistributionFilename::parse(filename).unwrap();
        let project = parsed.project().clone();
        let sha256 = Sha256::of(content);
        let path = ObjectPath::file(&project, &sha256, filename).unwrap();
        let mut temp = tempfile::NamedTempFile::new_in(self.tree.incoming()).unwrap();
        temp.write_all(content).unwrap();
        self.tree.place(&path, temp).await.unwrap();
        let metadata = Bytes::from(metadata(filename));
        let core_metadata_sha256 = filename.ends_with(".whl").then(|| Sha256::of(&metadata));
        if let Some(digest) = core_metadata_sha256 {
            let path = ObjectPath::file_metadata(&project, &digest, filename).unwrap();
            self.tree.create(&path, metadata).await.unwrap();
        }
        let mut chunks_sha256 = None;
        if content.len() > 4 << 20 {
            let list: Vec<u8> = content
                .chunks(CHUNK_LEN as usize)
                .flat_map(|chunk| Sha256::of(chunk).0)
                .collect();
            let digest = Sha256::of(&list);
            let path = ObjectPath::chunks(&project, &digest, filename).unwrap();
            self.tree.create(&path, Bytes::from(list)).await.unwrap();
            chunks_sha256 = Some(digest);
        }
        let gpg_signature = match parsed {
            DistributionFilename::Sdist(_) => Some(self.sign(&project, filename).await),
            DistributionFilename::Wheel(_) => None,
        };
        let admitted = self
            .store
            .admit(NewFile {
                project,
                filename: filename.to_owned(),
                sha256,
                size: content.len() as u64,
                uploaded_at: self.clock.now(),
                requires_python: Some(">=3.8".to_owned()),
                core_metadata_sha256,
                chunks_sha256,
                gpg_signature,
                provenance_sha256: None,
                uploaded_by: "test".to_owned(),
                back_signed: false,
                yanked: None,
            })
            .await
            .unwrap();
        assert!(matches!(admitted, Admission::Recorded(_)), "{admitted:?}");
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

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root().join(relative)
    }

    /// A place beside the tree.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
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

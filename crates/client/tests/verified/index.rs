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
use wheelmark_packaging::DistributionFilename;
use wheelmark_repository::{
    BinForm, Bins, Engine, Genesis, JournalWriter, Lifetimes, OfflineSigners,
};
use wheelmark_signing::{FileKey, Signer, sign_role};
use wheelmark_store::{Admission, FileSignature, NewFile, Store};
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
    tree: Arc<Directory>,
    store: Store,
    engine: Engine,
    root_keys: Vec<FileKey>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) fingerprint: Sha256,
}

/// Whether a file gets a chunk list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunks {
    Listed,
    Unlisted,
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
        let mut offline: Vec<FileKey> = (0..8).map(|i| key(&format!("offline-{i}"))).collect();
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
        offline.truncate(2);
        let tree = Arc::new(tree);
        let engine = Engine::open(
            tree.clone(),
            store.clone(),
            Arc::new(online),
            clock.clone(),
            Lifetimes::default(),
            JournalWriter::WebProcess,
        )
        .await
        .unwrap();
        Self {
            folder,
            tree,
            store,
            engine,
            root_keys: offline,
            clock,
            fingerprint,
        }
    }

    /// An index that holds the files that most tests ask for.
    pub(crate) async fn with_files() -> Self {
        let mut index = Self::new().await;
        index.add(SMALL, &small(), Chunks::Listed).await;
        index.add(LARGE, &large(), Chunks::Listed).await;
        index.add(UNLISTED, &large(), Chunks::Unlisted).await;
        index.publish().await;
        index
    }

    /// Places a file with all that belongs to it, and admits it to the journal.
    pub(crate) async fn add(&self, filename: &str, content: &[u8], chunks: Chunks) {
        let size = content.len() as u64;
        self.add_as(filename, content, size, chunks).await;
    }

    /// The same for a file that has this size, with nothing behind the content.
    pub(crate) async fn add_as(&self, filename: &str, content: &[u8], size: u64, chunks: Chunks) {
        let metadata = metadata(filename);
        self.admit(filename, content, size, chunks, Some(metadata))
            .await;
    }

    /// The same for a small file of whose core metadata the index says nothing.
    pub(crate) async fn add_without_metadata(&self, filename: &str, content: &[u8]) {
        let size = content.len() as u64;
        self.admit(filename, content, size, Chunks::Listed, None)
            .await;
    }

    async fn admit(
        &self,
        filename: &str,
        content: &[u8],
        size: u64,
        chunks: Chunks,
        metadata: Option<Vec<u8>>,
    ) {
        let parsed = DistributionFilename::parse(filename).unwrap();
        let project = parsed.project().clone();
        let sha256 = Sha256::of(content);
        let path = ObjectPath::file(&project, &sha256, filename).unwrap();
        let mut temp = tempfile::NamedTempFile::new_in(self.tree.incoming()).unwrap();
        temp.write_all(content).unwrap();
        temp.as_file().set_len(size).unwrap();
        self.tree.place(&path, temp).await.unwrap();
        let mut core_metadata_sha256 = None;
        if let Some(metadata) = metadata {
            let digest = Sha256::of(&metadata);
            let path = ObjectPath::file_metadata(&project, &digest, filename).unwrap();
            self.tree
                .create(&path, Bytes::from(metadata))
                .await
                .unwrap();
            core_metadata_sha256 = Some(digest);
        }
        let list: Vec<u8> = content
            .chunks(CHUNK_LEN as usize)
            .flat_map(|chunk| Sha256::of(chunk).0)
            .collect();
        let mut chunks_sha256 = None;
        if chunks == Chunks::Listed && content.len() > 4 << 20 {
            let digest = Sha256::of(&list);
            let path = ObjectPath::chunks(&project, &digest, filename).unwrap();
            self.tree.create(&path, Bytes::from(list)).await.unwrap();
            chunks_sha256 = Some(digest);
        }
        let bytes = Bytes::from(signature(filename));
        let gpg_signature = FileSignature {
            sha256: Sha256::of(&bytes),
            length: bytes.len() as u64,
        };
        let path = ObjectPath::signature(&project, &gpg_signature.sha256, filename).unwrap();
        self.tree.create(&path, bytes).await.unwrap();
        let admitted = self
            .store
            .admit(NewFile {
                project,
                filename: filename.to_owned(),
                sha256,
                size,
                uploaded_at: self.clock.now(),
                requires_python: Some(">=3.8".to_owned()),
                core_metadata_sha256,
                chunks_sha256,
                gpg_signature: Some(gpg_signature),
                provenance_sha256: None,
                uploaded_by: "test".to_owned(),
                back_signed: false,
                yanked: None,
            })
            .await
            .unwrap();
        assert!(matches!(admitted, Admission::Recorded(_)), "{admitted:?}");
    }

    /// Publishes what was added.
    pub(crate) async fn publish(&mut self) {
        self.engine.turn().await.unwrap();
    }

    /// Publishes a second root, signed by the first one's keys, and returns its fingerprint.
    pub(crate) fn publish_second_root(&self, first: &[u8]) -> Sha256 {
        let mut parsed: serde_json::Value = serde_json::from_slice(first).unwrap();
        parsed["signed"]["version"] = 2.into();
        let canonical = wheelmark_tuf::canonical::encode(&parsed["signed"]);
        let signers: Vec<&dyn Signer> = self.root_keys.iter().map(|key| key as _).collect();
        let signed = sign_role(&canonical, &signers).unwrap();
        std::fs::write(self.path("metadata/2.root.json"), signed).unwrap();
        Sha256::of(&canonical)
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join("repository").join(relative)
    }

    /// The newest object whose path contains all of the words.
    pub(crate) fn object(&self, directory: &str, words: &[&str]) -> PathBuf {
        let mut found: Vec<(u64, PathBuf)> = std::fs::read_dir(self.path(directory))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let asked = !name.ends_with(".asc") || words.contains(&".asc");
                asked && words.iter().all(|word| name.contains(word))
            })
            .map(|path| (version(&path), path))
            .collect();
        found.sort();
        let (_, newest) = found
            .pop()
            .unwrap_or_else(|| panic!("{directory} {words:?}"));
        newest
    }
}

fn version(path: &Path) -> u64 {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    name.split('.').next().unwrap().parse().unwrap_or(0)
}

/// Changes one byte of a stored object, and says how to put it back.
pub(crate) fn tamper(path: &Path, at: usize) -> Tampered {
    let before = std::fs::read(path).unwrap();
    let mut after = before.clone();
    after[at] ^= 1;
    std::fs::write(path, after).unwrap();
    Tampered {
        path: path.to_owned(),
        before,
    }
}

pub(crate) struct Tampered {
    path: PathBuf,
    before: Vec<u8>,
}

impl Tampered {
    pub(crate) fn undo(self) {
        std::fs::write(self.path, self.before).unwrap();
    }
}

pub(crate) const SMALL: &str = "demo-1.0-py3-none-any.whl";
pub(crate) const LARGE: &str = "demo-2.0-py3-none-any.whl";
pub(crate) const UNLISTED: &str = "demo-3.0-py3-none-any.whl";

pub(crate) fn small() -> Vec<u8> {
    (0..100_000u32).map(|i| (i * 7 % 251) as u8).collect()
}

/// Five whole chunks and a part of one.
pub(crate) fn large() -> Vec<u8> {
    (0..(5 * CHUNK_LEN + 12_345))
        .map(|i| (i * i % 253) as u8)
        .collect()
}

pub(crate) fn signature(filename: &str) -> Vec<u8> {
    format!("the signature of {filename}\n").into_bytes()
}

pub(crate) fn metadata(filename: &str) -> Vec<u8> {
    format!("Metadata-Version: 2.1\nName: demo\nSummary: {filename}\n").into_bytes()
}

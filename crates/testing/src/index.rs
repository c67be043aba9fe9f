use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use wheelmark_objects::{CHUNK_LEN, CHUNKS_ABOVE, Directory, ObjectPath};
use wheelmark_packaging::DistributionFilename;
use wheelmark_repository::{
    BinForm, Bins, Engine, Genesis, JournalWriter, Lifetimes, OfflineSigners,
};
use wheelmark_signing::{FileKey, Signer};
use wheelmark_store::{Admission, FileSignature, NewFile, Seq, Store};
use wheelmark_tuf::{Clock as _, Sha256};

use crate::TestClock;

/// A signed index: keys, tree and catalogue in a folder that goes with it, and a clock that the
/// test moves.
#[derive(Debug)]
pub struct Index {
    /// Where everything is: `repository`, `catalogue.sqlite`, and a file for each key.
    pub folder: tempfile::TempDir,
    /// The published tree.
    pub tree: Arc<Directory>,
    /// The catalogue.
    pub store: Store,
    /// The clock of all that belongs to the index.
    pub clock: Arc<TestClock>,
    /// The online key.
    pub online: Arc<FileKey>,
    /// The offline keys, two for each of root, targets, the bins' delegators, and claimed, in this
    /// order. Both of a pair must sign.
    pub offline: Vec<FileKey>,
    /// The first root, as published.
    pub root: Vec<u8>,
    /// The first root's fingerprint.
    pub fingerprint: Sha256,
}

/// A file that is to be there.
#[derive(Clone, Debug)]
pub struct Added<'a> {
    /// Its name.
    pub filename: &'a str,
    /// What it begins with.
    pub content: &'a [u8],
    /// Its size in bytes. What lies behind the content is zeros.
    pub size: u64,
    /// Whether a large file gets a chunk list.
    pub chunks: bool,
    /// Its core metadata, if the index has them.
    pub metadata: Option<Vec<u8>>,
    /// Its OpenPGP signature, if it has one.
    pub signature: Option<Vec<u8>>,
}

impl<'a> Added<'a> {
    /// A file with a chunk list if it is large, with metadata of no interest, and unsigned.
    pub fn new(filename: &'a str, content: &'a [u8]) -> Self {
        let metadata = format!("Metadata-Version: 2.1\nName: demo\nSummary: {filename}\n");
        Self {
            filename,
            content,
            size: content.len() as u64,
            chunks: true,
            metadata: Some(metadata.into_bytes()),
            signature: None,
        }
    }
}

impl Index {
    /// An index with four bins each of pages and files, with nothing in it, at a time of no
    /// interest.
    pub async fn new() -> Self {
        Self::laid(&std::env::temp_dir(), 4, BinForm::Succinct, 1_780_000_000).await
    }

    /// An index with so many bins, in a folder of `parent`, that begins at this second.
    pub async fn laid(parent: &Path, bins: u32, form: BinForm, second: i64) -> Self {
        Self::begun(parent, bins, form, Timestamp::from_second(second).unwrap()).await
    }

    /// The same, at any time.
    pub async fn begun(parent: &Path, bins: u32, form: BinForm, now: Timestamp) -> Self {
        let folder = tempfile::tempdir_in(parent).unwrap();
        let tree = Directory::open(&folder.path().join("repository"))
            .await
            .unwrap();
        let store = Store::open(&folder.path().join("catalogue.sqlite"))
            .await
            .unwrap();
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
            bins: Bins::new(bins, form).unwrap(),
            lifetimes: Lifetimes::default(),
            now,
        };
        let fingerprint = genesis.write(&tree, &signers, &online).await.unwrap();
        let root = std::fs::read(folder.path().join("repository/metadata/1.root.json")).unwrap();
        Self {
            folder,
            tree: Arc::new(tree),
            store,
            clock: Arc::new(TestClock::at(now)),
            online: Arc::new(online),
            offline,
            root,
            fingerprint,
        }
    }

    /// An engine that publishes what this writer of the journal may ask for.
    pub async fn engine(&self, writer: JournalWriter) -> Engine {
        let (tree, store, clock) = (self.tree.clone(), self.store.clone(), self.clock.clone());
        let lifetimes = Lifetimes::default();
        Engine::open(tree, store, self.online.clone(), clock, lifetimes, writer)
            .await
            .unwrap()
    }

    /// Where an object of the tree is.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.tree.root().join(relative)
    }

    /// A place beside the tree.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Places a file with all that belongs to it, and admits it to the journal.
    pub async fn add(&self, file: Added<'_>) -> Seq {
        let Added {
            filename, content, ..
        } = file;
        let parsed = DistributionFilename::parse(filename).unwrap();
        let project = parsed.project();
        let sha256 = Sha256::of(content);
        let path = ObjectPath::file(project, &sha256, filename).unwrap();
        let mut temp = tempfile::NamedTempFile::new_in(self.tree.incoming()).unwrap();
        temp.write_all(content).unwrap();
        temp.as_file().set_len(file.size).unwrap();
        self.tree.place(&path, temp).await.unwrap();

        let mut core_metadata_sha256 = None;
        if let Some(metadata) = file.metadata {
            let digest = Sha256::of(&metadata);
            let path = ObjectPath::file_metadata(project, &digest, filename).unwrap();
            self.create(&path, metadata).await;
            core_metadata_sha256 = Some(digest);
        }
        let mut chunks_sha256 = None;
        if file.chunks && content.len() as u64 > CHUNKS_ABOVE {
            let list = content
                .chunks(CHUNK_LEN as usize)
                .flat_map(|chunk| Sha256::of(chunk).0)
                .collect::<Vec<u8>>();
            let digest = Sha256::of(&list);
            let path = ObjectPath::chunks(project, &digest, filename).unwrap();
            self.create(&path, list).await;
            chunks_sha256 = Some(digest);
        }
        let mut gpg_signature = None;
        if let Some(signature) = file.signature {
            let (sha256, length) = (Sha256::of(&signature), signature.len() as u64);
            let path = ObjectPath::signature(project, &sha256, filename).unwrap();
            self.create(&path, signature).await;
            gpg_signature = Some(FileSignature { sha256, length });
        }
        let new = NewFile {
            project: project.clone(),
            filename: filename.to_owned(),
            sha256,
            size: file.size,
            uploaded_at: self.clock.now(),
            requires_python: Some(">=3.8".to_owned()),
            core_metadata_sha256,
            chunks_sha256,
            gpg_signature,
            provenance_sha256: None,
            uploaded_by: "test".to_owned(),
            back_signed: false,
            yanked: None,
        };
        match self.store.admit(new).await.unwrap() {
            Admission::Recorded(seq) => seq,
            other => panic!("{filename} was not recorded: {other:?}"),
        }
    }

    async fn create(&self, path: &ObjectPath, bytes: Vec<u8>) {
        self.tree.create(path, Bytes::from(bytes)).await.unwrap();
    }
}

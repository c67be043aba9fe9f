//! A signed index of the test's own, published into a directory by the real engine.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use wheelmark_client::CHUNK_LEN;
use wheelmark_repository::{Engine, JournalWriter};
use wheelmark_signing::{Signer, sign_role};
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

/// Whether a file gets a chunk list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunks {
    Listed,
    Unlisted,
}

impl TestIndex {
    pub(crate) async fn new() -> Self {
        let index = Index::new().await;
        let engine = index.engine(JournalWriter::WebProcess).await;
        Self { index, engine }
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
        let added = Added {
            size,
            chunks: chunks == Chunks::Listed,
            ..added(filename, content)
        };
        self.index.add(added).await;
    }

    /// The same for a small file of whose core metadata the index says nothing.
    pub(crate) async fn add_without_metadata(&self, filename: &str, content: &[u8]) {
        let added = Added {
            metadata: None,
            ..added(filename, content)
        };
        self.index.add(added).await;
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
        let signers: Vec<&dyn Signer> = self.offline[..2].iter().map(|key| key as _).collect();
        let signed = sign_role(&canonical, &signers).unwrap();
        std::fs::write(self.path("metadata/2.root.json"), signed).unwrap();
        Sha256::of(&canonical)
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

/// A file with its signature and metadata.
fn added<'a>(filename: &'a str, content: &'a [u8]) -> Added<'a> {
    Added {
        metadata: Some(metadata(filename)),
        signature: Some(signature(filename)),
        ..Added::new(filename, content)
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

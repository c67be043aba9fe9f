//! A source, a tree, a journal and a memory in a directory of their own.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use wheelmark_adopt::{Choices, Known, Pass, PassError, Report, Source, Step, Stopper};
use wheelmark_client::Remote;
use wheelmark_objects::{Directory, Sharing, WriterLock};
use wheelmark_store::{Change, Outcome, Seq, Store};

/// A source, and everything that a pass writes to.
pub(crate) struct World {
    pub(crate) home: TempDir,
    pub(crate) tree: Arc<Directory>,
    pub(crate) lock: WriterLock,
    pub(crate) store: Store,
    pub(crate) known: Known,
}

impl World {
    pub(crate) async fn new() -> World {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("source")).unwrap();
        let tree = Arc::new(Directory::open(&home.path().join("tree")).await.unwrap());
        World {
            lock: tree.lock().await.unwrap(),
            tree,
            store: Store::open(&home.path().join("catalogue.sqlite"))
                .await
                .unwrap(),
            known: Known::open(&home.path().join("source.sqlite"))
                .await
                .unwrap(),
            home,
        }
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.home.path().join("source")
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.source().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // As good tools do: a new file in the place of the old one.
        let new = path.with_extension("new");
        // What has this name begins so.
        let begin: &[u8] = match path.extension() {
            Some(ending) if ending == "gz" => b"\x1f\x8b",
            _ => b"",
        };
        fs::write(&new, [begin, content.as_ref()].concat()).unwrap();
        fs::rename(new, path).unwrap();
    }

    pub(crate) async fn begin(&self, choices: Choices) -> Result<Pass, PassError> {
        self.begin_at("2026-11-21T12:00:00Z".parse().unwrap(), choices)
            .await
    }

    pub(crate) async fn begin_at(
        &self,
        now: Timestamp,
        choices: Choices,
    ) -> Result<Pass, PassError> {
        let remote = Remote::new("tests").unwrap();
        let path = self.source();
        let source = Source::find(path.to_str().unwrap(), None, remote, &[]).await?;
        Ok(self.begin_with(source, now, choices).await?.0)
    }

    pub(crate) async fn begin_with(
        &self,
        source: Source,
        now: Timestamp,
        choices: Choices,
    ) -> Result<(Pass, Stopper), PassError> {
        let tree = (self.tree.clone(), self.lock.clone());
        let (store, known) = (self.store.clone(), self.known.clone());
        Pass::begin(source, tree, store, known, now, choices).await
    }

    pub(crate) async fn pass(&self, choices: Choices) -> Result<Report, PassError> {
        Self::through(self.begin(choices).await?).await
    }

    pub(crate) async fn through(mut pass: Pass) -> Result<Report, PassError> {
        while pass.next().await? != Step::Over {}
        Ok(pass.into_report())
    }

    /// What the journal asks for, in short.
    pub(crate) async fn journal(&self) -> Vec<String> {
        let rows = self.store.journal_after(Seq(0), 10_000).await.unwrap();
        let said = rows.into_iter().map(|row| match row.change {
            Change::FileAdded(file) => {
                let mark = if file.back_signed { "back" } else { "new" };
                format!("{mark} {}", file.filename)
            }
            Change::FileRemoved { filename, .. } => format!("gone {filename}"),
            Change::FileYanked {
                filename, yanked, ..
            } => format!("yank {filename} {yanked:?}"),
            other => panic!("{other:?}"),
        });
        said.collect()
    }
}

/// Everything, with nothing decided.
pub(crate) fn all() -> Choices {
    Choices {
        projects: Vec::new(),
        rehash: false,
        settle: Duration::ZERO,
        sharing: Sharing::WherePossible,
        accept_loss: false,
        parallel: 4,
        keep: BTreeSet::new(),
        withdraw: BTreeSet::new(),
    }
}

impl World {
    /// Says of every change behind `after` what became of it, in place of a snapshot process.
    pub(crate) async fn decide(&self, after: Seq, outcome: &Outcome) -> Seq {
        let fence = self.store.acquire_lease("tests").await.unwrap();
        let rows = self.store.journal_after(after, 10_000).await.unwrap();
        let outcomes: Vec<(Seq, Outcome)> = rows
            .into_iter()
            .map(|row| (row.seq, outcome.clone()))
            .collect();
        self.store.record_outcomes(fence, &outcomes).await.unwrap();
        self.store.journal_end().await.unwrap()
    }

    /// A pass, after which every change that it asked for is published or refused.
    pub(crate) async fn pass_and(&self, choices: Choices, outcome: &Outcome) -> Report {
        let before = self.store.journal_end().await.unwrap();
        let mut pass = self.begin(choices).await.unwrap();
        while pass.next().await.unwrap() != Step::Over {}
        self.decide(before, outcome).await;
        pass.settle().await.unwrap();
        pass.into_report()
    }
}

/// What a snapshot process says of a change that it has published.
pub(crate) fn published() -> Outcome {
    Outcome::Published {
        snapshot_version: 1,
    }
}

/// What it says of one that it has not.
pub(crate) fn refused() -> Outcome {
    Outcome::Refused {
        reason: "not today".to_owned(),
    }
}

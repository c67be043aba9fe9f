//! What a power failure can take: names that no flush has followed. So wherever a run says that
//! something is here, it has to have been there before a flush that has returned.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use wheelmark_mirror::Step;
use wheelmark_packaging::simple::ProjectPage;

use crate::copier::Copier;
use crate::copying::walk;
use crate::index::{TestIndex, content};

/// What was there at the begin of the last flush that has returned.
struct Disk {
    root: PathBuf,
    flushing: Option<BTreeSet<String>>,
    durable: BTreeSet<String>,
    flushes: usize,
    timestamps: usize,
}

impl Disk {
    fn of(root: &Path, durable: BTreeSet<String>) -> Self {
        Self {
            root: root.to_owned(),
            flushing: None,
            durable,
            flushes: 0,
            timestamps: 0,
        }
    }

    fn see(&mut self, step: Step) {
        // One step comes after the other: the flush has returned.
        if let Some(flushed) = self.flushing.take() {
            self.durable.extend(flushed);
        }
        let here: BTreeSet<String> = walk(&self.root).into_iter().collect();
        self.pages_have_their_files(step, &here);
        let demand = |prefixes: &[&str]| {
            // Roots and the timestamp are flushed when they are written.
            let own = |path: &str| path.ends_with(".root.json") || path.ends_with("timestamp.json");
            for path in here.iter().filter(|path| !own(path)) {
                let is_meant = prefixes.iter().any(|prefix| path.starts_with(prefix));
                assert!(!is_meant || self.durable.contains(path), "{step:?}: {path}");
            }
        };
        match step {
            Step::Flush => {
                self.flushes += 1;
                self.flushing = Some(here);
            }
            Step::Root | Step::Timestamp => {
                self.timestamps += usize::from(step == Step::Timestamp);
                demand(&["metadata/", "targets/"]);
            }
            // It says that all of the state is here, under every name.
            Step::State if self.timestamps > 0 => {
                demand(&["metadata/", "targets/", "packages/", "simple/"]);
            }
            _ => {}
        }
    }

    fn pages_have_their_files(&self, step: Step, here: &BTreeSet<String>) {
        for path in here
            .iter()
            .filter(|path| path.starts_with("targets/simple/"))
        {
            let page = ProjectPage::parse(&std::fs::read(self.root.join(path)).unwrap()).unwrap();
            for file in &page.files {
                let ends = file.filename.as_str();
                let folder = format!("targets/packages/{}/", page.name);
                let is_there = self
                    .durable
                    .iter()
                    .any(|path| path.starts_with(&folder) && path.ends_with(ends));
                assert!(is_there, "{step:?}: {path} without {ends}");
            }
        }
    }
}

#[tokio::test]
async fn what_a_run_says_is_here_survives_a_power_failure() {
    let mut index = TestIndex::with_files().await;
    for number in 0..40 {
        let name = format!("many_{number}-1.0.tar.gz");
        index.add(&name, &content(&name)).await;
    }
    index.publish().await;
    let copier = Copier::of(&index, "copy").await;
    let mut durable = BTreeSet::new();
    for round in 0..3 {
        let disk = Arc::new(Mutex::new(Disk::of(&copier.directory, durable)));
        let mut copy = copier.open().await.unwrap();
        let seeing = Arc::clone(&disk);
        copy.observe(move |step| seeing.lock().unwrap().see(step));
        assert!(copy.run().await.unwrap().changed);
        drop(copy);
        {
            let disk = disk.lock().unwrap();
            assert_eq!(disk.timestamps, 1);
            assert!(disk.flushes >= 4, "{}", disk.flushes);
        }
        durable = walk(&copier.directory).into_iter().collect();
        // Next time, few changes.
        index.add(&format!("demo-4.{round}.tar.gz"), b"new").await;
        index.publish().await;
    }
}

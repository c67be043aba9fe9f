//! One upload of a name at a time.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::{Mutex, MutexGuard};
use wheelmark_packaging::ProjectName;

/// Names share this many gates; two that share one wait for each other, no more.
const GATES: usize = 64;

/// Keeps the uploads of one file name apart from looking whether it is taken until it is taken,
/// so that what an upload has placed and takes back was never another one's.
#[derive(Debug)]
pub(crate) struct Gates([Mutex<()>; GATES]);

impl Gates {
    pub(crate) fn new() -> Gates {
        Gates(std::array::from_fn(|_| Mutex::new(())))
    }

    /// Passes the gate of a name; it is closed behind until the guard is dropped.
    pub(crate) async fn pass(&self, project: &ProjectName, filename: &str) -> MutexGuard<'_, ()> {
        self.0[gate(project, filename)].lock().await
    }

    /// Passes the gates of several names, in one order for all, so that nobody waits in a circle.
    pub(crate) async fn pass_all(
        &self,
        project: &ProjectName,
        filenames: &[String],
    ) -> Vec<MutexGuard<'_, ()>> {
        let gates = filenames.iter().map(|filename| gate(project, filename));
        let gates: BTreeSet<usize> = gates.collect();
        let mut passed = Vec::with_capacity(gates.len());
        for gate in gates {
            passed.push(self.0[gate].lock().await);
        }
        passed
    }
}

/// Which gate a name has.
fn gate(project: &ProjectName, filename: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    (project.as_str(), filename).hash(&mut hasher);
    let gate = hasher.finish() % GATES as u64;
    // Smaller than GATES, so the conversion is exact.
    usize::try_from(gate).unwrap_or(0)
}

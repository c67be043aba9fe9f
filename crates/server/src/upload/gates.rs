//! One upload of a name at a time.

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
        let mut hasher = DefaultHasher::new();
        (project.as_str(), filename).hash(&mut hasher);
        let gate = hasher.finish() % GATES as u64;
        // Smaller than GATES, so the conversion is exact.
        self.0[usize::try_from(gate).unwrap_or(0)].lock().await
    }
}

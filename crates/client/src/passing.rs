//! Bytes on their way to an installer: counted, and shown to whoever watches.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Sees files pass. Called from many requests at once, and must not block.
pub trait Watch: fmt::Debug + Send + Sync {
    /// A file, or a part of it, of this length is about to be fetched and verified. The number
    /// tells it from others that pass at the same time.
    fn begins(&self, number: u64, file: &str, length: u64);

    /// So many more of its bytes were verified and handed on.
    fn passes(&self, number: u64, bytes: u64);

    /// No more will come, whether or not all of it came.
    fn ends(&self, number: u64);
}

/// Counts what passes.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    bytes: AtomicU64,
    begun: AtomicU64,
    watch: Option<Arc<dyn Watch>>,
}

impl Counter {
    pub(crate) fn watched_by(watch: Arc<dyn Watch>) -> Self {
        Self {
            watch: Some(watch),
            ..Self::default()
        }
    }

    /// The bytes that were verified and handed on.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(self: Arc<Self>, file: &str, length: u64) -> Passing {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        if let Some(watch) = &self.watch {
            watch.begins(number, file, length);
        }
        Passing {
            counter: self,
            number,
        }
    }
}

/// A file on its way; it has ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Passing {
    counter: Arc<Counter>,
    number: u64,
}

impl Passing {
    pub(crate) fn passed(&self, bytes: u64) {
        self.counter.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(watch) = &self.counter.watch {
            watch.passes(self.number, bytes);
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if let Some(watch) = &self.counter.watch {
            watch.ends(self.number);
        }
    }
}

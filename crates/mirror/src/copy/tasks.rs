//! Many projects under way at a time.

use tokio::task::JoinSet;
use wheelmark_client::Failure;

use super::error::CopyError;
use super::fetch::{Failed, Holding};

/// After so many pages or files that are not to be had, a run looks for no more.
const FAILURES: usize = 20;

/// Work on many projects at a time, and what failed of it.
pub(super) struct Tasks {
    running: JoinSet<Result<Holding, Failed>>,
    held: Holding,
    failed: Vec<(String, Failure)>,
}

impl Tasks {
    pub(super) fn new() -> Self {
        Self {
            running: JoinSet::new(),
            held: Holding::default(),
            failed: Vec::new(),
        }
    }

    pub(super) async fn begin(
        &mut self,
        at_once: usize,
        task: impl Future<Output = Result<Holding, Failed>> + Send + 'static,
    ) -> Result<(), CopyError> {
        while self.running.len() >= at_once {
            self.collect().await?;
        }
        self.running.spawn(task);
        Ok(())
    }

    pub(super) fn has_failed_enough(&self) -> bool {
        self.failed.len() >= FAILURES
    }

    /// Waits for one to end. A fault here ends all of them, one of upstream is written down.
    async fn collect(&mut self) -> Result<(), CopyError> {
        let Some(ended) = self.running.join_next().await else {
            return Ok(());
        };
        match ended {
            Ok(Ok(holding)) => {
                self.held.files += holding.files;
                self.held.bytes += holding.bytes;
            }
            Ok(Err(Failed::Upstream(what, failure))) => {
                tracing::info!(what, %failure, "not to be had");
                self.failed.push((what, *failure));
            }
            Ok(Err(Failed::Here(error))) => return Err(error),
            Err(stopped) => match stopped.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(CopyError::Stopped),
            },
        }
        Ok(())
    }

    pub(super) async fn end(mut self) -> Result<Holding, CopyError> {
        while !self.running.is_empty() {
            if self.has_failed_enough() {
                break;
            }
            self.collect().await?;
        }
        if self.failed.is_empty() {
            return Ok(self.held);
        }
        Err(CopyError::Lacking {
            count: self.failed.len(),
            first: self.failed,
        })
    }
}

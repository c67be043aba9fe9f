//! The lock that lets several processes share one index.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{TrustError, TrustedIndex, io};

/// How long to wait for another process that brings the chain up to date.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often to look again.
const PAUSE: Duration = Duration::from_millis(20);

/// Held while trust begins or ends, and while the chain is read, brought up to date and
/// written; given back on drop, or by the system when the process ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "dropping it gives the lock back")] File);

impl TrustedIndex {
    /// Waits for the lock of this index, and makes sure that it is still the one that was
    /// looked up.
    pub(crate) async fn lock(&self) -> Result<Lock, TrustError> {
        let lock = of(self.directory()).await?;
        self.demand_current()?;
        Ok(lock)
    }
}

/// Waits for the lock of the index that is, was or will be in this directory. Its file stands
/// beside the directory and is never removed: two who held different files would not see
/// each other.
pub(super) async fn of(directory: &Path) -> Result<Lock, TrustError> {
    let mut name = OsString::from(".lock-");
    name.push(directory.file_name().unwrap_or_default());
    let path = directory.with_file_name(name);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| io("open", &path, e))?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::Error(e)) => return Err(io("lock", &path, e)),
            Err(TryLockError::WouldBlock) if began.elapsed() > PATIENCE => {
                return Err(TrustError::Busy {
                    path,
                    waited: PATIENCE,
                });
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(PAUSE).await,
        }
    }
}

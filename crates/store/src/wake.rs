//! Wakes those who wait in another process: the snapshot process for uploads, uploads for their
//! snapshot.
//!
//! ```text
//!   web process ── a byte: the journal has grown ──▶ snapshot process
//!               ◀── a frame: outcomes are recorded ──
//! ```
//!
//! Nothing is believed that comes this way, and nothing is lost that does not: both sides look
//! into the database, and without the socket they do so every now and then.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use crate::Store;

/// How long to wait before the snapshot process is called again.
const CALL_AGAIN: Duration = Duration::from_millis(250);

/// How many bytes of wishes are read at once; however many there are, they say the same.
const READ_AT_ONCE: usize = 1024;

/// Microseconds that the last snapshot took, as 8 bytes, the highest first; 0 where only outcomes
/// were recorded.
const FRAME_LEN: usize = 8;

impl Store {
    /// For the web process: says through the socket at `path` that the journal has grown, and
    /// wakes uploads when the snapshot process says that outcomes are there. `took` is told how
    /// long each snapshot took. Runs until it is dropped; while nobody listens there, it tries
    /// again.
    pub async fn call_snapshot_process(&self, path: &Path, took: impl Fn(Duration)) {
        loop {
            match UnixStream::connect(path).await {
                Ok(stream) => {
                    // What was admitted or settled before the call was heard.
                    self.signals().admitted.notify_one();
                    self.signals().settled.send_replace(());
                    let ended = self.call(stream, &took).await;
                    tracing::debug!(?ended, "the snapshot process is not connected");
                }
                Err(error) => tracing::trace!(%error, "the snapshot process cannot be called"),
            }
            tokio::time::sleep(CALL_AGAIN).await;
        }
    }

    async fn call(&self, stream: UnixStream, took: &impl Fn(Duration)) -> std::io::Result<()> {
        let (mut from, mut to) = stream.into_split();
        let asking = async {
            loop {
                self.signals().admitted.notified().await;
                to.write_all(&[1]).await?;
            }
        };
        let hearing = async {
            loop {
                let mut frame = [0; FRAME_LEN];
                from.read_exact(&mut frame).await?;
                match u64::from_be_bytes(frame) {
                    0 => self.signals().settled.send_replace(()),
                    micros => took(Duration::from_micros(micros)),
                }
            }
        };
        tokio::select! {
            ended = asking => ended,
            ended = hearing => ended,
        }
    }

    /// For the snapshot process: hears web processes that connect. Runs until it is dropped.
    pub async fn hear_web_processes(&self, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let store = self.clone();
                    // It ends with its connection.
                    tokio::spawn(async move {
                        let ended = store.hear(stream).await;
                        tracing::debug!(?ended, "a web process is not connected any more");
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a web process could not be heard");
                    tokio::time::sleep(CALL_AGAIN).await;
                }
            }
        }
    }

    async fn hear(&self, stream: UnixStream) -> std::io::Result<()> {
        let mut settled = self.signals().settled.subscribe();
        let mut took = self.signals().took.subscribe();
        let (mut from, mut to) = stream.into_split();
        let hearing = async {
            let mut wishes = [0; READ_AT_ONCE];
            loop {
                if from.read(&mut wishes).await? == 0 {
                    return Ok(());
                }
                self.signals().admitted.notify_one();
            }
        };
        let telling = async {
            loop {
                // The senders live in this store, so they cannot have gone.
                let micros = tokio::select! {
                    _ = settled.changed() => 0,
                    _ = took.changed() => {
                        let micros = took.borrow_and_update().as_micros();
                        u64::try_from(micros).unwrap_or(u64::MAX).max(1)
                    }
                };
                to.write_all(&micros.to_be_bytes()).await?;
            }
        };
        tokio::select! {
            ended = hearing => ended,
            ended = telling => ended,
        }
    }

    /// For the snapshot process: how long the last snapshot took, for those who measure.
    pub fn snapshot_took(&self, duration: Duration) {
        self.signals().took.send_replace(duration);
    }
}

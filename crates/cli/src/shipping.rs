//! Sends the lines of the signing log elsewhere as soon as they are written.
//!
//! A log on the machine that signs proves nothing: whoever takes the machine over can write another
//! one. What has left it is out of their reach. So lines are sent at once, in their order, and again
//! until the other side has them; how far that is stands in `sent.json` beside the log. Publishing
//! never waits for it.

mod destination;
mod sending;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wheelmark_repository::{Lines, LogPlace, log_files};

pub(crate) use self::destination::Destination;
use self::sending::{Line, Sender};

/// How far the log was sent, beside it.
const SENT: &str = "sent.json";

/// How long to wait after a failure before the next try; doubled up to five minutes.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How long the end of the process waits for lines that were not sent yet.
const LAST_CHANCE: Duration = Duration::from_secs(3);

/// The most bytes of lines that are sent at a time, unless one alone is longer.
const AT_A_TIME: usize = 256 * 1024;

/// What sends the log, while it runs.
pub(crate) struct Shipping {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Shipping {
    /// Begins to send the log in `place`: what was not sent yet, and what comes.
    pub(crate) fn start(place: LogPlace, destination: Destination) -> anyhow::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let shipper = Shipper {
            sender: Sender::new(destination.clone())?,
            mark: place.folder().join(SENT),
            destination,
            place,
            reading: None,
        };
        let task = tokio::spawn(shipper.run(stopped));
        Ok(Self { task, stop })
    }

    /// Sends what is left, if that is done within seconds. What is not, the next start sends.
    pub(crate) async fn finish(self) {
        drop(self.stop);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(LAST_CHANCE, self.task).await.is_err() {
            abort.abort();
        }
    }
}

/// How far the log was sent, and where to.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    to: String,
    entry: u64,
}

struct Shipper {
    place: LogPlace,
    destination: Destination,
    sender: Sender,
    mark: PathBuf,
    /// The file that is read, and how far it was sent.
    reading: Option<(PathBuf, u64)>,
}

impl Shipper {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut written = self.place.written();
        let mut sent = self.read_mark();
        let mut pause = FIRST_PAUSE;
        let mut failed = false;
        loop {
            written.borrow_and_update();
            match self.send_new(&mut sent).await {
                Ok(()) => {
                    if failed {
                        tracing::info!(to = %self.destination, entry = sent, "the signing log is sent again");
                    }
                    (failed, pause) = (false, FIRST_PAUSE);
                    tokio::select! {
                        _ = &mut stopped => break,
                        changed = written.changed() => if changed.is_err() { break },
                    }
                }
                Err(error) => {
                    if !failed {
                        tracing::warn!(
                            to = %self.destination,
                            error = format!("{error:#}"),
                            sent,
                            "the signing log could not be sent; publishing goes on, its entries are \
                             kept and sent later"
                        );
                    }
                    failed = true;
                    tokio::select! {
                        _ = &mut stopped => break,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        if !failed && let Err(error) = self.send_new(&mut sent).await {
            tracing::warn!(to = %self.destination, error = format!("{error:#}"), sent, "the end of the signing log is sent at the next start");
        }
    }

    /// Sends all lines behind entry `sent`.
    async fn send_new(&mut self, sent: &mut u64) -> anyhow::Result<()> {
        loop {
            let (batch, reading) = self.next_lines(*sent)?;
            let Some(last) = batch.last().map(|line| line.number) else {
                return Ok(());
            };
            self.sender.send(&batch).await?;
            *sent = last;
            self.reading = Some(reading);
            self.write_mark(last)?;
        }
    }

    /// Lines behind entry `sent`, as many as are sent at a time, and where the next ones stand.
    fn next_lines(&self, sent: u64) -> anyhow::Result<(Vec<Line>, (PathBuf, u64))> {
        let files = log_files(self.place.folder())?;
        // The file in which the next entry is, or the first one behind it.
        let begins = files.partition_point(|(first, _)| *first <= sent + 1);
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut reading = (PathBuf::new(), 0);
        for (_, path) in &files[begins.saturating_sub(1)..] {
            let from = match &self.reading {
                Some((known, from)) if known == path => *from,
                _ => 0,
            };
            let mut lines = Lines::from(path, from)?;
            while let Some(line) = lines.next() {
                let line = line?;
                if !line.has_end {
                    // It is being written.
                    return Ok((batch, reading));
                }
                let Some(head) = line.head() else {
                    continue;
                };
                reading = (path.clone(), lines.at());
                if head.number <= sent {
                    continue;
                }
                bytes += line.bytes.len();
                batch.push(Line {
                    number: head.number,
                    sha256: head.sha256,
                    bytes: line.bytes,
                });
                if bytes >= AT_A_TIME {
                    return Ok((batch, reading));
                }
            }
        }
        Ok((batch, reading))
    }

    /// The last entry that was sent there; 0 where none was.
    fn read_mark(&self) -> u64 {
        let text = fs::read(&self.mark).unwrap_or_default();
        match serde_json::from_slice::<Sent>(&text) {
            Ok(sent) if sent.to == self.destination.to_string() => sent.entry,
            _ => 0,
        }
    }

    /// Not flushed: after a power failure some lines are sent twice.
    fn write_mark(&self, entry: u64) -> anyhow::Result<()> {
        let to = self.destination.to_string();
        let next = self.mark.with_extension("json.new");
        fs::write(&next, serde_json::to_vec(&Sent { to, entry })?)
            .and_then(|()| fs::rename(&next, &self.mark))
            .with_context(|| format!("{} cannot be written", self.mark.display()))
    }
}

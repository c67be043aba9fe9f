//! Sends the lines of the signing log elsewhere as soon as they are written.
//!
//! A log on the machine that signs proves nothing: whoever takes the machine over can write another
//! one. What has left it is out of their reach. So lines are sent at once, in their order, and again
//! until the other side has them; how far that is stands in `sent.json` beside the log. Publishing
//! never waits for it.

mod destination;
mod sending;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wheelmark_repository::{Lines, LogPlace, log_files};
use wheelmark_tuf::Sha256;

pub(crate) use self::destination::Destination;
use self::sending::{Line, Sender};

/// How far the log was sent, beside it.
const SENT: &str = "sent.json";

/// How long to wait after a failure before the next try; doubled up to five minutes.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How often people are told that it cannot be sent.
const TELL_EVERY: Duration = Duration::from_secs(24 * 3600);

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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) to: String,
    pub(crate) entry: u64,
    /// The head that this entry was; none before the first one.
    sha256: Option<Sha256>,
}

impl Sent {
    /// What was sent of the log in `folder`, if it is sent anywhere, and since when that stands there.
    pub(crate) fn of(folder: &Path) -> Option<(Self, SystemTime)> {
        let mark = folder.join(SENT);
        let sent = serde_json::from_slice(&fs::read(&mark).ok()?).ok()?;
        Some((sent, fs::metadata(&mark).ok()?.modified().ok()?))
    }

    /// Forgets where the log was sent once: it is not sent any more.
    pub(crate) fn forget(folder: &Path) -> anyhow::Result<()> {
        match fs::remove_file(folder.join(SENT)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
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
        let mut sent = self.begin();
        let mut pause = FIRST_PAUSE;
        let mut failed = false;
        let mut told: Option<Instant> = None;
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
                    if !failed || told.is_none_or(|told| told.elapsed() > TELL_EVERY) {
                        told = Some(Instant::now());
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
            let (place, known, from) = (self.place.clone(), self.reading.clone(), *sent);
            // Beside the engine, which shares this thread.
            let read = tokio::task::spawn_blocking(move || next_lines(&place, known, from));
            let (batch, reading) = read.await??;
            let Some((last, sha256)) = batch.last().map(|line| (line.number, line.sha256)) else {
                return Ok(());
            };
            self.sender.send(&batch).await?;
            *sent = last;
            self.reading = Some(reading);
            self.write_mark(last, Some(sha256))?;
        }
    }

    /// The last entry that was sent there; 0 where none was. It has to be in the log still: otherwise all
    /// of the log is sent again, so that the other side has what came of it.
    fn begin(&self) -> u64 {
        let sent = Sent::of(self.place.folder()).map(|(sent, _)| sent);
        let sent = sent.filter(|sent| sent.to == self.destination.to_string());
        match sent {
            Some(sent) if sent.sha256.is_some() && self.has(&sent) => return sent.entry,
            Some(sent) if sent.sha256.is_some() => tracing::error!(
                entry = sent.entry,
                "the signing log does not have the entry that was sent last: somebody has rewritten it, \
                 or an older one was restored; all of it is sent again"
            ),
            _ => {}
        }
        if let Err(error) = self.write_mark(0, None) {
            let error = format!("{error:#}");
            tracing::warn!(error, "how far the signing log was sent cannot be kept");
        }
        0
    }

    /// Whether what was sent last is in the log, or in a file that was moved elsewhere.
    fn has(&self, sent: &Sent) -> bool {
        let files = log_files(self.place.folder()).unwrap_or_default();
        let begins = files.partition_point(|(first, _)| *first <= sent.entry);
        let Some((_, path)) = begins.checked_sub(1).and_then(|at| files.get(at)) else {
            return !files.is_empty();
        };
        let lines = Lines::of(path).into_iter().flatten().map_while(Result::ok);
        let mut heads = lines.filter_map(|line| line.head());
        heads.any(|head| head.number == sent.entry && Some(head.sha256) == sent.sha256)
    }

    /// Not flushed: after a power failure some lines are sent twice.
    fn write_mark(&self, entry: u64, sha256: Option<Sha256>) -> anyhow::Result<()> {
        let to = self.destination.to_string();
        let next = self.mark.with_extension("json.new");
        let sent = Sent { to, entry, sha256 };
        fs::write(&next, serde_json::to_vec(&sent)?)
            .and_then(|()| fs::rename(&next, &self.mark))
            .with_context(|| format!("{} cannot be written", self.mark.display()))
    }
}

/// Lines behind entry `sent`, as many as are sent at a time, and where the next ones stand.
fn next_lines(
    place: &LogPlace,
    known: Option<(PathBuf, u64)>,
    sent: u64,
) -> anyhow::Result<(Vec<Line>, (PathBuf, u64))> {
    let files = log_files(place.folder())?;
    // The file in which the next entry is, or the first one behind it.
    let begins = files.partition_point(|(first, _)| *first <= sent + 1);
    let mut batch = Vec::new();
    let mut bytes = 0;
    let mut reading = (PathBuf::new(), 0);
    for (_, path) in &files[begins.saturating_sub(1)..] {
        let from = match &known {
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

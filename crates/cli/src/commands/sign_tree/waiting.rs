//! Doing it again: at intervals, or when something changes, with the signatures kept fresh.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use wheelmark_adopt::Source;
use wheelmark_repository::Lifetimes;

use super::passing::{Done, Passing};
use super::places::Places;
use super::progress::Shown;
use super::said::Said;
use crate::commands::up::StopSignals;
use crate::logging::{WithHint as _, report};

/// How long a directory has to be quiet before it is gone through: whoever copies files into it
/// is not done with the first.
const QUIET: Duration = Duration::from_secs(2);

/// How long a directory that is never quiet is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// When what could not be had is tried again, at the earliest.
const SETTLED: Duration = Duration::from_secs(60);

/// The shortest interval: a pass itself takes longer.
const SHORTEST: Duration = Duration::from_secs(1);

/// When it is done again.
pub(super) struct Waiting {
    every: Option<Duration>,
    watched: Option<(RecommendedWatcher, mpsc::Receiver<()>)>,
}

impl Waiting {
    /// `None` where it is done once.
    pub(super) fn begin(
        every: Option<Duration>,
        watch: bool,
        source: &Source,
        places: &Places,
    ) -> anyhow::Result<Option<Self>> {
        if every.is_none() && !watch {
            return Ok(None);
        }
        let watched = match (watch, source.directory()) {
            (false, _) => None,
            (true, Some(directory)) => Some(watch_directory(directory, places.ours())?),
            (true, None) => {
                return Err(anyhow!("an index at a URL cannot be watched"))
                    .hint("ask it at an interval: --every 10m");
            }
        };
        Ok(Some(Self { every, watched }))
    }

    /// Goes on until it is stopped. A pass that fails is told and tried again.
    pub(super) async fn run(
        &mut self,
        source: Source,
        passing: &mut Passing,
        said: &Said<'_>,
        stop: &mut StopSignals,
    ) -> anyhow::Result<u8> {
        loop {
            let again = match passing.once(source.clone(), stop).await {
                Ok(Done::Over(done)) => {
                    said.tell(&done, passing.engine.snapshot_version())?;
                    // What was decided once is remembered.
                    passing.choices.keep.clear();
                    passing.choices.withdraw.clear();
                    passing.choices.accept_loss = false;
                    done.counts.failed + done.counts.unread_projects > 0
                }
                Ok(Done::Stopped(done)) => {
                    said.stopped(&done, passing.engine.snapshot_version())?;
                    return Ok(0);
                }
                Err(error) => {
                    report(&error);
                    true
                }
            };
            tokio::select! {
                () = stop.received() => return Ok(0),
                () = self.next(passing, again) => {}
            }
        }
    }

    /// Waits for the next pass, and renews what falls due meanwhile.
    /// `again`: something is to be tried again although nothing changes.
    async fn next(&mut self, passing: &mut Passing, again: bool) {
        let settled = passing.choices.settle.max(SETTLED);
        let every = match self.every {
            Some(every) if again => Some(every.min(settled)),
            None if again => Some(settled),
            every => every,
        };
        let interval = async move {
            match every {
                Some(every) => tokio::time::sleep(every).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(interval);
        loop {
            tokio::select! {
                () = &mut interval => return,
                () = changed(self.watched.as_mut()) => return,
                () = tokio::time::sleep(Lifetimes::default().tick()) => {
                    if let Err(error) = passing.publish(&Shown::start()).await {
                        report(&error);
                    }
                }
            }
        }
    }
}

fn watch_directory(
    directory: &Path,
    ours: Vec<PathBuf>,
) -> anyhow::Result<(RecommendedWatcher, mpsc::Receiver<()>)> {
    let (tell, told) = mpsc::channel(1);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let matters = match &event {
            Ok(event) => is_change(event, &ours),
            // Something was missed.
            Err(_) => true,
        };
        if matters {
            // One word that something changed is enough.
            tell.try_send(()).ok();
        }
    });
    let watching = watcher.and_then(|mut watcher| {
        watcher.watch(directory, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    let watcher = watching.hint(
        "the system may not allow so many watches (on Linux: sysctl fs.inotify.max_user_watches); --every 10m does without",
    )?;
    Ok((watcher, told))
}

/// Whether an event is about contents. Looking at files and linking them are none, and neither is
/// what we write ourselves.
fn is_change(event: &notify::Event, ours: &[PathBuf]) -> bool {
    let about_contents = match event.kind {
        // Whoever wrote is done.
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => false,
        _ => true,
    };
    let of_others = |path: &PathBuf| !ours.iter().any(|ours| path.starts_with(ours));
    about_contents && (event.paths.is_empty() || event.paths.iter().any(of_others))
}

/// Waits until something has changed and it has been quiet since.
async fn changed(watched: Option<&mut (RecommendedWatcher, mpsc::Receiver<()>)>) {
    let Some((_, told)) = watched else {
        return std::future::pending().await;
    };
    if told.recv().await.is_none() {
        return std::future::pending().await;
    }
    let quiet = async { while tokio::time::timeout(QUIET, told.recv()).await.is_ok() {} };
    // Whether it got quiet or not, it is time.
    drop(tokio::time::timeout(LONGEST_WAIT, quiet).await);
}

/// Reads `30s`, `10m`, `6h` or `1d`.
pub(super) fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_time(text)?;
    if interval < SHORTEST {
        return Err(format!("`{text}` is too short"));
    }
    Ok(interval)
}

/// Reads an interval that may be nothing.
pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    let told = || format!("`{text}` is no interval: a number with s, m, h or d, as in 10m");
    let unit = text.chars().last().ok_or_else(told)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(told()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| told())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(
                parse_interval(text).ok(),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        };
        check("30s", Some(30));
        check("10m", Some(600));
        check("6h", Some(21_600));
        check("1d", Some(86_400));
        for text in ["", "10", "m", "-1m", "0s", "1.5h", "10min", "10µ"] {
            check(text, None);
        }
    }
}

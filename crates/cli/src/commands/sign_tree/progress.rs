//! How far a pass is, on one line of the terminal, or as a line now and then.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, HumanDuration, ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use wheelmark_adopt::{Moment, Progress};

/// How often the line on a terminal is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// How often a line is written where there is no terminal.
const WRITTEN_EVERY: Duration = Duration::from_secs(30);

/// The line; it goes when this is dropped.
pub(super) struct Shown {
    state: Arc<State>,
    drawing: JoinHandle<()>,
}

struct State {
    bar: ProgressBar,
    begun: Instant,
    signed: AtomicU64,
    watched: Mutex<Option<Arc<Progress>>>,
}

impl Shown {
    pub(super) fn start() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal {
            ProgressBar::no_length()
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(ProgressStyle::default_spinner());
        let state = Arc::new(State {
            bar,
            begun: Instant::now(),
            signed: AtomicU64::new(0),
            watched: Mutex::default(),
        });
        let drawn = state.clone();
        let drawing = tokio::spawn(async move {
            let mut ticks =
                tokio::time::interval(if terminal { DRAWN_EVERY } else { WRITTEN_EVERY });
            ticks.tick().await;
            loop {
                ticks.tick().await;
                drawn.draw(terminal);
            }
        });
        Self { state, drawing }
    }

    pub(super) fn watch(&self, progress: Arc<Progress>) {
        let mut watched = self
            .state
            .watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *watched = Some(progress);
    }

    pub(super) fn signed(&self, changes: u64) {
        self.state.signed.fetch_add(changes, Ordering::Relaxed);
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.drawing.abort();
        self.state.bar.finish_and_clear();
    }
}

impl State {
    fn draw(&self, terminal: bool) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(progress) = watched.as_ref() else {
            return;
        };
        let signed = self.signed.load(Ordering::Relaxed);
        let text = text(progress.now(), signed, self.begun.elapsed());
        if terminal {
            self.bar.set_message(text);
            self.bar.tick();
        } else {
            // Standard error that is gone is no reason to stop.
            drop(writeln!(std::io::stderr().lock(), "{text}"));
        }
    }
}

/// What is scanned, read and signed, and how long the rest may take.
fn text(now: Moment, signed: u64, elapsed: Duration) -> String {
    let mut text = match now.projects_listed {
        0 => String::new(),
        listed => format!("{} of {listed} projects, ", now.projects),
    };
    text.push_str(&format!("{} files", now.files));
    if now.files_read > 0 {
        let seconds = elapsed.as_secs_f64().max(0.001);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rate that is shown rounded"
        )]
        let rate = (now.bytes_read as f64 / seconds) as u64;
        text.push_str(&format!(
            ", {} read ({}, {}/s)",
            now.files_read,
            DecimalBytes(now.bytes_read),
            DecimalBytes(rate)
        ));
    }
    text.push_str(&format!(", {signed} signed"));
    if let Some(left) = left(now, elapsed) {
        text.push_str(&format!(", about {} left", HumanDuration(left)));
    }
    text
}

/// By the share of projects that are done; nothing before that says something.
fn left(now: Moment, elapsed: Duration) -> Option<Duration> {
    let (done, all) = (now.projects, now.projects_listed);
    if elapsed < Duration::from_secs(5) || done == 0 || done * 50 < all || done >= all {
        return None;
    }
    let rest = u32::try_from(all - done).ok()?;
    Some(elapsed / u32::try_from(done).ok()? * rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_it_knows() {
        let check = |now: Moment, signed, seconds, expect: &str| {
            assert_eq!(text(now, signed, Duration::from_secs(seconds)), expect);
        };
        let scanned = Moment {
            files: 7,
            ..Moment::default()
        };
        check(scanned, 0, 1, "7 files, 0 signed");
        let listed = Moment {
            projects: 10,
            projects_listed: 100,
            files: 40,
            files_read: 30,
            bytes_read: 4_000_000,
            files_admitted: 20,
        };
        check(
            listed,
            15,
            10,
            "10 of 100 projects, 40 files, 30 read (4.00 MB, 400.00 kB/s), 15 signed, about 2 minutes left",
        );
        let early = Moment {
            projects: 1,
            ..listed
        };
        assert_eq!(left(early, Duration::from_secs(60)), None);
    }
}

//! How far an audit is: a bar on a terminal, and a line now and then everywhere else.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use wheelmark_mirror::{Counts, Tally};

/// How often the counters are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(30);

/// Shows progress until it is dropped.
pub(crate) struct Progress {
    task: tokio::task::JoinHandle<()>,
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn of(name: &str, tally: Arc<Tally>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal {
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} % {msg}") {
            bar.set_style(style);
        }
        let (shown, name) = (bar.clone(), name.to_owned());
        let task = tokio::spawn(async move {
            let began = Instant::now();
            let mut told = Instant::now();
            loop {
                tokio::time::sleep(LOOK).await;
                let counts = tally.counts();
                shown.set_length(counts.roles_expected.max(1));
                shown.set_position(counts.roles);
                shown.set_message(message(&counts, began.elapsed()));
                if !terminal && told.elapsed() >= LINE {
                    told = Instant::now();
                    let line = format!("{name}: {}\n", message(&counts, began.elapsed()));
                    drop(std::io::stderr().lock().write_all(line.as_bytes()));
                }
            }
        });
        Self { task, bar }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}

fn message(counts: &Counts, elapsed: Duration) -> String {
    let rate = counts.bytes_read as f64 / elapsed.as_secs_f64().max(0.001);
    format!(
        "{} of {} roles, {} files, {} read, {}/s",
        counts.roles,
        counts.roles_expected,
        counts.files,
        DecimalBytes(counts.bytes_read),
        DecimalBytes(rate as u64),
    )
}

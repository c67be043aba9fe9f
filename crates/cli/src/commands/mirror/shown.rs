//! The progress bar of a run.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::AbortHandle;
use wheelmark_mirror::{Phase, Progress, Reached};

/// How often the line is drawn.
const EVERY: Duration = Duration::from_millis(100);

/// The line; it goes when this is dropped.
pub(super) struct Shown {
    bar: ProgressBar,
    drawing: Option<AbortHandle>,
}

impl Shown {
    pub(super) fn start(progress: Arc<Progress>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self {
                bar: ProgressBar::hidden(),
                drawing: None,
            };
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {wide_bar} {pos}/{len}") {
            bar.set_style(style);
        }
        let drawn = bar.clone();
        let drawing = tokio::spawn(async move {
            let (begun, mut ticks) = (Instant::now(), tokio::time::interval(EVERY));
            loop {
                ticks.tick().await;
                let reached = progress.reached();
                drawn.set_length(reached.pages_wanted);
                drawn.set_position(reached.pages);
                drawn.set_message(text(&reached, begun.elapsed()));
                drawn.tick();
            }
        });
        Self {
            bar,
            drawing: Some(drawing.abort_handle()),
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(drawing) = &self.drawing {
            drawing.abort();
        }
        self.bar.finish_and_clear();
    }
}

fn text(reached: &Reached, elapsed: Duration) -> String {
    let rate = reached.bytes as f64 / elapsed.as_secs_f64().max(0.1);
    let fetched = format!(
        "{} files, {}, {}/s",
        reached.fetched_files,
        DecimalBytes(reached.bytes),
        DecimalBytes(rate as u64)
    );
    match reached.phase {
        Phase::Refreshing => "asking for the index's state".to_owned(),
        Phase::Listing => format!("{} roles, {}", reached.roles, DecimalBytes(reached.bytes)),
        Phase::Fetching => fetched,
        Phase::Publishing => "putting the new state in place".to_owned(),
        Phase::Tidying => "plain names".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_much_and_how_fast() {
        let reached = Reached {
            phase: Phase::Fetching,
            fetched_files: 3,
            bytes: 20_000_000,
            ..Reached::default()
        };
        assert_eq!(
            text(&reached, Duration::from_secs(10)),
            "3 files, 20.00 MB, 2.00 MB/s"
        );
    }
}

//! How many of a known or unknown number are done: a bar on a terminal, and a line now and then
//! everywhere else.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wheelmark_tuf::without_controls;

/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(30);

/// Shows progress until it is dropped.
pub(super) struct Counted {
    name: String,
    bar: ProgressBar,
    told: Mutex<Instant>,
}

impl Counted {
    /// `total`: how many there are, where that is known.
    pub(super) fn of(name: &str, total: Option<u64>) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        let template = match total {
            Some(_) => "{bar:30} {pos} of {len} {wide_msg}",
            None => "{spinner} {pos} {wide_msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self {
            name: name.to_owned(),
            bar,
            told: Mutex::new(Instant::now()),
        }
    }

    /// One more is done.
    pub(super) fn one(&self, what: &str) {
        self.bar.inc(1);
        self.bar.set_message(without_controls(what));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= LINE && !std::io::stderr().is_terminal() {
            *told = Instant::now();
            let line = format!("{}: {} done\n", self.name, self.bar.position());
            drop(std::io::stderr().lock().write_all(line.as_bytes()));
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

//! What is waited for: a line on a terminal that goes again.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Given;

/// Shown until it is dropped.
pub(super) struct Progress {
    bar: ProgressBar,
    files: usize,
}

impl Progress {
    pub(super) fn of(files: usize) -> Progress {
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
            false => ProgressBar::hidden(),
        };
        bar.set_style(ProgressStyle::default_spinner());
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress { bar, files }
    }

    pub(super) fn asks(&self, authority: &str) {
        self.bar
            .set_message(format!("asking {authority} for a certificate"));
    }

    pub(super) fn records(&self, given: &Given, log: &str) {
        self.bar.inc(1);
        let (at, files, name) = (self.bar.position(), self.files, &given.name);
        self.bar.set_message(format!(
            "{at} of {files}: {name}, waiting for {log} to record it"
        ));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

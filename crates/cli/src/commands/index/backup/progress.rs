//! How far a backup is, on one line of the terminal.

use std::io::IsTerminal as _;

use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressStyle};

use super::destination::Copied;

/// The line; it goes when this is dropped.
pub(in crate::commands::index) struct Shown {
    bar: ProgressBar,
    counted: Copied,
}

impl Shown {
    /// Says what is being done; nothing where standard error is no terminal.
    pub(in crate::commands::index) fn start(what: &'static str) -> Self {
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::no_length(),
            false => ProgressBar::hidden(),
        };
        bar.set_style(ProgressStyle::default_spinner());
        bar.set_prefix(what);
        Self {
            bar,
            counted: Copied::default(),
        }
    }

    /// Counts bytes of a file that goes on.
    pub(in crate::commands::index) fn bytes(&mut self, bytes: u64) {
        self.counted.bytes += bytes;
        self.draw();
    }

    /// Counts a file.
    pub(in crate::commands::index) fn file(&mut self) {
        self.counted.files += 1;
        self.draw();
    }

    pub(super) fn counted(&self) -> Copied {
        self.counted
    }

    fn draw(&self) {
        if self.bar.is_hidden() {
            return;
        }
        let Copied { files, bytes } = self.counted;
        self.bar.set_message(format!(
            "{}: {} files, {}",
            self.bar.prefix(),
            HumanCount(files),
            DecimalBytes(bytes)
        ));
        self.bar.tick();
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

//! `--progress`: what passes the proxy, on one line of the terminal.
//!
//! One line, because the command writes to the same terminal: several would be drawn over
//! what it says.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use wheelmark_client::Watch;
use wheelmark_tuf::without_controls;

/// How often the line is drawn at most, in times a second.
const RATE: u8 = 10;

/// The settings by which pip and uv show no bars of their own.
pub(super) fn no_other() -> [(String, OsString); 2] {
    [("PIP_PROGRESS_BAR", "off"), ("UV_NO_PROGRESS", "1")]
        .map(|(name, value)| (name.to_owned(), value.into()))
}

/// The line; it goes when this is dropped.
pub(super) struct Shown(Arc<Line>);

impl Shown {
    pub(super) fn start() -> Self {
        let bar = if std::io::stderr().is_terminal() {
            let target = ProgressDrawTarget::stderr_with_hz(RATE);
            ProgressBar::with_draw_target(None, target)
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(ProgressStyle::default_spinner());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(Arc::new(Line {
            bar,
            state: Mutex::default(),
        }))
    }

    pub(super) fn watch(&self) -> Arc<dyn Watch> {
        self.0.clone()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.bar.finish_and_clear();
    }
}

#[derive(Debug)]
struct Line {
    bar: ProgressBar,
    state: Mutex<State>,
}

/// What passed, and what is passing.
#[derive(Debug, Default)]
struct State {
    done: u64,
    bytes: u64,
    passing: BTreeMap<u64, File>,
}

#[derive(Debug)]
struct File {
    name: String,
    length: u64,
    passed: u64,
}

impl Line {
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        self.bar.set_message(state.text());
    }
}

impl State {
    /// The total, and of the files that pass now the one that has furthest to go.
    fn text(&self) -> String {
        let noun = if self.done == 1 { "file" } else { "files" };
        let total = format!(
            "{} {noun}, {} verified",
            self.done,
            DecimalBytes(self.bytes)
        );
        let largest = self
            .passing
            .values()
            .max_by_key(|file| file.length.saturating_sub(file.passed));
        let Some(file) = largest else {
            return total;
        };
        let percent = match file.length {
            0 => 100,
            length => file.passed.saturating_mul(100) / length,
        };
        let more = match self.passing.len() {
            1 => String::new(),
            several => format!(" and {} more", several - 1),
        };
        format!(
            "{total}; {} {percent} % of {}{more}",
            without_controls(&file.name),
            DecimalBytes(file.length)
        )
    }
}

impl Watch for Line {
    fn begins(&self, number: u64, file: &str, length: u64) {
        let file = File {
            name: file.to_owned(),
            length,
            passed: 0,
        };
        self.change(|state| drop(state.passing.insert(number, file)));
    }

    fn passes(&self, number: u64, bytes: u64) {
        self.change(|state| {
            state.bytes += bytes;
            if let Some(file) = state.passing.get_mut(&number) {
                file.passed += bytes;
            }
        });
    }

    fn ends(&self, number: u64) {
        self.change(|state| {
            let file = state.passing.remove(&number);
            if file.is_some_and(|file| file.passed == file.length) {
                state.done += 1;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_and_the_largest_that_passes() {
        let line = Line {
            bar: ProgressBar::hidden(),
            state: Mutex::default(),
        };
        let check = |said: &str| {
            let state = line.state.lock().unwrap_or_else(PoisonError::into_inner);
            assert_eq!(state.text(), said);
        };
        line.begins(1, "small.whl", 1_000);
        line.begins(2, "large\u{1b}.whl", 4_000_000);
        line.passes(2, 1_000_000);
        check("0 files, 1.00 MB verified; large\u{fffd}.whl 25 % of 4.00 MB and 1 more");
        line.passes(1, 1_000);
        line.ends(1);
        line.ends(2);
        check("1 file, 1.00 MB verified");
    }
}

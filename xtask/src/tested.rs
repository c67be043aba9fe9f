//! What the two test runners said at their end, gathered while their output passes by.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::Context;

/// Runs a command, shows its standard output as it comes, and hands each line to `see`.
pub(crate) fn watched(
    command: &mut Command,
    mut see: impl FnMut(&str),
) -> anyhow::Result<ExitStatus> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if let Some(output) = child.stdout.take() {
        let mut lines = BufReader::new(output);
        let mut line = Vec::new();
        let mut shown = std::io::stdout().lock();
        while lines
            .read_until(b'\n', &mut line)
            .context("cannot read the output")?
            > 0
        {
            shown.write_all(&line).context("cannot show the output")?;
            see(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }
    child.wait().context("cannot wait for the command")
}

/// The `test result:` lines of libtest, one for each test program, added up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CargoTotals {
    programs: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl CargoTotals {
    /// Adds one line of output, if it is a closing line.
    pub(crate) fn see(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else {
            return;
        };
        self.programs += 1;
        let words: Vec<&str> = rest
            .split([' ', ';'])
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u64>() else {
                continue;
            };
            match pair[1] {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// One closing line for all of them.
    pub(crate) fn closing(&self, status: ExitStatus) -> String {
        format!(
            "cargo test: {}. {} passed; {} failed; {} ignored, in {} test programs",
            if status.success() { "ok" } else { "FAILED" },
            self.passed,
            self.failed,
            self.ignored,
            self.programs
        )
    }
}

/// What pytest said last, and what it skipped.
#[derive(Debug, Default)]
pub(crate) struct PytestTotals {
    last: String,
    skipped: Vec<String>,
}

impl PytestTotals {
    /// Looks at one line of output.
    pub(crate) fn see(&mut self, line: &str) {
        if line.starts_with("SKIPPED ") {
            self.skipped.push(line.to_owned());
        } else if line.starts_with('=') || line.contains(" in ") {
            self.last = line.trim_matches(['=', ' ']).to_owned();
        }
    }

    /// How many tests ended in each way, by pytest's own words, as in `3 passed, 1 xfailed`.
    pub(crate) fn counts(&self) -> Vec<(u64, &str)> {
        let (counts, _) = self.last.split_once(" in ").unwrap_or((&self.last, ""));
        counts
            .split(", ")
            .filter_map(|count| {
                let (number, word) = count.split_once(' ')?;
                Some((number.parse().ok()?, word))
            })
            .collect()
    }

    /// Its closing line, and a line for each reason to skip.
    pub(crate) fn closing(&self) -> Vec<String> {
        let mut lines = self.skipped.clone();
        lines.push(format!("pytest: {}", self.last));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_closing_lines_are_added_up() {
        let mut totals = CargoTotals::default();
        totals.see("running 3 tests");
        totals.see("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        totals.see("test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1s");
        assert_eq!(
            totals,
            CargoTotals {
                programs: 2,
                passed: 7,
                failed: 2,
                ignored: 1
            }
        );
    }

    #[test]
    fn pytest_closing_line_follows_what_it_skipped() {
        let mut totals = PytestTotals::default();
        totals.see("==== test session starts ====");
        totals.see("SKIPPED [2] conftest.py:9: skipped: needs faketime");
        totals.see("==== 30 passed, 2 skipped in 99.10s (0:01:39) ====");
        assert_eq!(totals.counts(), [(30, "passed"), (2, "skipped")]);
        assert_eq!(
            totals.closing(),
            [
                "SKIPPED [2] conftest.py:9: skipped: needs faketime",
                "pytest: 30 passed, 2 skipped in 99.10s (0:01:39)"
            ]
        );
    }
}

//! What was published of snapshots, beside what is here.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use wheelmark_store::LoggedSnapshot;
use wheelmark_tuf::{Sha256, Shown};

use crate::logging::WithHint as _;

/// A line of a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    number: usize,
    version: u64,
    sha256: Sha256,
}

/// Reads a log. Empty lines and those that begin with `#` say nothing.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<Line>> {
    let text = match file == Path::new("-") {
        true => std::io::read_to_string(std::io::stdin().lock()),
        false => std::fs::read_to_string(file),
    };
    let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
    parse(&text)
        .with_context(|| format!("{} is no log of snapshots", file.display()))
        .hint("name a file with lines that `wheelmark index snapshot-log` has printed")
}

fn parse(text: &str) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let version = words.next().and_then(|word| word.parse().ok());
        let sha256 = words.next().and_then(|word| word.parse().ok());
        match (version, sha256) {
            (Some(version), Some(sha256)) => lines.push(Line {
                number,
                version,
                sha256,
            }),
            _ => {
                return Err(anyhow!(
                    "line {number} says something else: {}",
                    Shown(line)
                ));
            }
        }
    }
    Ok(lines)
}

/// What a comparison comes to.
#[derive(Debug)]
pub(super) struct Compared {
    lines: usize,
    differences: Vec<Difference>,
}

#[derive(Debug)]
struct Difference {
    line: usize,
    version: u64,
    published: Sha256,
    here: Option<Sha256>,
    /// Whether it is above everything that is here.
    ahead: bool,
}

impl Compared {
    pub(super) fn of(lines: &[Line], here: &BTreeMap<u64, LoggedSnapshot>) -> Self {
        let newest = here.keys().next_back().copied().unwrap_or(0);
        let differences = lines.iter().filter_map(|line| {
            let found = here.get(&line.version).map(|snapshot| snapshot.sha256);
            (found != Some(line.sha256)).then_some(Difference {
                line: line.number,
                version: line.version,
                published: line.sha256,
                here: found,
                ahead: line.version > newest,
            })
        });
        Self {
            lines: lines.len(),
            differences: differences.collect(),
        }
    }

    pub(super) fn agrees(&self) -> bool {
        self.differences.is_empty()
    }

    pub(super) fn to_json(&self) -> Value {
        let differences = self.differences.iter().map(|difference| {
            json!({
                "line": difference.line,
                "version": difference.version,
                "published": difference.published.to_string(),
                "here": difference.here.map(|here| here.to_string()),
                "ahead": difference.ahead,
            })
        });
        json!({
            "agrees": self.agrees(),
            "lines": self.lines,
            "differs_from_line": self.differences.first().map(|first| first.line),
            "differences": differences.collect::<Vec<_>>(),
        })
    }

    pub(super) fn to_text(&self, file: &Path) -> String {
        let Some(first) = self.differences.first() else {
            return format!(
                "{}: {} lines, all as they are here",
                file.display(),
                self.lines
            );
        };
        let mut lines = vec![format!(
            "{}: differs from line {} on, in {} of {} lines",
            file.display(),
            first.line,
            self.differences.len(),
            self.lines
        )];
        for difference in &self.differences {
            let here = match (difference.here, difference.ahead) {
                (Some(here), _) => format!("sha256 {here} here: it was signed twice, or altered"),
                (None, true) => {
                    "newer than all that is here: this index was put back to an older state"
                        .to_owned()
                }
                (None, false) => {
                    "not here: it was never published, or its line in the log is lost".to_owned()
                }
            };
            lines.push(format!(
                "  line {}, snapshot {}, sha256 {}: {here}",
                difference.line, difference.version, difference.published
            ));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn here(versions: std::ops::Range<u64>) -> BTreeMap<u64, LoggedSnapshot> {
        let row = |version: u64| LoggedSnapshot {
            version,
            sha256: Sha256::of(&version.to_be_bytes()),
            length: 1,
            expires: jiff::Timestamp::UNIX_EPOCH,
        };
        versions.map(|version| (version, row(version))).collect()
    }

    fn log(versions: std::ops::Range<u64>) -> String {
        let here = here(versions);
        let lines = here
            .values()
            .map(|row| format!("{} {} x", row.version, row.sha256));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_first_line_that_differs_is_named() {
        let check = |text: &str, expected: &[usize]| {
            let compared = Compared::of(&parse(text).unwrap(), &here(1..6));
            let found: Vec<usize> = compared.differences.iter().map(|d| d.line).collect();
            assert_eq!(found, expected, "{text}");
            assert_eq!(compared.agrees(), expected.is_empty());
        };
        check(&log(1..6), &[]);
        check(&format!("# of November\n\n{}\n", log(3..6)), &[]);
        check("", &[]);
        check(&log(4..8), &[3, 4]);
        let other = log(1..6).replace(
            &Sha256::of(&3_u64.to_be_bytes()).to_string(),
            &"0".repeat(64),
        );
        check(&other, &[3]);
    }

    #[test]
    fn what_is_no_log_is_none() {
        for text in ["x", "1", "1 abc", "{}", "one 00"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

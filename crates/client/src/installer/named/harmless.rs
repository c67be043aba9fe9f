//! Options that change nothing about where an installer looks, or for what.
//!
//! A line with any other is not read: it may name another index, and whether the word behind an
//! option that is not known is its value cannot be told.

use crate::installer::words::Dialect;

/// What stands on a line besides options.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The words that belong to no option.
    pub(super) plain: Vec<&'a str>,
    /// The files of requirements.
    pub(super) files: Vec<&'a str>,
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
    /// A file of requirements.
    File,
}

/// Reads a line; `None` if it is not understood to its end, or has an option that is not
/// known to be harmless.
pub(super) fn read(words: &[String], dialect: Dialect) -> Option<Line<'_>> {
    let mut line = Line::default();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let (takes, attached) = if let Some(word) = word.strip_prefix("--") {
            long(word, dialect)?
        } else if let Some(letters) = word.strip_prefix('-') {
            short(letters, dialect)?
        } else {
            line.plain.push(word);
            continue;
        };
        if takes == Takes::Nothing {
            continue;
        }
        let value = attached.or_else(|| rest.next().map(String::as_str))?;
        if takes == Takes::File {
            line.files.push(value);
        }
    }
    Some(line)
}

/// What a long option takes, and the value that is attached to it.
fn long(word: &str, dialect: Dialect) -> Option<(Takes, Option<&str>)> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let (.., takes) = known(dialect).find(|(_, known, _)| *known == name)?;
    (takes != Takes::Nothing || value.is_none()).then_some((takes, value))
}

/// The same for what stands behind one dash.
fn short(letters: &str, dialect: Dialect) -> Option<(Takes, Option<&str>)> {
    if letters.is_empty() {
        return None;
    }
    for (at, letter) in letters.char_indices() {
        let (.., takes) = known(dialect).find(|(known, ..)| *known == Some(letter))?;
        if takes != Takes::Nothing {
            let value = &letters[at + letter.len_utf8()..];
            let value = value.strip_prefix('=').unwrap_or(value);
            return Some((takes, (!value.is_empty()).then_some(value)));
        }
    }
    Some((Takes::Nothing, None))
}

type Known = (Option<char>, &'static str, Takes);

fn known(dialect: Dialect) -> impl Iterator<Item = Known> {
    let own = match dialect {
        Dialect::Pip => &PIP[..],
        Dialect::Uv => &UV[..],
    };
    BOTH.iter().chain(own).copied()
}

const BOTH: [Known; 14] = [
    (Some('q'), "quiet", Takes::Nothing),
    (Some('v'), "verbose", Takes::Nothing),
    (Some('U'), "upgrade", Takes::Nothing),
    (None, "no-deps", Takes::Nothing),
    (None, "dry-run", Takes::Nothing),
    (None, "require-hashes", Takes::Nothing),
    (None, "break-system-packages", Takes::Nothing),
    (None, "no-build-isolation", Takes::Nothing),
    (None, "only-binary", Takes::Value),
    (None, "no-binary", Takes::Value),
    (Some('t'), "target", Takes::Value),
    (None, "prefix", Takes::Value),
    (Some('r'), "requirement", Takes::File),
    (None, "requirements", Takes::File),
];

const PIP: [Known; 21] = [
    (None, "pre", Takes::Nothing),
    (None, "user", Takes::Nothing),
    (None, "compile", Takes::Nothing),
    (None, "no-compile", Takes::Nothing),
    (None, "prefer-binary", Takes::Nothing),
    (None, "force-reinstall", Takes::Nothing),
    (Some('I'), "ignore-installed", Takes::Nothing),
    (None, "no-input", Takes::Nothing),
    (None, "no-color", Takes::Nothing),
    (None, "no-cache-dir", Takes::Nothing),
    (None, "no-warn-conflicts", Takes::Nothing),
    (None, "no-warn-script-location", Takes::Nothing),
    (None, "disable-pip-version-check", Takes::Nothing),
    (None, "require-virtualenv", Takes::Nothing),
    (None, "python", Takes::Value),
    (None, "root", Takes::Value),
    (None, "log", Takes::Value),
    (None, "report", Takes::Value),
    (None, "progress-bar", Takes::Value),
    (None, "root-user-action", Takes::Value),
    (None, "upgrade-strategy", Takes::Value),
];

const UV: [Known; 13] = [
    (Some('p'), "python", Takes::Value),
    (None, "system", Takes::Nothing),
    (None, "strict", Takes::Nothing),
    (None, "exact", Takes::Nothing),
    (None, "reinstall", Takes::Nothing),
    (Some('n'), "no-cache", Takes::Nothing),
    (None, "no-build", Takes::Nothing),
    (None, "no-progress", Takes::Nothing),
    (None, "compile-bytecode", Takes::Nothing),
    (None, "color", Takes::Value),
    (None, "link-mode", Takes::Value),
    (None, "prerelease", Takes::Value),
    (None, "resolution", Takes::Value),
];

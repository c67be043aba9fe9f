//! The words of a command's line, or of a line in a requirements file: options with their
//! values, and the rest.

/// Whose options they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Pip,
    Uv,
}

/// A word, or an option together with its value. Options of no concern are left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    Plain(&'a str),
    Option {
        /// In its long spelling.
        name: &'static str,
        /// Empty if it takes none.
        value: &'a str,
        /// As it was spelled.
        shown: String,
    },
}

/// Reads words in every spelling that pip and uv take: `--name value`, `--name=value`, and for
/// short ones `-n value`, `-nvalue` and several behind one dash.
pub(super) fn read(arguments: &[String], dialect: Dialect) -> Vec<Word<'_>> {
    let mut read = Vec::new();
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        if !word.starts_with('-') || word == "-" {
            read.push(Word::Plain(word));
            continue;
        }
        let known = if word.starts_with("--") {
            long(word, dialect)
        } else {
            short(word, dialect)
        };
        let Some((name, attached)) = known else {
            continue;
        };
        let next = match attached {
            None if !FLAGS.contains(&name) => rest.next(),
            _ => None,
        };
        read.push(Word::Option {
            name,
            value: attached.or(next.map(String::as_str)).unwrap_or_default(),
            shown: next.map_or_else(|| word.clone(), |value| format!("{word} {value}")),
        });
    }
    read
}

/// A long option and the value that is attached to it. pip takes a beginning for the whole
/// name, uv does not.
fn long(word: &str, dialect: Dialect) -> Option<(&'static str, Option<&str>)> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let mut known = [&ROUTES[..], &FLAGS, &FILES, &OTHERS].concat().into_iter();
    let exact = known.find(|known| *known == name);
    let begun = || {
        let mut candidates = PIP_ROUTES.into_iter();
        candidates
            .find(|known| dialect == Dialect::Pip && name.len() > 2 && known.starts_with(name))
    };
    Some((exact.or_else(begun)?, value))
}

/// The option with a value among those behind one dash, and the value that is attached to it.
fn short(word: &str, dialect: Dialect) -> Option<(&'static str, Option<&str>)> {
    let table: &[(char, &'static str)] = match dialect {
        Dialect::Pip => &PIP_SHORT,
        Dialect::Uv => &UV_SHORT,
    };
    word.char_indices().skip(1).find_map(|(at, letter)| {
        let (_, name) = table.iter().find(|(short, _)| *short == letter)?;
        let attached = &word[at + letter.len_utf8()..];
        let attached = attached.strip_prefix('=').unwrap_or(attached);
        Some((*name, (!attached.is_empty()).then_some(attached)))
    })
}

/// Short options that take a value.
const PIP_SHORT: [(char, &str); 9] = [
    ('r', "--requirement"),
    ('c', "--constraint"),
    ('e', "--editable"),
    ('f', "--find-links"),
    ('i', "--index-url"),
    ('t', "--target"),
    ('d', "--dest"),
    ('w', "--wheel-dir"),
    ('C', "--config-settings"),
];

const UV_SHORT: [(char, &str); 12] = [
    ('r', "--requirements"),
    ('c', "--constraints"),
    ('b', "--build-constraints"),
    ('e', "--editable"),
    ('f', "--find-links"),
    ('i', "--index-url"),
    ('w', "--with"),
    ('t', "--target"),
    ('p', "--python"),
    ('P', "--upgrade-package"),
    ('C', "--config-settings"),
    ('o', "--output-file"),
];

/// Options that can open a route without a value.
const FLAGS: [&str; 2] = ["--no-index", "--offline"];

/// Options that name a place to look for files, or an index.
pub(super) const PLACES: [&str; 6] = [
    "--find-links",
    "--index-url",
    "--pypi-url",
    "--extra-index-url",
    "--index",
    "--default-index",
];

/// Options that name a file of requirements.
pub(super) const FILES: [&str; 9] = [
    "--requirement",
    "--requirements",
    "--with-requirements",
    "--constraint",
    "--constraints",
    "--build-constraint",
    "--build-constraints",
    "--override",
    "--overrides",
];

/// Other options that can open a route, and take a value.
const ROUTES: [&str; 12] = [
    "--proxy",
    "--cache-dir",
    "--editable",
    "--with",
    "--with-editable",
    "--from",
    PLACES[0],
    PLACES[1],
    PLACES[2],
    PLACES[3],
    PLACES[4],
    PLACES[5],
];

/// pip's options that can open a route.
const PIP_ROUTES: [&str; 10] = [
    "--requirement",
    "--constraint",
    "--build-constraint",
    "--editable",
    "--find-links",
    "--index-url",
    "--extra-index-url",
    "--no-index",
    "--proxy",
    "--cache-dir",
];

/// Options whose value is often a path and never a requirement.
const OTHERS: [&str; 21] = [
    "--target",
    "--prefix",
    "--root",
    "--src",
    "--dest",
    "--wheel-dir",
    "--log",
    "--cert",
    "--client-cert",
    "--report",
    "--python",
    "--project",
    "--directory",
    "--config-file",
    "--config-settings",
    "--env-file",
    "--output-file",
    "--script",
    "--requirements-from-script",
    "--upgrade-package",
    "--group",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, dialect: Dialect, expected: &[(&str, &str, &str)]) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let read: Vec<(&str, &str, String)> = read(&words, dialect)
            .into_iter()
            .map(|word| match word {
                Word::Plain(word) => ("", word, String::new()),
                Word::Option { name, value, shown } => (name, value, shown),
            })
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value, shown)| (*name, *value, (*shown).to_owned()))
            .collect();
        assert_eq!(read, expected, "{line}");
    }

    #[test]
    fn every_spelling_is_read() {
        use Dialect::{Pip, Uv};
        let file = "--requirement";
        check("-r x y", Pip, &[(file, "x", "-r x"), ("", "y", "")]);
        check("-rx y", Pip, &[(file, "x", "-rx"), ("", "y", "")]);
        check("-Ur x y", Pip, &[(file, "x", "-Ur x"), ("", "y", "")]);
        check("-qUrx -v y", Pip, &[(file, "x", "-qUrx"), ("", "y", "")]);
        check("-r=x", Uv, &[("--requirements", "x", "-r=x")]);
        check("-r", Pip, &[(file, "", "-r")]);
        check("--requirement=x", Pip, &[(file, "x", "--requirement=x")]);
        check("--requirem x", Pip, &[(file, "x", "--requirem x")]);
        check("--requirem x", Uv, &[("", "x", "")]);
        check(
            "--no-index x",
            Pip,
            &[("--no-index", "", "--no-index"), ("", "x", "")],
        );
        // The same letter: a directory to pip, a requirement to uv.
        check("-w x", Pip, &[("--wheel-dir", "x", "-w x")]);
        check("-w x", Uv, &[("--with", "x", "-w x")]);
        // A flag of pip's that is the beginning of an option of uv's.
        check("--upgrade x", Pip, &[("", "x", "")]);
        check("--pre x", Pip, &[("", "x", "")]);
        check("- -- -é x", Pip, &[("", "-", ""), ("", "x", "")]);
    }
}

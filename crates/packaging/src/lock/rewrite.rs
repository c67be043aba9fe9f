//! The URLs in the text of a lock file, and where they stand.

use std::ops::Range;

/// A URL in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedUrl<'a> {
    /// Where it stands, in bytes.
    pub range: Range<usize>,
    /// It, without a fragment.
    pub url: &'a str,
    /// The package that it stands under, as that is written there.
    pub package: Option<&'a str>,
    /// Its line, from 1.
    pub line: usize,
}

/// Every http and https URL in the text of a lock file of any format, in order.
///
/// Nothing is parsed: a text that is rewritten at these places, and there alone, stays what it
/// is everywhere else.
pub fn named_urls(text: &str) -> Vec<NamedUrl<'_>> {
    let mut found = Vec::new();
    let mut package = None;
    let mut begins = false;
    let mut start = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let trimmed = line.trim_end();
        if matches!(trimmed, "[[package]]" | "[[packages]]" | "[[distribution]]") {
            (package, begins) = (None, true);
        } else if begins && let Some(name) = name_of(trimmed) {
            (package, begins) = (Some(name), false);
        }
        let mut at = 0;
        while let Some(next) = begin_of_url(&line[at..]) {
            let begin = at + next;
            let rest = &line[begin..];
            let end = rest.find(ends_url).unwrap_or(rest.len());
            found.push(NamedUrl {
                range: start + begin..start + begin + end,
                url: &rest[..end],
                package: package.or_else(|| of_requirement(line)),
                line: number,
            });
            at = begin + end;
        }
        start += line.len();
    }
    found
}

fn begin_of_url(text: &str) -> Option<usize> {
    let plain = text.find("http://");
    let secure = text.find("https://");
    plain.into_iter().chain(secure).min()
}

fn ends_url(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '"' | '\'' | '`' | '<' | '>' | '\\' | '#' | '{' | '}')
}

/// `name = "NAME"` at the beginning of a line.
fn name_of(line: &str) -> Option<&str> {
    let value = line.strip_prefix("name")?.trim_start().strip_prefix('=')?;
    let value = value.trim();
    let quoted = |mark: char| value.strip_prefix(mark)?.strip_suffix(mark);
    quoted('"').or_else(|| quoted('\''))
}

/// The name before the `@` of a requirement.
fn of_requirement(line: &str) -> Option<&str> {
    let (before, _) = line.split_once('@')?;
    let name = before.split('[').next().unwrap_or(before).trim();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (!name.is_empty() && name.bytes().all(plain)).then_some(name)
}

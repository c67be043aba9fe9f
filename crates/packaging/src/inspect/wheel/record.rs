//! The `RECORD` file: every file of the wheel with its digest and length, as CSV.

use std::collections::BTreeMap;

use super::super::RecordError;
use super::super::listing::{Kind, Listing};

/// Checks that `RECORD` lists just the files that the wheel has, with their lengths where it
/// gives them. The signatures of older tools (`RECORD.jws`, `RECORD.p7s`) are not listed, and
/// neither need be `RECORD` itself.
pub(super) fn check(bytes: &[u8], directory: &str, listing: &Listing) -> Result<(), RecordError> {
    let mut listed = BTreeMap::new();
    for (index, line) in lines(bytes)?.into_iter().enumerate() {
        let malformed = RecordError::Malformed { line: index + 1 };
        let [path, _, length] = <[String; 3]>::try_from(line).map_err(|_| malformed.clone())?;
        let length = match length.as_str() {
            "" => None,
            digits => Some(digits.parse::<u64>().map_err(|_| malformed)?),
        };
        let Some(Kind::File(actual)) = listing.kind(&path) else {
            return Err(RecordError::Absent { path });
        };
        match length {
            Some(listed) if listed != actual => {
                return Err(RecordError::Length {
                    path,
                    listed,
                    actual,
                });
            }
            _ => listed.insert(path, ()),
        };
    }
    let exempt = |path: &str| {
        let name = path
            .strip_prefix(directory)
            .and_then(|rest| rest.strip_prefix('/'));
        matches!(name, Some("RECORD" | "RECORD.jws" | "RECORD.p7s"))
    };
    match listing
        .files()
        .find(|(path, _)| !exempt(path) && !listed.contains_key(*path))
    {
        Some((path, _)) => Err(RecordError::Unlisted {
            path: path.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Splits CSV as Python's writer makes it: fields may be quoted, and a quote within is doubled.
/// Empty lines are passed over.
fn lines(bytes: &[u8]) -> Result<Vec<Vec<String>>, RecordError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        RecordError::Malformed {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        }
    })?;
    let mut lines = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if !line.is_empty() {
            lines.push(split(line).ok_or(RecordError::Malformed { line: index + 1 })?);
        }
    }
    Ok(lines)
}

/// The fields of a line; `None` if quotes are not balanced, or a line is longer than any RECORD's.
fn split(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            // Three fields are all that anybody may have.
            Some(next) if fields.len() < 3 => rest = next,
            Some(_) => return None,
            None => return after.is_empty().then_some(fields),
        }
    }
}

/// The field up to its closing quote, and what follows the quote.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, after)),
        }
    }
}

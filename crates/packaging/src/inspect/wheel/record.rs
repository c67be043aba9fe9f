//! The `RECORD` file: every file of the wheel with its digest and length, as CSV.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::RecordError;
use super::super::listing::{Kind, Listing};

/// Digests that may stand in `RECORD` (binary distribution format: sha256 or better, of those
/// that Python always has).
const ALGORITHMS: [(&str, &digest::Algorithm); 3] = [
    ("sha256", &digest::SHA256),
    ("sha384", &digest::SHA384),
    ("sha512", &digest::SHA512),
];

/// What `RECORD` says of each file.
pub(super) struct Record {
    files: BTreeMap<String, Listed>,
}

struct Listed {
    digest: Option<Stated>,
    length: Option<u64>,
}

/// A digest as it is stated.
struct Stated {
    algorithm: &'static digest::Algorithm,
    value: Vec<u8>,
}

impl Record {
    /// Reads a `RECORD` file. A path stands in it once.
    pub(super) fn parse(bytes: &[u8]) -> Result<Record, RecordError> {
        let mut files = BTreeMap::new();
        for (index, line) in lines(bytes)? {
            let malformed = RecordError::Malformed { line: index };
            let [path, digest, length] =
                <[String; 3]>::try_from(line).map_err(|_| malformed.clone())?;
            let length = match length.as_str() {
                "" => None,
                digits => Some(digits.parse::<u64>().map_err(|_| malformed)?),
            };
            let digest = match digest.as_str() {
                "" => None,
                stated => Some(Stated::parse(stated, &path)?),
            };
            if files.contains_key(&path) {
                return Err(RecordError::Twice { path });
            }
            files.insert(path, Listed { digest, length });
        }
        Ok(Record { files })
    }

    /// Checks that just the files of the wheel are listed, each with a digest, and with its
    /// length where one is given. The signatures of older tools (`RECORD.jws`, `RECORD.p7s`)
    /// need not be listed, and neither need `RECORD` itself, which cannot have a digest.
    pub(super) fn check_listing(
        &self,
        directory: &str,
        listing: &Listing,
    ) -> Result<(), RecordError> {
        let exempt = |path: &str| {
            let name = path
                .strip_prefix(directory)
                .and_then(|rest| rest.strip_prefix('/'));
            matches!(name, Some("RECORD" | "RECORD.jws" | "RECORD.p7s"))
        };
        for (path, listed) in &self.files {
            let Some(Kind::File(actual)) = listing.kind(path) else {
                return Err(RecordError::Absent { path: path.clone() });
            };
            if let Some(length) = listed.length
                && length != actual
            {
                return Err(RecordError::Length {
                    path: path.clone(),
                    listed: length,
                    actual,
                });
            }
            if listed.digest.is_none() && !exempt(path) {
                return Err(RecordError::NoDigest { path: path.clone() });
            }
        }
        let unlisted = listing
            .files()
            .find(|(path, _)| !exempt(path) && !self.files.contains_key(*path));
        match unlisted {
            Some((path, _)) => Err(RecordError::Unlisted {
                path: path.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// What computes the digest that is stated of a file.
    pub(super) fn hasher(&self, path: &str) -> Option<digest::Context> {
        let stated = self.files.get(path)?.digest.as_ref()?;
        Some(digest::Context::new(stated.algorithm))
    }

    /// Compares the digests that were computed with those that are stated.
    pub(super) fn check_digests(
        &self,
        computed: &BTreeMap<String, digest::Digest>,
    ) -> Result<(), RecordError> {
        for (path, listed) in &self.files {
            let Some(stated) = &listed.digest else {
                continue;
            };
            let same = computed
                .get(path)
                .is_some_and(|digest| digest.as_ref() == stated.value);
            if !same {
                return Err(RecordError::Digest { path: path.clone() });
            }
        }
        Ok(())
    }
}

impl Stated {
    /// `ALGORITHM=VALUE`, in URL-safe base64 without padding.
    fn parse(stated: &str, path: &str) -> Result<Stated, RecordError> {
        let refused = || RecordError::DigestForm {
            path: path.to_owned(),
            stated: stated.to_owned(),
        };
        let (name, value) = stated.split_once('=').ok_or_else(refused)?;
        let known = ALGORITHMS.iter().find(|(known, _)| *known == name);
        let (_, algorithm) = known.ok_or_else(refused)?;
        // Some tools leave the padding in; it changes nothing.
        let value = value.trim_end_matches('=');
        let value = URL_SAFE_NO_PAD.decode(value).map_err(|_| refused())?;
        if value.len() != algorithm.output_len() {
            return Err(refused());
        }
        Ok(Stated { algorithm, value })
    }
}

/// Splits CSV as Python's writer makes it: fields may be quoted, and a quote within is doubled.
/// Empty lines are passed over. Each line comes with its number, from 1.
pub(crate) fn lines(bytes: &[u8]) -> Result<Vec<(usize, Vec<String>)>, RecordError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        RecordError::Malformed {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        }
    })?;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.split('\n')) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if !line.is_empty() {
            let fields = split(line).ok_or(RecordError::Malformed { line: number })?;
            lines.push((number, fields));
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

//! The files of a signing log, and how they are read.
//!
//! A file is called after the number of its first entry. The one with the highest number is
//! written to; the others do not change any more and can be moved elsewhere.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Entry, Head};

/// How the names of the files end.
const SUFFIX: &str = ".log";

/// No line is longer than this, in bytes: one of 500 roles with the longest names has a fifth of it. What
/// is longer is no entry.
pub(super) const MAX_LINE_LEN: usize = 1024 * 1024;

/// A line of the log, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its bytes, without the line's end.
    pub bytes: Vec<u8>,
    /// Whether the line's end is there: one that is being written has none yet.
    pub has_end: bool,
    /// What it says, if it is an entry and has its end.
    pub entry: Option<Entry>,
}

impl Line {
    /// The head that this line is; none if it is no entry.
    pub fn head(&self) -> Option<Head> {
        let entry = self.entry.as_ref()?;
        Some(Head::of(entry.number, &self.bytes))
    }
}

/// The name of the file that begins with entry `first`.
pub(super) fn file_name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The files in `folder` with the numbers in their names, the oldest first. None if there is no
/// such folder.
///
/// # Errors
///
/// When the file system fails.
pub fn files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let first = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        if let Some(first) = first.and_then(|digits| digits.parse().ok())
            && file_name(first).as_str() == name
        {
            found.push((first, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The lines of one file, one after the other.
#[derive(Debug)]
pub struct Lines {
    file: BufReader<File>,
    at: u64,
}

impl Lines {
    /// The lines of the file at `path`.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn of(path: &Path) -> io::Result<Self> {
        Self::from(path, 0)
    }

    /// Those behind its first `at` bytes, where a line has to begin.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn from(path: &Path, at: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(at))?;
        let file = BufReader::with_capacity(64 * 1024, file);
        Ok(Self { file, at })
    }

    /// How far the file has been read, in bytes.
    pub fn at(&self) -> u64 {
        self.at
    }
}

impl Iterator for Lines {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = Vec::new();
        let mut limited = io::Read::take(&mut self.file, MAX_LINE_LEN as u64);
        match limited.read_until(b'\n', &mut bytes) {
            Ok(0) => None,
            Ok(read) => {
                self.at += read as u64;
                let has_end = bytes.pop_if(|end| *end == b'\n').is_some();
                let entry = has_end.then(|| Entry::parse(&bytes)).flatten();
                Some(Ok(Line {
                    bytes,
                    has_end,
                    entry,
                }))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

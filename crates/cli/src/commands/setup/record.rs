//! What setup changed, so that it can be undone: the record, and the files it is about.
//!
//! The record is written before any file is touched, so that a setup that was cut off is
//! undone like any other.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use wheelmark_client::installer::without_secrets;
use wheelmark_tuf::Sha256;

use super::marks;
use crate::logging::WithHint as _;

/// The form of record that this version writes and reads.
const FORMAT: u32 = 1;

/// Mode of a record, and of files that we make for ourselves.
const PRIVATE: u32 = 0o600;

/// Mode of files that we make for others to read.
const READABLE: u32 = 0o644;

/// Everything that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    format: u32,
    /// The trusted index.
    pub(super) index: String,
    /// The address of the proxy.
    pub(super) listen: String,
    /// The files that were edited or made.
    pub(super) files: Vec<FileRecord>,
    /// Directories that were made, the outermost first.
    pub(super) directories: Vec<PathBuf>,
    /// Directories of our own, to be removed with everything in them.
    pub(super) own: Vec<PathBuf>,
    /// Whether a service was installed.
    pub(super) service: bool,
    /// The user's own certificates, which a shell that names ours does not name any more.
    #[serde(default)]
    pub(super) roots: Option<PathBuf>,
    /// What stood in the way and was taken out, for people.
    pub(super) conflicts: Vec<Conflict>,
}

/// A file that was edited or made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRecord {
    pub(super) path: PathBuf,
    /// What was there before; nothing, if there was no file.
    original: Option<String>,
    /// The digest of what was written.
    written: String,
}

/// Lines of the user's that ours take the place of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Conflict {
    pub(super) file: PathBuf,
    pub(super) lines: Vec<String>,
}

impl Conflict {
    /// The lines without the passwords of URLs in them.
    pub(super) fn new(file: PathBuf, lines: &[String]) -> Self {
        let lines = lines.iter().map(|line| without_secrets(line)).collect();
        Self { file, lines }
    }
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fate {
    Made,
    Edited,
    Unchanged,
    Restored,
    /// The user edited it meanwhile: only our own lines were taken out.
    Cleaned,
    Removed,
}

/// A file that is to be written.
pub(super) struct Wanted {
    pub(super) path: PathBuf,
    /// What is there now.
    pub(super) current: Option<String>,
    /// What was there before any setup.
    pub(super) original: Option<String>,
    pub(super) text: String,
}

impl Wanted {
    pub(super) fn fate(&self) -> Fate {
        match &self.current {
            None => Fate::Made,
            Some(current) if *current == self.text => Fate::Unchanged,
            Some(_) => Fate::Edited,
        }
    }

    fn record(&self) -> FileRecord {
        FileRecord {
            path: self.path.clone(),
            original: self.original.clone(),
            written: digest(&self.text),
        }
    }
}

fn digest(text: &str) -> String {
    Sha256::of(text.as_bytes()).to_string()
}

impl Record {
    pub(super) fn new(index: String, listen: String, wanted: &[Wanted]) -> Self {
        let files: Vec<_> = wanted.iter().map(Wanted::record).collect();
        let directories = missing_above(files.iter().map(|file| file.path.as_path()));
        Self {
            format: FORMAT,
            index,
            listen,
            files,
            directories,
            own: Vec::new(),
            service: false,
            roots: None,
            conflicts: Vec::new(),
        }
    }

    /// Reads the record; none if nothing was set up.
    pub(super) fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let Some(text) = read(path)? else {
            return Ok(None);
        };
        let record: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged", path.display()))?;
        if record.format != FORMAT {
            return Err(anyhow!(
                "{} was written by another version of wheelmark (form {}, this one knows {FORMAT})",
                path.display(),
                record.format
            ))
            .hint("undo the setup with that version");
        }
        Ok(Some(record))
    }

    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        write(path, &text, PRIVATE)
    }

    /// What a file held before any setup, given what it holds now.
    pub(super) fn original(
        &self,
        path: &Path,
        current: Option<&str>,
    ) -> anyhow::Result<Option<String>> {
        let file = self.files.iter().find(|file| file.path == path);
        Ok(match (file, current) {
            (Some(file), Some(current)) if digest(current) == file.written => file.original.clone(),
            // Whoever removed it meanwhile has no file to get back.
            (Some(_), None) => None,
            (Some(file), Some(current)) => {
                let stripped = stripped(path, current)?;
                (file.original.is_some() || !stripped.trim().is_empty()).then_some(stripped)
            }
            (None, Some(current)) => Some(stripped(path, current)?),
            (None, None) => None,
        })
    }

    /// Whether shells were told of certificates.
    pub(super) fn names_certificates(&self) -> bool {
        self.index.starts_with("https:")
    }

    /// Takes over what an earlier record knows and this one does not.
    pub(super) fn inherit(&mut self, earlier: &Self) {
        for directory in &earlier.directories {
            if !self.directories.contains(directory) {
                self.directories.push(directory.clone());
            }
        }
        self.directories.sort();
        for own in &earlier.own {
            if !self.own.contains(own) {
                self.own.push(own.clone());
            }
        }
    }
}

impl FileRecord {
    /// What undoing does to the file, and what it then holds.
    pub(super) fn undone(&self) -> anyhow::Result<(Fate, Option<String>)> {
        let Some(current) = read(&self.path)? else {
            return Ok((Fate::Unchanged, None));
        };
        if digest(&current) == self.written {
            return Ok(match &self.original {
                Some(original) => (Fate::Restored, Some(original.clone())),
                None => (Fate::Removed, None),
            });
        }
        let stripped = stripped(&self.path, &current)?;
        Ok(if stripped == current {
            (Fate::Unchanged, Some(current))
        } else if self.original.is_none() && stripped.trim().is_empty() {
            (Fate::Removed, None)
        } else {
            (Fate::Cleaned, Some(stripped))
        })
    }

    pub(super) fn undo(&self) -> anyhow::Result<Fate> {
        let (fate, text) = self.undone()?;
        match (fate, text) {
            (Fate::Restored | Fate::Cleaned, Some(text)) => write(&self.path, &text, READABLE)?,
            (Fate::Removed, _) => remove(&self.path)?,
            _ => {}
        }
        Ok(fate)
    }
}

/// A file's text without what is ours in it.
fn stripped(path: &Path, text: &str) -> anyhow::Result<String> {
    marks::strip(text)
        .with_context(|| format!("it cannot be told what in {} is ours", path.display()))
        .hint("take out our lines and that mark yourself, and run this again; nothing was changed")
}

/// The directories that have to be made for these files, the outermost first.
fn missing_above<'a>(files: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> = files
        .flat_map(|file| file.ancestors().skip(1))
        .filter(|directory| !directory.exists())
        .map(Path::to_owned)
        .collect();
    missing.sort();
    missing.dedup();
    missing
}

/// A file's text; none if there is no file.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} could not be read", path.display())),
    }
}

/// Writes a user's file, new ones readable by others.
pub(super) fn write_readable(path: &Path, text: &str) -> anyhow::Result<()> {
    write(path, text, READABLE)
}

/// Writes a file whole or not at all. One that is there keeps its mode, and stays where a
/// symbolic link leads to.
fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let written = (|| -> std::io::Result<()> {
        let directory = target.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        let mode = match fs::metadata(&target) {
            Ok(there) => there.permissions().mode() & 0o7777,
            Err(_) => mode,
        };
        let mut file = tempfile::Builder::new()
            .prefix(".wheelmark-")
            .tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist(&target).map_err(|error| error.error)?;
        Ok(())
    })();
    written.with_context(|| format!("{} could not be written", path.display()))
}

/// The directories that a setup may take for its own, and remove with everything in them:
/// those that are not there yet, or that an earlier setup made.
pub(super) fn claim(own: Vec<PathBuf>, earlier: Option<&Record>) -> anyhow::Result<Vec<PathBuf>> {
    let ours = |path: &PathBuf| earlier.is_some_and(|earlier| earlier.own.contains(path));
    // A link that leads nowhere is somebody's as well.
    let there = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
    match own.iter().find(|path| !ours(path) && there(path)) {
        Some(path) => Err(anyhow!(
            "{} is there already, and no setup made it",
            path.display()
        ))
        .hint("--undo would remove it with all that is in it: look at what it holds, and move it away"),
        None => Ok(own),
    }
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} could not be removed", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes directories that we made and that hold nothing of others.
pub(super) fn remove_empty(directories: &[PathBuf]) {
    for directory in directories.iter().rev() {
        // What is not empty is somebody's.
        drop(fs::remove_dir(directory));
    }
}

/// Removes a directory of our own with everything in it.
pub(super) fn remove_own(directory: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} could not be removed", directory.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_directory_of_somebody_is_not_claimed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let own = || vec![path.clone()];
        assert_eq!(claim(own(), None).unwrap(), own());
        let mut earlier = Record::new(String::new(), String::new(), &[]);
        fs::create_dir(&path).unwrap();
        claim(own(), None).unwrap_err();
        claim(own(), Some(&earlier)).unwrap_err();
        earlier.own = own();
        assert_eq!(claim(own(), Some(&earlier)).unwrap(), own());
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        claim(own(), None).unwrap_err();
    }
}

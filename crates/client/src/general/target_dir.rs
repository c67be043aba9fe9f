//! Verified targets in a directory, each under its own path.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use tempfile::NamedTempFile;
use wheelmark_tuf::{Target, TargetPath};

/// Why a target directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetDirError {
    /// A file or the directory could not be read or written.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The path means something else as a file name on this system.
    #[error("{path} cannot be a file name on this system")]
    Name {
        /// The target's path.
        path: TargetPath,
    },
}

/// A directory for targets.
#[derive(Debug)]
pub(super) struct TargetDir {
    directory: PathBuf,
}

/// A target on its way, gone when dropped.
#[derive(Debug)]
pub(super) struct Draft {
    file: NamedTempFile,
}

impl TargetDir {
    pub(super) fn open(directory: &Path) -> Result<Self, TargetDirError> {
        fs::create_dir_all(directory).map_err(|e| failed("create", directory, e))?;
        Ok(TargetDir {
            directory: directory.to_owned(),
        })
    }

    /// Where a target is kept: below the directory, whatever the system.
    pub(super) fn path_of(&self, path: &TargetPath) -> Result<PathBuf, TargetDirError> {
        let mut file = self.directory.clone();
        for segment in path.segments() {
            let mut components = Path::new(segment).components();
            match (components.next(), components.next()) {
                (Some(Component::Normal(plain)), None) if plain == segment => file.push(plain),
                _ => return Err(TargetDirError::Name { path: path.clone() }),
            }
        }
        Ok(file)
    }

    /// Whether the target is there, with the right content.
    pub(super) fn holds(&self, target: &Target) -> Result<bool, TargetDirError> {
        let path = self.path_of(&target.path)?;
        let Ok(mut hasher) = target.hasher() else {
            return Ok(false);
        };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Ok(false),
            Err(e) => return Err(failed("read", &path, e)),
        };
        let mut piece = vec![0; 64 * 1024];
        loop {
            match file
                .read(&mut piece)
                .map_err(|e| failed("read", &path, e))?
            {
                0 => return Ok(hasher.finish().is_ok()),
                len if hasher.update(&piece[..len]).is_err() => return Ok(false),
                _ => {}
            }
        }
    }

    pub(super) fn draft(&self) -> Result<Draft, TargetDirError> {
        let file = tempfile::Builder::new()
            .prefix(".tmp-")
            .tempfile_in(&self.directory)
            .map_err(|e| failed("write in", &self.directory, e))?;
        Ok(Draft { file })
    }
}

impl Draft {
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), TargetDirError> {
        self.file
            .write_all(piece)
            .map_err(|e| failed("write", self.file.path(), e))
    }

    pub(super) fn keep_as(self, path: &Path) -> Result<(), TargetDirError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|e| failed("create", parent, e))?;
        }
        self.file
            .persist(path)
            .map(drop)
            .map_err(|e| failed("write", path, e.error))
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> TargetDirError {
    TargetDirError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn targets_keep_their_paths() {
        let place = tempfile::tempdir().unwrap();
        let directory = TargetDir::open(place.path()).unwrap();
        let file = directory.path_of(&"dir/file.txt".parse().unwrap()).unwrap();
        assert_eq!(file, place.path().join("dir").join("file.txt"));
        let mut draft = directory.draft().unwrap();
        draft.write(b"con").unwrap();
        draft.write(b"tent").unwrap();
        draft.keep_as(&file).unwrap();
        assert_eq!(fs::read(file).unwrap(), b"content");
        drop(directory.draft().unwrap());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "only `dir`");
    }
}

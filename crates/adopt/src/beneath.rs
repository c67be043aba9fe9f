//! Opening the files of a directory that somebody else fills.
//!
//! Links are followed as long as they stay inside; a name that leads out is refused, whether by
//! `..`, by an absolute path, or by a link.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

/// A directory, and nothing outside of it.
#[derive(Debug)]
pub(crate) struct Beneath {
    /// Without links.
    root: PathBuf,
    fd: OwnedFd,
}

/// Why a file was not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeneathError {
    /// The name, or a link on its way, leads out of the directory.
    #[error("it leads out of {}", root.display())]
    LeadsOut { root: PathBuf },
    /// It is a directory, a pipe or the like.
    #[error("it is not a plain file")]
    NotPlain,
    /// The file system refused.
    #[error("it cannot be opened")]
    Io(#[from] io::Error),
}

impl BeneathError {
    /// Whether there is no such file.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl Beneath {
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&root, flags, Mode::empty())?;
        Ok(Self { root, fd })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Opens a plain file for reading. `relative` is relative to the root.
    pub(crate) fn file(&self, relative: &Path) -> Result<File, BeneathError> {
        let leads_out = || BeneathError::LeadsOut {
            root: self.root.clone(),
        };
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if !relative.components().all(inside) {
            return Err(leads_out());
        }
        let file = match self.open_beneath(relative) {
            Ok(file) => file,
            // A link with an absolute path, which may lead inside all the same; or a system that
            // cannot ask the question. The answer is looked at again when it is opened.
            Err(rustix::io::Errno::XDEV | rustix::io::Errno::NOSYS) => {
                let real = self.root.join(relative).canonicalize()?;
                let inside = real.strip_prefix(&self.root).map_err(|_| leads_out())?;
                match self.open_beneath(inside) {
                    Ok(file) => file,
                    Err(rustix::io::Errno::XDEV) => return Err(leads_out()),
                    Err(rustix::io::Errno::NOSYS) => self.open_plainly(inside)?,
                    Err(errno) => return Err(io::Error::from(errno).into()),
                }
            }
            Err(errno) => return Err(io::Error::from(errno).into()),
        };
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(BeneathError::NotPlain)
        }
    }

    #[cfg(target_os = "linux")]
    fn open_beneath(&self, relative: &Path) -> Result<File, rustix::io::Errno> {
        use rustix::fs::ResolveFlags;
        // NONBLOCK: a named pipe must not hold us up.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.fd, relative, flags, Mode::empty(), resolve).map(File::from)
    }

    #[cfg(not(target_os = "linux"))]
    fn open_beneath(&self, _relative: &Path) -> Result<File, rustix::io::Errno> {
        Err(rustix::io::Errno::NOSYS)
    }

    /// Where the system has no better way: the path had no links a moment ago.
    fn open_plainly(&self, relative: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.fd, relative, flags, Mode::empty()).map(File::from)?)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_inside() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("tree");
        fs::create_dir_all(root.join("pool/deep")).unwrap();
        fs::write(home.path().join("outside.whl"), "out").unwrap();
        fs::write(root.join("pool/deep/a.whl"), "in").unwrap();
        symlink("pool/deep/a.whl", root.join("relative.whl")).unwrap();
        symlink(root.join("pool/deep/a.whl"), root.join("absolute.whl")).unwrap();
        symlink("../outside.whl", root.join("up.whl")).unwrap();
        symlink(home.path().join("outside.whl"), root.join("out.whl")).unwrap();
        symlink(home.path(), root.join("folder")).unwrap();
        symlink("loop.whl", root.join("loop.whl")).unwrap();
        let beneath = Beneath::open(&root).unwrap();
        let check = |name: &str, expect: &str| {
            let said = match beneath.file(Path::new(name)) {
                Ok(file) => io::read_to_string(file).unwrap(),
                Err(BeneathError::LeadsOut { .. }) => "leads out".to_owned(),
                Err(BeneathError::NotPlain) => "not plain".to_owned(),
                Err(error) if error.is_missing() => "missing".to_owned(),
                Err(BeneathError::Io(_)) => "fails".to_owned(),
            };
            assert_eq!(said, expect, "{name}");
        };
        check("pool/deep/a.whl", "in");
        check("relative.whl", "in");
        check("absolute.whl", "in");
        check("up.whl", "leads out");
        check("out.whl", "leads out");
        check("folder/outside.whl", "leads out");
        check("../outside.whl", "leads out");
        check("pool/../../outside.whl", "leads out");
        check("/etc/hostname", "leads out");
        check("pool", "not plain");
        check("none.whl", "missing");
        check("loop.whl", "fails");
    }
}

//! Files that are brought into a backup: whole or not at all, and durable at the end.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Where files are until they are whole; in the backup, so that it is on its file system.
pub(super) const PARTS: &str = ".parts";

/// How files are brought over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As bytes of their own.
    Copy,
    /// As second names, where that can be.
    Link,
}

/// What was new.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Copied {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Brings files into one directory.
pub(super) struct Copier {
    to: PathBuf,
    manner: Manner,
    copied: Copied,
    mended: BTreeSet<String>,
}

impl Copier {
    pub(super) fn new(to: &Path, manner: Manner) -> anyhow::Result<Copier> {
        let parts = to.join(PARTS);
        // What a run left that was cut off.
        if parts.exists() {
            fs::remove_dir_all(&parts)?;
        }
        fs::create_dir(&parts).with_context(|| format!("{} cannot be made", parts.display()))?;
        Ok(Copier {
            to: to.to_owned(),
            manner,
            copied: Copied::default(),
            mended: BTreeSet::new(),
        })
    }

    pub(super) fn target(&self) -> &Path {
        &self.to
    }

    /// Copies an object, which never changes once it has its name: if it is there in its length,
    /// it is there.
    pub(super) fn object(&mut self, from: &Path, name: &str) -> anyhow::Result<()> {
        let cannot = || format!("{} cannot be copied", from.display());
        let len = fs::metadata(from).with_context(cannot)?.len();
        let to = self.to.join(name);
        match fs::metadata(&to) {
            Ok(there) if there.len() == len => return Ok(()),
            Ok(_) => drop(self.mended.insert(name.to_owned())),
            Err(_) => {}
        }
        if self.manner == Manner::Link && !to.exists() {
            make_folder_of(&to)?;
            if fs::hard_link(from, &to).is_ok() {
                self.count(len);
                return Ok(());
            }
        }
        self.replace(from, name)
    }

    /// Whether an object below `folder` was there in another length, and was copied anew.
    pub(super) fn has_mended(&self, folder: &str) -> bool {
        self.mended.iter().any(|name| name.starts_with(folder))
    }

    /// Copies a file, and replaces the one of before.
    pub(super) fn replace(&mut self, from: &Path, name: &str) -> anyhow::Result<()> {
        let cannot = || format!("{} cannot be copied", from.display());
        let part = self.to.join(PARTS).join("part");
        let len = fs::copy(from, &part).with_context(cannot)?;
        let to = self.to.join(name);
        make_folder_of(&to)?;
        fs::rename(&part, &to).with_context(cannot)?;
        self.count(len);
        Ok(())
    }

    /// Gives a file of the backup a second name in it.
    pub(super) fn second_name(&mut self, of: &str, name: &str) -> anyhow::Result<()> {
        let (of, to) = (self.to.join(of), self.to.join(name));
        if let Ok(there) = fs::metadata(&to) {
            if there.ino() == fs::metadata(&of)?.ino() {
                return Ok(());
            }
            fs::remove_file(&to)?;
        }
        make_folder_of(&to)?;
        fs::hard_link(&of, &to)
            .or_else(|_| fs::copy(&of, &to).map(drop))
            .with_context(|| format!("{} cannot be made", to.display()))
    }

    /// Writes a file of the backup's own.
    pub(super) fn write(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let part = self.to.join(PARTS).join("part");
        let to = self.to.join(name);
        make_folder_of(&to)?;
        let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, &to));
        written.with_context(|| format!("{} cannot be written", to.display()))
    }

    /// Makes durable what was brought so far.
    pub(super) fn flush(&self) -> anyhow::Result<()> {
        let folder = fs::File::open(&self.to)?;
        rustix::fs::syncfs(&folder)
            .with_context(|| format!("{} cannot be made durable", self.to.display()))
    }

    pub(super) fn finish(self) -> anyhow::Result<Copied> {
        self.flush()?;
        Ok(self.copied)
    }

    fn count(&mut self, len: u64) {
        self.copied.files += 1;
        self.copied.bytes += len;
    }
}

fn make_folder_of(path: &Path) -> anyhow::Result<()> {
    match path.parent() {
        Some(folder) => fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display())),
        None => Ok(()),
    }
}

/// Replaces a small file, whole and durable.
pub(super) fn replace_with(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        fs::File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

//! A backup in a directory: files are brought in whole or not at all, and are durable at the end.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use wheelmark_objects::{ObjectPath, OpenObject};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use super::destination::{Copied, Destination};
use super::progress::Shown;
use super::{MANIFEST, Manifest, TREE};
use crate::logging::WithHint as _;

/// Where files are until they are whole; in the backup, so that it is on its file system.
const PARTS: &str = ".parts";

/// How files are brought over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As bytes of their own.
    Copy,
    /// As second names, where that can be.
    Link,
}

/// Brings files into one directory.
pub(super) struct Copier {
    to: PathBuf,
    parts: PathBuf,
    manner: Manner,
    shown: Shown,
    mended: BTreeSet<String>,
}

impl Copier {
    /// Begins a backup, or goes on with an earlier one, in a directory for its owner alone: the
    /// catalogue has the names of users and the digests of tokens.
    pub(super) fn begin(to: &Path, manner: Manner) -> anyhow::Result<Copier> {
        let cannot = || format!("{} cannot be made", to.display());
        let made = fs::DirBuilder::new().mode(0o700).recursive(true).create(to);
        made.with_context(cannot)?;
        // One that was there before may be open to others.
        fs::set_permissions(to, fs::Permissions::from_mode(0o700)).with_context(cannot)?;
        let parts = to.join(PARTS);
        let is_empty = fs::read_dir(to).with_context(cannot)?.next().is_none();
        if !is_empty && !to.join(MANIFEST).exists() && !parts.exists() {
            return Err(anyhow!("{} is not empty, and no backup", to.display()))
                .hint("name a directory that is a backup, or that is not there yet");
        }
        // What a run left that was cut off.
        if parts.exists() {
            fs::remove_dir_all(&parts)?;
        }
        fs::create_dir(&parts).with_context(|| format!("{} cannot be made", parts.display()))?;
        Ok(Copier {
            to: to.to_owned(),
            parts,
            manner,
            shown: Shown::start("backup"),
            mended: BTreeSet::new(),
        })
    }

    /// Whether an object below `folder` was there in another length, and was copied anew.
    fn has_mended(&self, folder: &str) -> bool {
        self.mended.iter().any(|name| name.starts_with(folder))
    }

    fn count(&mut self, len: u64) {
        self.shown.bytes(len);
        self.shown.file();
    }
}

impl Destination for Copier {
    fn scratch(&self) -> &Path {
        &self.parts
    }

    fn take(&mut self, from: &Path, name: &str) -> anyhow::Result<()> {
        let to = self.to.join(name);
        if let Some(folder) = to.parent() {
            let made = fs::DirBuilder::new()
                .mode(0o700)
                .recursive(true)
                .create(folder);
            made.with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        fs::rename(from, &to).with_context(|| format!("{} cannot be written", to.display()))
    }

    /// If it is there in its length, it is there.
    fn object(&mut self, mut open: OpenObject, from: &Path, name: &str) -> anyhow::Result<()> {
        let cannot = || format!("{} cannot be copied", from.display());
        let len = open.len;
        let to = self.to.join(name);
        match fs::metadata(&to) {
            Ok(there) if there.len() == len => return Ok(()),
            Ok(_) => drop(self.mended.insert(name.to_owned())),
            Err(_) => {}
        }
        if self.manner == Manner::Link && !to.exists() {
            make_folder_of(&to)?;
            if fs::hard_link(from, &to).is_ok() {
                // Whether it is the file that was opened, and not what was put into its place.
                let (linked, opened) = (fs::symlink_metadata(&to)?, open.file.metadata()?);
                if (linked.dev(), linked.ino()) == (opened.dev(), opened.ino()) {
                    self.count(len);
                    return Ok(());
                }
                fs::remove_file(&to)?;
            }
        }
        let part = self.parts.join("part");
        let mode = open.file.metadata().with_context(cannot)?.permissions();
        let mut file = fs::File::create(&part).with_context(cannot)?;
        io::copy(&mut open.file, &mut file).with_context(cannot)?;
        file.set_permissions(mode).with_context(cannot)?;
        make_folder_of(&to)?;
        fs::rename(&part, &to).with_context(cannot)?;
        self.count(len);
        Ok(())
    }

    fn replace(&mut self, from: &Path, name: &str) -> anyhow::Result<()> {
        let cannot = || format!("{} cannot be copied", from.display());
        let part = self.parts.join("part");
        let len = fs::copy(from, &part).with_context(cannot)?;
        let to = self.to.join(name);
        make_folder_of(&to)?;
        fs::rename(&part, &to).with_context(cannot)?;
        self.count(len);
        Ok(())
    }

    fn second_name(&mut self, of: &str, name: &str) -> anyhow::Result<()> {
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

    fn write(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let part = self.parts.join("part");
        let to = self.to.join(name);
        make_folder_of(&to)?;
        let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, &to));
        written.with_context(|| format!("{} cannot be written", to.display()))
    }

    fn write_private(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        replace_with(&self.to.join(name), bytes)
    }

    fn has(&self, name: &str) -> bool {
        self.to.join(name).exists()
    }

    fn has_names(&self, project: &ProjectName, page: &Sha256) -> bool {
        let copy = ObjectPath::simple_json(project);
        let copy = fs::read(self.to.join(TREE).join(copy.as_str()));
        // The copy of the page is written last: it says that the names are there.
        copy.is_ok_and(|copy| Sha256::of(&copy) == *page)
            && !self.has_mended(&format!("{TREE}/targets/packages/{project}/"))
    }

    fn keep_only(&mut self, folder: &str, names: &BTreeSet<String>) -> anyhow::Result<()> {
        let Ok(entries) = fs::read_dir(self.to.join(folder)) else {
            return Ok(());
        };
        for entry in entries {
            let entry = entry?;
            let known = entry
                .file_name()
                .to_str()
                .is_some_and(|name| names.contains(name));
            match (known, entry.file_type()?.is_dir()) {
                (true, _) => {}
                (false, true) => fs::remove_dir_all(entry.path())?,
                (false, false) => fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let folder = fs::File::open(&self.to)?;
        rustix::fs::syncfs(&folder)
            .with_context(|| format!("{} cannot be made durable", self.to.display()))
    }

    fn finish(mut self: Box<Self>, manifest: &mut Manifest) -> anyhow::Result<Copied> {
        self.flush()?;
        replace_with(
            &self.to.join(MANIFEST),
            &serde_json::to_vec_pretty(&manifest)?,
        )?;
        Ok(self.shown.counted())
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
fn replace_with(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
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

//! What was read out of a backup, before it gets its place.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use tempfile::TempDir;
use wheelmark_objects::ObjectPath;
use wheelmark_tuf::{Sha256, Sha256Hasher};

use super::super::backup::TREE;

/// The settings of a data directory; they say where its tree lies.
pub(super) const SETTINGS: &str = "settings.json";

/// How the names of directories begin in which a restore works.
const STAGING: &str = ".wheelmark-restore-";

/// A data directory and a tree that are being put together, each where it can be renamed to its
/// place. They are removed when this is dropped.
pub(super) struct Staged {
    data: TempDir,
    /// Where the tree of the index lies, if that is outside of its data directory.
    tree: Option<PathBuf>,
    /// The tree, if it lies outside.
    outside: Option<TempDir>,
    /// Whether it is known where the tree lies.
    is_settled: bool,
    /// The online key of the backup, as it was encrypted.
    pub(super) sealed_key: Option<Vec<u8>>,
}

impl Staged {
    pub(super) fn beside(target: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            data: in_parent_of(target)?,
            tree: None,
            outside: None,
            is_settled: false,
            sealed_key: None,
        })
    }

    /// Learns from `settings.json` where the tree lies; `named` is where a person wants it. To be
    /// called before anything of the tree comes.
    pub(super) fn settle(&mut self, settings: &[u8], named: Option<&Path>) -> anyhow::Result<()> {
        let mut settings: serde_json::Value =
            serde_json::from_slice(settings).context("settings.json is damaged")?;
        self.is_settled = true;
        let tree = match (settings["tree"].as_str(), named) {
            (None, _) => return Ok(()),
            (Some(before), None) => PathBuf::from(before),
            (Some(_), Some(named)) => std::path::absolute(named)?,
        };
        settings["tree"] = tree.to_string_lossy().into();
        let text = serde_json::to_vec_pretty(&settings)?;
        fs::remove_file(self.data().join(SETTINGS)).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        crate::data::write_private(&self.data().join(SETTINGS), &text)?;
        self.outside = Some(in_parent_of(&tree)?);
        self.tree = Some(tree);
        Ok(())
    }

    /// Where the tree is to be, if that is outside of the data directory.
    pub(super) fn tree(&self) -> Option<&Path> {
        self.tree.as_deref()
    }

    pub(super) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Where a file of the backup goes. Names have `/`, and nothing in them leads elsewhere.
    pub(super) fn place(&self, name: &str) -> anyhow::Result<PathBuf> {
        let plain =
            |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\0', '\\']);
        if !name.split('/').all(plain) {
            return Err(anyhow!("`{}` is no name in a backup", name.escape_debug()));
        }
        let in_tree = name.split('/').next() == Some(TREE);
        if in_tree && !self.is_settled {
            return Err(anyhow!("{SETTINGS} does not come before the tree"));
        }
        Ok(match &self.outside {
            Some(outside) if in_tree => outside.path().join(name),
            _ => self.data.path().join(name),
        })
    }

    /// Makes the folder of a file: for everybody in the tree, and otherwise for its owner alone.
    pub(super) fn make_folder_of(&self, name: &str) -> anyhow::Result<()> {
        let Some((folder, _)) = name.rsplit_once('/') else {
            return Ok(());
        };
        let path = self.place(folder)?;
        if path.is_dir() {
            return Ok(());
        }
        self.make_folder_of(folder)?;
        let mode = match folder.split('/').next() == Some(TREE) {
            true => 0o755,
            false => 0o700,
        };
        fs::DirBuilder::new()
            .mode(mode)
            .create(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .with_context(|| format!("{} cannot be made", path.display()))
    }

    /// Makes all of it durable.
    pub(super) fn flush(&self) -> anyhow::Result<()> {
        let folders = [Some(&self.data), self.outside.as_ref()];
        for folder in folders.into_iter().flatten() {
            let folder = fs::File::open(folder.path())?;
            rustix::fs::syncfs(&folder).context("what was restored cannot be made durable")?;
        }
        Ok(())
    }

    /// Renames the tree, where it lies outside, and the data directory to their places.
    pub(super) fn rename(self, target: &Path) -> anyhow::Result<()> {
        let cannot = |path: &Path| format!("{} cannot be made", path.display());
        let made = self.outside.as_ref().unwrap_or(&self.data);
        if !made.path().join(TREE).is_dir() || !self.data().join(SETTINGS).is_file() {
            return Err(anyhow!("the backup has no tree, or no {SETTINGS}"));
        }
        if let (Some(made), Some(tree)) = (&self.outside, &self.tree) {
            fs::rename(made.path().join(TREE), tree).with_context(|| cannot(tree))?;
            crate::data::sync_directory(tree.parent().unwrap_or(Path::new("/")))?;
        }
        let made = self.data.keep();
        fs::rename(&made, target).with_context(|| cannot(target))?;
        crate::data::sync_directory(target.parent().unwrap_or(Path::new("/")))
    }
}

/// A directory for its owner alone, on the file system of what it is to become.
fn in_parent_of(path: &Path) -> anyhow::Result<TempDir> {
    let parent = path
        .parent()
        .ok_or_else(|| anyhow!("{} cannot hold an index", path.display()))?;
    fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
    tempfile::Builder::new()
        .prefix(STAGING)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .with_context(|| format!("nothing can be written to {}", parent.display()))
}

/// Compares what was read for an object with the digest that it is named after, if it is named
/// after one.
pub(super) fn check_object(name: &str, content: Sha256Hasher) -> anyhow::Result<()> {
    let path = name
        .strip_prefix(TREE)
        .and_then(|path| path.strip_prefix('/'));
    let path = path.and_then(|path| ObjectPath::from_request(path).ok());
    let Some(named) = path.and_then(|path| path.sha256()) else {
        return Ok(());
    };
    let is: Sha256 = content.finish();
    if is == named {
        return Ok(());
    }
    Err(anyhow!("`{name}` is damaged: its SHA-256 is {is}"))
}

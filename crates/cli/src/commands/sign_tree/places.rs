//! Where the tree and its data are, and that neither lies where it must not.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::data::Data;
use crate::logging::WithHint as _;

/// The directories of a signed tree.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) out: PathBuf,
    pub(super) data: PathBuf,
}

impl Places {
    /// Resolves both, and refuses keys below what a web server serves.
    pub(super) fn check(out: &Path, data: Option<&Path>) -> anyhow::Result<Self> {
        let out = resolve(out)?;
        let data = match data {
            Some(data) => resolve(data)?,
            None => {
                let mut name = out
                    .file_name()
                    .ok_or_else(|| anyhow!("{} cannot be a signed tree", out.display()))
                    .hint("name a directory of its own with --out")?
                    .to_owned();
                name.push("-data");
                out.with_file_name(name)
            }
        };
        if data.starts_with(&out) {
            return Err(anyhow!(
                "the keys in {} would lie below {}, which is for everybody to read",
                data.display(),
                out.display()
            ))
            .hint("name a directory elsewhere with --data");
        }
        if out.starts_with(&data) {
            return Err(anyhow!(
                "the tree in {} would lie below {}, which is for nobody else to read",
                out.display(),
                data.display()
            ))
            .hint("name a directory elsewhere with --out or --data");
        }
        Ok(Self { out, data })
    }

    /// What a scan passes over.
    pub(super) fn ours(&self) -> Vec<PathBuf> {
        vec![self.out.clone(), self.data.clone()]
    }

    /// Refuses to sign a tree into itself.
    pub(super) fn demand_apart(&self, source: Option<&Path>) -> anyhow::Result<()> {
        match source {
            Some(source) if source.starts_with(&self.out) || source.starts_with(&self.data) => {
                Err(anyhow!("{} is part of what is written", source.display()))
                    .hint("the signed tree has a directory of its own: name another one with --out")
            }
            _ => Ok(()),
        }
    }

    /// Refuses a data directory that belongs to another tree.
    pub(super) fn demand_belongs(&self, data: &Data) -> anyhow::Result<()> {
        match &data.settings().tree {
            Some(tree) if *tree == self.out => Ok(()),
            Some(tree) => Err(anyhow!(
                "{} belongs to the tree in {}",
                self.data.display(),
                tree.display()
            ))
            .hint("name the data directory of this tree with --data, or none for a new tree; a tree that was moved is named in settings.json there"),
            None => Err(anyhow!(
                "{} belongs to an index that takes uploads",
                self.data.display()
            ))
            .hint("name another directory with --data"),
        }
    }
}

/// The path without links, as far as it exists.
fn resolve(path: &Path) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut missing = Vec::new();
    let mut at = path.as_path();
    loop {
        if let Ok(real) = at.canonicalize() {
            return Ok(missing
                .iter()
                .rev()
                .fold(real, |path, name| path.join(name)));
        }
        match (at.parent(), at.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name);
                at = parent;
            }
            _ => return Err(anyhow!("{} cannot be used", path.display())),
        }
    }
}

//! The tree of the last good state: its metadata, pages and lists whole, and of its files those that the index
//! lacks.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use wheelmark_mirror::{DirectoryPlace, Expected, Place as _, Standing};
use wheelmark_objects::{Kind, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_PAGE_LEN, MAX_TAKEN_AWAY_LEN, ProjectPage, TakenAway};
use wheelmark_recovery::Signed;
use wheelmark_repository::objects_of_entry;
use wheelmark_tuf::{RoleName, Sha256};

use super::source::Source;
use crate::logging::WithHint as _;

/// What is told of files that are nowhere names so many of them.
const NAMED: usize = 10;

/// The tree while it is put together.
pub(super) struct GoodTree<'a> {
    to: PathBuf,
    part: PathBuf,
    source: &'a Source,
    index: &'a DirectoryPlace,
    /// Objects that the index lacks, or has with other bytes.
    pub(super) brought: u64,
    lost: Vec<String>,
}

impl<'a> GoodTree<'a> {
    /// Begins anew: what an earlier run left is taken away.
    pub(super) fn begin(
        to: &Path,
        source: &'a Source,
        index: &'a DirectoryPlace,
    ) -> anyhow::Result<Self> {
        let cannot = || format!("{} cannot be made", to.display());
        if to.exists() {
            fs::remove_dir_all(to).with_context(cannot)?;
        }
        let mut folder = fs::DirBuilder::new();
        folder.mode(0o700).recursive(true);
        folder.create(to.join("metadata")).with_context(cannot)?;
        Ok(Self {
            to: to.to_owned(),
            part: to.join(".part"),
            source,
            index,
            brought: 0,
            lost: Vec::new(),
        })
    }

    pub(super) fn metadata(
        &self,
        role: &RoleName,
        version: u64,
        bytes: &[u8],
    ) -> anyhow::Result<()> {
        self.write(&ObjectPath::metadata(role, version), bytes)
    }

    fn write(&self, path: &ObjectPath, bytes: &[u8]) -> anyhow::Result<()> {
        let to = self.place_of(path)?;
        fs::write(&to, bytes).with_context(|| format!("{} cannot be written", to.display()))
    }

    fn place_of(&self, path: &ObjectPath) -> anyhow::Result<PathBuf> {
        let to = self.to.join(path.as_str());
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        Ok(to)
    }

    /// Takes over a project's page, and the objects that it names and the index lacks. What is signed alike now is
    /// looked for by name and length, and what changed is read.
    pub(super) fn page(
        &mut self,
        project: &ProjectName,
        signed: &Signed,
        changed: bool,
    ) -> anyhow::Result<()> {
        let (bytes, page) = page_of(self.source, project, signed).with_context(|| {
            format!("the page of {project} in the last good state cannot be used")
        })?;
        self.write(&ObjectPath::page(project, &signed.sha256), &bytes)?;
        for entry in page.files.iter().chain(&page.wheelmark.withheld) {
            for path in objects_of_entry(project, entry) {
                let length = entry.size.filter(|_| path.kind() == Kind::File);
                self.object(&path, length, changed, true)?;
            }
        }
        // Their bytes may have been given up.
        for gone in page.wheelmark.removed.values() {
            for path in objects_of_entry(project, &gone.entry) {
                let length = gone.entry.size.filter(|_| path.kind() == Kind::File);
                self.object(&path, length, changed, false)?;
            }
        }
        if let Some(bound) = &page.wheelmark.certificates {
            let path = ObjectPath::certificates(project, &Sha256(bound.sha256.into()));
            self.object(&path, Some(bound.size), changed, true)?;
        }
        Ok(())
    }

    /// Takes over what is taken away from a project.
    pub(super) fn list(&self, project: &ProjectName, signed: &Signed) -> anyhow::Result<()> {
        let (bytes, _) = list_of(self.source, project, signed).with_context(|| {
            format!("what was taken away from {project} in the last good state cannot be used")
        })?;
        self.write(&ObjectPath::status(project, &signed.sha256)?, &bytes)
    }

    fn object(
        &mut self,
        path: &ObjectPath,
        length: Option<u64>,
        changed: bool,
        needed: bool,
    ) -> anyhow::Result<()> {
        let Some(sha256) = path.sha256() else {
            return Ok(());
        };
        let expected = Expected {
            sha256,
            sha512: None,
            length,
            limit: u64::MAX,
        };
        if self.is_here(path, &expected, changed)? {
            return Ok(());
        }
        if self.source.bring(path, &expected, &self.part)? {
            let to = self.place_of(path)?;
            fs::rename(&self.part, &to)
                .with_context(|| format!("{} cannot be written", to.display()))?;
            self.brought += 1;
        } else if needed {
            self.lost.push(path.as_str().to_owned());
        }
        Ok(())
    }

    fn is_here(
        &self,
        path: &ObjectPath,
        expected: &Expected,
        changed: bool,
    ) -> anyhow::Result<bool> {
        if changed {
            let standing = self.index.check(path, expected)?;
            return Ok(matches!(
                standing,
                Standing::Same { .. } | Standing::SameAsRecorded
            ));
        }
        let found = fs::metadata(self.index.root().join(path.as_str()));
        Ok(found.is_ok_and(|found| {
            let length = expected.length;
            found.is_file() && length.is_none_or(|length| length == found.len())
        }))
    }

    /// Ends: everything is there and durable, and the tree has its name.
    pub(super) fn finish(self, name: &Path) -> anyhow::Result<u64> {
        if !self.lost.is_empty() {
            let named: Vec<&str> = self.lost.iter().take(NAMED).map(String::as_str).collect();
            let (count, named) = (self.lost.len(), named.join("\n  "));
            return Err(anyhow!(
                "{count} objects of the last good state are neither in it nor in the index as they were signed:\n  {named}"
            ))
            .hint("name a whole copy as --last-good: `wheelmark verify DIR` says whether one is");
        }
        if self.part.exists() {
            fs::remove_file(&self.part)?;
        }
        let cannot = || format!("{} cannot be written", name.display());
        rustix::fs::syncfs(fs::File::open(&self.to).with_context(cannot)?).with_context(cannot)?;
        if name.exists() {
            fs::remove_dir_all(name).with_context(cannot)?;
        }
        fs::rename(&self.to, name).with_context(cannot)?;
        Ok(self.brought)
    }
}

/// The page that a state signs for, as it was signed.
pub(super) fn page_of(
    place: &impl wheelmark_mirror::Place,
    project: &ProjectName,
    signed: &Signed,
) -> anyhow::Result<(bytes::Bytes, ProjectPage)> {
    let path = ObjectPath::page(project, &signed.sha256);
    let bytes = as_signed(place, &path, signed, MAX_PAGE_LEN as u64)?;
    let page = ProjectPage::parse(&bytes).with_context(|| format!("{path} is no page"))?;
    match page.name == *project {
        true => Ok((bytes, page)),
        false => Err(anyhow!("{path} is the page of {}", page.name)),
    }
}

/// What a state signs for as taken away, as it was signed.
pub(super) fn list_of(
    place: &impl wheelmark_mirror::Place,
    project: &ProjectName,
    signed: &Signed,
) -> anyhow::Result<(bytes::Bytes, TakenAway)> {
    let path = ObjectPath::status(project, &signed.sha256)?;
    let bytes = as_signed(place, &path, signed, MAX_TAKEN_AWAY_LEN as u64)?;
    let list = TakenAway::parse(&bytes, project);
    let list = list.with_context(|| format!("{path} cannot be read"))?;
    Ok((bytes, list))
}

fn as_signed(
    place: &impl wheelmark_mirror::Place,
    path: &ObjectPath,
    signed: &Signed,
    most: u64,
) -> anyhow::Result<bytes::Bytes> {
    let bytes = place.object(path, most)?;
    let bytes = bytes.ok_or_else(|| anyhow!("{path} is not there"))?;
    if Sha256::of(&bytes) != signed.sha256 || bytes.len() as u64 != signed.length {
        return Err(anyhow!("{path} is not as it was signed"));
    }
    Ok(bytes)
}

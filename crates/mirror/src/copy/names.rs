//! The unsigned side of a copy: plain names, and the copies under `simple/`, after the state.

use std::collections::BTreeSet;

use bytes::Bytes;
use wheelmark_objects::{ObjectError, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_PAGE_LEN, ProjectList, ProjectPage};
use wheelmark_tuf::Sha256;

use super::error::CopyError;
use super::fetch::{Holding, Shared, Wanted, parse};

/// How many plain names, or unsigned copies, are written at once.
pub(super) const NAMES_AT_ONCE: usize = 512;

impl Shared {
    /// A page that is here, with the files of it that are: whether that is all of them.
    pub(super) async fn page_here(
        &self,
        project: &ProjectName,
        sha256: &Sha256,
    ) -> Result<Option<(Bytes, ProjectPage)>, CopyError> {
        let path = ObjectPath::page(project, sha256);
        let Some(bytes) = self.tree.read(&path, MAX_PAGE_LEN as u64).await? else {
            return Ok(None);
        };
        if Sha256::of(&bytes) != *sha256 {
            return Ok(None);
        }
        let page = parse(&bytes, project).ok();
        Ok(page.map(|page| (bytes, page)))
    }

    /// How much a page that is here says is here.
    pub(super) async fn holding(&self, project: &ProjectName, sha256: &Sha256) -> Option<Holding> {
        let (_, page) = self.page_here(project, sha256).await.ok()??;
        Some(Holding::of(&self.selection.files(&page, self.now)))
    }

    /// What a project's files are to be called, and the unsigned copies of its page.
    pub(super) async fn names(
        &self,
        project: &ProjectName,
        sha256: &Sha256,
    ) -> Result<Names, CopyError> {
        let Some((bytes, page)) = self.page_here(project, sha256).await? else {
            return Err(CopyError::Stopped);
        };
        let files = self.selection.files(&page, self.now);
        let mut links = Vec::new();
        for file in &files {
            if let Ok(file) = Wanted::of(project, file) {
                links.extend(links_of(&file)?);
            }
        }
        let (json, html) = if files.len() == page.files.len() {
            let html = page.to_html();
            (bytes, html)
        } else {
            let here: BTreeSet<&str> = files.iter().map(|file| file.filename.as_str()).collect();
            let mut shown = page.clone();
            shown
                .files
                .retain(|file| here.contains(file.filename.as_str()));
            (shown.to_json().into(), shown.to_html())
        };
        Ok(Names {
            links,
            copies: vec![
                (ObjectPath::simple_json(project), json),
                (ObjectPath::simple_html(project), html.into()),
            ],
        })
    }

    /// Gives plain names to what the current state signs for, whatever had them before.
    pub(super) async fn link(&self, links: Vec<(ObjectPath, ObjectPath)>) -> Result<(), CopyError> {
        let linked = self.tree.link_all(links.clone()).await?;
        for ((from, to), linked) in links.iter().zip(linked) {
            match linked {
                Ok(_) => {}
                Err(ObjectError::Different { .. }) => {
                    self.tree.unname_all(&self.lock, vec![to.clone()]).await?;
                    self.tree.link(from, to).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The unsigned side of one project.
pub(super) struct Names {
    pub(super) links: Vec<(ObjectPath, ObjectPath)>,
    pub(super) copies: Vec<(ObjectPath, Bytes)>,
}

/// The plain names of a file and of its core metadata, with what they name.
fn links_of(file: &Wanted<'_>) -> Result<Vec<(ObjectPath, ObjectPath)>, CopyError> {
    let (project, filename) = (file.project, file.filename);
    let mut links = vec![(
        ObjectPath::file(project, &file.sha256, filename)?,
        ObjectPath::plain_file(project, filename)?,
    )];
    if let Some(sha256) = &file.metadata {
        links.push((
            ObjectPath::file_metadata(project, sha256, filename)?,
            ObjectPath::plain_file_metadata(project, filename)?,
        ));
    }
    Ok(links)
}

/// The unsigned list of all projects, in both forms.
pub(super) fn list_of(projects: impl Iterator<Item = ProjectName>) -> [(ObjectPath, Bytes); 2] {
    let list: ProjectList = projects.collect();
    [
        (ObjectPath::simple_list_json(), list.to_json().into()),
        (ObjectPath::simple_list_html(), list.to_html().into()),
    ]
}

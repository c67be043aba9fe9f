//! The unsigned side of a copy: plain names, and the copies under `simple/`, after the state.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use wheelmark_objects::{ObjectError, ObjectPath, Unsettled};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{
    MAX_CERTIFICATES_LEN, MAX_PAGE_LEN, MAX_TAKEN_AWAY_LEN, PageFile, ProjectList, ProjectPage,
    TakenAway,
};
use wheelmark_tuf::Sha256;

use super::error::CopyError;
use super::fetch::{Holding, PageRef, Shared, Wanted, digest, parse};
use super::gather::Plan;
use super::{Copy, Step};
use crate::local::LocalError;

/// How many plain names, or unsigned copies, are written at once.
const NAMES_AT_ONCE: usize = 4096;

/// How many bytes of unsigned copies are held in memory, unless one alone has more.
const NAMES_BYTES: usize = 32 << 20;

impl Copy {
    /// Plain names and unsigned copies of what has changed, and the list of projects. They are
    /// durable when this returns; a copy has its contents before it has its name, so that a power
    /// failure leaves no half of one.
    pub(super) async fn name(&self, shared: &Arc<Shared>, plan: &Plan) -> Result<(), CopyError> {
        let mut batch = Batch::default();
        for project in &plan.changed {
            if let Some(page) = plan.pages.get(project) {
                batch.take(shared.names(project, page).await?);
            }
            if batch.is_full() {
                self.write_names(shared, &mut batch).await?;
            }
        }
        // The list comes last: it leads to pages that are there by then.
        batch.copies.extend(list_of(plan.pages.keys().cloned()));
        self.write_names(shared, &mut batch).await?;
        let gone = plan.gone.iter().flat_map(|project| {
            [
                ObjectPath::plain_certificates(project),
                ObjectPath::simple_json(project),
                ObjectPath::simple_html(project),
            ]
        });
        self.observer.see(Step::Names);
        let gone = gone.chain(batch.gone).collect();
        self.tree.remove_all(&self.lock, gone).await?;
        self.observer.see(Step::Flush);
        let [] = shared.delivery.flush([], batch.unsettled).await?;
        Ok(())
    }

    /// Plain names first: the unsigned copies lead to them.
    async fn write_names(&self, shared: &Shared, batch: &mut Batch) -> Result<(), CopyError> {
        self.observer.see(Step::Names);
        let (links, copies) = (
            std::mem::take(&mut batch.links),
            std::mem::take(&mut batch.copies),
        );
        batch.bytes = 0;
        let mut unsettled = std::mem::take(&mut batch.unsettled);
        unsettled.extend(shared.link(links).await?);
        let (lists, pages): (Vec<_>, Vec<_>) =
            copies.into_iter().partition(|(path, _)| is_list(path));
        let staged = [
            shared.delivery.stage(pages).await?,
            shared.delivery.stage(lists).await?,
        ];
        self.observer.see(Step::Flush);
        let [pages, lists] = shared.delivery.flush(staged, unsettled).await?;
        self.observer.see(Step::Names);
        for copies in [pages, lists] {
            let named = shared.delivery.replace(&self.lock, copies).await?;
            batch.unsettled.extend(named);
        }
        Ok(())
    }
}

/// Names and unsigned copies that are written together.
#[derive(Default)]
struct Batch {
    links: Vec<(ObjectPath, ObjectPath)>,
    copies: Vec<(ObjectPath, Bytes)>,
    bytes: usize,
    /// Names of what is not published any more.
    gone: Vec<ObjectPath>,
    /// Those of before, which no flush has followed yet.
    unsettled: Unsettled,
}

impl Batch {
    fn take(&mut self, names: Names) {
        self.bytes += names
            .copies
            .iter()
            .map(|(_, bytes)| bytes.len())
            .sum::<usize>();
        self.links.extend(names.links);
        self.copies.extend(names.copies);
        self.gone.extend(names.gone);
    }

    fn is_full(&self) -> bool {
        self.links.len().max(self.copies.len()) >= NAMES_AT_ONCE || self.bytes >= NAMES_BYTES
    }
}

fn is_list(path: &ObjectPath) -> bool {
    [
        ObjectPath::simple_list_json(),
        ObjectPath::simple_list_html(),
    ]
    .contains(path)
}

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

    /// A page that has to be here.
    pub(super) async fn own_page(
        &self,
        project: &ProjectName,
        sha256: &Sha256,
    ) -> Result<(Bytes, ProjectPage), CopyError> {
        let page = self.page_here(project, sha256).await?;
        page.ok_or_else(|| {
            let path = ObjectPath::page(project, sha256);
            CopyError::Damaged(LocalError::Altered { path })
        })
    }

    /// A page that is here as everybody is to see it: without what the index takes away.
    pub(super) async fn shown(
        &self,
        project: &ProjectName,
        listed: &PageRef,
        signed: &ProjectPage,
    ) -> Result<ProjectPage, CopyError> {
        let Some(list) = listed.taken else {
            return Ok(signed.clone());
        };
        let path = ObjectPath::status(project, &list.sha256)?;
        let bytes = self.tree.read(&path, MAX_TAKEN_AWAY_LEN as u64).await?;
        let Some(bytes) = bytes else {
            return Err(CopyError::Damaged(LocalError::Missing { path }));
        };
        let altered = || CopyError::Damaged(LocalError::Altered { path: path.clone() });
        if Sha256::of(&bytes) != list.sha256 {
            return Err(altered());
        }
        let list = TakenAway::parse(&bytes, project).map_err(|_| altered())?;
        Ok(list.apply(signed))
    }

    /// The files of a page that are here: of what is chosen from the signed one, what is left.
    pub(super) fn chosen<'a>(
        &self,
        page: &'a ProjectPage,
        signed: &ProjectPage,
    ) -> Vec<&'a PageFile> {
        let chosen = self.selection.files(signed, self.now);
        let chosen: BTreeSet<&str> = chosen.iter().map(|file| file.filename.as_str()).collect();
        let files = page.files.iter();
        files
            .filter(|file| chosen.contains(file.filename.as_str()))
            .collect()
    }

    /// How much a page that is here says is here.
    pub(super) async fn holding(
        &self,
        project: &ProjectName,
        sha256: &Sha256,
    ) -> Result<Holding, CopyError> {
        let (_, page) = self.own_page(project, sha256).await?;
        Ok(Holding::of(&self.selection.files(&page, self.now)))
    }

    /// What a project's files are to be called, and the unsigned copies of its page.
    pub(super) async fn names(
        &self,
        project: &ProjectName,
        listed: &PageRef,
    ) -> Result<Names, CopyError> {
        let (bytes, signed) = self.own_page(project, &listed.sha256).await?;
        let page = self.shown(project, listed, &signed).await?;
        let files = self.chosen(&page, &signed);
        let mut links = Vec::new();
        for file in &files {
            if let Ok(file) = Wanted::of(project, file) {
                links.extend(links_of(&file)?);
            }
        }
        let is_whole = files.len() == page.files.len();
        let (json, html) = if is_whole && listed.taken.is_none() {
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
        let mut copies = vec![
            (ObjectPath::simple_json(project), json),
            (ObjectPath::simple_html(project), html.into()),
        ];
        let plain = ObjectPath::plain_certificates(project);
        let mut gone = None;
        if let Some(bound) = &page.wheelmark.certificates {
            let path = ObjectPath::certificates(project, &digest(bound.sha256));
            let certificates = self.tree.read(&path, MAX_CERTIFICATES_LEN as u64).await?;
            let certificates =
                certificates.ok_or(CopyError::Damaged(LocalError::Missing { path }))?;
            copies.push((plain, certificates));
        } else if self.tree.exists(&plain).await? {
            gone = Some(plain);
        }
        Ok(Names {
            links,
            copies,
            gone,
        })
    }

    /// Gives plain names to what the current state signs for, whatever had them before.
    pub(super) async fn link(
        &self,
        links: Vec<(ObjectPath, ObjectPath)>,
    ) -> Result<Unsettled, CopyError> {
        let (linked, mut unsettled) = self.delivery.link(links.clone()).await?;
        let mut taken = Vec::new();
        for (link, linked) in links.into_iter().zip(linked) {
            match linked {
                Ok(_) => {}
                Err(ObjectError::Different { .. }) => {
                    self.tree.discard(&self.lock, &link.1).await?;
                    taken.push(link);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let (again, named) = self.delivery.link(taken).await?;
        unsettled.extend(named);
        again.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(unsettled)
    }
}

/// The unsigned side of one project.
pub(super) struct Names {
    pub(super) links: Vec<(ObjectPath, ObjectPath)>,
    pub(super) copies: Vec<(ObjectPath, Bytes)>,
    pub(super) gone: Option<ObjectPath>,
}

/// The plain names of a file and of what stands beside it, with what they name.
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
    if let Some(signature) = &file.signature {
        links.push((
            ObjectPath::signature(project, &signature.sha256, filename)?,
            ObjectPath::plain_signature(project, filename)?,
        ));
    }
    if let Some(sha256) = &file.provenance {
        links.push((
            ObjectPath::provenance(project, sha256, filename)?,
            ObjectPath::plain_provenance(project, filename)?,
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

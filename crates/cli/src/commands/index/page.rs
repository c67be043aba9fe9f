//! A project's page, as the index published it last.

use anyhow::anyhow;
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_PAGE_LEN, ProjectPage};

use crate::data::Data;
use crate::logging::WithHint as _;

/// Reads the page of a project that is there. The unsigned copy is as good as the page here: it
/// tells people what there is, and nothing is signed by it.
pub(super) async fn of(data: &Data, project: &ProjectName) -> anyhow::Result<ProjectPage> {
    let tree = Directory::open(&data.tree()).await?;
    let path = ObjectPath::simple_json(project);
    let absent = || anyhow!("this index has no project {project}");
    let bytes = tree
        .read(&path, MAX_PAGE_LEN as u64)
        .await?
        .ok_or_else(absent)
        .hint("look at the list of projects: simple/ of the index")?;
    Ok(ProjectPage::parse(&bytes)?)
}

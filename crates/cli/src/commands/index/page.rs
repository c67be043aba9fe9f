//! A project's page, as the index signed it last.

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectPath, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_PAGE_LEN, ProjectPage};
use wheelmark_tuf::{Cached, Fetch, Found, Limits, Refresh, Target, Verified};

use crate::data::Data;
use crate::logging::WithHint as _;

/// Reads the signed page of a project that is there. An order is made out of what it lists, so the
/// unsigned copy would not do: it may be old, and others may write where it lies.
pub(super) async fn of(data: &Data, project: &ProjectName) -> anyhow::Result<ProjectPage> {
    let tree = Directory::open(&data.tree()).await?;
    let root = tokio::fs::read(data.root_file())
        .await
        .with_context(|| format!("{} cannot be read", data.root_file().display()))?;
    let Some(target) = signed(&tree, &root, project)
        .await
        .context("what the index signed last cannot be read")?
    else {
        return Err(anyhow!("this index has no project {project}"))
            .hint("look at the list of projects: simple/ of the index");
    };
    let path = ObjectPath::parse(&format!("targets/{}", target.hash_named()))?;
    let bytes = tree
        .read(&path, MAX_PAGE_LEN as u64)
        .await?
        .ok_or_else(|| anyhow!("{path} is not there"))?;
    target.check(&bytes)?;
    Ok(ProjectPage::parse(&bytes)?)
}

/// Looks the page up as a client does that trusts the index's first root.
async fn signed(
    tree: &Directory,
    root: &[u8],
    project: &ProjectName,
) -> anyhow::Result<Option<Verified<Target>>> {
    // What was signed last counts, however long ago: an index that was off for a month can be put
    // in order before it is on again.
    let whenever = Timestamp::MIN;
    let mut refresh = Refresh::new(root, Cached::default(), whenever, Limits::default())?;
    while let Some(need) = refresh.need() {
        let answer = metadata(tree, need).await?;
        (refresh, _) = refresh.supply(answer)?;
    }
    let trusted = refresh.finish()?;
    let target = page_target(project);
    let mut lookup = trusted.lookup(&target);
    while let Some(need) = lookup.need() {
        let Some(bytes) = metadata(tree, &need.fetch).await? else {
            bail!("{} is not there", need.fetch.path);
        };
        lookup.supply(bytes)?;
    }
    Ok(match lookup.finish()? {
        Found::Target(target) => Some(target),
        Found::Absent { .. } => None,
    })
}

async fn metadata(tree: &Directory, need: &Fetch) -> anyhow::Result<Option<Vec<u8>>> {
    let path = ObjectPath::parse(&format!("metadata/{}", need.path))?;
    let bytes = tree.read(&path, need.max_len).await?;
    Ok(bytes.map(|bytes| bytes.to_vec()))
}

//! A project's page, as the index signed it last.

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectPath, page_target, status_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_PAGE_LEN, MAX_TAKEN_AWAY_LEN, ProjectPage, TakenAway};
use wheelmark_repository::project_of_role;
use wheelmark_tuf::{
    Cached, Fetch, Found, Limits, Refresh, Target, TargetPath, TrustedSet, Verified,
};

use crate::data::Data;
use crate::logging::WithHint as _;

/// Reads the signed page of a project that is there, without what the index takes away from it. An order
/// is made out of what it lists, so the unsigned copy would not do: it may be old, and others may write
/// where it lies.
pub(super) async fn of(data: &Data, project: &ProjectName) -> anyhow::Result<ProjectPage> {
    let tree = Directory::open(&data.tree()).await?;
    let root = tokio::fs::read(data.root_file())
        .await
        .with_context(|| format!("{} cannot be read", data.root_file().display()))?;
    let unreadable = "what the index signed last cannot be read";
    let trusted = trusted(&tree, &root).await.context(unreadable)?;
    let page = signed(&tree, &trusted, &page_target(project)).await;
    let Some(target) = page.context(unreadable)? else {
        return Err(anyhow!("this index has no project {project}"))
            .hint("look at the list of projects: simple/ of the index");
    };
    let bytes = object(&tree, &target, MAX_PAGE_LEN).await?;
    let page = ProjectPage::parse(&bytes)?;
    // The index signs all other pages itself.
    if project_of_role(&target.role).is_none() {
        return Ok(page);
    }
    let list = signed(&tree, &trusted, &status_target(project)).await;
    Ok(match list.context(unreadable)? {
        Some(target) => {
            let bytes = object(&tree, &target, MAX_TAKEN_AWAY_LEN).await?;
            TakenAway::parse(&bytes, project)?.apply(&page)
        }
        None => page,
    })
}

async fn object(
    tree: &Directory,
    target: &Verified<Target>,
    most: usize,
) -> anyhow::Result<Vec<u8>> {
    let path = ObjectPath::parse(&format!("targets/{}", target.hash_named()))?;
    let bytes = tree.read(&path, most as u64).await?;
    let bytes = bytes.ok_or_else(|| anyhow!("{path} is not there"))?;
    target.check(&bytes)?;
    Ok(bytes.to_vec())
}

/// What a client has verified that trusts the index's first root.
async fn trusted(tree: &Directory, root: &[u8]) -> anyhow::Result<TrustedSet> {
    // What was signed last counts, however long ago: an index that was off for a month can be put
    // in order before it is on again.
    let whenever = Timestamp::MIN;
    let mut refresh = Refresh::new(root, Cached::default(), whenever, Limits::default())?;
    while let Some(need) = refresh.need() {
        let answer = metadata(tree, need).await?;
        (refresh, _) = refresh.supply(answer)?;
    }
    Ok(refresh.finish()?)
}

/// Looks a target up as such a client does.
async fn signed(
    tree: &Directory,
    trusted: &TrustedSet,
    target: &TargetPath,
) -> anyhow::Result<Option<Verified<Target>>> {
    let mut lookup = trusted.lookup(target);
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

//! The catalogue, out of the signed pages.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use wheelmark_mirror::{Chain, DirectoryPlace, Expected, Place as _, Standing};
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_PAGE_LEN, MAX_TAKEN_AWAY_LEN, ProjectPage, TakenAway};
use wheelmark_repository::{CLAIMED, RECENTLY_CLAIMED, catalogued, claim_of, project_of_role};
use wheelmark_store::{RebuiltClaim, Seq, Store};
use wheelmark_tuf::{DelegatedRoles, OWN_MEMBER, Sha256, TrustedSet};

use super::super::audit::Listing;

/// Who uploaded a file, where nobody knows any more.
const UPLOADED_BY: &str = "rebuilt";

/// What was made anew.
#[derive(Debug, Default)]
pub(super) struct Rebuilt {
    pub(super) projects: u64,
    pub(super) files: u64,
    pub(super) removed: u64,
    /// Projects that sign for themselves.
    pub(super) claimed: u64,
    /// Removed and withheld files whose bytes are not there.
    pub(super) without_bytes: u64,
}

/// How the bins of pages are delegated to.
pub(super) struct Family {
    pub(super) bins: u32,
}

impl Family {
    /// What the tree's `simple` role says.
    pub(super) fn of(place: &DirectoryPlace, chain: &Chain) -> anyhow::Result<Self> {
        let (mut walk, top) = chain.set.walk();
        walk.enter(&top);
        while let Some(awaited) = walk.next()? {
            let fetch = awaited.fetch().clone();
            if fetch.role.as_str() != "simple" {
                walk.pass_by(awaited);
                continue;
            }
            let bytes = place.metadata(&fetch.fetch.path, fetch.fetch.max_len)?;
            let bytes = bytes.ok_or_else(|| anyhow!("{} is missing", fetch.fetch.path))?;
            let role = awaited.open(&bytes)?;
            let delegations = role.metadata().delegations.as_ref();
            let bins = delegations.map(|delegations| match &delegations.roles {
                DelegatedRoles::Succinct(succinct) => 1 << succinct.bit_length(),
                DelegatedRoles::Listed(roles) => u32::try_from(roles.len()).unwrap_or(u32::MAX),
            });
            let bins = bins.ok_or_else(|| anyhow!("the role simple delegates to no bins"))?;
            return Ok(Self { bins });
        }
        Err(anyhow!(
            "the tree has no role simple: it is none of Wheelmark's"
        ))
    }
}

/// Who signs for the projects that are claimed, as the delegations to them say.
pub(super) fn claims(
    place: &DirectoryPlace,
    chain: &Chain,
) -> anyhow::Result<BTreeMap<ProjectName, RebuiltClaim>> {
    let mut claims = BTreeMap::new();
    let (mut walk, top) = chain.set.walk();
    walk.enter(&top);
    while let Some(awaited) = walk.next()? {
        let fetch = awaited.fetch().clone();
        let delegates = [CLAIMED, RECENTLY_CLAIMED]
            .iter()
            .any(|role| fetch.role.as_str().starts_with(role));
        if !delegates {
            walk.pass_by(awaited);
            continue;
        }
        let bytes = place.metadata(&fetch.fetch.path, fetch.fetch.max_len)?;
        let bytes = bytes.ok_or_else(|| anyhow!("{} is missing", fetch.fetch.path))?;
        let role = awaited.open(&bytes)?;
        walk.enter(&role);
        let delegations = role.metadata().delegations.as_ref();
        let Some(DelegatedRoles::Listed(roles)) = delegations.map(|below| &below.roles) else {
            continue;
        };
        for role in roles {
            if let Some(project) = project_of_role(&role.name) {
                // What an offline key says comes first.
                claims
                    .entry(project)
                    .or_insert_with(|| claim_of(&role.keys, UPLOADED_BY));
            }
        }
    }
    Ok(claims)
}

/// Fills an empty catalogue.
pub(super) async fn fill(
    store: &Store,
    tree: &Directory,
    chain: &Chain,
    (pages, lists): (Listing, Listing),
    mut claims: BTreeMap<ProjectName, RebuiltClaim>,
) -> anyhow::Result<Rebuilt> {
    let (journal, orders) = positions(&chain.set);
    let serial = Seq(journal.0.saturating_add(orders.0));
    let version = chain.set.snapshot().version;
    let mut rebuilding = store.rebuild(journal, serial, version).await?;
    let mut rebuilt = Rebuilt::default();
    for (project, sha256) in pages {
        let page = ObjectPath::page(&project, &sha256);
        let bytes = tree.read(&page, MAX_PAGE_LEN as u64).await?;
        let bytes = bytes.ok_or_else(|| anyhow!("{page} is missing"))?;
        if Sha256::of(&bytes) != sha256 {
            return Err(anyhow!("{page} is not as it was signed"));
        }
        let parsed = ProjectPage::parse(&bytes).with_context(|| format!("{page} is damaged"))?;
        let parsed = match lists
            .get(&project)
            .filter(|_| claims.contains_key(&project))
        {
            Some(list) => taken_away(tree, &project, list).await?.apply(&parsed),
            None => parsed,
        };
        rebuilt.without_bytes += without_bytes(tree, &parsed)?;
        let claim = claims.remove(&project);
        rebuilt.claimed += u64::from(claim.is_some());
        let made = catalogued(tree, parsed, claim, UPLOADED_BY).await?;
        rebuilt.projects += 1;
        for (_, removed) in &made.files {
            match removed {
                true => rebuilt.removed += 1,
                false => rebuilt.files += 1,
            }
        }
        rebuilding.take(made).await?;
    }
    rebuilding.finish().await?;
    Ok(rebuilt)
}

/// What the index takes away from a claimed project: the catalogue knows that as done.
async fn taken_away(
    tree: &Directory,
    project: &ProjectName,
    sha256: &Sha256,
) -> anyhow::Result<TakenAway> {
    let path = ObjectPath::status(project, sha256)?;
    let bytes = tree.read(&path, MAX_TAKEN_AWAY_LEN as u64).await?;
    let bytes = bytes.ok_or_else(|| anyhow!("{path} is missing"))?;
    if Sha256::of(&bytes) != *sha256 {
        return Err(anyhow!("{path} is not as it was signed"));
    }
    TakenAway::parse(&bytes, project).with_context(|| format!("{path} is damaged"))
}

/// How far the signed timestamp says that the journals were followed.
fn positions(set: &TrustedSet) -> (Seq, Seq) {
    let own = set.timestamp().extra.get(OWN_MEMBER);
    let position = |journal: &str| {
        let position = own.and_then(|own| own.get(journal));
        Seq(position.and_then(serde_json::Value::as_u64).unwrap_or(0))
    };
    (position("journal"), position("orders"))
}

/// How many files that no page lists have no bytes here. Other bytes than theirs are taken away.
fn without_bytes(tree: &Directory, page: &ProjectPage) -> anyhow::Result<u64> {
    let place = DirectoryPlace::new(tree.root(), 1, None);
    let removed = page.wheelmark.removed.values().map(|gone| &gone.entry);
    let mut lost = 0;
    for entry in removed.chain(&page.wheelmark.withheld) {
        let Some(sha256) = entry.sha256() else {
            continue;
        };
        let sha256 = Sha256(sha256.into());
        let path = ObjectPath::file(&page.name, &sha256, entry.filename.as_str())?;
        let expected = Expected {
            sha256,
            sha512: None,
            length: entry.size,
            limit: u64::MAX,
        };
        match place.check(&path, &expected)? {
            Standing::Same { .. } => {}
            Standing::Missing => lost += 1,
            _ => {
                std::fs::remove_file(tree.local_path(&path))?;
                lost += 1;
            }
        }
    }
    Ok(lost)
}

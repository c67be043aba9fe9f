//! The claims of an index that no offline key has sealed, as the index has signed them.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use wheelmark_ceremony::Standing;
use wheelmark_packaging::ProjectName;
use wheelmark_repository::{RECENTLY_CLAIMED, project_of_role};
use wheelmark_tuf::{
    DelegatedRole, DelegatedRoles, Delegations, OWN_MEMBER, RoleName, Targets, Verified, verify,
    without_controls,
};

use crate::data::Data;
use crate::published::{self, Online, metadata};

/// A claim, and what the index has signed of it.
pub(super) struct MadeClaim {
    pub(super) project: ProjectName,
    /// When the snapshot process took it in.
    pub(super) claimed_at: Option<Timestamp>,
    /// The users that the keys are registered for.
    pub(super) users: Vec<String>,
    pub(super) keys: usize,
    pub(super) threshold: u32,
}

/// Those that the online key delegates to, the first to be made first. Read from what is signed: the
/// catalogue is what an intruder in the web process writes.
pub(super) fn not_sealed(data: &Data) -> anyhow::Result<Vec<MadeClaim>> {
    let tree = data.tree();
    let (files, online) = published::read(&tree)?;
    let standing = Standing::verify(files).context("what is published is damaged")?;
    let role: RoleName = RECENTLY_CLAIMED.parse()?;
    let top = standing.targets().delegations.as_ref();
    let top = top.ok_or_else(|| lacking(&role))?;
    let recently = list(&tree, &online, top, &role)?;
    let mut claims: Vec<MadeClaim> = Vec::new();
    if let Some(below) = &recently.delegations {
        claims.extend(listed(below).iter().filter_map(made));
        for shard in listed(below) {
            if shard.as_shard(&role).is_none() {
                continue;
            }
            let shard = list(&tree, &online, below, &shard.name)?;
            let below = shard.delegations.iter();
            claims.extend(below.flat_map(listed).filter_map(made));
        }
    }
    claims.sort_by(|one, other| {
        (one.claimed_at, &one.project).cmp(&(other.claimed_at, &other.project))
    });
    Ok(claims)
}

fn lacking(role: &RoleName) -> anyhow::Error {
    anyhow!("what is published does not delegate to {role}")
}

/// A list of claims, or a shard of one, signed by those whom `below` names.
fn list(
    tree: &Path,
    online: &Online,
    below: &Delegations,
    role: &RoleName,
) -> anyhow::Result<Verified<Targets>> {
    let keys = below.role_keys(role).ok_or_else(|| lacking(role))?;
    let listed = online.snapshot.role(role);
    let version = listed.ok_or_else(|| lacking(role))?.version;
    let name = role.versioned_file_name(version);
    let bytes = metadata(tree, &name)?;
    let bytes = bytes.ok_or_else(|| anyhow!("{name} is missing from the tree"))?;
    verify(&bytes, &below.keys, keys)
        .with_context(|| format!("{name} is not as this index signed it"))
}

fn listed(below: &Delegations) -> &[DelegatedRole] {
    match &below.roles {
        DelegatedRoles::Listed(roles) => roles,
        DelegatedRoles::Succinct(_) => &[],
    }
}

fn made(role: &DelegatedRole) -> Option<MadeClaim> {
    let own = role.keys.extra.get(OWN_MEMBER);
    let maintainers = own.and_then(|own| own.get("maintainers")?.as_object());
    let mut users: Vec<String> = maintainers
        .into_iter()
        .flat_map(|maintainers| maintainers.values())
        .filter_map(|user| user.as_str().map(without_controls))
        .collect();
    users.sort();
    users.dedup();
    Some(MadeClaim {
        project: project_of_role(&role.name)?,
        claimed_at: own.and_then(|own| own.get("claimed-at")?.as_str()?.parse().ok()),
        users,
        keys: role.keys.keyids.len(),
        threshold: role.keys.threshold,
    })
}

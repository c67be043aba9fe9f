//! Whose keys sign for a project, as a person on this machine knows it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::anyhow;
use wheelmark_client::{Claim, VerifiedPage};
use wheelmark_packaging::ProjectName;

use super::Desk;
use crate::logging::WithHint as _;

/// The project's page and whose keys sign for it.
pub(crate) async fn claimed(
    desk: &Desk,
    project: &ProjectName,
) -> anyhow::Result<(Arc<VerifiedPage>, Claim)> {
    let page = desk.page_to_build_on(project).await?;
    let claimed = page.and_then(|page| {
        let claim = page.claim().cloned()?;
        Some((page, claim))
    });
    claimed
        .ok_or_else(|| anyhow!("{project} is not claimed: nobody's own keys sign for it"))
        .hint(format!(
            "claim it first: wheelmark project claim {project} --signer URI; or upload with twine or uv"
        ))
}

/// Whether the keys that sign are those that a person on this machine knows.
pub(crate) async fn demand_known(
    desk: &Desk,
    project: &ProjectName,
    claim: &Claim,
    named: &[String],
) -> anyhow::Result<()> {
    let seen = desk.index().seen_claim(project)?;
    if seen.is_some_and(|seen| seen.by_hand && seen.keys == claim.keys) {
        return Ok(());
    }
    let named: BTreeSet<String> = named.iter().cloned().collect();
    if named == claim.keys {
        return Ok(desk
            .index()
            .remember_claim(project, claim.seen(true))
            .await?);
    }
    let ids: Vec<String> = claim.keys.iter().map(|id| format!("--key {id}")).collect();
    let what = match named.is_empty() {
        true => format!("nobody on this machine has said whose keys sign for {project}"),
        false => format!("the keys that you name are not those that sign for {project}"),
    };
    Err(anyhow!("{what}; the index says {}", ids.join(" "))).hint(
        "compare the ids with those of whoever claimed it, by another way than the index, and name them all: --key ID",
    )
}

//! A claimed project as this machine knows it, and whose signatures its next release needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::anyhow;
use wheelmark_client::{Claim, VerifiedPage};
use wheelmark_packaging::ProjectName;
use wheelmark_signing::HeldKey;
use wheelmark_tuf::{Handovers, KeyId, KeySet};

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

/// The handovers that the project's metadata carries, all of which its next version carries too.
pub(crate) fn handovers(claim: &Claim) -> anyhow::Result<&Handovers> {
    let handovers = claim.handovers.as_ref();
    handovers
        .map_err(|why| {
            anyhow!("the project's metadata has handovers of keys that do not hold: {why}")
        })
        .hint("tell whoever runs the index, and the project's other people, with this message")
}

/// The sets of keys of which each has to sign: the one that is delegated to, and the one that its
/// people handed over to, where an offline key does not know that one yet.
fn sets(claim: &Claim) -> Vec<&KeySet> {
    let mut sets: Vec<&KeySet> = claim.set.iter().collect();
    sets.extend(
        claim
            .present()
            .filter(|present| claim.set.as_ref() != Some(*present)),
    );
    sets
}

/// The ids of all keys that can sign the next release.
pub(crate) fn signing(claim: &Claim) -> BTreeSet<String> {
    let sets = sets(claim).into_iter();
    let ids = sets.flat_map(|set| set.keys().keys());
    let ids = ids.map(|id| id.as_str().to_owned());
    ids.chain(claim.keys.iter().cloned()).collect()
}

/// Whether these keys are enough for the next release.
pub(crate) fn demand_enough(held: &[HeldKey], claim: &Claim) -> anyhow::Result<()> {
    let held: BTreeSet<&KeyId> = held.iter().map(|key| key.signer.key().keyid()).collect();
    for set in sets(claim) {
        let (here, needed) = (lacking(set, &held).1, set.threshold());
        if here < needed as usize {
            return Err(anyhow!(
                "{here} of the project's keys are here, and {needed} have to sign"
            ))
            .hint("name a --signer for each of them");
        }
    }
    Ok(())
}

/// Those keys of a set that are not held, and how many of it are.
pub(super) fn lacking<'a>(set: &'a KeySet, held: &BTreeSet<&KeyId>) -> (Vec<&'a KeyId>, usize) {
    let ids = set.keys().keys();
    let lacking: Vec<&KeyId> = ids.filter(|id| !held.contains(*id)).collect();
    let here = set.keys().len() - lacking.len();
    (lacking, here)
}

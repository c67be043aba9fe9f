//! Keys that take the place of those that were lost, after everybody could see for a while that they ask
//! for it.

use jiff::{SignedDuration, Timestamp};
use wheelmark_packaging::simple::RecoveryNotice;
use wheelmark_store::{NewClaim, SignedRelease};
use wheelmark_tuf::{ClaimMarks, DelegatedRole, Key, RoleKeys, Targets, Verified};

use super::keys::keys_of;
use super::{Refusal, open};
use crate::lifetimes::whole_seconds;
use crate::roles;
use crate::state::State;

/// Whether every one of the keys that recover a project has signed its metadata, which begins anew.
pub(super) fn demand_signed(
    state: &State,
    release: &SignedRelease,
    metadata: &[u8],
) -> Result<Verified<Targets>, Refusal> {
    let project = &release.project;
    let recovers = release.recovers.as_ref().ok_or(Refusal::NoNotice)?;
    if state.delegation_of(project).is_none() {
        return Err(Refusal::NotClaimed);
    }
    if state.is_sealed(project) {
        return Err(Refusal::Sealed);
    }
    let more = |what| Err(Refusal::MoreThanRecovery { what });
    if release.claim.is_some() || release.keys.is_some() {
        return more("it registers other keys besides");
    }
    let keys = keys_of(state, recovers)?;
    let all = RoleKeys::new(&keys, u32::try_from(keys.len()).unwrap_or(u32::MAX));
    let by_id = keys.iter().map(|key| (key.keyid().clone(), key.clone()));
    let targets = open(metadata, &by_id.collect(), &all)?;
    // Nobody of before has signed that others come next.
    match targets.handovers(&roles::project_role(project))?.is_empty() {
        true => Ok(targets),
        false => more("its metadata carries handovers"),
    }
}

/// Whether the notice says exactly this, and stood for long enough; what the project is delegated to from
/// now on.
pub(super) fn demand_noticed(
    state: &State,
    release: &SignedRelease,
    recovers: &NewClaim,
    (notice, delay): (Option<&RecoveryNotice>, Option<SignedDuration>),
    now: Timestamp,
) -> Result<(Vec<Key>, DelegatedRole), Refusal> {
    let keys = keys_of(state, recovers)?;
    let (notice, delay) = notice.zip(delay).ok_or(Refusal::NoNotice)?;
    let named = keys.iter().map(|key| key.keyid().as_str());
    let mut named: Vec<&str> = named.collect();
    named.sort_unstable();
    let is_same = notice.threshold == recovers.threshold
        && notice.keyids.iter().map(String::as_str).eq(named);
    if !is_same {
        return Err(Refusal::NoNotice);
    }
    let delegated = state.delegation_of(&release.project);
    let (_, delegated) = delegated.ok_or(Refusal::NotClaimed)?;
    // While it was sealed, nobody had to say no.
    let unsealed = ClaimMarks::of(&delegated.keys).unsealed_at;
    let since = unsealed.map_or(notice.since, |at| at.max(notice.since));
    let from = since.saturating_add(delay).unwrap_or(Timestamp::MAX);
    if now < from {
        return Err(Refusal::TooEarly { since, from });
    }
    let role = roles::recovered(delegated, &keys, recovers, whole_seconds(now));
    let role = role.ok_or(Refusal::Registered)?;
    Ok((keys, role))
}

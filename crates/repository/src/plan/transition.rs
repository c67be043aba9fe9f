//! Everything that is signed online, anew: by another key, or in other bins.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use wheelmark_tuf::{Bins, RoleName, TargetInfo, TargetPath, Targets};

use super::lists;
use crate::genesis;
use crate::handed::Transition;
use crate::lifetimes::{Lifetimes, after};
use crate::roles::{self, Family};
use crate::state::State;

/// How long the last version of a bin holds that falls out of use. Nobody delegates to it, and it
/// lists nothing; but it stays in the snapshot, and whoever watches expiries must not be alarmed.
const OUT_OF_USE: SignedDuration = SignedDuration::from_hours(100 * 365 * 24);

/// Spreads what `roles` list, which are all that are signed online, over the bins that there are
/// from now on. Each has the version that the snapshot has under its name, so that the next one rises
/// also where a name was in use before. Bins that fall out of use are emptied: what goes through the
/// roles of a snapshot, and not by the delegations, is not to find old pages there.
pub(super) fn spread(
    state: &State,
    transition: &Transition,
    mut roles: HashMap<RoleName, Targets>,
    lifetimes: &Lifetimes,
    now: Timestamp,
) -> HashMap<RoleName, Targets> {
    let mut next = HashMap::with_capacity(roles.len());
    for family in Family::ALL {
        let before = roles::bins_of(state.family(family));
        let next_bins = transition.families.get(&family);
        let Some((delegations, count)) = next_bins.and_then(|d| Some((d, Bins::of(d)?))) else {
            continue;
        };
        let mut spread: HashMap<RoleName, BTreeMap<TargetPath, TargetInfo>> = HashMap::new();
        let mut left = Vec::with_capacity(before.len());
        for bin in before {
            let targets = roles.remove(&bin).map(|bin| bin.targets);
            left.push(bin);
            for (path, info) in targets.into_iter().flatten() {
                let bin = count.bin_for(family.name(), &path);
                spread.entry(bin).or_default().insert(path, info);
            }
        }
        let bins = roles::bins_of(delegations);
        let count = bins.len();
        for (position, bin) in bins.into_iter().enumerate() {
            let expires = lifetimes.first_of_bin(now, position, count);
            let mut content = genesis::targets(&bin, expires, None);
            content.version = state.snapshot.role_version(&bin).unwrap_or(0);
            content.targets = spread.remove(&bin).unwrap_or_default();
            next.insert(bin, content);
        }
        for bin in left
            .into_iter()
            .filter(|bin| !next.contains_key(bin))
            .collect::<Vec<_>>()
        {
            let mut content = genesis::targets(&bin, after(now, OUT_OF_USE), None);
            content.version = state.snapshot.role_version(&bin).unwrap_or(0);
            next.insert(bin, content);
        }
    }
    // `recently-claimed`, its shards and `status`, which say what they said.
    let mut keys = transition.families.values();
    let key = keys.find_map(|below| below.keys.get(&transition.signs));
    for (role, mut content) in roles {
        if let (Some(key), Some(below)) = (key, content.delegations.as_mut()) {
            lists::hand_shards_over(below, key);
        }
        content.expires = lifetimes.online_from(now);
        next.insert(role, content);
    }
    next
}

//! What a ceremony changes, in words.

use jiff::Timestamp;
use wheelmark_tuf::{Bins, DelegatedRoles, KeyId, RoleKeys, RoleName, Targets};

use crate::ceremony::Ceremony;
use crate::claims::{CLAIMED, Claim, HandedOver};
use crate::transition::keys_of_bins;

/// How many digits of a key's id are shown.
const SHOWN_KEYID: usize = 16;

/// What becomes of one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which role.
    pub role: RoleName,
    /// The published version and the next one.
    pub versions: (u64, u64),
    /// The published expiry and the next one.
    pub expires: (Timestamp, Timestamp),
    /// Changes of keys, thresholds, bins and claims, and what a recovery says; nothing else changes.
    pub changes: Vec<String>,
}

impl Ceremony {
    /// What becomes of each role that is signed, root first.
    pub fn differences(&self) -> Vec<Difference> {
        let payloads = self.payloads().iter();
        let differences = payloads.filter_map(|payload| {
            let role = payload.role();
            let (version, expires) = self.standing().version_and_expiry(role)?;
            Some(Difference {
                role: role.clone(),
                versions: (version, payload.version()),
                expires: (expires, self.next_expiry(role)?),
                changes: self.changes_in(role),
            })
        });
        differences.collect()
    }

    /// What everybody is to know of it before they sign.
    pub fn cautions(&self) -> Vec<String> {
        let mut cautions: Vec<String> = self.caution_of_recovery().into_iter().collect();
        let (now, next) = (
            &self.standing().root().roles.root,
            &self.next_root().roles.root,
        );
        let (before, after) = (now.keyids.len(), next.keyids.len());
        let needs_all = |keys: &RoleKeys| keys.threshold as usize == keys.keyids.len();
        if needs_all(next) && (!needs_all(now) || after < before) {
            cautions.push(format!(
                "from then on all {after} holders have to sign: if one of them loses a key, nobody can sign a next root, the index ends, and every client has to be given a new one by hand"
            ));
        }
        if !self.plan().claims.seal.is_empty() {
            cautions.push(
                "since when the keys of a claim stand is said by the online key: whoever had it could have put other keys there, and an earlier date. Ask the people of the projects for the ids of their keys, by another way than the index, and seal none that nobody knows".to_owned(),
            );
        }
        if !self.plan().claims.take_over.is_empty() {
            cautions.push(
                "that keys hand over to others, and when, is said by these keys alone: whoever had stolen enough of a project's keys could have handed over to their own. Ask the people of the projects for the ids of their keys, by another way than the index".to_owned(),
            );
        }
        let is_urgent = self.plan().changes_keys() || self.plan().online.is_some();
        let claims = &self.plan().claims;
        if is_urgent && !(claims.seal.is_empty() && claims.take_over.is_empty()) {
            cautions.push(
                "one project whose keys change before this is published stops all of it: hold what is urgent in a ceremony of its own, and seal claims in another".to_owned(),
            );
        }
        if !self.plan().claims.unseal.is_empty() {
            cautions.push(
                "clients that know a project as sealed refuse it once its seal is taken off, until their person says otherwise".to_owned(),
            );
        }
        for difference in self.differences() {
            let (published, next) = difference.expires;
            if next < published {
                cautions.push(format!(
                    "{} is to end earlier than what is published: {next} in the place of {published}",
                    difference.role
                ));
            }
        }
        cautions
    }

    fn changes_in(&self, role: &RoleName) -> Vec<String> {
        let mut changes = Vec::new();
        match role.as_str() {
            "root" => {
                let (now, next) = (&self.standing().root().roles, &self.next_root().roles);
                let pairs = [
                    ("root", &now.root, &next.root),
                    ("targets", &now.targets, &next.targets),
                    ("snapshot", &now.snapshot, &next.snapshot),
                    ("timestamp", &now.timestamp, &next.timestamp),
                ];
                for (name, now, next) in pairs {
                    self.compare(name, now, next, &mut changes);
                }
            }
            "targets" => {
                let next = self.next_targets();
                for (name, now) in delegations(self.standing().targets()) {
                    let below = next.delegations.as_ref();
                    if let Some(next) = below.and_then(|below| below.role_keys(name)) {
                        self.compare(name.as_str(), now, next, &mut changes);
                    }
                }
                self.changes_of_recovery(&mut changes);
            }
            CLAIMED => self.changes_of_claims(&mut changes),
            _ => self.changes_of_bins(role, &mut changes),
        }
        changes
    }

    /// The claims that the offline key takes over or gives back, with all that their people can
    /// compare.
    fn changes_of_claims(&self, changes: &mut Vec<String>) {
        for claim in self.newly_sealed() {
            let (threshold, count) = (claim.threshold, claim.keys.len());
            let floor = claim.marks.floor.unwrap_or_default();
            changes.push(format!(
                "{} is sealed: {threshold} of {count} keys sign for it from then on, and no version of its role before {floor} counts",
                claim.project()
            ));
            let since = claim.marks.unchanged_since();
            if let (Some(claimed), Some(since)) = (claim.marks.claimed_at, since) {
                let days = self.plan().made_at.duration_since(since).as_hours() / 24;
                changes.push(format!(
                    "  claimed {claimed}; by the online key's word its keys stand unchanged since {since}, {days} days"
                ));
            }
            changes.extend(claim.keys.iter().map(|(id, user)| match user {
                Some(user) => format!("  key {id} ({user})"),
                None => format!("  key {id}"),
            }));
        }
        self.changes_of_handed_over(changes);
        let unsealed = self.plan().claims.unseal.iter();
        changes.extend(unsealed.filter_map(|role| {
            Some(format!(
                "{} is sealed no longer: the online key says again whose keys sign for it",
                role.project()?
            ))
        }));
    }

    /// The sealed projects whose keys change by the word of those before.
    fn changes_of_handed_over(&self, changes: &mut Vec<String>) {
        for HandedOver {
            before,
            after,
            since,
        } in self.handed_over()
        {
            let floor = after.marks.floor.unwrap_or_default();
            changes.push(format!(
                "{} goes over to other keys, as its own people have signed: {} of {} sign for it from then on, where it was {} of {}, and no version of its role before {floor} counts",
                after.project(),
                after.threshold,
                after.keys.len(),
                before.threshold,
                before.keys.len(),
            ));
            let days = self.plan().made_at.duration_since(since).as_hours() / 24;
            changes.push(format!(
                "  by their word these keys stand unchanged since {since}, {days} days"
            ));
            let names = |claim: &Claim, id: &KeyId| claim.keys.iter().any(|(key, _)| key == id);
            let gone = before.keys.iter().filter(|(id, _)| !names(&after, id));
            let gone = gone.map(|key| (key, "goes"));
            let then = after.keys.iter().map(|key| match names(&before, &key.0) {
                true => (key, "stays"),
                false => (key, "comes"),
            });
            changes.extend(gone.chain(then).map(|((id, user), what)| match user {
                Some(user) => format!("  key {id} ({user}) {what}"),
                None => format!("  key {id} {what}"),
            }));
        }
    }

    /// The sealed projects whose keys the offline key changes, since their people have handed over.
    pub fn handed_over(&self) -> Vec<HandedOver> {
        let take_over = &self.plan().claims.take_over;
        let before = self.standing().sealed();
        let after = self.sealed_then().into_iter();
        let after = after.filter(|claim| take_over.contains(&claim.role));
        let both = after.filter_map(|after| {
            let before = before.iter().find(|before| before.role == after.role)?;
            Some(HandedOver {
                before: before.clone(),
                since: after.marks.keys_since?,
                after,
            })
        });
        both.collect()
    }

    /// The claims that the offline key takes over, as `claimed` has them then.
    pub fn newly_sealed(&self) -> Vec<Claim> {
        let seal = &self.plan().claims.seal;
        let mut sealed = self.sealed_then();
        sealed.retain(|claim| seal.contains(&claim.role));
        sealed
    }

    fn changes_of_bins(&self, role: &RoleName, changes: &mut Vec<String>) {
        let now = self.standing().role(role);
        let now = now.and_then(|now| now.delegations.as_ref());
        let next = self.next_role(role);
        let next = next.and_then(|next| next.delegations.as_ref());
        let (Some(now), Some(next)) = (now, next) else {
            return;
        };
        if let (Some(now), Some(next)) = (Bins::of(now), Bins::of(next))
            && now != next
        {
            let (now, next) = (now.count(), next.count());
            changes.push(format!("{role}: {next} bins, where it was {now}"));
        }
        if let (Some(now), Some(next)) = (keys_of_bins(now), keys_of_bins(next)) {
            self.compare(&format!("the bins of {role}"), now, next, changes);
        }
    }

    fn compare(&self, role: &str, now: &RoleKeys, next: &RoleKeys, changes: &mut Vec<String>) {
        let shown = |id: &KeyId| {
            let short: String = id.as_str().chars().take(SHOWN_KEYID).collect();
            match self.holder_of(id) {
                Some(holder) => format!("{short} ({holder})"),
                None => short,
            }
        };
        let gone = now.keyids.iter().filter(|id| !next.keyids.contains(id));
        changes.extend(gone.map(|id| format!("{role}: the key {} goes", shown(id))));
        let comes = next.keyids.iter().filter(|id| !now.keyids.contains(id));
        changes.extend(comes.map(|id| format!("{role}: the key {} comes", shown(id))));
        let sizes = (now.keyids.len(), next.keyids.len());
        if now.threshold != next.threshold || sizes.0 != sizes.1 {
            changes.push(format!(
                "{role}: {} of {} have to sign, where it was {} of {}",
                next.threshold, sizes.1, now.threshold, sizes.0
            ));
        }
    }
}

fn delegations(targets: &Targets) -> Vec<(&RoleName, &RoleKeys)> {
    match targets.delegations.as_ref().map(|below| &below.roles) {
        Some(DelegatedRoles::Listed(roles)) => {
            roles.iter().map(|role| (&role.name, &role.keys)).collect()
        }
        Some(DelegatedRoles::Succinct(_)) | None => Vec::new(),
    }
}

//! Who signs for a project, held against who did before (PEP 480).
//!
//! ```text
//! the roles that led to the page ─▶ claim_in ─▶ Claim ─┐
//! what is remembered of the project ───────────────────┴▶ weigh ─▶ remember it, as before, or refused
//! ```
//!
//! A project that its own people sign for stays one. Whoever has the index's online keys can leave
//! its delegation out, or put other keys into it; a reader that has seen it notices either. Keys
//! change by the word of those who signed before, which the project's metadata carries as handovers,
//! or by that of the index's offline key, which `claimed` carries, and by nobody else's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wheelmark_packaging::ProjectName;
use wheelmark_provenance::Chain;
use wheelmark_tuf::{
    ClaimMarks, Extra, HandoverError, Handovers, IndexRecovery, Key, KeyId, KeySet, OWN_MEMBER,
    RoleKeys, RoleName, Sha256, Visit,
};

use crate::chain::chain_of;

/// Whose keys sign for a project, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The project's own role.
    pub role: RoleName,
    /// Its version.
    pub version: u64,
    /// Whether an offline key of the index vouches for the keys.
    pub sealed: bool,
    /// The ids of the keys.
    pub keys: BTreeSet<String>,
    /// The keys themselves, as the delegation that was verified states them, by their ids.
    pub public: BTreeMap<String, Key>,
    /// How many of them have to sign.
    pub threshold: u32,
    /// The users that the keys are registered for, as far as the index says, by the keys' ids.
    pub maintainers: BTreeMap<String, String>,
    /// When the project was claimed, since when these keys sign, when that was sealed, and from which
    /// version of the role on it counts; as whoever vouches for the keys says.
    pub marks: ClaimMarks,
    /// Until when what the project's people have signed holds; readers refuse the project then.
    pub expires: Timestamp,
    /// The same keys themselves; none where they are no set that could hand over to another.
    pub set: Option<KeySet>,
    /// How its people handed over from one set of keys to the next, as its metadata says; or why
    /// what it says does not hold.
    pub handovers: Result<Handovers, String>,
}

/// What is remembered of who signs for a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SeenClaim {
    /// Whether an offline key vouched for the keys.
    pub sealed: bool,
    /// The ids of the keys.
    pub keys: BTreeSet<String>,
    /// How many of them have to sign.
    pub threshold: u32,
    /// The highest version of the project's role that was seen.
    pub version: u64,
    /// Whether a person has said that these are the project's keys: by claiming it with them, or
    /// after comparing them. What a first look has found counts for installs and not for publishing.
    #[serde(default)]
    pub by_hand: bool,
    /// The statement of a recovery of the index since which the project was not seen. Whoever broke in
    /// may have driven the version up, or had the project sealed: so that version keeps nothing out, and
    /// a seal is looked for anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Sha256>,
    /// Whether that recovery cleared the list that it was on. It is kept because a person has compared the
    /// keys: that it is gone is what was said, and other keys in its place are for them to compare.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cleared: bool,
}

/// Why a page is not believed, though it is signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRefused {
    /// Nobody's own keys sign for it any more.
    #[error(
        "this project's own people signed for it until now, and nothing that they signed is shown any more"
    )]
    Gone,
    /// What an offline key vouched for, the online key alone does now.
    #[error(
        "an offline key vouched for the keys of this project until now, and the index's online key alone does"
    )]
    Unsealed,
    /// Other keys sign, and no handover leads to them.
    #[error(
        "other keys than before sign for this project: {}, where it was {}, and nothing that those have signed leads to them{}",
        Ids(.found), Ids(.known), Because(.why)
    )]
    OtherKeys {
        /// Those that did.
        known: BTreeSet<String>,
        /// Those that do.
        found: BTreeSet<String>,
        /// What is wrong with the handovers, if there are any that do not hold.
        why: Option<String>,
    },
    /// Fewer or more keys have to sign, and no handover says so.
    #[error(
        "{found} of this project's keys have to sign for it, where {known} had to before, and those have signed nothing of it"
    )]
    OtherThreshold {
        /// How many had to.
        known: u32,
        /// How many have to.
        found: u32,
    },
    /// A version of the project's role from before the one that whoever vouches for the keys knows.
    #[error(
        "version {found} of the project's role was shown, and no version before {floor} counts by what vouches for its keys"
    )]
    BelowFloor {
        /// The lowest version that counts.
        floor: u64,
        /// What is shown.
        found: u64,
    },
    /// An older version of the project's role.
    #[error("version {found} of the project's role was shown, after version {known}")]
    Older {
        /// What was seen.
        known: u64,
        /// What is shown.
        found: u64,
    },
}

/// What is wrong with something, behind what follows from it.
struct Because<'a>(&'a Option<String>);

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(why) => write!(f, " ({why})"),
            None => Ok(()),
        }
    }
}

/// Ids of keys as far as people compare them.
struct Ids<'a>(&'a BTreeSet<String>);

impl fmt::Display for Ids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, id) in self.0.iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            let shown: String = id
                .chars()
                .take(16)
                .filter(char::is_ascii_hexdigit)
                .collect();
            write!(f, "{comma}{shown}…")?;
        }
        Ok(())
    }
}

/// The claim that a search came by to the role that answered it; none where the index answered
/// itself.
pub(crate) fn claim_in(trail: &[Visit]) -> Option<Claim> {
    let last = trail.last()?;
    let delegator = trail
        .iter()
        .find(|visit| Some(&visit.role) == last.delegator.as_ref())?;
    let sealed = match chain_of(way_to(last, trail).into_iter()) {
        Chain::DeveloperSigned => true,
        Chain::DeveloperSignedProvisional => false,
        _ => return None,
    };
    let delegations = delegator.targets.delegations.as_ref()?;
    let keys = delegations.role_keys(&last.role)?;
    let own = keys.extra.get(OWN_MEMBER);
    let maintainers = own.and_then(|own| own.get("maintainers")?.as_object());
    let maintainers = maintainers.into_iter().flatten();
    let handovers = last.targets.handovers(&last.role);
    let set = KeySet::delegated(delegations, &last.role);
    Some(Claim {
        role: last.role.clone(),
        version: last.targets.version,
        sealed,
        keys: keys
            .keyids
            .iter()
            .map(|id| id.as_str().to_owned())
            .collect(),
        public: keys
            .keyids
            .iter()
            .filter_map(|id| Some((id.as_str().to_owned(), delegations.keys.get(id)?.clone())))
            .filter(|(id, key)| key.keyid().as_str() == id)
            .collect(),
        threshold: keys.threshold,
        maintainers: maintainers
            .filter_map(|(id, user)| Some((id.clone(), user.as_str()?.to_owned())))
            .collect(),
        marks: ClaimMarks::of(keys),
        expires: last.targets.expires,
        set,
        handovers: handovers.map_err(|error| chain(&error)),
    })
}

/// The roles that led a search to the last of them, from the top-level targets on.
fn way_to<'a>(last: &'a Visit, trail: &'a [Visit]) -> Vec<&'a RoleName> {
    let before = |visit: &&'a Visit| {
        let delegator = visit.delegator.as_ref()?;
        trail.iter().find(|visit| visit.role == *delegator)
    };
    // A search comes to no role twice, so the way is no longer than the search.
    let way = std::iter::successors(Some(last), before).take(trail.len());
    let mut way: Vec<&RoleName> = way.map(|visit| &visit.role).collect();
    way.reverse();
    way
}

impl Claim {
    /// Whether those who signed before have handed over to those who sign now.
    fn is_led_from(&self, known: &SeenClaim) -> bool {
        let from = (&known.keys, known.threshold);
        let to = (&self.keys, self.threshold);
        let handovers = self.handovers.as_ref();
        handovers.is_ok_and(|handovers| handovers.lead(from, known.version, to))
    }

    /// Whether those who signed before have handed over at some time, and those who sign now are whom that
    /// led to. It counts beside the word of an offline key alone.
    fn has_passed(&self, known: &SeenClaim) -> bool {
        let from = (&known.keys, known.threshold);
        let to = (&self.keys, self.threshold);
        let handovers = self.handovers.as_ref();
        handovers.is_ok_and(|handovers| handovers.pass(from, to))
    }

    /// The keys to which the project's people handed over last. Where an offline key has delegated, it
    /// may still name others: then both have to sign, until a ceremony takes these over.
    pub fn present(&self) -> Option<&KeySet> {
        let handovers = self.handovers.as_ref().ok()?;
        handovers.reached().or(self.set.as_ref())
    }

    /// What is kept of it.
    pub fn seen(&self, by_hand: bool) -> SeenClaim {
        SeenClaim {
            sealed: self.sealed,
            keys: self.keys.clone(),
            threshold: self.threshold,
            version: self.version,
            by_hand,
            recovered: None,
            cleared: false,
        }
    }
}

impl SeenClaim {
    /// Whether the offline keys have ended it in a recovery. It was sealed, and the first look at the
    /// recovered index finds it among the sealed ones no more: neither the online key nor a mirror can bring
    /// that about, since no list of theirs, nor an older one, comes before `claimed`. Or they have cleared
    /// it, and nothing is in its place. Where a person has compared the keys of a sealed one, they decide.
    fn has_ended_by(&self, found: Option<&Claim>) -> bool {
        let is_sealed = found.is_some_and(|found| found.sealed);
        let is_unsealed = self.sealed && !is_sealed && !self.by_hand;
        let is_cleared = self.cleared && found.is_none();
        self.recovered.is_some() && (is_unsealed || is_cleared)
    }

    /// Whether it goes on by the word of a recovery, though no offline key has vouched for it.
    pub(crate) fn goes_on(&self, project: &ProjectName, recovery: &IndexRecovery) -> bool {
        let keys = RoleKeys {
            keyids: self.keys.iter().cloned().map(KeyId::from).collect(),
            threshold: self.threshold,
            extra: Extra::new(),
        };
        recovery.goes_on(project.as_str(), &keys)
    }
}

/// An error and what it comes from.
fn chain(error: &HandoverError) -> String {
    let mut told = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        told = format!("{told}: {error}");
        source = error.source();
    }
    told
}

/// Holds who signs for a project now against what is remembered; what is to be remembered from now
/// on, if that is something else.
pub(crate) fn weigh(
    known: Option<&SeenClaim>,
    found: Option<&Claim>,
) -> Result<Option<SeenClaim>, ClaimRefused> {
    // Before anything else: a reader that comes fresh knows no other version. What the online key says of
    // it counts for nothing: it could keep everybody from a project for ever.
    if let Some(found) = found.filter(|found| found.sealed)
        && let Some(floor) = found.marks.floor.filter(|floor| found.version < *floor)
    {
        let found = found.version;
        return Err(ClaimRefused::BelowFloor { floor, found });
    }
    let known = known.filter(|known| !known.has_ended_by(found));
    let (known, found) = match (known, found) {
        (None, None) => return Ok(None),
        (None, Some(found)) => return Ok(Some(found.seen(false))),
        (Some(_), None) => return Err(ClaimRefused::Gone),
        (Some(known), Some(found)) => (known, found),
    };
    if known.sealed && !found.sealed {
        return Err(ClaimRefused::Unsealed);
    }
    let is_led = found.is_led_from(known);
    // What an offline key says can change all of it, and so can those who signed before; nobody else's
    // word can.
    if !found.sealed && !is_led {
        if known.keys != found.keys {
            let why = found.handovers.as_ref().err().cloned();
            let (known, found) = (known.keys.clone(), found.keys.clone());
            return Err(ClaimRefused::OtherKeys { known, found, why });
        }
        if found.threshold != known.threshold {
            let (known, found) = (known.threshold, found.threshold);
            return Err(ClaimRefused::OtherThreshold { known, found });
        }
    }
    if found.version < known.version && known.recovered.is_none() {
        let (known, found) = (known.version, found.version);
        return Err(ClaimRefused::Older { known, found });
    }
    // Whom a person has looked at has said who comes next. Where an offline key goes on naming the keys
    // of before, they hand over before that key follows.
    let is_followed = known.sealed && found.sealed && found.has_passed(known);
    let by_hand = known.by_hand && (known.keys == found.keys || is_led || is_followed);
    let now = found.seen(by_hand);
    Ok((now != *known).then_some(now))
}

#[cfg(test)]
mod tests;

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
use wheelmark_provenance::Chain;
use wheelmark_tuf::{
    ClaimMarks, HandoverError, Handovers, Key, KeySet, OWN_MEMBER, RoleName, Visit,
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
        }
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
    if found.version < known.version {
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
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use rand::rand_core::UnwrapErr;
    use rand::rngs::SysRng;
    use wheelmark_signing::{FileKey, Signer, sign_role};
    use wheelmark_tuf::Handover;

    use super::*;

    fn claim(sealed: bool, keys: &[&str], threshold: u32, version: u64) -> Claim {
        Claim {
            role: "project-flask".parse().unwrap(),
            version,
            sealed,
            keys: keys.iter().map(|id| (*id).to_owned()).collect(),
            public: BTreeMap::new(),
            threshold,
            maintainers: BTreeMap::new(),
            marks: ClaimMarks::default(),
            expires: Timestamp::MAX,
            set: None,
            handovers: Ok(Handovers::default()),
        }
    }

    #[test]
    fn what_was_claimed_goes_down_in_nothing() {
        let known = claim(false, &["a", "b"], 1, 3).seen(true);
        let sealed = SeenClaim {
            sealed: true,
            ..known.clone()
        };
        let weigh = |known: &SeenClaim, found: Option<&Claim>| weigh(Some(known), found);
        assert_eq!(weigh(&known, None), Err(ClaimRefused::Gone));
        for keys in [&["a"][..], &["a", "c"], &["a", "b", "c"]] {
            let found = claim(false, keys, 1, 4);
            let refused = weigh(&known, Some(&found));
            assert!(matches!(refused, Err(ClaimRefused::OtherKeys { .. })));
        }
        let found = claim(false, &["a", "b"], 1, 2);
        let refused = weigh(&known, Some(&found));
        assert!(matches!(refused, Err(ClaimRefused::Older { .. })));
        let found = claim(false, &["a", "b"], 1, 4);
        assert_eq!(weigh(&sealed, Some(&found)), Err(ClaimRefused::Unsealed));
        let two = SeenClaim {
            threshold: 2,
            ..known.clone()
        };
        let refused = weigh(&two, Some(&found));
        assert!(matches!(refused, Err(ClaimRefused::OtherThreshold { .. })));
        // It goes up, and a newer version is remembered.
        let next = weigh(&known, Some(&found)).unwrap().unwrap();
        assert_eq!((next.version, next.by_hand), (4, true));
        assert_eq!(
            weigh(&known, Some(&claim(false, &["a", "b"], 1, 3))),
            Ok(None)
        );
    }

    /// Keys in files, by name.
    struct Keys(tempfile::TempDir);

    impl Keys {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn key(&self, name: &str) -> FileKey {
            let path = self.0.path().join(name);
            match path.exists() {
                true => FileKey::open(&path).unwrap(),
                false => FileKey::create(&path, &mut UnwrapErr(SysRng)).unwrap(),
            }
        }

        fn set(&self, names: &[&str], threshold: u32) -> KeySet {
            let keys = names.iter().map(|name| self.key(name).key().clone());
            KeySet::new(keys, threshold).unwrap()
        }

        /// One handover more, signed by these.
        fn and(
            &self,
            before: &Handovers,
            [from, to]: [&KeySet; 2],
            by: &[&str],
        ) -> Result<Handovers, HandoverError> {
            let role: RoleName = "project-flask".parse().unwrap();
            let handover = Handover {
                role: role.clone(),
                number: before.next_number(),
                version: before.next_number() + 1,
                made_at: "2026-11-22T08:00:00Z".parse().unwrap(),
                from: from.clone(),
                to: to.clone(),
            };
            let keys: Vec<FileKey> = by.iter().map(|name| self.key(name)).collect();
            let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
            let file = sign_role(&handover.to_canonical(), &signers).unwrap();
            before.and(&file, &role)
        }
    }

    fn of_set(set: &KeySet, version: u64, handovers: &Handovers) -> Claim {
        let ids: Vec<&str> = set
            .keys()
            .keys()
            .map(wheelmark_tuf::KeyId::as_str)
            .collect();
        Claim {
            set: Some(set.clone()),
            handovers: Ok(handovers.clone()),
            ..claim(false, &ids, set.threshold(), version)
        }
    }

    #[test]
    fn keys_are_followed_along_the_handovers_and_nowhere_else() {
        let keys = Keys::new();
        let sets = [
            keys.set(&["a"], 1),
            keys.set(&["a", "b"], 1),
            keys.set(&["a", "b"], 2),
            keys.set(&["x"], 1),
        ];
        let mut all = vec![Handovers::default()];
        for (number, by) in [&["a", "b"][..], &["b"], &["a", "b", "x"]]
            .iter()
            .enumerate()
        {
            let pair = [&sets[number], &sets[number + 1]];
            all.push(keys.and(&all[number], pair, by).unwrap());
        }
        let last = of_set(&sets[3], 9, &all[3]);
        assert_eq!(last.present(), Some(&sets[3]));
        for (number, set) in sets.iter().enumerate() {
            for by_hand in [true, false] {
                let version = number as u64 + 1;
                let known = of_set(set, version, &all[number]).seen(by_hand);
                let next = weigh(Some(&known), Some(&last)).unwrap().unwrap();
                assert_eq!(next, last.seen(by_hand), "from {number}, one and all");
            }
        }
        // It is no way back, nor one to the middle.
        let known = last.seen(true);
        for (number, set) in sets[..3].iter().enumerate() {
            for handovers in [&all[number], &all[3]] {
                let refused = weigh(Some(&known), Some(&of_set(set, 10, handovers)));
                assert!(matches!(refused, Err(ClaimRefused::OtherKeys { .. })));
            }
        }
        // A lower threshold is a change like any other, and so is a higher one.
        let one = of_set(&sets[1], 2, &all[1]).seen(true);
        let two = of_set(&sets[2], 7, &all[1]);
        let refused = weigh(Some(&one), Some(&two));
        assert!(matches!(refused, Err(ClaimRefused::OtherThreshold { .. })));
        assert!(weigh(Some(&one), Some(&of_set(&sets[2], 7, &all[2]))).is_ok());
        let refused = weigh(Some(&two.seen(true)), Some(&of_set(&sets[1], 8, &all[1])));
        assert!(matches!(refused, Err(ClaimRefused::OtherThreshold { .. })));
        // Older metadata stays older.
        let refused = weigh(Some(&of_set(&sets[0], 12, &all[0]).seen(true)), Some(&last));
        assert!(refused.is_err());
    }

    /// A key that came and went leads nobody away who has seen it go, whatever it had signed before.
    #[test]
    fn a_removed_key_does_not_lead_on_from_where_it_once_did() {
        let keys = Keys::new();
        let (own, both, other) = (
            keys.set(&["a"], 1),
            keys.set(&["a", "b"], 1),
            keys.set(&["m"], 1),
        );
        let none = Handovers::default();
        let in_ = keys.and(&none, [&own, &both], &["a", "b"]).unwrap();
        let out = keys.and(&in_, [&both, &own], &["a"]).unwrap();
        let known = of_set(&own, 5, &out).seen(true);
        let fork = keys.and(&in_, [&both, &other], &["b", "m"]).unwrap();
        let refused = weigh(Some(&known), Some(&of_set(&other, 6, &fork)));
        assert!(matches!(refused, Err(ClaimRefused::OtherKeys { .. })));
        // The project itself can go on from there.
        let known = of_set(&own, 3, &out).seen(true);
        let next = keys.and(&out, [&own, &other], &["a", "m"]).unwrap();
        assert!(weigh(Some(&known), Some(&of_set(&other, 6, &next))).is_ok());
    }

    #[test]
    fn another_branch_than_the_one_that_is_remembered_leads_nowhere() {
        let keys = Keys::new();
        let (first, next, other) = (
            keys.set(&["a"], 1),
            keys.set(&["b"], 1),
            keys.set(&["m"], 1),
        );
        let none = Handovers::default();
        let known = of_set(&next, 3, &none).seen(true);
        // The key of before was stolen after it had handed over.
        let branch = keys.and(&none, [&first, &other], &["a", "m"]).unwrap();
        let refused = weigh(Some(&known), Some(&of_set(&other, 4, &branch)));
        assert!(matches!(refused, Err(ClaimRefused::OtherKeys { .. })));
        // By somebody who has neither: no such handover is read, and the refusal says why.
        let real = keys.and(&none, [&first, &next], &["a", "b"]).unwrap();
        let forged = keys.and(&real, [&next, &other], &["m"]).unwrap_err();
        let mut found = of_set(&other, 4, &none);
        found.handovers = Err(chain(&forged));
        let refused = weigh(Some(&known), Some(&found)).unwrap_err().to_string();
        assert!(refused.contains("other keys than before"), "{refused}");
        assert!(
            refused.contains("handover 2 is not signed by those"),
            "{refused}"
        );
    }

    #[test]
    fn a_version_below_the_floor_counts_for_nobody() {
        let mut found = claim(true, &["a"], 1, 6);
        found.marks.floor = Some(7);
        let known = claim(false, &["a"], 1, 3).seen(true);
        for known in [None, Some(&known)] {
            let refused = weigh(known, Some(&found));
            let below = ClaimRefused::BelowFloor { floor: 7, found: 6 };
            assert_eq!(refused, Err(below));
        }
        found.version = 7;
        assert!(weigh(None, Some(&found)).unwrap().is_some());
        let mut online = claim(false, &["a"], 1, 6);
        online.marks.floor = Some(u64::MAX);
        assert!(weigh(None, Some(&online)).unwrap().is_some());
    }

    /// While a project is sealed, the offline key names the keys of before until a ceremony takes over
    /// those to which they have handed over.
    #[test]
    fn whoever_knows_the_sealed_keys_follows_the_ceremony_that_takes_over_others() {
        let keys = Keys::new();
        let (first, next) = (keys.set(&["a"], 1), keys.set(&["b"], 1));
        let none = Handovers::default();
        let handed = keys.and(&none, [&first, &next], &["a", "b"]).unwrap();
        let sealed = |set: &KeySet, version, handovers: &Handovers, floor| {
            let mut claim = of_set(set, version, handovers);
            claim.sealed = true;
            claim.marks.floor = Some(floor);
            claim
        };
        let then = sealed(&next, 4, &handed, 3);
        // From before the handover, and from when it was there and the offline key did not know it.
        for known in [sealed(&first, 1, &none, 1), sealed(&first, 3, &handed, 1)] {
            for by_hand in [true, false] {
                let known = known.seen(by_hand);
                let now = weigh(Some(&known), Some(&then)).unwrap().unwrap();
                assert_eq!(now, then.seen(by_hand));
            }
        }
        // From before it was sealed, and afresh.
        let provisional = of_set(&first, 1, &none).seen(true);
        let now = weigh(Some(&provisional), Some(&then)).unwrap().unwrap();
        assert_eq!(now, then.seen(true));
        assert!(weigh(None, Some(&then)).unwrap().is_some());
        // What the removed key has signed before counts for nobody any more, nor does an older list.
        let old = sealed(&next, 2, &handed, 3);
        assert!(matches!(
            weigh(None, Some(&old)),
            Err(ClaimRefused::BelowFloor { .. })
        ));
        let back = sealed(&first, 3, &handed, 1);
        let known = then.seen(true);
        assert!(matches!(
            weigh(Some(&known), Some(&back)),
            Err(ClaimRefused::Older { .. })
        ));
        // Others, to whom no handover leads, are for a person to compare.
        let other = sealed(&keys.set(&["x"], 1), 5, &handed, 3);
        assert!(!weigh(Some(&known), Some(&other)).unwrap().unwrap().by_hand);
    }

    #[test]
    fn an_offline_key_can_change_the_keys_and_a_person_looks_once_more() {
        let known = claim(false, &["a"], 1, 3).seen(true);
        let found = claim(true, &["b"], 1, 4);
        let next = weigh(Some(&known), Some(&found)).unwrap().unwrap();
        assert!(next.sealed && !next.by_hand && next.keys.contains("b"));
        assert_eq!(weigh(None, None), Ok(None));
        let first = weigh(None, Some(&found)).unwrap().unwrap();
        assert!(!first.by_hand);
    }
}

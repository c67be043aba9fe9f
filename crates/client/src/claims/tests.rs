#![expect(clippy::unwrap_used, reason = "a failed test says where it failed")]

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
    let ids: Vec<&str> = set.keys().keys().map(KeyId::as_str).collect();
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

/// What is remembered after a recovery of the index.
fn recovered(known: &SeenClaim) -> SeenClaim {
    SeenClaim {
        recovered: Some(Sha256::of(b"statement")),
        ..known.clone()
    }
}

#[test]
fn a_version_that_was_driven_up_keeps_nothing_out_after_a_recovery() {
    let driven = claim(false, &["a"], 1, 1 << 53).seen(true);
    let found = claim(false, &["a"], 1, 4);
    let refused = weigh(Some(&driven), Some(&found));
    assert!(matches!(refused, Err(ClaimRefused::Older { .. })));
    let next = weigh(Some(&recovered(&driven)), Some(&found)).unwrap();
    assert_eq!(next, Some(found.seen(true)));
    // It counts again from then on, and everything else did all the time.
    let refused = weigh(next.as_ref(), Some(&claim(false, &["a"], 1, 3)));
    assert!(matches!(refused, Err(ClaimRefused::Older { .. })));
    let other = claim(false, &["b"], 1, 4);
    let refused = weigh(Some(&recovered(&driven)), Some(&other));
    assert!(matches!(refused, Err(ClaimRefused::OtherKeys { .. })));
    let gone = weigh(Some(&recovered(&driven)), None);
    assert_eq!(gone, Err(ClaimRefused::Gone));
    // That no time has passed is told by what is written down all the same.
    let same = claim(false, &["a"], 1, 1 << 53);
    let next = weigh(Some(&recovered(&driven)), Some(&same)).unwrap();
    assert_eq!(next, Some(driven));
}

#[test]
fn a_seal_is_looked_for_anew_after_a_recovery() {
    let stolen = claim(true, &["x"], 1, 9).seen(false);
    let (none, theirs) = (None, claim(false, &["a"], 1, 1));
    for found in [none, Some(&theirs)] {
        assert!(weigh(Some(&stolen), found).is_err());
        let next = weigh(Some(&recovered(&stolen)), found).unwrap();
        assert_eq!(next, found.map(|found| found.seen(false)));
        // Whoever has compared the keys is asked.
        let by_hand = SeenClaim {
            by_hand: true,
            ..recovered(&stolen)
        };
        assert!(weigh(Some(&by_hand), found).is_err());
    }
    // With its own people's keys, whatever version the others came to.
    let real = claim(true, &["a"], 1, 2);
    let next = weigh(Some(&recovered(&stolen)), Some(&real)).unwrap();
    assert_eq!(next, Some(real.seen(false)));
}

#[test]
fn what_a_person_has_compared_is_gone_when_it_was_cleared_and_is_nobody_elses() {
    let compared = SeenClaim {
        cleared: true,
        ..recovered(&claim(false, &["a"], 1, 5).seen(true))
    };
    assert_eq!(weigh(Some(&compared), None), Ok(None));
    let other = claim(false, &["b"], 1, 1);
    let refused = weigh(Some(&compared), Some(&other));
    assert!(matches!(refused, Err(ClaimRefused::OtherKeys { .. })));
    let again = claim(false, &["a"], 1, 1);
    let next = weigh(Some(&compared), Some(&again)).unwrap();
    assert_eq!(next, Some(again.seen(true)));
    // One that goes on does not go.
    let goes_on = SeenClaim {
        cleared: false,
        ..compared
    };
    assert_eq!(weigh(Some(&goes_on), None), Err(ClaimRefused::Gone));
}

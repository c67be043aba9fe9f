//! Keys to which the people of a sealed project have handed over, and what holders do not sign of it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jiff::SignedDuration;
use serde_json::json;
use wheelmark_ceremony::{
    Ceremony, CeremonyError, ClaimChanges, ClaimsError, Plan, PlanError, StandingError,
};
use wheelmark_signing::{Ed25519Key, Signer, sign_role};
use wheelmark_tuf::{
    ClaimMarks, DelegatedRole, DelegatedRoles, Delegations, Handover, Handovers, KeySet,
    OWN_MEMBER, PathPattern, PathSet, RoleName,
};

use crate::world::{World, day, name, project_role_with, tally};

const PROJECT: &str = "acme-tools";

fn role() -> RoleName {
    RoleName::of_project(PROJECT).unwrap()
}

fn set(keys: &[&Ed25519Key], threshold: u32) -> KeySet {
    KeySet::new(keys.iter().map(|key| key.key().clone()), threshold).unwrap()
}

/// A project that was sealed on day 30 at version 4 of its role, with alice's key.
struct Sealed {
    world: World,
    alice: Rc<Ed25519Key>,
    bob: Rc<Ed25519Key>,
}

impl Sealed {
    fn new() -> Self {
        let mut world = World::new(2, 2);
        let (alice, bob) = (Rc::new(world.key()), Rc::new(world.key()));
        let mut sealed = Self { world, alice, bob };
        let mut keys = set(&[&sealed.alice], 1).role_keys();
        let users = json!({ sealed.alice.key().keyid().as_str(): "alice" });
        let own = json!({ "claimed-at": day(1).to_string(), "maintainers": users });
        keys.extra.insert(OWN_MEMBER.to_owned(), own);
        let paths = ["simple", "packages"].map(|kind| format!("{kind}/{PROJECT}/*"));
        let waiting = DelegatedRole {
            name: role(),
            keys,
            terminating: true,
            paths: PathSet::Patterns(paths.into_iter().map(PathPattern::from).collect()),
        };
        let key = sealed.alice.key().clone();
        sealed.world.put_recently(Delegations {
            keys: BTreeMap::from([(key.keyid().clone(), key)]),
            roles: DelegatedRoles::Listed(vec![waiting]),
            extra: BTreeMap::new(),
        });
        let alice = Rc::clone(&sealed.alice);
        sealed.put(4, &Handovers::default(), &[&alice]);
        let mut plan = sealed.world.plan(day(30));
        plan.claims.seal.insert(role());
        let ceremony = sealed.world.try_ceremony(plan, day(30)).unwrap();
        let finished = tally(&ceremony, &sealed.world.seats).finish(day(30));
        sealed.world.publish(finished.unwrap().files);
        sealed
    }

    fn put(&mut self, version: u64, handovers: &Handovers, keys: &[&Ed25519Key]) {
        let bytes = project_role_with(PROJECT, version, handovers, keys);
        self.world.put_project(PROJECT, bytes);
    }

    /// One handover more, on a day, which a version of the role brings.
    fn handed(
        &self,
        before: &Handovers,
        (version, days): (u64, i64),
        [from, to]: [&KeySet; 2],
        by: &[&Ed25519Key],
    ) -> Handovers {
        let handover = Handover {
            role: role(),
            number: before.next_number(),
            version,
            made_at: day(days),
            from: from.clone(),
            to: to.clone(),
        };
        let by: Vec<&dyn Signer> = by.iter().map(|key| *key as &dyn Signer).collect();
        let file = sign_role(&handover.to_canonical(), &by).unwrap();
        before.and(&file, &role()).unwrap()
    }

    /// Version 6 of the role, in which alice has handed over to bob on day 40 with version 5.
    fn handing_to_bob(&mut self) -> Handovers {
        let (alice, bob) = (Rc::clone(&self.alice), Rc::clone(&self.bob));
        let sets = [&set(&[&alice], 1), &set(&[&bob], 1)];
        let none = Handovers::default();
        let handed = self.handed(&none, (5, 40), sets, &[&alice, &bob]);
        self.put(6, &handed, &[&alice, &bob]);
        handed
    }

    fn plan(&self, take_over: &[RoleName]) -> Plan {
        let mut plan = self.world.plan(day(60));
        plan.claims = ClaimChanges {
            take_over: take_over.iter().cloned().collect(),
            older_than: SignedDuration::from_hours(14 * 24),
            ..ClaimChanges::default()
        };
        plan
    }

    fn refused(&self) -> ClaimsError {
        match self.world.try_ceremony(self.plan(&[role()]), day(60)) {
            Err(CeremonyError::Plan(PlanError::Claims(error))) => error,
            other => panic!("{other:?}"),
        }
    }
}

fn in_claimed(ceremony: &Ceremony) -> Delegations {
    let next = ceremony.next_role(&name("claimed")).unwrap();
    next.delegations.clone().unwrap()
}

#[test]
fn the_offline_key_takes_over_the_keys_that_the_sealed_ones_lead_to() {
    let mut sealed = Sealed::new();
    sealed.handing_to_bob();
    let ceremony = sealed.world.try_ceremony(sealed.plan(&[role()]), day(60));
    let ceremony = ceremony.unwrap();
    let next = in_claimed(&ceremony);
    let DelegatedRoles::Listed(roles) = &next.roles else {
        panic!("{next:?}");
    };
    let [then] = roles.as_slice() else {
        panic!("{roles:?}");
    };
    assert_eq!(
        KeySet::delegated(&next, &role()),
        Some(set(&[&sealed.bob], 1))
    );
    assert_eq!(next.keys.len(), 1, "nobody names the key of before");
    let marks = ClaimMarks::of(&then.keys);
    assert_eq!((marks.floor, marks.sealed_at), (Some(6), Some(day(60))));
    assert_eq!(
        (marks.claimed_at, marks.keys_since),
        (Some(day(1)), Some(day(40)))
    );
    assert!(then.is_claim());

    // With the whole ids of the keys that come and go, and since when they stand.
    let differences = ceremony.differences();
    let said = differences.iter().find(|of| of.role == name("claimed"));
    let said = said.unwrap().changes.join("\n");
    let (gone, comes) = (sealed.alice.key().keyid(), sealed.bob.key().keyid());
    for words in [
        "acme-tools goes over to other keys".to_owned(),
        "no version of its role before 6 counts".to_owned(),
        format!("key {gone} (alice) goes"),
        format!("key {comes} comes"),
        "20 days".to_owned(),
    ] {
        assert!(said.contains(&words), "{words}: {said}");
    }
    let cautions = ceremony.cautions().join("\n");
    assert!(cautions.contains("handed over to their own"), "{cautions}");

    // The plan travels as it is, and comes to the same.
    let bytes = serde_json::to_vec(&ceremony.plan().to_value()).unwrap();
    let again = Plan::read(&bytes).unwrap();
    assert_eq!(again, *ceremony.plan());
    let again = sealed.world.try_ceremony(again, day(60)).unwrap();
    assert_eq!(again.words(), ceremony.words());

    // From there on bob signs alone, and nothing is left to take over.
    let finished = tally(&ceremony, &sealed.world.seats).finish(day(60));
    sealed.world.publish(finished.unwrap().files);
    let refused = sealed.refused();
    assert!(
        matches!(refused, ClaimsError::NotHandedOver { .. }),
        "{refused}"
    );
}

#[test]
fn what_the_sealed_keys_do_not_lead_to_is_not_taken_over() {
    // Nobody has handed over.
    let mut sealed = Sealed::new();
    let refused = sealed.refused();
    assert!(
        matches!(refused, ClaimsError::NotHandedOver { .. }),
        "{refused}"
    );
    // Not long enough ago.
    let (alice, bob) = (Rc::clone(&sealed.alice), Rc::clone(&sealed.bob));
    let (first, next) = (set(&[&alice], 1), set(&[&bob], 1));
    let none = Handovers::default();
    let young = sealed.handed(&none, (5, 50), [&first, &next], &[&alice, &bob]);
    sealed.put(5, &young, &[&alice, &bob]);
    let refused = sealed.refused();
    assert!(matches!(refused, ClaimsError::TooYoung { .. }), "{refused}");
    // From before it was sealed: who signed then has no say in what comes.
    let before = sealed.handed(&none, (3, 20), [&first, &next], &[&alice, &bob]);
    sealed.put(6, &before, &[&alice, &bob]);
    let refused = sealed.refused();
    assert!(
        matches!(refused, ClaimsError::NotHandedOver { .. }),
        "{refused}"
    );
    // By somebody else than the sealed keys.
    let other = sealed.world.key();
    let foreign = sealed.handed(&none, (5, 40), [&set(&[&other], 1), &next], &[&other, &bob]);
    sealed.put(6, &foreign, &[&alice, &bob]);
    let refused = sealed.refused();
    assert!(
        matches!(refused, ClaimsError::NotHandedOver { .. }),
        "{refused}"
    );
    // The keys that came in have not signed this version of the role.
    let handed = sealed.handed(&none, (5, 40), [&first, &next], &[&alice, &bob]);
    sealed.put(6, &handed, &[&alice]);
    let refused = sealed.refused();
    assert!(
        matches!(refused, ClaimsError::NotByThem { .. }),
        "{refused}"
    );
    // A version that the sealed keys have not signed is none.
    let bytes = project_role_with(PROJECT, 6, &handed, &[&bob]);
    let standing = sealed.world.standing();
    let refused = standing.handed_over(&role(), &bytes, day(60)).unwrap_err();
    assert!(matches!(refused, StandingError::Role { .. }), "{refused}");
    // A key of the index.
    let online = &sealed.world.online;
    let evil = set(&[online], 1);
    let handed = sealed.handed(&none, (5, 40), [&first, &evil], &[&alice, online]);
    let bytes = project_role_with(PROJECT, 6, &handed, &[&alice, online]);
    sealed.world.put_project(PROJECT, bytes);
    let refused = sealed.refused();
    assert!(
        matches!(refused, ClaimsError::KeyOfIndex { .. }),
        "{refused}"
    );
}

#[test]
fn a_project_is_taken_over_or_given_back_and_not_both() {
    let mut sealed = Sealed::new();
    sealed.handing_to_bob();
    let mut plan = sealed.plan(&[role()]);
    plan.claims.unseal = BTreeSet::from([role()]);
    let refused = sealed.world.try_ceremony(plan, day(60)).unwrap_err();
    assert!(refused.to_string().contains("named twice"), "{refused}");
    let other = RoleName::of_project("other").unwrap();
    let refused = sealed.world.try_ceremony(sealed.plan(&[other]), day(60));
    let refused = refused.unwrap_err();
    assert!(
        refused.to_string().contains("other is not sealed"),
        "{refused}"
    );
}

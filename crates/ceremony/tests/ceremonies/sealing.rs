//! Claims that go over to the offline key and come back, and what holders do not sign.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde_json::{Value, json};
use wheelmark_ceremony::{
    Ceremony, CeremonyError, ClaimChanges, ClaimsError, Plan, PlanError, Standing, StandingError,
};
use wheelmark_signing::{Ed25519Key, Signer as _};
use wheelmark_tuf::{
    ClaimMarks, DelegatedRole, DelegatedRoles, Delegations, Key, OWN_MEMBER, PathPattern, PathSet,
    RoleKeys, RoleName,
};

use crate::world::{POLICY, World, day, name, project_role, tally};

/// What an index writes of a claim.
fn claim(project: &str, keys: &[&Ed25519Key], threshold: u32, own: Value) -> DelegatedRole {
    let keys = keys.iter().map(|key| key.key());
    let mut keys = RoleKeys::new(keys, threshold);
    keys.extra.insert(OWN_MEMBER.to_owned(), own);
    let paths = [
        format!("simple/{project}/*"),
        format!("packages/{project}/*"),
    ];
    DelegatedRole {
        name: role(project),
        keys,
        terminating: true,
        paths: PathSet::Patterns(paths.into_iter().map(PathPattern::from).collect()),
    }
}

fn role(project: &str) -> RoleName {
    RoleName::of_project(project).unwrap()
}

fn listed(roles: Vec<DelegatedRole>, keys: &[&Ed25519Key]) -> Delegations {
    let keys = keys.iter().map(|key| key.key().clone());
    Delegations {
        keys: keys.map(|key: Key| (key.keyid().clone(), key)).collect(),
        roles: DelegatedRoles::Listed(roles),
        extra: BTreeMap::new(),
    }
}

/// Claimed on a day.
fn since(days: i64) -> Value {
    json!({ "claimed-at": day(days).to_string(), "maintainers": {} })
}

/// An index with two claims: that of `old-one` from day 1, that of `new-one` from day 50.
struct Claimed {
    world: World,
    alice: Ed25519Key,
    bob: Ed25519Key,
}

impl Claimed {
    fn new() -> Self {
        let mut world = World::new(2, 2);
        let (alice, bob) = (world.key(), world.key());
        let roles = vec![
            claim("new-one", &[&bob], 1, since(50)),
            claim("old-one", &[&alice, &bob], 2, since(1)),
        ];
        world.put_recently(listed(roles, &[&alice, &bob]));
        world.put_project("old-one", project_role("old-one", 7, &[&alice, &bob]));
        world.put_project("new-one", project_role("new-one", 2, &[&bob]));
        Self { world, alice, bob }
    }

    /// In place of what the online key said of `old-one`.
    fn says(&mut self, role: DelegatedRole) {
        let keys = [&self.alice, &self.bob];
        self.world.put_recently(listed(vec![role], &keys));
        self.world.published.roles.remove(&name("project-new-one"));
    }

    fn plan(&self, seal: &[&str], unseal: &[&str]) -> Plan {
        let roles = |names: &[&str]| names.iter().map(|name| role(name)).collect::<BTreeSet<_>>();
        let mut plan = self.world.plan(day(60));
        plan.claims = ClaimChanges {
            seal: roles(seal),
            take_over: BTreeSet::new(),
            older_than: SignedDuration::from_hours(14 * 24),
            unseal: roles(unseal),
        };
        plan
    }

    fn refused(&self, seal: &[&str], unseal: &[&str]) -> ClaimsError {
        match self.world.try_ceremony(self.plan(seal, unseal), day(60)) {
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
fn a_claim_goes_over_as_it_is_and_comes_back() {
    let mut claimed = Claimed::new();
    let plan = claimed.plan(&["old-one"], &[]);
    let ceremony = claimed.world.try_ceremony(plan, day(60)).unwrap();
    let next = in_claimed(&ceremony);
    let expected = claim("old-one", &[&claimed.alice, &claimed.bob], 2, since(1));
    let expected = expected.sealed(7, day(60));
    assert_eq!(next.roles, DelegatedRoles::Listed(vec![expected.clone()]));
    assert_eq!(next.keys.len(), 2);
    let marks = ClaimMarks::of(&expected.keys);
    assert_eq!((marks.floor, marks.sealed_at), (Some(7), Some(day(60))));

    // In words, with the whole ids of the keys.
    let differences = ceremony.differences();
    let said = differences.iter().find(|of| of.role == name("claimed"));
    let said = said.unwrap().changes.join("\n");
    assert!(said.contains("old-one is sealed: 2 of 2 keys"), "{said}");
    assert!(said.contains("no version of its role before 7"), "{said}");
    assert!(said.contains("59 days"), "{said}");
    assert!(
        said.contains(claimed.alice.key().keyid().as_str()),
        "{said}"
    );
    assert!(
        ceremony
            .cautions()
            .iter()
            .any(|said| said.contains("the online key"))
    );

    // The plan travels as it is, and comes to the same.
    let bytes = serde_json::to_vec(&ceremony.plan().to_value()).unwrap();
    let again = Plan::read(&bytes).unwrap();
    assert_eq!(again, *ceremony.plan());
    let again = claimed.world.try_ceremony(again, day(60)).unwrap();
    assert_eq!(again.words(), ceremony.words());

    let finished = tally(&ceremony, &claimed.world.seats).finish(day(60));
    claimed.world.publish(finished.unwrap().files);
    let standing = claimed.world.standing();
    let sealed: Vec<_> = standing.sealed().iter().map(|of| of.role.clone()).collect();
    assert_eq!(sealed, [role("old-one")]);
    let pending: Vec<_> = standing
        .pending()
        .iter()
        .map(|of| of.role.clone())
        .collect();
    assert_eq!(pending, [role("new-one")]);
    assert!(matches!(
        claimed.refused(&["old-one"], &[]),
        ClaimsError::Sealed { .. }
    ));

    // A renewal leaves it as it is; a ceremony can give it back.
    let renewed = claimed
        .world
        .try_ceremony(claimed.world.plan(day(90)), day(90));
    assert_eq!(in_claimed(&renewed.unwrap()), next);
    let mut back = claimed.world.plan(day(80));
    back.claims.unseal.insert(role("old-one"));
    let back = claimed.world.try_ceremony(back, day(80)).unwrap();
    assert_eq!(in_claimed(&back).roles, DelegatedRoles::Listed(Vec::new()));
    assert!(in_claimed(&back).keys.is_empty());
    let said = back.differences().into_iter().flat_map(|of| of.changes);
    assert!(
        said.collect::<String>()
            .contains("old-one is sealed no longer")
    );
}

#[test]
fn more_than_clients_read_of_claimed_is_not_sealed() {
    let mut world = World::new(2, 2);
    let alice = world.key();
    let long = json!({
        "claimed-at": day(1).to_string(),
        "maintainers": { alice.key().keyid().as_str(): "a".repeat(15_000) },
    });
    let projects: Vec<String> = (0..310).map(|number| format!("p{number}")).collect();
    let claims = projects.iter();
    let claims = claims.map(|project| claim(project, &[&alice], 1, long.clone()));
    world.put_recently(listed(claims.collect(), &[&alice]));
    for project in &projects {
        world.put_project(project, project_role(project, 1, &[&alice]));
    }
    let bob = world.key();
    let claimed = Claimed { world, alice, bob };
    let all: Vec<&str> = projects.iter().map(String::as_str).collect();
    let refused = claimed.refused(&all, &[]);
    assert!(
        matches!(refused, ClaimsError::Full { length } if length > 4_500_000),
        "{refused}"
    );
    let fewer = claimed.plan(&all[..250], &[]);
    claimed.world.try_ceremony(fewer, day(60)).unwrap();
}

#[test]
fn what_is_too_young_or_waits_for_nothing_is_not_sealed() {
    let mut claimed = Claimed::new();
    let too_young = claimed.refused(&["old-one", "new-one"], &[]);
    assert!(
        matches!(too_young, ClaimsError::TooYoung { .. }),
        "{too_young}"
    );
    let unknown = claimed.refused(&["nobody-s"], &[]);
    assert!(
        matches!(unknown, ClaimsError::NotPending { .. }),
        "{unknown}"
    );
    let open = claimed.refused(&[], &["old-one"]);
    assert!(matches!(open, ClaimsError::NotSealed { .. }), "{open}");
    // A change of keys counts as their beginning.
    let own = json!({ "claimed-at": day(1).to_string(), "keys-since": day(55).to_string() });
    claimed.says(claim("old-one", &[&claimed.alice, &claimed.bob], 2, own));
    let changed = claimed.refused(&["old-one"], &[]);
    assert!(matches!(changed, ClaimsError::TooYoung { .. }), "{changed}");
    claimed.says(claim(
        "old-one",
        &[&claimed.alice, &claimed.bob],
        2,
        json!({}),
    ));
    let ageless = claimed.refused(&["old-one"], &[]);
    assert!(matches!(ageless, ClaimsError::NoAge { .. }), "{ageless}");
}

#[test]
fn nobody_signs_what_an_index_does_not_write() {
    let mut claimed = Claimed::new();
    let good = claim("old-one", &[&claimed.alice, &claimed.bob], 2, since(1));
    let changes: [&dyn Fn(&mut DelegatedRole); 4] = [
        // All projects in place of one.
        &|role| role.paths = PathSet::Patterns(vec![PathPattern::from("simple/*/*")]),
        &|role| role.terminating = false,
        &|role| drop(role.keys.extra.insert("x".to_owned(), json!(1))),
        &|role| {
            let long = "x".repeat(20_000);
            let own = role.keys.extra.get_mut(OWN_MEMBER).unwrap();
            own["maintainers"] = json!({ "a": long });
        },
    ];
    for change in changes {
        let mut role = good.clone();
        change(&mut role);
        claimed.says(role);
        let refused = claimed.refused(&["old-one"], &[]);
        assert!(matches!(refused, ClaimsError::Foreign { .. }), "{refused}");
    }

    // The index's own keys, with which an intruder could go on for ever.
    let mut world = World::new(2, 2);
    let evil = claim("old-one", &[&world.online], 1, since(1));
    let evil = listed(vec![evil], &[&world.online]);
    world.put_recently(evil);
    let role = project_role("old-one", 1, &[&world.online]);
    world.put_project("old-one", role);
    let (alice, bob) = (world.key(), world.key());
    let own = Claimed { world, alice, bob };
    let refused = own.refused(&["old-one"], &[]);
    assert!(
        matches!(refused, ClaimsError::KeyOfIndex { .. }),
        "{refused}"
    );
}

#[test]
fn a_key_under_another_s_id_takes_nobody_s_place() {
    let mut claimed = Claimed::new();
    let evil = claimed.world.key();
    let good = claim("old-one", &[&claimed.alice, &claimed.bob], 1, since(1));
    let mut delegations = listed(vec![good], &[&claimed.alice, &claimed.bob]);
    let id = claimed.alice.key().keyid().clone();
    delegations.keys.insert(id, evil.key().clone());
    claimed.world.put_recently(delegations);
    claimed
        .world
        .published
        .roles
        .remove(&name("project-new-one"));
    let role = project_role("old-one", 8, &[&claimed.bob]);
    claimed.world.put_project("old-one", role);
    let refused = claimed.refused(&["old-one"], &[]);
    assert!(refused.to_string().contains("its own id"), "{refused}");
}

#[test]
fn what_comes_along_is_verified() {
    let claimed = Claimed::new();
    let verify = |published| Standing::verify(published).map(drop).unwrap_err();
    // The role of a project, by somebody else.
    let mut published = claimed.world.published.clone();
    let other = published.roles[&name("project-new-one")].clone();
    published.roles.insert(name("project-old-one"), other);
    assert!(matches!(verify(published), StandingError::Role { .. }));
    // One that nobody delegates to.
    let mut published = claimed.world.published.clone();
    let other = published.roles[&name("project-new-one")].clone();
    published.roles.insert(name("project-nobody-s"), other);
    assert!(matches!(verify(published), StandingError::Stray { .. }));
    // The list of claims, by somebody else.
    let mut other = World::new(2, 2);
    let evil = other.key();
    other.online = evil;
    other.put_recently(listed(Vec::new(), &[]));
    let mut published = claimed.world.published.clone();
    published.roles.extend(
        other
            .published
            .roles
            .remove_entry(&name("recently-claimed")),
    );
    assert!(matches!(verify(published), StandingError::Role { .. }));
    // Without the role nobody sees which version it has.
    let mut lacking = Claimed::new();
    lacking
        .world
        .published
        .roles
        .remove(&name("project-old-one"));
    let refused = lacking.refused(&["old-one"], &[]);
    assert!(matches!(refused, ClaimsError::NoRole { .. }), "{refused}");
}

#[test]
fn a_plan_of_claims_is_read_strictly() {
    let claimed = Claimed::new();
    let plan = claimed.plan(&["old-one"], &[]).to_value();
    assert_eq!(
        plan["claims"],
        json!({ "seal": ["old-one"], "older-than": 1_209_600 })
    );
    let refused = |change: Value| {
        let mut plan = plan.clone();
        plan["claims"] = change;
        Plan::read(&serde_json::to_vec(&plan).unwrap()).unwrap_err()
    };
    for names in [
        json!(["a/b"]),
        json!(["Old-One"]),
        json!(["a", "a"]),
        json!(["*"]),
    ] {
        let error = refused(json!({ "seal": names }));
        assert!(matches!(error, PlanError::Claims(_)), "{error}");
    }
    assert!(matches!(refused(json!({ "more": 1 })), PlanError::Json(_)));
    let many: Vec<String> = (0..1_001).map(|number| format!("p{number}")).collect();
    let error = refused(json!({ "seal": many }));
    assert!(matches!(error, PlanError::Claims(ClaimsError::TooMany)));
    // Whoever signs `claimed` has to sign it for that.
    let mut plan = claimed.plan(&["old-one"], &[]);
    plan.roles.remove(&name("claimed"));
    let refused = Ceremony::new(claimed.world.standing(), plan, &POLICY, day(60)).unwrap_err();
    assert!(matches!(
        refused,
        CeremonyError::Plan(PlanError::NotAll { .. })
    ));
}

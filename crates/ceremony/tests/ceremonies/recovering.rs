//! The ceremony that brings an index back from a break-in.

use std::collections::BTreeMap;

use serde_json::json;
use wheelmark_ceremony::{
    Ceremony, CeremonyError, ClaimChanges, HolderChange, OnlineKey, Plan, PlanError, Recovery,
    RecoveryError, online_proof_message,
};
use wheelmark_signing::{Ed25519Key, Signer as _};
use wheelmark_tuf::{
    BinForm, Bins, DelegatedRole, DelegatedRoles, Delegations, IndexRecovery, Key, OWN_MEMBER,
    PathPattern, PathSet, RECOVERY_RAISE, RoleKeys, RoleName, Sha256, claim_digest,
};

use crate::world::{POLICY, World, day, name, tally};

fn claim(project: &str, keys: &[&Ed25519Key], threshold: u32) -> DelegatedRole {
    let keys = keys.iter().map(|key| key.key());
    let mut keys = RoleKeys::new(keys, threshold);
    let own = json!({ "claimed-at": day(1).to_string(), "maintainers": {} });
    keys.extra.insert(OWN_MEMBER.to_owned(), own);
    let paths = ["simple", "packages"];
    let paths = paths.map(|kind| PathPattern::from(format!("{kind}/{project}/*").as_str()));
    DelegatedRole {
        name: RoleName::of_project(project).unwrap(),
        keys,
        terminating: true,
        paths: PathSet::Patterns(paths.into_iter().collect()),
    }
}

/// An index in its last good state, in which two projects are claimed and none is sealed.
struct LastGood {
    world: World,
    next: Ed25519Key,
    acme: DelegatedRole,
    recently: Delegations,
}

impl LastGood {
    fn new() -> Self {
        let mut world = World::new(3, 2);
        let (alice, bob, next) = (world.key(), world.key(), world.key());
        let acme = claim("acme-tools", &[&alice, &bob], 2);
        let keys = [&alice, &bob].map(|key| key.key().clone());
        for family in ["simple", "packages"] {
            let bins = Bins::new(4, BinForm::Succinct).unwrap();
            let below = bins.delegations(family, world.online.key());
            world.put(family, Some(below));
        }
        // What somebody with the online key could write, and no index does.
        let mut wide = claim("wide", &[&bob], 1);
        wide.paths = PathSet::Patterns(vec![PathPattern::from("simple/*/*")]);
        let recently = Delegations {
            keys: keys.map(|key: Key| (key.keyid().clone(), key)).into(),
            roles: DelegatedRoles::Listed(vec![acme.clone(), claim("other", &[&bob], 1), wide]),
            extra: BTreeMap::new(),
        };
        world.put_recently(recently.clone());
        Self {
            world,
            next,
            acme,
            recently,
        }
    }

    fn online(&self) -> OnlineKey {
        let index = self.world.standing().first_fingerprint();
        let key = self.next.key().clone();
        let proof = self.next.sign(&online_proof_message(&index, &key)).unwrap();
        OnlineKey::new(index, key, proof).unwrap()
    }

    fn plan(&self) -> Plan {
        let mut plan = self.world.plan(day(60));
        plan.recover(recovery(), self.online(), |_, _| false);
        plan
    }

    fn ceremony(&self) -> Ceremony {
        self.world.try_ceremony(self.plan(), day(60)).unwrap()
    }

    fn refused(&self, change: impl FnOnce(&mut Plan)) -> CeremonyError {
        let mut plan = self.plan();
        change(&mut plan);
        self.world.try_ceremony(plan, day(60)).unwrap_err()
    }
}

fn recovery() -> Recovery {
    Recovery {
        since: day(50),
        snapshot_version: 117,
        snapshot_sha256: Sha256::of(b"a snapshot"),
        bulletin: "The online key was stolen.\nNothing of it is left.\n".to_owned(),
        ended: [RoleName::of_project("other").unwrap()].into(),
    }
}

#[test]
fn raises_versions_replaces_the_online_key_and_says_what_clients_forget() {
    let mut last_good = LastGood::new();
    let ceremony = last_good.ceremony();
    for difference in ceremony.differences() {
        let raise = match difference.role.as_str() {
            "root" => 1,
            _ => RECOVERY_RAISE,
        };
        assert_eq!(difference.versions, (1, 1 + raise), "{}", difference.role);
    }
    assert_eq!(ceremony.payloads().len(), 5);
    let said = ceremony.recovery_statement().unwrap();
    let expected = IndexRecovery {
        at: day(60),
        since: day(50),
        bulletin: recovery().bulletin,
        claims: [("acme-tools".to_owned(), claim_digest(&last_good.acme.keys))].into(),
        extra: BTreeMap::new(),
    };
    assert_eq!(said, expected);
    assert!(said.goes_on("acme-tools", &last_good.acme.keys));

    // Once it is published, the thief's key is nobody's, and a renewal carries all of that on.
    let finished = tally(&ceremony, &last_good.world.seats).finish(day(60));
    last_good.world.publish(finished.unwrap().files);
    last_good
        .world
        .published
        .roles
        .remove(&name("recently-claimed"));
    let standing = last_good.world.standing();
    let gone = last_good.world.online.key().keyid();
    assert!(!standing.root().keys.contains_key(gone));
    let below = standing.targets().delegations.as_ref().unwrap();
    assert!(!below.keys.contains_key(gone));
    let renewal = last_good.world.ceremony(day(90));
    assert_eq!(renewal.recovery_statement(), Some(said));
    let targets = renewal.payload(&name("targets")).unwrap();
    assert_eq!(targets.version(), 2 + RECOVERY_RAISE);
}

#[test]
fn shows_holders_what_they_sign() {
    let ceremony = LastGood::new().ceremony();
    let differences = ceremony.differences();
    let targets = differences.iter().find(|of| of.role == name("targets"));
    let said = targets.unwrap().changes.join("\n");
    for part in [
        day(50).to_string(),
        Sha256::of(b"a snapshot").to_string(),
        "version 117 of snapshot".to_owned(),
        "but for these 1".to_owned(),
        "acme-tools (keys ".to_owned(),
        "other is claimed no longer".to_owned(),
        "| The online key was stolen.".to_owned(),
        "| Nothing of it is left.".to_owned(),
    ] {
        assert!(said.contains(&part), "{part}: {said}");
    }
    let cautions = ceremony.cautions().join("\n");
    assert!(cautions.contains("the last good state"), "{cautions}");
}

#[test]
fn travels_as_a_plan() {
    let plan = LastGood::new().plan();
    let bytes = serde_json::to_vec(&plan.to_value()).unwrap();
    assert_eq!(Plan::read(&bytes).unwrap(), plan);
    let with = |ended: serde_json::Value| {
        let mut value = plan.to_value();
        value["recovery"]["ended"] = ended;
        Plan::read(&serde_json::to_vec(&value).unwrap()).unwrap_err()
    };
    for ended in [json!(["../x"]), json!(["other", "other"])] {
        let refused = with(ended);
        assert!(matches!(refused, PlanError::Recovery(_)), "{refused}");
    }
}

#[test]
fn passes_over_versions_that_were_published_with_other_bytes() {
    let last_good = LastGood::new();
    let mut plan = last_good.world.plan(day(60));
    let taken =
        |role: &RoleName, version| role.as_str() == "simple" && version < 1 + RECOVERY_RAISE + 3;
    plan.recover(recovery(), last_good.online(), taken);
    let ceremony = last_good.world.try_ceremony(plan, day(60)).unwrap();
    let version = |role: &str| ceremony.payload(&name(role)).unwrap().version();
    assert_eq!(version("simple"), 1 + RECOVERY_RAISE + 3);
    assert_eq!(version("packages"), 1 + RECOVERY_RAISE);
    assert_eq!(version("root"), 2);
}

#[test]
fn a_version_that_is_not_raised_is_refused() {
    let last_good = LastGood::new();
    let with = |role: &str, version| {
        let refused = last_good.refused(|plan| {
            plan.roles.get_mut(&name(role)).unwrap().version = version;
        });
        assert!(
            matches!(refused, CeremonyError::Version { .. }),
            "{refused}"
        );
    };
    for version in [2, RECOVERY_RAISE, 2 * RECOVERY_RAISE + 2, u64::MAX] {
        with("targets", version);
    }
    with("root", 1 + RECOVERY_RAISE);
    // And nothing else than a recovery raises any.
    let mut plan = last_good.world.plan(day(60));
    plan.roles.get_mut(&name("simple")).unwrap().version = 1 + RECOVERY_RAISE;
    let refused = last_good.world.try_ceremony(plan, day(60)).unwrap_err();
    assert!(
        matches!(refused, CeremonyError::Version { .. }),
        "{refused}"
    );
}

#[test]
fn a_recovery_is_whole_and_nothing_besides() {
    let last_good = LastGood::new();
    let refused = |change: fn(&mut Plan)| match last_good.refused(change) {
        CeremonyError::Plan(PlanError::Recovery(error)) => error,
        other => panic!("{other}"),
    };
    let error = refused(|plan| plan.online = None);
    assert!(matches!(error, RecoveryError::SameOnlineKey), "{error}");
    let error = refused(|plan| plan.bins = Some(16));
    assert!(matches!(error, RecoveryError::Besides { .. }), "{error}");
    let error = refused(|plan| {
        plan.claims = ClaimChanges {
            unseal: [RoleName::of_project("x").unwrap()].into(),
            ..ClaimChanges::default()
        };
    });
    assert!(matches!(error, RecoveryError::Besides { .. }), "{error}");
    let error = refused(|plan| plan.recovery.as_mut().unwrap().since = day(61));
    assert!(matches!(error, RecoveryError::Dates { .. }), "{error}");
    let error = refused(|plan| plan.recovery.as_mut().unwrap().bulletin.clear());
    assert!(matches!(error, RecoveryError::Bulletin(_)), "{error}");
    let error = refused(|plan| {
        let nobody = RoleName::of_project("nobody").unwrap();
        plan.recovery.as_mut().unwrap().ended.insert(nobody);
    });
    assert!(matches!(error, RecoveryError::NotWaiting { .. }), "{error}");
    for role in ["root", "targets", "claimed", "simple", "packages"] {
        let refused = last_good.refused(|plan| {
            plan.roles.remove(&name(role)).unwrap();
        });
        let is_this = matches!(&refused, CeremonyError::Plan(PlanError::NotAll { role: of }) if *of == name(role));
        assert!(is_this, "{refused}");
    }
    let mut blind = LastGood::new();
    blind
        .world
        .published
        .roles
        .remove(&name("recently-claimed"));
    let error = blind.refused(|_| {});
    let is_this = matches!(
        error,
        CeremonyError::Plan(PlanError::Recovery(RecoveryError::NoClaims))
    );
    assert!(is_this, "{error}");
}

#[test]
fn what_was_renewed_within_the_hour_is_raised_all_the_same() {
    let last_good = LastGood::new();
    let mut plan = last_good.world.plan(day(0));
    let mut recovery = recovery();
    recovery.since = day(0);
    plan.recover(recovery, last_good.online(), |_, _| false);
    plan.without_what_stays(&last_good.world.standing());
    assert_eq!(plan.roles.len(), 5);
    assert!(last_good.world.try_ceremony(plan, day(0)).is_ok());
}

#[test]
fn holders_whose_keys_were_stolen_are_replaced_in_the_same_ceremony() {
    let mut last_good = LastGood::new();
    let (keys, by) = last_good.world.newcomer("dave");
    let mut plan = last_good.plan();
    plan.holders.push(HolderChange::Replace { seat: 1, by });
    let ceremony = Ceremony::new(last_good.world.standing(), plan, &POLICY, day(60)).unwrap();
    let seats = last_good.world.seats[1..].iter().chain([&keys]);
    let finished = tally(&ceremony, seats).finish(day(60)).unwrap();
    last_good.world.publish(finished.files);
    // The online key of before had signed it.
    last_good
        .world
        .published
        .roles
        .remove(&name("recently-claimed"));
    assert_eq!(
        last_good.world.standing().seats()[0].name.as_deref(),
        Some("dave")
    );
}

#[test]
fn a_second_recovery_forgets_as_far_back_as_the_first() {
    let mut last_good = LastGood::new();
    let ceremony = last_good.ceremony();
    let finished = tally(&ceremony, &last_good.world.seats).finish(day(60));
    last_good.world.publish(finished.unwrap().files);
    let key = last_good.world.key();
    last_good.world.online = std::mem::replace(&mut last_good.next, key);
    last_good.world.put_recently(last_good.recently.clone());
    let mut plan = last_good.world.plan(day(70));
    let mut again = recovery();
    again.since = day(65);
    plan.recover(again, last_good.online(), |_, _| false);
    let ceremony = last_good.world.try_ceremony(plan, day(70)).unwrap();
    let said = ceremony.recovery_statement().unwrap();
    assert_eq!((said.at, said.since), (day(70), day(50)));
}

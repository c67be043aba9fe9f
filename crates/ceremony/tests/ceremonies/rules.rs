//! What no ceremony may be, and what is no ground for one.

use jiff::SignedDuration;
use wheelmark_ceremony::{CeremonyError, HolderChange, Next, Plan, StandingError};
use wheelmark_tuf::Sha256;

use crate::world::{DELEGATED, POLICY, World, day, name, tally};

#[test]
fn a_renewal_signs_everything_and_changes_nothing_else() {
    let mut world = World::new(2, 2);
    let ceremony = world.ceremony(day(60));
    let roles: Vec<&str> = ceremony
        .payloads()
        .iter()
        .map(|p| p.role().as_str())
        .collect();
    assert_eq!(roles, ["root", "targets", "claimed", "simple", "packages"]);
    for difference in ceremony.differences() {
        assert_eq!(difference.versions, (1, 2), "{}", difference.role);
        assert!(difference.changes.is_empty(), "{:?}", difference.changes);
        let expected = POLICY.expiry(&difference.role, day(60));
        assert_eq!(difference.expires.1, expected, "{}", difference.role);
    }
    let finished = tally(&ceremony, &world.seats).finish(day(61)).unwrap();
    assert_eq!(finished.first_to_end, name("claimed"));
    assert_eq!(finished.ends, day(150));
    world.publish(finished.files);
    let standing = world.standing();
    assert_eq!(standing.root().version, 2);
    // The next one stands on it, and the one before does not any more.
    assert!(world.try_ceremony(world.plan(day(120)), day(120)).is_ok());
    let old = world.try_ceremony(ceremony.plan().clone(), day(61));
    assert!(matches!(
        old,
        Err(CeremonyError::Version {
            published: 2,
            planned: 2,
            ..
        })
    ));
}

#[test]
fn one_role_can_be_renewed_alone() {
    let mut world = World::new(2, 2);
    let plan = Plan::renewal(&world.standing(), &[name("claimed")], &POLICY, day(60));
    let ceremony = world.try_ceremony(plan, day(60)).unwrap();
    assert_eq!(ceremony.payloads().len(), 1);
    let finished = tally(&ceremony, &world.seats).finish(day(60)).unwrap();
    world.publish(finished.files);
    assert_eq!(
        world.standing().version_and_expiry(&name("claimed")),
        Some((2, day(150)))
    );
    assert_eq!(
        world
            .standing()
            .version_and_expiry(&name("root"))
            .unwrap()
            .0,
        1
    );
}

#[test]
fn what_would_not_help_clients_is_not_finished() {
    let world = World::new(2, 2);
    // Everything else is over by then.
    let plan = Plan::renewal(&world.standing(), &[name("claimed")], &POLICY, day(400));
    let ceremony = world.try_ceremony(plan, day(400)).unwrap();
    let error = tally(&ceremony, &world.seats).finish(day(400)).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("a new client would"), "{said}");
    // With everything renewed it does: an index whose roots ended comes back.
    let ceremony = world.ceremony(day(400));
    assert!(tally(&ceremony, &world.seats).finish(day(400)).is_ok());
}

/// Changes a plan, and gives back why it is refused.
fn refused(change: impl FnOnce(&mut Plan)) -> CeremonyError {
    let world = World::new(2, 2);
    let mut plan = world.plan(day(60));
    change(&mut plan);
    world.try_ceremony(plan, day(60)).unwrap_err()
}

#[test]
fn a_plan_beyond_the_rules_is_refused() {
    for role in ["root", "targets"].iter().chain(&DELEGATED) {
        for version in [0, 1, 3, u64::MAX] {
            let error = refused(|plan| {
                plan.roles.get_mut(&name(role)).unwrap().version = version;
            });
            assert!(
                matches!(error, CeremonyError::Version { .. }),
                "{role} {version}: {error}"
            );
        }
        let life = POLICY.life(&name(role));
        let error = refused(|plan| {
            let next = plan.roles.get_mut(&name(role)).unwrap();
            next.expires = day(60) + life + SignedDuration::from_hours(25);
        });
        assert!(
            matches!(error, CeremonyError::BeyondPolicy { .. }),
            "{role}: {error}"
        );
        let error = refused(|plan| plan.roles.get_mut(&name(role)).unwrap().expires = day(60));
        assert!(
            matches!(error, CeremonyError::Over { .. }),
            "{role}: {error}"
        );
    }
    let error = refused(|plan| plan.roles.clear());
    assert!(matches!(error, CeremonyError::NoRoles));
    let error = refused(|plan| plan.index = Sha256::of(b"another index"));
    assert!(matches!(error, CeremonyError::OtherIndex { .. }));
    for role in ["status", "timestamp", "snapshot", "nobody"] {
        let error = refused(|plan| {
            let next = Next {
                version: 2,
                expires: day(61),
            };
            plan.roles.insert(name(role), next);
        });
        assert!(
            matches!(error, CeremonyError::UnknownRole { .. }),
            "{role}: {error}"
        );
    }
}

#[test]
fn a_difference_is_demanded_of_every_role() {
    let world = World::new(2, 2);
    let error = world.try_ceremony(world.plan(day(0)), day(0)).unwrap_err();
    assert!(matches!(error, CeremonyError::NothingNew { .. }), "{error}");
    let error = refused(|plan| plan.roles.get_mut(&name("simple")).unwrap().expires = day(365));
    let CeremonyError::NothingNew { role, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(role, name("simple"));
    // Keys that are to change, and stay.
    let mut plan = world.plan(day(0));
    plan.threshold = Some(2);
    let error = world.try_ceremony(plan, day(0)).unwrap_err();
    assert!(matches!(error, CeremonyError::NothingNew { .. }), "{error}");
}

#[test]
fn a_clock_that_is_off_is_noticed() {
    let world = World::new(2, 2);
    let plan = world.plan(day(60));
    assert!(
        world.try_ceremony(plan.clone(), day(59)).is_ok(),
        "a day is nothing"
    );
    let slow = world.try_ceremony(plan.clone(), day(57)).unwrap_err();
    assert!(matches!(slow, CeremonyError::BeyondPolicy { .. }), "{slow}");
    let fast = world.try_ceremony(plan, day(60 + 400)).unwrap_err();
    assert!(matches!(fast, CeremonyError::Over { .. }), "{fast}");
}

#[test]
fn nothing_is_trusted_of_what_travels() {
    for role in ["targets"].iter().chain(&DELEGATED) {
        let mut world = World::new(2, 2);
        let bytes = world.published.roles.get_mut(&name(role)).unwrap();
        *bytes = String::from_utf8(bytes.clone())
            .unwrap()
            .replace("2027", "2037")
            .replace("2026", "2036")
            .into_bytes();
        let error = world.try_standing().unwrap_err();
        assert!(
            matches!(error, StandingError::Role { .. }),
            "{role}: {error}"
        );
        world.published.roles.remove(&name(role));
        let error = world.try_standing().unwrap_err();
        assert!(
            matches!(error, StandingError::Missing { .. }),
            "{role}: {error}"
        );
    }
    // Signed by the right people, for another role.
    let mut world = World::new(2, 2);
    let packages = world.published.roles[&name("packages")].clone();
    world.published.roles.insert(name("simple"), packages);
    let error = world.try_standing().unwrap_err();
    assert!(matches!(error, StandingError::OtherRole { .. }), "{error}");

    let mut world = World::new(2, 2);
    world.published.roots.clear();
    assert!(matches!(
        world.try_standing().unwrap_err(),
        StandingError::NoRoot
    ));
    let mut world = World::new(2, 2);
    let root = world.published.roots[0].clone();
    world.published.roots.push(root);
    assert!(matches!(
        world.try_standing().unwrap_err(),
        StandingError::RootVersion {
            expected: 2,
            found: 1
        }
    ));
    // A root of somebody else's, which nobody here has signed.
    let mut world = World::new(2, 2);
    let ceremony = world.ceremony(day(60));
    let payload = ceremony.payload(&name("root")).unwrap();
    let (thief, _) = world.newcomer("thief");
    let signed = wheelmark_signing::sign_role(payload.bytes(), &[thief.signer("root").unwrap()]);
    world.published.roots.push(signed.unwrap());
    assert!(matches!(
        world.try_standing().unwrap_err(),
        StandingError::Root { version: 2, .. }
    ));
}

#[test]
fn a_root_that_somebody_trusts_leads_here_or_does_not() {
    let mut world = World::new(2, 2);
    let ceremony = world.ceremony(day(60));
    let finished = tally(&ceremony, &world.seats).finish(day(60)).unwrap();
    world.publish(finished.files);
    let standing = world.standing();
    for (root, version) in world.published.roots.iter().zip(1..) {
        let fingerprint = wheelmark_tuf::root_fingerprint(root).unwrap();
        assert_eq!(standing.pinned(&fingerprint).unwrap(), version);
    }
    let other = Sha256::of(b"the root of another index");
    assert!(matches!(
        standing.pinned(&other).unwrap_err(),
        StandingError::NotPinned { .. }
    ));
}

#[test]
fn a_ceremony_is_of_its_time() {
    let world = World::new(2, 2);
    let plan = Plan::renewal(&world.standing(), &[name("root")], &POLICY, day(60));
    assert!(world.try_ceremony(plan.clone(), day(149)).is_ok());
    let late = world.try_ceremony(plan.clone(), day(151)).unwrap_err();
    assert!(matches!(late, CeremonyError::OtherTime { .. }), "{late}");
    // One that says that it is older than its dates allow.
    let mut back = plan;
    back.made_at = day(50);
    let error = world.try_ceremony(back, day(60)).unwrap_err();
    assert!(
        matches!(error, CeremonyError::BeyondPolicy { .. }),
        "{error}"
    );
}

#[test]
fn nothing_is_made_to_end_soon() {
    for threshold in [None, Some(2), Some(3)] {
        let world = World::new(3, 2);
        let ends = |days| {
            let mut plan = world.plan(day(60));
            plan.threshold = threshold;
            plan.roles.get_mut(&name("simple")).unwrap().expires = day(days);
            world.try_ceremony(plan, day(60))
        };
        let error = ends(89).unwrap_err();
        assert!(matches!(error, CeremonyError::Shorter { .. }), "{error}");
        // Earlier than what is published, by a stricter policy: everybody is told.
        let cautions = ends(91).unwrap().cautions();
        assert!(
            cautions
                .iter()
                .any(|said| said.starts_with("simple is to end earlier")),
            "{cautions:?}"
        );
        assert!(
            !ends(400)
                .unwrap()
                .cautions()
                .iter()
                .any(|said| said.contains("earlier"))
        );
    }
}

#[test]
fn a_clock_that_was_ahead_holds_up_no_change_of_keys() {
    let mut world = World::new(2, 2);
    let hours = SignedDuration::from_hours;
    // Begun by a clock that was an hour and a half ahead.
    let ahead = day(60) + SignedDuration::from_mins(90);
    let ceremony = world.ceremony(ahead);
    let finished = tally(&ceremony, &world.seats).finish(day(60)).unwrap();
    world.publish(finished.files);
    let now = day(60) + hours(1);
    let (_, alice) = world.newcomer("alice");
    let mut plan = world.plan(now);
    plan.holders = vec![HolderChange::Replace { seat: 1, by: alice }];
    let ceremony = world.try_ceremony(plan, now).unwrap();
    assert_eq!(ceremony.cautions().len(), 5, "{:?}", ceremony.cautions());
    // That alone is no reason to sign.
    let error = world.try_ceremony(world.plan(now), now).unwrap_err();
    assert!(matches!(error, CeremonyError::NothingNew { .. }), "{error}");
}

#[test]
fn who_comes_too_early_is_told_when_it_will_do() {
    let mut world = World::new(2, 2);
    let ceremony = world.ceremony(day(60));
    let finished = tally(&ceremony, &world.seats).finish(day(60)).unwrap();
    world.publish(finished.files);
    let soon = day(60) + SignedDuration::from_mins(10);
    let error = world.try_ceremony(world.plan(soon), soon).unwrap_err();
    let CeremonyError::NothingNew { from, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(from, day(60) + SignedDuration::from_hours(1));
    assert!(world.try_ceremony(world.plan(from), from).is_ok());
    let before = from - SignedDuration::from_secs(1);
    assert!(world.try_ceremony(world.plan(before), before).is_err());
}

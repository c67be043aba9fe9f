//! Who comes, who goes, and who has to agree.

use std::collections::BTreeMap;

use serde_json::json;
use wheelmark_ceremony::{
    CeremonyError, FinishError, HolderChange, HolderError, HolderKeys, Plan, PlanError,
    proof_message,
};
use wheelmark_tuf::Key;

use crate::world::{POLICY, World, day, name, public, tally};

fn why(result: Result<wheelmark_ceremony::Ceremony, CeremonyError>) -> PlanError {
    match result.unwrap_err() {
        CeremonyError::Plan(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_holder_is_replaced_with_the_word_of_those_before_and_those_after() {
    let mut world = World::new(2, 2);
    let (seat, alice) = world.newcomer("alice");
    let mut plan = world.plan(day(1));
    plan.holders = vec![HolderChange::Replace { seat: 1, by: alice }];
    let ceremony = world.try_ceremony(plan, day(1)).unwrap();
    let changes: Vec<String> = ceremony
        .differences()
        .into_iter()
        .flat_map(|d| d.changes)
        .collect();
    for role in ["root", "targets", "claimed", "simple", "packages"] {
        let about = |what: &str| {
            changes
                .iter()
                .any(|c| c.starts_with(&format!("{role}:")) && c.ends_with(what))
        };
        assert!(about("(holder 1) goes"), "{role}: {changes:?}");
        assert!(about("(alice) comes"), "{role}: {changes:?}");
    }
    let [old, staying] = &world.seats[..] else {
        panic!("two holders");
    };
    for (who, complete) in [
        (vec![old, staying], false),
        (vec![&seat, staying], false),
        (vec![old, &seat], false),
        (vec![old, staying, &seat], true),
    ] {
        let tally = tally(&ceremony, who);
        assert_eq!(tally.is_complete(), complete, "{:?}", tally.needs());
        let finished = tally.finish(day(1));
        assert_eq!(finished.is_ok(), complete);
        if let Err(error) = finished {
            assert!(matches!(error, FinishError::Lacking { .. }), "{error}");
        }
    }
    let finished = tally(&ceremony, [old, staying, &seat])
        .finish(day(1))
        .unwrap();
    world.publish(finished.files);
    let standing = world.standing();
    let gone = world.seats[0].signer("root").unwrap().key().keyid().clone();
    assert!(
        !standing.root().keys.contains_key(&gone),
        "no key is left behind"
    );
    // The old holder counts for nothing from now on.
    let ceremony = world.ceremony(day(60));
    assert!(!tally(&ceremony, [&world.seats[0], &world.seats[1]]).is_complete());
    assert!(tally(&ceremony, [&world.seats[1], &seat]).is_complete());
}

#[test]
fn two_of_three_go_on_without_the_third() {
    let mut world = World::new(2, 2);
    let (carol_keys, carol) = world.newcomer("carol");
    let mut plan = world.plan(day(1));
    plan.holders = vec![HolderChange::Add(carol)];
    plan.threshold = Some(2);
    let ceremony = world.try_ceremony(plan, day(1)).unwrap();
    // Adding asks nothing of who is added: the proof was in the file.
    let finished = tally(&ceremony, &world.seats).finish(day(1)).unwrap();
    world.publish(finished.files);
    assert_eq!(world.standing().seats().len(), 3);
    let (dave_keys, dave) = world.newcomer("dave");
    let mut plan = world.plan(day(2));
    plan.holders = vec![HolderChange::Replace { seat: 2, by: dave }];
    let ceremony = world.try_ceremony(plan, day(2)).unwrap();
    let finished = tally(&ceremony, [&world.seats[0], &carol_keys])
        .finish(day(2))
        .unwrap();
    world.publish(finished.files);
    let ceremony = world.ceremony(day(60));
    assert!(tally(&ceremony, [&carol_keys, &dave_keys]).is_complete());
    assert!(!tally(&ceremony, [&world.seats[0], &world.seats[1]]).is_complete());
}

#[test]
fn changes_that_nobody_could_carry_out_are_refused() {
    let mut world = World::new(2, 2);
    let (_, alice) = world.newcomer("alice");
    let (_, bob) = world.newcomer("bob");
    let replace = |seat, by: &HolderKeys| HolderChange::Replace {
        seat,
        by: by.clone(),
    };
    let plan = world.plan(day(1));
    let with = |holders: Vec<HolderChange>, threshold: Option<u32>| {
        let plan = Plan {
            holders,
            threshold,
            ..plan.clone()
        };
        why(world.try_ceremony(plan, day(1)))
    };
    assert!(matches!(
        with(vec![replace(0, &alice)], None),
        PlanError::NoSeat { seat: 0, count: 2 }
    ));
    assert!(matches!(
        with(vec![replace(3, &alice)], None),
        PlanError::NoSeat { seat: 3, count: 2 }
    ));
    let twice = vec![replace(1, &alice), HolderChange::Remove { seat: 1 }];
    assert!(matches!(
        with(twice, None),
        PlanError::SeatTwice { seat: 1 }
    ));
    let one_person = vec![replace(1, &alice), replace(2, &alice)];
    assert!(matches!(
        with(one_person, None),
        PlanError::NameTwice { .. }
    ));
    let removed = vec![HolderChange::Remove { seat: 1 }];
    assert!(matches!(
        with(removed.clone(), None),
        PlanError::Threshold {
            threshold: 2,
            count: 1,
            ..
        }
    ));
    assert!(matches!(with(removed, Some(1)), PlanError::OneForRoot));
    assert!(matches!(with(Vec::new(), Some(1)), PlanError::OneForRoot));
    assert!(matches!(
        with(Vec::new(), Some(0)),
        PlanError::Threshold { .. }
    ));
    assert!(matches!(
        with(Vec::new(), Some(3)),
        PlanError::Threshold { .. }
    ));
    // The one who is there already, under another name.
    let again = public("somebody else", &world.seats[1]);
    assert!(matches!(
        with(vec![replace(1, &again)], None),
        PlanError::KeyTwice { .. }
    ));
    // Two names for one set of keys.
    let (seat, carol) = {
        let mut world = World::new(2, 2);
        world.newcomer("carol")
    };
    let dora = public("dora", &seat);
    let pair = vec![replace(1, &carol), replace(2, &dora)];
    assert!(matches!(with(pair, None), PlanError::KeyTwice { .. }));
    let mut partial = Plan::renewal(&world.standing(), &[name("root")], &POLICY, day(1));
    partial.holders = vec![replace(1, &bob)];
    assert!(matches!(
        why(world.try_ceremony(partial, day(1))),
        PlanError::NotAll { .. }
    ));
}

#[test]
fn keys_come_with_the_proof_that_their_holder_has_them() {
    let mut world = World::new(2, 2);
    let (seat, alice) = world.newcomer("alice");
    let bytes = serde_json::to_vec(&alice.to_value()).unwrap();
    assert_eq!(HolderKeys::read(&bytes).unwrap(), alice);
    let change = |path: [&str; 2], value: serde_json::Value| {
        let mut changed = alice.to_value();
        match path {
            [field, ""] => changed[field] = value,
            [field, key] => changed[field][key] = value,
        }
        HolderKeys::read(&serde_json::to_vec(&changed).unwrap()).unwrap_err()
    };
    // Somebody else's keys under one's own name, or one's own under another.
    assert!(matches!(
        change(["name", ""], json!("mallory")),
        HolderError::NoProof { .. }
    ));
    let stolen = world.seats[0].signer("root").unwrap().key().to_value();
    assert!(matches!(
        change(["keys", "root"], stolen),
        HolderError::NoProof { .. }
    ));
    assert!(matches!(
        change(["proofs", "root"], json!("00")),
        HolderError::NoProof { .. }
    ));
    assert!(matches!(
        change(["proofs", ""], json!({})),
        HolderError::NoProof { .. }
    ));
    let targets = seat.signer("targets").unwrap().key().to_value();
    let same = change(["keys", "root"], targets);
    assert!(
        matches!(
            same,
            HolderError::SameKey { .. } | HolderError::NoProof { .. }
        ),
        "{same}"
    );
    for name in ["", " alice", "al\nice", "\u{1b}[2J", &"x".repeat(61)] {
        assert!(
            matches!(change(["name", ""], json!(name)), HolderError::Name),
            "{name:?}"
        );
    }
    assert!(matches!(
        change(["format", ""], json!("other")),
        HolderError::Format
    ));
    assert!(matches!(
        change(["keys", ""], json!([])),
        HolderError::Json(_)
    ));
    assert!(matches!(
        change(["keys", "root"], json!({})),
        HolderError::Key { .. }
    ));
}

#[test]
fn a_holder_has_four_keys_and_no_others() {
    let mut world = World::new(2, 2);
    let (seat, alice) = world.newcomer("alice");
    // A surplus key with a proof of its own, whose name moves the cursor of a terminal.
    let mut keys: BTreeMap<String, Key> = seat
        .names()
        .map(|name| (name.to_owned(), seat.signer(name).unwrap().key().clone()))
        .collect();
    let (surplus, _) = world.newcomer("surplus");
    let surplus = surplus.signer("root").unwrap();
    let name = "zz\u{1b}[4A\r  bins".to_owned();
    keys.insert(name.clone(), surplus.key().clone());
    let message = proof_message("alice", &keys);
    let mut proofs: BTreeMap<_, _> = seat
        .names()
        .map(|name| {
            (
                name.to_owned(),
                seat.signer(name).unwrap().sign(&message).unwrap(),
            )
        })
        .collect();
    proofs.insert(name, surplus.sign(&message).unwrap());
    let error = HolderKeys::new("alice", keys, proofs).unwrap_err();
    assert!(matches!(error, HolderError::KeyNames), "{error}");
    let mut fewer = alice.to_value();
    fewer["keys"].as_object_mut().unwrap().remove("claimed");
    let error = HolderKeys::read(&serde_json::to_vec(&fewer).unwrap()).unwrap_err();
    assert!(matches!(error, HolderError::KeyNames), "{error}");
    // Nobody is called as a position is.
    let mut named = alice.to_value();
    named["name"] = json!("Holder 2");
    let error = HolderKeys::read(&serde_json::to_vec(&named).unwrap()).unwrap_err();
    assert!(matches!(error, HolderError::Name), "{error}");
}

#[test]
fn one_key_in_another_writing_is_the_same_key() {
    let mut world = World::new(2, 2);
    let (_, alice) = world.newcomer("alice");
    let key = alice.key(&name("root")).unwrap();
    let mut written = key.to_value();
    let digits = written["keyval"]["public"].as_str().unwrap().to_uppercase();
    written["keyval"]["public"] = json!(digits);
    let other = Key::from_value(written).unwrap();
    assert_ne!(key.keyid(), other.keyid());
    assert!(key.is_same_key(&other) && !key.is_same_key(alice.key(&name("targets")).unwrap()));
    // In two seats it is refused, though its ids differ.
    let seat = &world.seats[1];
    let mut keys: BTreeMap<String, Key> = seat
        .names()
        .map(|name| (name.to_owned(), seat.signer(name).unwrap().key().clone()))
        .collect();
    let mut written = keys["root"].to_value();
    let digits = written["keyval"]["public"].as_str().unwrap().to_uppercase();
    written["keyval"]["public"] = json!(digits);
    keys.insert("root".to_owned(), Key::from_value(written).unwrap());
    let message = proof_message("again", &keys);
    let proofs = seat.names().map(|name| {
        (
            name.to_owned(),
            seat.signer(name).unwrap().sign(&message).unwrap(),
        )
    });
    let by = HolderKeys::new("again", keys, proofs.collect()).unwrap();
    let mut plan = world.plan(day(1));
    plan.holders = vec![HolderChange::Replace { seat: 1, by }];
    let error = why(world.try_ceremony(plan, day(1)));
    assert!(matches!(error, PlanError::KeyTwice { .. }), "{error}");
}

//! What holders are called, from one ceremony to the next.

use serde_json::json;
use wheelmark_ceremony::{CeremonyError, HolderChange, PlanError};
use wheelmark_tuf::OWN_MEMBER;

use crate::world::{World, day, public, tally};

/// The names of the holders, by their positions.
fn called(world: &World) -> Vec<Option<String>> {
    let seats = world.standing().seats();
    seats.into_iter().map(|seat| seat.name).collect()
}

fn named(name: &str) -> Option<String> {
    Some(name.to_owned())
}

/// Holds a ceremony that everybody signs, newcomers last.
fn hold(world: &mut World, on: i64, holders: Vec<HolderChange>, who: &[&wheelmark_signing::Seat]) {
    let mut plan = world.plan(day(on));
    plan.holders = holders;
    let ceremony = world.try_ceremony(plan, day(on)).unwrap();
    let finished = tally(&ceremony, who.iter().copied())
        .finish(day(on))
        .unwrap();
    world.publish(finished.files);
}

#[test]
fn names_outlive_the_ceremony_that_brought_them() {
    let mut world = World::new(2, 2);
    assert_eq!(called(&world), [None, None]);
    let seats: Vec<_> = std::mem::take(&mut world.seats);
    let [first, second] = &seats[..] else {
        panic!("two holders");
    };
    let (alice_keys, alice) = world.newcomer("alice");
    hold(
        &mut world,
        1,
        vec![HolderChange::Replace { seat: 1, by: alice }],
        &[first, second, &alice_keys],
    );
    assert_eq!(called(&world), [named("alice"), None]);

    // Renewals keep them, and later changes say who goes.
    hold(&mut world, 60, Vec::new(), &[&alice_keys, second]);
    assert_eq!(called(&world), [named("alice"), None]);
    let (bob_keys, bob) = world.newcomer("bob");
    let mut plan = world.plan(day(61));
    plan.holders = vec![HolderChange::Replace {
        seat: 1,
        by: bob.clone(),
    }];
    let ceremony = world.try_ceremony(plan, day(61)).unwrap();
    let changes: Vec<String> = ceremony
        .differences()
        .into_iter()
        .flat_map(|d| d.changes)
        .collect();
    let goes = |change: &String| change.ends_with("(alice, holder 1) goes");
    assert!(changes.iter().any(goes), "{changes:?}");

    hold(
        &mut world,
        61,
        vec![HolderChange::Remove { seat: 1 }, HolderChange::Add(bob)],
        &[&alice_keys, second, &bob_keys],
    );
    assert_eq!(called(&world), [None, named("bob")]);
    let root = world.standing().root().clone();
    assert_eq!(
        root.extra[OWN_MEMBER]["holders"].as_object().unwrap().len(),
        1
    );
}

#[test]
fn nobody_holds_two_seats_by_name() {
    let mut world = World::new(2, 2);
    let seats: Vec<_> = std::mem::take(&mut world.seats);
    let (alice_keys, alice) = world.newcomer("alice");
    hold(
        &mut world,
        1,
        vec![HolderChange::Replace { seat: 1, by: alice }],
        &[&seats[0], &seats[1], &alice_keys],
    );
    let (_, again) = world.newcomer("Alice");
    for (change, refused) in [
        (HolderChange::Add(again.clone()), true),
        (
            HolderChange::Replace {
                seat: 2,
                by: again.clone(),
            },
            true,
        ),
        // She has lost her keys, and has made others.
        (HolderChange::Replace { seat: 1, by: again }, false),
    ] {
        let mut plan = world.plan(day(60));
        plan.holders = vec![change];
        match world.try_ceremony(plan, day(60)) {
            Err(CeremonyError::Plan(PlanError::NameTwice { .. })) => assert!(refused),
            other => assert!(!refused && other.is_ok(), "{other:?}"),
        }
    }
}

#[test]
fn what_is_no_name_is_not_shown_as_one() {
    let world = World::new(2, 2);
    let ceremony = world.ceremony(day(60));
    let id = world.standing().root().roles.root.keyids[0]
        .as_str()
        .to_owned();
    for text in ["holder 2", "\u{1b}[2J", "", " alice"] {
        let mut root = ceremony.next_root().clone();
        let own = json!({ "holders": { id.clone(): text, "nobody": "mallory" } });
        root.extra.insert(OWN_MEMBER.to_owned(), own);
        let bytes = world.signed("root", &wheelmark_tuf::Role::to_canonical(&root));
        let mut published = world.published.clone();
        published.roots.push(bytes);
        let standing = wheelmark_ceremony::Standing::verify(published).unwrap();
        let names: Vec<_> = standing.seats().into_iter().map(|seat| seat.name).collect();
        assert_eq!(names, [None, None], "{text:?}");
    }
}

#[test]
fn the_words_of_a_holder_are_those_of_the_name_and_of_every_key() {
    let mut world = World::new(2, 2);
    let (seat, alice) = world.newcomer("alice");
    let words = alice.words();
    assert_eq!(words, public("alice", &seat).words());
    assert_ne!(words, public("bob", &seat).words());
    let (_, other) = world.newcomer("alice");
    assert_ne!(words, other.words());
}

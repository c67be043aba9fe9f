//! Which signatures count, and for what.

use serde_json::{Value, json};
use wheelmark_ceremony::{FinishError, Plan, SignatureError, SignatureFile, Tally};

use crate::world::{POLICY, World, day, name, signatures, tally};

#[test]
fn every_threshold_has_to_be_met() {
    let world = World::new(3, 2);
    let ceremony = world.ceremony(day(60));
    for (holders, complete) in [(0, false), (1, false), (2, true), (3, true)] {
        let tally = tally(&ceremony, &world.seats[..holders]);
        assert_eq!(tally.is_complete(), complete, "{holders} of 3");
        assert_eq!(tally.needs().len(), 5);
        for need in tally.needs() {
            assert_eq!(
                (need.signed.len(), need.missing.len()),
                (holders, 3 - holders)
            );
            assert_eq!(need.is_met(), complete);
        }
        match tally.finish(day(60)) {
            Ok(finished) => assert!(complete && finished.files.len() == 5),
            Err(error) => assert!(
                !complete && matches!(error, FinishError::Lacking { .. }),
                "{holders}: {error}"
            ),
        }
    }
}

/// One signature of a ceremony with a field changed, and what becomes of it.
fn changed(field: &str, value: Value) -> SignatureError {
    let world = World::new(2, 2);
    let ceremony = world.ceremony(day(60));
    let signature = signatures(&ceremony, &world.seats[0])
        .into_iter()
        .find(|signature| *signature.role() == name("root"))
        .unwrap();
    let mut stored = signature.to_value();
    assert!(!stored[field].is_null(), "{field}");
    stored[field] = value;
    let bytes = serde_json::to_vec(&stored).unwrap();
    let mut tally = Tally::new(&ceremony);
    let error = SignatureFile::read(&bytes)
        .and_then(|file| tally.admit(file))
        .unwrap_err();
    assert!(tally.needs().iter().all(|need| need.signed.is_empty()));
    error
}

#[test]
fn a_signature_that_says_something_else_does_not_count() {
    use SignatureError as E;
    assert!(matches!(changed("format", json!("other")), E::Format));
    assert!(matches!(
        changed("ceremony", json!("00112233aabbccdd")),
        E::OtherCeremony { .. }
    ));
    assert!(matches!(changed("ceremony", json!("march")), E::Id(_)));
    assert!(matches!(
        changed("role", json!("targets")),
        E::OtherPayload { .. }
    ));
    assert!(matches!(
        changed("role", json!("status")),
        E::OtherRole { .. }
    ));
    assert!(matches!(changed("role", json!("")), E::Role));
    assert!(matches!(
        changed("version", json!(3)),
        E::OtherRole { version: 3, .. }
    ));
    assert!(matches!(
        changed("payload-sha256", json!("0".repeat(64))),
        E::OtherPayload { .. }
    ));
    assert!(matches!(
        changed("payload-sha256", json!("x")),
        E::Payload(_)
    ));
    assert!(matches!(
        changed("keyid", json!("0".repeat(64))),
        E::WrongKey { .. }
    ));
    assert!(matches!(
        changed("sig", json!("00".repeat(64))),
        E::Bad { .. }
    ));
    assert!(matches!(
        changed("sig", json!("no digits")),
        E::Digits { .. }
    ));
    for bytes in [
        &b""[..],
        b"{}",
        b"[]",
        b"\xff",
        br#"{"format":"wheelmark-ceremony-signature-1"}"#,
    ] {
        assert!(matches!(
            SignatureFile::read(bytes).unwrap_err(),
            E::Json(_)
        ));
    }
}

#[test]
fn a_key_counts_once() {
    let world = World::new(2, 2);
    let ceremony = world.ceremony(day(60));
    let mut tally = tally(&ceremony, &world.seats[..1]);
    for signature in signatures(&ceremony, &world.seats[0]) {
        let error = tally.admit(signature).unwrap_err();
        assert!(matches!(error, SignatureError::Twice { .. }), "{error}");
    }
    assert!(!tally.is_complete());
}

#[test]
fn the_same_people_on_another_day_hold_another_ceremony() {
    let world = World::new(2, 2);
    let march = world.ceremony(day(60));
    let april = world.ceremony(day(90));
    assert_ne!(march.id(), april.id());
    assert_ne!(march.words(), april.words());
    let mut tally = Tally::new(&april);
    for signature in signatures(&march, &world.seats[0]) {
        let error = tally.admit(signature).unwrap_err();
        assert!(
            matches!(error, SignatureError::OtherCeremony { .. }),
            "{error}"
        );
    }
    assert_eq!(
        march.id(),
        world.ceremony(day(60)).id(),
        "the same is the same everywhere"
    );
}

#[test]
fn a_ceremony_travels_as_json() {
    let mut world = World::new(2, 2);
    let (_, alice) = world.newcomer("alice");
    let mut plan = world.plan(day(60));
    plan.holders = vec![wheelmark_ceremony::HolderChange::Replace { seat: 1, by: alice }];
    plan.threshold = Some(2);
    let bytes = serde_json::to_vec(&plan.to_value()).unwrap();
    assert_eq!(Plan::read(&bytes).unwrap(), plan);
    for (field, value) in [
        ("format", json!("other")),
        ("index", json!("x")),
        ("made-at", json!("yesterday")),
        (
            "roles",
            json!({"": {"version": 1, "expires": "2027-01-01T00:00:00Z"}}),
        ),
        ("roles", json!({"root": {"version": 1, "expires": "never"}})),
        ("holders", json!([{"replace": {"seat": 1, "by": {}}}])),
        ("unknown", json!(1)),
    ] {
        let mut changed = plan.to_value();
        changed[field] = value;
        let bytes = serde_json::to_vec(&changed).unwrap();
        assert!(Plan::read(&bytes).is_err(), "{field}");
    }
    let days = POLICY.life(&name("claimed")).as_hours() / 24;
    assert_eq!(days, 90);
}

//! Keys that hand over to others, step by step, and those who say that they did.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use wheelmark_tuf::{
    Handover, HandoverError, Handovers, Key, KeySet, MAX_HANDOVERS, Missing, OWN_MEMBER, Role,
    RoleKeys, RoleName, Targets, VerifyError, Whose, assemble, assemble_handing, canonical, verify,
};

use crate::client::explain;
use crate::repo::{Signer, empty_targets, time};

const AT: &str = "2026-11-22T08:00:00Z";

fn role() -> RoleName {
    "project-flask".parse().unwrap()
}

fn key(name: &str) -> Key {
    Signer::new(name).key().clone()
}

fn set(names: &[&str], threshold: u32) -> KeySet {
    KeySet::new(names.iter().map(|name| key(name)), threshold).unwrap()
}

fn ids(names: &[&str]) -> BTreeSet<String> {
    let keys = names.iter().map(|name| key(name));
    keys.map(|key| key.keyid().as_str().to_owned()).collect()
}

fn statement(number: u64, from: &KeySet, to: &KeySet) -> Handover {
    Handover {
        role: role(),
        number,
        version: number + 1,
        made_at: time(AT),
        from: from.clone(),
        to: to.clone(),
    }
}

fn signed(canonical: &[u8], by: &[&str]) -> Vec<u8> {
    let signatures: Vec<_> = by.iter().map(|n| Signer::new(n).sign(canonical)).collect();
    assemble(canonical, &signatures)
}

/// A handover as it stands in metadata.
fn made(number: u64, from: &KeySet, to: &KeySet, by: &[&str]) -> Value {
    let file = signed(&statement(number, from, to).to_canonical(), by);
    canonical::parse(&file).unwrap()
}

fn read(list: &[Value]) -> Result<Handovers, HandoverError> {
    Handovers::read(Some(&list.to_vec().into()), &role())
}

/// Three handovers: another key, a higher threshold, somebody else's keys.
fn three() -> Vec<Value> {
    let (one, two) = (set(&["a"], 1), set(&["a", "b"], 1));
    let (three, four) = (set(&["a", "b"], 2), set(&["x", "y"], 1));
    vec![
        made(1, &one, &two, &["a", "b"]),
        made(2, &two, &three, &["b"]),
        made(3, &three, &four, &["a", "b", "x", "y"]),
    ]
}

#[test]
fn they_lead_from_any_keys_before_to_those_of_today() {
    let handovers = read(&three()).unwrap();
    assert_eq!(handovers.iter().len(), 3);
    assert_eq!(handovers.reached(), Some(&set(&["x", "y"], 1)));
    let today = ids(&["x", "y"]);
    let lead = |names: &[&str], threshold, after| {
        handovers.lead((&ids(names), threshold), after, (&today, 1))
    };
    assert!(lead(&["a"], 1, 1));
    assert!(lead(&["a", "b"], 1, 2));
    assert!(lead(&["a", "b"], 2, 3));
    // Nobody who has seen a later version goes the way of an earlier one.
    assert!(!lead(&["a"], 1, 2) && !lead(&["a", "b"], 1, 3) && !lead(&["a", "b"], 2, 4));
    for (names, threshold) in [
        (&["b"][..], 1),
        (&["a", "b"], 3),
        (&["a"], 2),
        (&["x", "y"], 1),
        (&["a", "x"], 1),
        (&[], 1),
    ] {
        for after in 0..5 {
            assert!(!lead(names, threshold, after), "{names:?}");
        }
    }
    // They end where they end: nobody is led to keys on the way.
    assert!(!handovers.lead((&ids(&["a"]), 1), 1, (&ids(&["a", "b"]), 2)));
    assert!(!handovers.lead((&ids(&["a"]), 1), 1, (&today, 2)));
    assert!(!Handovers::default().lead((&today, 1), 0, (&today, 1)));
}

#[test]
fn what_is_written_is_read_again() {
    let handovers = read(&three()).unwrap();
    let mut targets = empty_targets();
    targets.version = 7;
    targets.state_role(&role());
    targets.state_handovers(&handovers);
    assert_eq!(targets.handovers(&role()).unwrap(), handovers);
    assert_eq!(targets.stated_role(), Some("project-flask"));
    let file = signed(&targets.to_canonical(), &["x"]);
    let keys = set(&["x", "y"], 1);
    let verified = verify::<Targets>(&file, keys.keys(), &keys.role_keys()).unwrap();
    assert_eq!(verified.handovers(&role()).unwrap(), handovers);
    targets.state_handovers(&Handovers::default());
    assert_eq!(targets.extra[OWN_MEMBER], json!({"role": "project-flask"}));
    assert!(targets.handovers(&role()).unwrap().is_empty());
    // One after the other gives the same.
    let mut again = Handovers::default();
    for value in three() {
        assert_eq!(
            again.next_number(),
            value["signed"]["number"].as_u64().unwrap()
        );
        let file = serde_json::to_vec(&value).unwrap();
        again = again.and(&file, &role()).unwrap();
    }
    assert_eq!(again, handovers);
}

#[test]
fn a_handover_is_signed_by_those_before_and_by_all_that_come_in() {
    let (two, next) = (set(&["a", "b", "c"], 2), set(&["c", "x", "y"], 1));
    let by = |by: &[&str]| read(&[made(1, &two, &next, by)]);
    assert!(by(&["a", "b", "x", "y"]).is_ok());
    assert!(by(&["a", "c", "y", "x", "elsewhere"]).is_ok());
    for (few, valid) in [(&["x", "y"][..], 0), (&["a", "x", "y"], 1)] {
        let Err(HandoverError::From { number: 1, source }) = by(few) else {
            panic!("{few:?}");
        };
        assert!(matches!(source, VerifyError::Threshold { threshold: 2, valid: v } if v == valid));
    }
    for few in [&["a", "b"][..], &["a", "b", "x"], &["a", "c", "y"]] {
        assert!(
            matches!(by(few), Err(HandoverError::To { number: 1, .. })),
            "{few:?}"
        );
    }
    // A signature for the one is none for the other.
    let mut other = made(1, &two, &next, &["a", "b", "x", "y"]);
    other["signed"]["made-at"] = "2026-11-22T08:00:01Z".into();
    assert!(matches!(read(&[other]), Err(HandoverError::From { .. })));
}

#[test]
fn out_of_its_order_it_is_none() {
    let list = three();
    assert!(read(&list[..2]).is_ok() && read(&[]).unwrap().is_empty());
    assert!(matches!(
        read(&list[1..]),
        Err(HandoverError::Number {
            found: 2,
            expected: 1
        })
    ));
    let gap = [list[0].clone(), list[2].clone()];
    assert!(matches!(
        read(&gap),
        Err(HandoverError::Number {
            found: 3,
            expected: 2
        })
    ));
    let twice = [list[0].clone(), list[0].clone()];
    assert!(matches!(read(&twice), Err(HandoverError::Number { .. })));
    let (two, four) = (set(&["a", "b"], 1), set(&["x", "y"], 1));
    let jump = [list[0].clone(), made(2, &four, &two, &["x", "y", "a", "b"])];
    assert!(matches!(
        read(&jump),
        Err(HandoverError::Broken { number: 2 })
    ));
    let nothing = [made(1, &two, &two, &["a", "b"])];
    assert!(matches!(
        read(&nothing),
        Err(HandoverError::Nothing { number: 1 })
    ));
    let other = Handovers::read(Some(&list.into()), &"project-other".parse().unwrap());
    assert!(matches!(other, Err(HandoverError::OtherRole { .. })));
}

#[test]
fn it_has_one_form() {
    let good = made(1, &set(&["a"], 1), &set(&["a", "b"], 1), &["a", "b"]);
    assert!(read(std::slice::from_ref(&good)).is_ok());
    // Signed anew each time, so that the form alone is what is wrong.
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut changed = good["signed"].clone();
        change(&mut changed);
        let file = signed(&canonical::encode(&changed), &["a", "b"]);
        let error = read(&[canonical::parse(&file).unwrap()]).expect_err(&changed.to_string());
        explain(&error)
    };
    let b = key("b");
    let again = Signer::new("b").with_field("note", json!("the same key"));
    type Cases<'a> = [(&'a dyn Fn(&mut Value), &'static str); 11];
    let cases: Cases<'_> = [
        (&|s| s["_type"] = "targets".into(), "of type"),
        (&|s| s["more"] = 1.into(), "not in the one form"),
        (&|s| s["from"]["more"] = 1.into(), "not in the one form"),
        (
            &|s| s["made-at"] = "2026-11-22T08:00:00.5Z".into(),
            "`made-at`",
        ),
        (&|s| s["number"] = 0.into(), "`number`"),
        (&|s| s["to"]["threshold"] = 3.into(), "3 of 2 keys"),
        (&|s| s["to"]["threshold"] = 0.into(), "`threshold`"),
        (
            &|s| s["to"]["keyids"] = json!([b.keyid().as_str()]),
            "not in the one form",
        ),
        (&|s| s["to"]["keys"] = json!({}), "0 keys"),
        (
            &|s| s["to"]["keys"]["a"] = b.to_value(),
            "not the id of a key",
        ),
        (
            &|s| s["to"]["keys"][again.key().keyid().as_str()] = again.key().to_value(),
            "not the id of a key that is given with it in its plain form",
        ),
    ];
    for (change, said) in cases {
        let error = refused(change);
        assert!(error.contains(said), "{error:?} says {said}");
    }
    let mut around = good.clone();
    around["more"] = 1.into();
    assert!(matches!(
        read(&[around]),
        Err(HandoverError::OtherForm { .. })
    ));
    let mut twice = good.clone();
    let first = twice["signatures"][0].clone();
    twice["signatures"].as_array_mut().unwrap().push(first);
    assert!(matches!(read(&[twice]), Err(HandoverError::Envelope(_))));
    for list in [json!({}), json!([1]), json!("x"), json!([{}])] {
        assert!(Handovers::read(Some(&list), &role()).is_err(), "{list}");
    }
}

/// Neither can be taken for the other, whoever has signed it.
#[test]
fn a_handover_is_no_metadata_and_metadata_no_handover() {
    let keys = set(&["a"], 1);
    let file = signed(
        &statement(1, &keys, &set(&["b"], 1)).to_canonical(),
        &["a", "b"],
    );
    let error = verify::<Targets>(&file, keys.keys(), &keys.role_keys()).unwrap_err();
    assert!(
        explain(&error).contains("wheelmark-handover"),
        "{}",
        explain(&error)
    );
    let mut targets = empty_targets();
    targets.version = 1;
    let metadata = signed(&targets.to_canonical(), &["a", "b"]);
    let error = Handovers::default().and(&metadata, &role()).unwrap_err();
    assert!(explain(&error).contains("targets"), "{}", explain(&error));
}

#[test]
fn there_are_not_more_than_readers_take() {
    let sets = [set(&["a"], 1), set(&["b"], 1)];
    let one = |number: u64| {
        let odd = number % 2 == 1;
        let (from, to) = if odd { (0, 1) } else { (1, 0) };
        made(number, &sets[from], &sets[to], &["a", "b"])
    };
    let most: Vec<Value> = (1..=MAX_HANDOVERS as u64).map(one).collect();
    assert!(read(&most).is_ok());
    let more: Vec<Value> = (1..=MAX_HANDOVERS as u64 + 1).map(one).collect();
    assert!(matches!(
        read(&more),
        Err(HandoverError::TooMany { found: 33 })
    ));
    let mut long = one(1);
    long["signatures"][0]["sig"] = "00".repeat(40_000).into();
    assert!(matches!(read(&[long]), Err(HandoverError::TooLong { .. })));
}

#[test]
fn what_was_published_stays_to_the_letter() {
    let list = three();
    let published = read(&list[..2]).unwrap();
    let beyond = |list: &[Value]| {
        let read = read(list).unwrap();
        read.beyond(&published)
            .map(|more| more.map(|handover| handover.number))
    };
    assert!(matches!(beyond(&list), Ok(Some(3))));
    assert!(matches!(beyond(&list[..2]), Ok(None)));
    let (one, two) = (set(&["a"], 1), set(&["a", "b"], 1));
    let resigned = [made(1, &one, &two, &["a", "b", "c"]), list[1].clone()];
    for other in [&list[..1], &[], &resigned] {
        assert!(matches!(beyond(other), Err(HandoverError::Rewritten)));
    }
    let read_three = read(&list).unwrap();
    assert!(read_three.beyond(&Handovers::default()).is_err());
}

/// A key that stands in a set in two ways of writing would count twice.
#[test]
fn one_key_counts_once() {
    let plain = key("a");
    let pem = Signer::ecdsa("ecdsa");
    let mut older = pem.key().to_value();
    older["keytype"] = "ecdsa-sha2-nistp256".into();
    let older = Key::from_value(older).unwrap();
    let both = KeySet::new([pem.key().clone(), older], 2);
    assert!(matches!(both, Err(HandoverError::KeyTwice { .. })));
    let many = (0..17).map(|number| key(&number.to_string()));
    assert!(matches!(
        KeySet::new(many, 1),
        Err(HandoverError::Keys { count: 17 })
    ));
    assert!(KeySet::new([plain.clone(), plain], 1).unwrap().keys().len() == 1);
}

#[test]
fn who_still_has_to_sign_is_known() {
    let (old, new) = (set(&["a", "b"], 2), set(&["b", "x"], 1));
    let metadata = |handovers: Option<Value>, by: &[&str]| {
        let mut targets = empty_targets();
        targets.version = 2;
        targets.state_role(&role());
        if let Some(handovers) = handovers {
            targets.extra.get_mut(OWN_MEMBER).unwrap()["handovers"] = handovers;
        }
        signed(&targets.to_canonical(), by)
    };
    let none = Handovers::default();
    let of = |file: &[u8], present: &KeySet, published: &Handovers| {
        let missing = Missing::of(file, &role(), present, published).unwrap();
        let told = |needs: &[wheelmark_tuf::Need]| -> Vec<_> {
            let needs = needs.iter();
            needs
                .map(|need| (need.whose, need.more, need.keyids.len()))
                .collect()
        };
        (told(&missing.handover), told(&missing.metadata))
    };
    assert_eq!(
        of(&metadata(None, &["a", "b"]), &old, &none),
        (vec![], vec![])
    );
    let waits = of(&metadata(None, &["b"]), &old, &none);
    assert_eq!(waits, (vec![], vec![(Whose::Present, 1, 1)]));
    let begun = made(1, &old, &new, &["a"]);
    let waits = of(&metadata(Some(json!([begun])), &[]), &old, &none);
    let handover = vec![(Whose::Present, 1, 1), (Whose::Added, 1, 1)];
    let all = vec![
        (Whose::Present, 2, 2),
        (Whose::Next, 1, 2),
        (Whose::Added, 1, 1),
    ];
    assert_eq!(waits, (handover, all));
    let done = made(1, &old, &new, &["a", "b", "x"]);
    let file = metadata(Some(json!([done])), &["a", "x"]);
    assert_eq!(
        of(&file, &old, &none),
        (vec![], vec![(Whose::Present, 1, 1)])
    );
    // Sealed: what an offline key has delegated to is the old set, until it takes the new one over.
    let published = read(std::slice::from_ref(&done)).unwrap();
    let later = metadata(Some(json!([done])), &["a", "b"]);
    assert_eq!(of(&later, &old, &published), (vec![], vec![]));
    let later = metadata(Some(json!([done])), &["x"]);
    assert_eq!(
        of(&later, &old, &published),
        (vec![], vec![(Whose::Present, 2, 2)])
    );
    assert_eq!(of(&later, &new, &published), (vec![], vec![]));
    let left_out = metadata(None, &["a", "b"]);
    let error = Missing::of(&left_out, &role(), &old, &published).unwrap_err();
    assert!(matches!(error, HandoverError::Rewritten));
    let claim = Missing::of_claim(&metadata(None, &["a"]), &old).unwrap();
    assert_eq!(
        (claim.metadata[0].more, claim.metadata[0].keyids.len()),
        (1, 1)
    );
    assert!(Missing::of_claim(&left_out, &old).unwrap().is_empty());
}

/// Metadata that brings a handover whose signatures stand beside it.
fn handing(published: &Handovers, handover: &Handover, by: &[&str], over: &[&str]) -> Vec<u8> {
    let mut targets = empty_targets();
    targets.version = handover.version;
    targets.state_role(&role());
    targets.state_waiting(published, handover);
    let sign = |bytes: &[u8], by: &[&str]| -> Vec<_> {
        by.iter().map(|n| Signer::new(n).sign(bytes)).collect()
    };
    let canonical = targets.to_canonical();
    let statement = sign(&handover.to_canonical(), over);
    assemble_handing(&canonical, &sign(&canonical, by), &statement)
}

#[test]
fn signatures_may_stand_beside_the_version_that_brings_it() {
    let (old, new) = (set(&["a", "b"], 2), set(&["b", "x"], 1));
    let handover = statement(1, &old, &new);
    let none = Handovers::default();
    let all = ["a", "b", "x"];
    let opened = |file: &[u8]| {
        verify::<Targets>(file, old.keys(), &old.role_keys())
            .map_err(|error| explain(&error))
            .and_then(|read| read.handovers(&role()).map_err(|error| explain(&error)))
    };
    // One signature beside that is nobody's does no harm, and is not carried on.
    let file = handing(&none, &handover, &all, &["a", "b", "elsewhere", "x"]);
    let read = opened(&file).unwrap();
    assert!(read.is_beside());
    assert_eq!(read.reached(), Some(&new));
    for few in [&["a", "b"][..], &["a", "x"], &[]] {
        opened(&handing(&none, &handover, &all, few)).unwrap_err();
    }
    // Taken away, it proves nothing; and what is not verified has nothing beside it.
    let mut stripped = canonical::parse(&file).unwrap();
    stripped.as_object_mut().unwrap().remove(OWN_MEMBER);
    opened(&serde_json::to_vec(&stripped).unwrap()).unwrap_err();
    let verified = verify::<Targets>(&file, old.keys(), &old.role_keys()).unwrap();
    verified
        .clone()
        .into_inner()
        .handovers(&role())
        .unwrap_err();
    // The next version has them inside, to the letter, and proves it to those who have not seen this one.
    let mut next = empty_targets();
    next.version = 3;
    next.state_role(&role());
    next.state_handovers(&read);
    let later = next.handovers(&role()).unwrap();
    assert!(!later.is_beside() && later.beyond(&read).unwrap().is_none());
    assert!(later.lead((&ids(&["a", "b"]), 2), 1, (&ids(&["b", "x"]), 1)));
    // Beside another version than the one that it names, they count for nothing.
    next.state_handovers(&none);
    next.state_waiting(&none, &handover);
    let canonical = next.to_canonical();
    let sign =
        |bytes: &[u8]| -> Vec<_> { all.iter().map(|n| Signer::new(n).sign(bytes)).collect() };
    let late = assemble_handing(
        &canonical,
        &sign(&canonical),
        &sign(&handover.to_canonical()),
    );
    opened(&late).unwrap_err();
    // What was read says itself again as it stood there.
    let mut again = verified.clone().into_inner();
    again.restate_handovers(&read);
    assert_eq!(again.extra, verified.extra);
    again.state_handovers(&read);
    assert_ne!(again.extra, verified.extra);
}

#[test]
fn what_is_lacking_is_counted_for_both_at_once() {
    let (old, new) = (set(&["a", "b", "c"], 2), set(&["c", "x"], 2));
    let handover = statement(1, &old, &new);
    let none = Handovers::default();
    let missing = |by: &[&str]| {
        let file = handing(&none, &handover, by, by);
        let missing = Missing::of(&file, &role(), &old, &none).unwrap();
        assert_eq!(missing.brings.as_ref(), Some(&handover));
        missing
    };
    // c counts for both sets.
    assert_eq!(missing(&[]).least(), 3);
    assert_eq!(missing(&["x"]).least(), 2);
    assert_eq!(missing(&["a"]).least(), 2);
    assert_eq!(missing(&["a", "b"]).least(), 2);
    assert_eq!(missing(&["a", "c"]).least(), 1);
    let last = missing(&["a", "c"]);
    let ids: Vec<_> = last.keyids().into_iter().collect();
    assert_eq!(ids, [key("x").keyid()]);
    assert!(missing(&["a", "c", "x"]).is_empty());
    // Who has signed the metadata alone has not signed.
    let file = handing(&none, &handover, &["a", "c", "x"], &["a", "c"]);
    let half = Missing::of(&file, &role(), &old, &none).unwrap();
    assert_eq!((half.handover.len(), half.metadata.len()), (1, 0));
    assert_eq!(half.least(), 1);
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn chosen(bits: u8) -> Vec<&'static str> {
    let all = NAMES.iter().enumerate();
    all.filter(|(number, _)| bits & (1 << number) != 0)
        .map(|(_, name)| *name)
        .collect()
}

proptest! {
    /// A handover holds exactly where a threshold of those before and all that come in have signed.
    #[test]
    fn it_holds_where_the_right_ones_have_signed(
        from in 1u8..32, to in 1u8..32, by in 0u8..32, few in 1u32..6, some in 1u32..6,
    ) {
        let from_threshold = few.min(from.count_ones());
        let to_threshold = some.min(to.count_ones());
        prop_assume!((from, from_threshold) != (to, to_threshold));
        let (old, new) = (set(&chosen(from), from_threshold), set(&chosen(to), to_threshold));
        let handovers = read(&[made(1, &old, &new, &chosen(by))]);
        let expected = (from & by).count_ones() >= from_threshold && to & !from & !by == 0;
        prop_assert_eq!(handovers.is_ok(), expected, "{:?}", handovers.err());
    }

    /// One who has none of the keys leads nobody anywhere, whatever they put together.
    #[test]
    fn without_the_keys_there_is_no_way(from in 1u8..32, to in 1u8..32, cut in 0usize..3, flip in any::<(u16, u8)>()) {
        prop_assume!(from != to);
        let (old, new) = (set(&chosen(from), 1), set(&chosen(to), 1));
        let good = made(1, &old, &new, &NAMES);
        let mut text = serde_json::to_vec(&good).unwrap();
        let at = usize::from(flip.0) % text.len();
        text[at] ^= flip.1;
        text.truncate(text.len() - cut);
        let Ok(changed) = canonical::parse(&text) else { return Ok(()) };
        if let Ok(handovers) = read(std::slice::from_ref(&changed)) {
            // Only what nobody signs for can differ: the signatures that are too many.
            prop_assert_eq!(&changed["signed"], &good["signed"]);
            prop_assert_eq!(handovers.reached(), Some(&new));
        }
    }
}

#[test]
fn a_set_is_what_a_delegation_names() {
    let keys = set(&["a", "b"], 2);
    let delegations = |named: RoleKeys| wheelmark_tuf::Delegations {
        keys: keys.keys().clone(),
        roles: wheelmark_tuf::DelegatedRoles::Listed(vec![wheelmark_tuf::DelegatedRole {
            name: role(),
            keys: named,
            terminating: true,
            paths: wheelmark_tuf::PathSet::Patterns(Vec::new()),
        }]),
        extra: std::collections::BTreeMap::new(),
    };
    let of = |named| KeySet::delegated(&delegations(named), &role());
    assert_eq!(of(keys.role_keys()), Some(keys.clone()));
    assert_eq!(of(RoleKeys::new([&key("elsewhere")], 1)), None);
    assert_eq!(of(RoleKeys::new([&key("a")], 2)), None);
    assert!(keys.is(&ids(&["a", "b"]), 2) && !keys.is(&ids(&["a", "b"]), 1));
}

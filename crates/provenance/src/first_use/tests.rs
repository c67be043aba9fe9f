#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::identity::{Claims, Subject};

fn person(name: &str) -> Identity {
    let subject = Subject::Email(format!("{name}@example.org"));
    Identity::new(
        subject,
        "https://accounts.example.org".to_owned(),
        Claims::default(),
    )
}

fn publisher(name: &str) -> Publisher {
    person(name).publisher()
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn day(day: i8) -> Timestamp {
    format!("2026-11-{day:02}T00:00:00Z").parse().unwrap()
}

/// Ada attested to 2.0, of the tenth.
fn ada() -> Remembered {
    let mut remembered = Remembered::default();
    let file = ("demo-2.0.tar.gz", &version("2.0"), Some(day(10)));
    let first = remembered.weigh_and_remember(file, &[&person("ada")], day(20));
    assert_eq!(first, Standing::First(vec![publisher("ada")]));
    remembered
}

fn weigh(remembered: &Remembered, at: &str, on: Option<i8>, by: &[&str]) -> Standing {
    let by: Vec<Identity> = by.iter().map(|name| person(name)).collect();
    let by: Vec<&Identity> = by.iter().collect();
    remembered.weigh(&version(at), on.map(day), &by)
}

#[test]
fn whoever_comes_first_is_expected_from_then_on() {
    let nothing = Remembered::default();
    assert_eq!(weigh(&nothing, "1.0", Some(1), &[]), Standing::Unattested);
    assert_eq!(
        weigh(&nothing, "1.0", Some(1), &["ada"]),
        Standing::First(vec![publisher("ada")])
    );
    let known = Standing::Known(publisher("ada"));
    assert_eq!(weigh(&ada(), "3.0", Some(11), &["ada"]), known);
    assert_eq!(weigh(&ada(), "3.0", Some(11), &["eve", "ada"]), known);
    assert_eq!(
        weigh(&ada(), "3.0", Some(11), &["eve"]),
        Standing::ChangedHands {
            expected: vec![publisher("ada")],
            found: vec![publisher("eve")],
        }
    );
}

/// Somebody of the account with this number.
fn of_account(name: &str, account: Option<&str>) -> Identity {
    let subject = Subject::Email(format!("{name}@example.org"));
    let claims = Claims {
        owner_id: account.map(str::to_owned),
        ..Claims::default()
    };
    Identity::new(subject, "https://accounts.example.org".to_owned(), claims)
}

#[test]
fn a_name_that_another_account_has_taken_is_somebody_else() {
    let mut remembered = Remembered::default();
    let version = version("2.0");
    let file = ("demo-2.0.tar.gz", &version, Some(day(10)));
    let seen = |remembered: &mut Remembered, account: Option<&str>| {
        remembered.weigh_and_remember(file, &[&of_account("ada", account)], day(20))
    };
    assert!(matches!(
        seen(&mut remembered, Some("7")),
        Standing::First(_)
    ));
    let known = Standing::Known(publisher("ada"));
    assert_eq!(seen(&mut remembered, Some("7")), known);
    for found in [Some("8"), None] {
        let other = Standing::OtherAccount {
            publisher: publisher("ada"),
            expected: "7".to_owned(),
            found: found.map(str::to_owned),
        };
        assert_eq!(seen(&mut remembered, found), other);
    }
    // Beside one who is as before, it does not matter.
    let both = [&of_account("ada", Some("8")), &of_account("ada", Some("7"))];
    assert_eq!(remembered.weigh(&version, None, &both), known);

    // A person says that this is right, and the next one counts from then on.
    remembered.accept(publisher("ada"), day(21));
    assert_eq!(seen(&mut remembered, Some("8")), known);
    assert!(matches!(
        seen(&mut remembered, Some("7")),
        Standing::OtherAccount { .. }
    ));

    // Two accounts at once: the index would choose which of them is kept.
    let mut unsure = ada();
    assert_eq!(unsure.weigh_and_remember(file, &both, day(20)), known);
    assert_eq!(seen(&mut unsure, Some("7")), known);

    // What was remembered before there were numbers takes them over.
    let mut before = ada();
    assert_eq!(seen(&mut before, Some("7")), known);
    assert!(matches!(
        seen(&mut before, Some("8")),
        Standing::OtherAccount { .. }
    ));
}

#[test]
fn attestations_may_be_missing_only_where_they_never_were() {
    for (at, on, fine) in [
        ("3.0", Some(11), false),
        ("2.0", Some(10), false),
        ("1.0", Some(9), true),
        // Backdated, or an old branch that goes on: one of the two is not older.
        ("3.0", Some(9), false),
        ("1.0", Some(11), false),
        ("1.0", Some(10), false),
        // A page that tells no time where others did.
        ("1.0", None, false),
    ] {
        let found = weigh(&ada(), at, on, &[]);
        let expected = match fine {
            true => Standing::Older,
            false => Standing::Vanished {
                expected: vec![publisher("ada")],
            },
        };
        assert_eq!(found, expected, "{at} {on:?}");
    }
    let mut older = ada();
    let file = ("demo-0.5.tar.gz", &version("0.5"), Some(day(2)));
    let known = older.weigh_and_remember(file, &[&person("ada")], day(20));
    assert_eq!(known, Standing::Known(publisher("ada")));
    let vanished = matches!(
        weigh(&older, "1.0", Some(9), &[]),
        Standing::Vanished { .. }
    );
    assert!(vanished, "an older one was seen attested since");
}

#[test]
fn what_is_revoked_does_not_count_and_is_not_taken_up_again() {
    let mut remembered = ada();
    assert!(remembered.revoke(&publisher("ada"), day(21)));
    assert!(!remembered.revoke(&publisher("ada"), day(22)));
    let found = vec![publisher("ada")];
    assert_eq!(
        weigh(&remembered, "3.0", Some(22), &["ada"]),
        Standing::RevokedOnly { found }
    );
    let other = weigh(&remembered, "3.0", Some(22), &["eve"]);
    assert!(matches!(other, Standing::ChangedHands { .. }), "{other:?}");
    let none = weigh(&remembered, "3.0", Some(22), &[]);
    assert!(matches!(none, Standing::Vanished { .. }), "{none:?}");
    remembered.accept(publisher("eve"), day(23));
    assert_eq!(
        weigh(&remembered, "3.0", Some(22), &["eve"]),
        Standing::Known(publisher("eve"))
    );
    remembered.accept(publisher("ada"), day(24));
    assert_eq!(
        weigh(&remembered, "3.0", Some(22), &["ada"]),
        Standing::Known(publisher("ada"))
    );
    assert!(remembered.revoked.is_empty());
}

#[test]
fn a_revocation_is_found_however_it_is_written_and_wins() {
    let github = |text: &str| text.parse::<Publisher>().unwrap();
    let mut remembered = Remembered::default();
    remembered.accept(github("github:Pallets/Flask@publish.yaml"), day(1));
    assert!(remembered.revoke(&github("github:pallets/flask@publish.yaml#pypi"), day(2)));
    assert!(remembered.accepted.is_empty());

    let mut both = ada();
    both.revoked.push(Revoked {
        publisher: publisher("ada"),
        at: day(21),
    });
    let standing = weigh(&both, "3.0", Some(22), &["ada"]);
    assert!(
        matches!(standing, Standing::RevokedOnly { .. }),
        "{standing:?}"
    );
}

#[test]
fn whoever_weighs_second_is_not_the_first() {
    let mut remembered = ada();
    let file = ("demo-2.0-py3-none-any.whl", &version("2.0"), Some(day(10)));
    let standing = remembered.weigh_and_remember(file, &[&person("eve")], day(20));
    assert!(
        matches!(standing, Standing::ChangedHands { .. }),
        "{standing:?}"
    );
    assert_eq!(remembered, ada());
}

#[test]
fn it_is_kept_as_it_is() {
    let mut remembered = ada();
    remembered.accept(publisher("eve"), day(21));
    remembered.revoke(&publisher("ada"), day(22));
    let text = serde_json::to_string(&remembered).unwrap();
    assert_eq!(
        serde_json::from_str::<Remembered>(&text).unwrap(),
        remembered
    );
    let unknown = text.replacen("{", "{\"more\":1,", 1);
    assert!(serde_json::from_str::<Remembered>(&unknown).is_err());
}

#[test]
fn it_does_not_grow_for_ever() {
    let mut remembered = Remembered::default();
    for i in 0..2 * MAX_REMEMBERED {
        remembered.accept(publisher(&format!("p{i}")), day(1));
    }
    assert_eq!(remembered.accepted.len(), MAX_REMEMBERED);
}

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::first_use::Standing;
use crate::identity::{Claims, Identity, Subject};

fn person(name: &str) -> Identity {
    with_account(name, None)
}

fn with_account(name: &str, account: Option<&str>) -> Identity {
    let subject = Subject::Email(format!("{name}@example.org"));
    let claims = Claims {
        owner_id: account.map(str::to_owned),
        ..Claims::default()
    };
    Identity::new(subject, "https://accounts.example.org".to_owned(), claims)
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn day(day: i8) -> Timestamp {
    format!("2026-11-{day:02}T00:00:00Z").parse().unwrap()
}

/// Somebody sees a file that was uploaded on a day, and that this one attests to.
fn sees(
    remembered: &mut Remembered,
    file: &str,
    uploaded: i8,
    by: &[&Identity],
    now: i8,
) -> Standing {
    let version = version(file);
    remembered.weigh_and_remember(("demo.whl", &version, Some(day(uploaded))), by, day(now))
}

#[test]
fn a_thief_who_came_first_is_forgotten_and_the_project_is_first() {
    let (eve, ada) = (person("eve"), person("ada"));
    let mut remembered = Remembered::default();
    let first = sees(&mut remembered, "9.0", 15, &[&eve], 16);
    assert!(matches!(first, Standing::First(_)));
    let kept_out = sees(&mut remembered.clone(), "2.0", 10, &[&ada], 20);
    assert!(matches!(kept_out, Standing::ChangedHands { .. }));
    assert!(remembered.forget_since(day(14)));
    assert!(remembered.is_empty());
    let real = sees(&mut remembered, "2.0", 10, &[&ada], 20);
    assert!(matches!(real, Standing::First(_)));
    // Whoever forgets twice forgets nothing more of before, and nobody is asked what came later.
    assert!(!remembered.clone().forget_since(day(21)));
}

#[test]
fn what_was_known_before_and_what_a_person_said_stays() {
    let mut remembered = Remembered::default();
    sees(&mut remembered, "2.0", 10, &[&person("ada")], 12);
    remembered.accept(person("bob").publisher(), day(18));
    remembered.revoke(&person("eve").publisher(), day(19));
    let before = remembered.clone();
    assert!(!remembered.forget_since(day(14)));
    assert_eq!(remembered, before);
}

#[test]
fn attestations_are_expected_from_where_they_were() {
    let ada = person("ada");
    let mut remembered = Remembered::default();
    sees(&mut remembered, "2.0", 10, &[&ada], 12);
    sees(&mut remembered, "1.5", 9, &[&ada], 13);
    let good = remembered.clone();
    let unattested = |remembered: &Remembered| {
        let standing = remembered.weigh(&version("1.0"), Some(day(5)), &[]);
        matches!(standing, Standing::Older)
    };
    assert!(unattested(&good));
    // The index says of a good file that it is of long ago, again and again.
    for (file, uploaded) in [("1.5", 4), ("1.4", 3), ("1.3", 2)] {
        sees(&mut remembered, file, uploaded, &[&ada], 15);
        assert!(!unattested(&remembered));
    }
    assert!(remembered.forget_since(day(14)));
    assert_eq!(remembered, good);
    // However often it is said.
    for month in (1..=20).rev() {
        let uploaded = Timestamp::from_second(2_000_000 * month).unwrap();
        let file = ("demo.whl", &version("1.5"), Some(uploaded));
        remembered.weigh_and_remember(file, &[&ada], day(15));
    }
    assert!(remembered.since.as_ref().unwrap().before.len() <= MOST_BEFORE);
    assert!(remembered.forget_since(day(14)) && unattested(&remembered));
}

#[test]
fn the_account_of_a_name_that_a_person_gave_is_seen_anew() {
    let mut remembered = Remembered::default();
    remembered.accept(person("ada").publisher(), day(1));
    sees(
        &mut remembered,
        "2.0",
        10,
        &[&with_account("ada", Some("66"))],
        16,
    );
    let real = with_account("ada", Some("7"));
    let kept_out = sees(&mut remembered.clone(), "2.1", 11, &[&real], 20);
    assert!(matches!(kept_out, Standing::OtherAccount { .. }));
    assert!(remembered.forget_since(day(14)));
    let known = sees(&mut remembered, "2.1", 11, &[&real], 20);
    assert!(matches!(known, Standing::Known(_)));
    assert!(!remembered.forget_since(day(21)));
    assert_eq!(remembered.accepted[0].account.as_deref(), Some("7"));
}

/// What an earlier version of this program has written says of nothing when it was seen.
#[test]
fn of_what_has_no_time_as_much_is_forgotten_as_must_be() {
    let mut remembered = Remembered::default();
    sees(&mut remembered, "2.0", 10, &[&person("eve")], 16);
    remembered.since.as_mut().unwrap().began = None;
    let mut longer = remembered.clone();
    longer.accept(person("ada").publisher(), day(1));
    assert!(remembered.forget_since(day(14)) && remembered.is_empty());
    assert!(longer.forget_since(day(14)));
    assert!(longer.since.is_some() && longer.accepted.len() == 1);
}

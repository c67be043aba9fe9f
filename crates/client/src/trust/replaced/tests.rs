#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};

use wheelmark_provenance::{AcceptedBy, Remembered};
use wheelmark_tuf::{Extra, IndexRecovery, Sha256};

use super::*;
use crate::trust::Recovered;
use crate::trust::tests::{by_the_system, record, root_of, store};

const SIMPLE: &str = "https://a.example/simple/";

fn claim(by_hand: bool) -> SeenClaim {
    SeenClaim {
        sealed: true,
        keys: BTreeSet::from(["a".to_owned()]),
        threshold: 1,
        version: 3,
        by_hand,
        recovered: None,
        cleared: false,
    }
}

/// Somebody has seen the keys of one project, compared those of another, and seen who attests to a third.
async fn has_seen(index: &TrustedIndex) {
    for (project, by_hand) in [("seen", false), ("compared", true)] {
        let claim = claim(by_hand);
        index.put_claim(&project.parse().unwrap(), claim).unwrap();
    }
    let publisher = "github:o/demo@release.yml".parse().unwrap();
    let now = record(SIMPLE).trusted_since;
    index
        .remember(&"attested".parse().unwrap(), |known| {
            known.accept(publisher, now);
        })
        .await
        .unwrap();
}

fn knows(index: &TrustedIndex) -> [bool; 3] {
    let claim = |project: &str| {
        let project = project.parse().unwrap();
        index.seen_claim(&project).unwrap().is_some()
    };
    let attested = index.remembered(&"attested".parse().unwrap()).unwrap();
    [claim("seen"), claim("compared"), !attested.is_empty()]
}

#[tokio::test]
async fn what_people_have_said_stays_and_what_the_keys_of_before_said_does_not() {
    let (_home, store) = store();
    let stolen = root_of(7, "stolen");
    let known = store.begin(record(SIMPLE), &stolen, &[], None);
    let known = known.await.unwrap();
    has_seen(&known).await;
    known
        .write("timestamp.json", b"{}", Durability::Synced)
        .unwrap();
    let root = root_of(2, "anew");
    let anew = IndexRecord {
        first_root_version: 2,
        ..record(SIMPLE)
    };
    let (index, carried) = store.replace(&known, anew, &root, &[]).await.unwrap();
    let expected = Carried {
        identities: 1,
        claims: 1,
        forgotten: 1,
    };
    assert_eq!(carried, expected);
    assert_eq!(knows(&index), [false, true, true]);
    assert_eq!(index.root().unwrap(), root);
    assert!(index.cached().unwrap().timestamp.is_none());
    // The new index has what versions and seals it likes, and the keys are those that were compared.
    let compared = index.seen_claim(&"compared".parse().unwrap());
    let compared = compared.unwrap().unwrap();
    assert!(!compared.sealed && compared.by_hand && compared.recovered.is_some());
    // The statement that it carries takes nothing of that.
    let statement = IndexRecovery {
        at: record(SIMPLE).trusted_since,
        since: record(SIMPLE).trusted_since,
        bulletin: "Stolen.".to_owned(),
        claims: BTreeMap::new(),
        extra: Extra::new(),
    };
    let now = record(SIMPLE).trusted_since;
    index.take_in(&statement, 2, now).unwrap();
    assert_eq!(knows(&index), [false, true, true]);
    // Had it been killed in between, pip's own configuration would not lead back here unsigned.
    let notes = std::fs::read_dir(&store.indexes).unwrap();
    let mut names = notes.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.any(|name| name.starts_with(".signed-")));
    // Whoever still goes by the one of before writes nothing more.
    let ended = known.lock().await.map(drop);
    assert!(matches!(ended, Err(TrustError::BegunAnew { .. })));
}

/// The system's administrator has begun, somebody has followed to another root of version 3, and then
/// comes this file.
async fn follows(version: u64, says: &str, next: Vec<u8>) -> (tempfile::TempDir, TrustedIndex) {
    let (home, store) = store();
    let now = record(SIMPLE).trusted_since;
    let first = by_the_system(SIMPLE, &root_of(1, "first")).await;
    let with = store.clone().with_system(vec![first], now).unwrap();
    let index = with.find(&SIMPLE.parse().unwrap()).unwrap().unwrap();
    has_seen(&index).await;
    let followed = Effect::Persist {
        file: CacheName::Root,
        bytes: root_of(version, says),
    };
    index.apply(&followed).unwrap();
    let then = by_the_system(SIMPLE, &next).await;
    let with = store.with_system(vec![then], now).unwrap();
    let index = with.find(&SIMPLE.parse().unwrap()).unwrap().unwrap();
    (home, index)
}

#[tokio::test]
async fn where_the_systems_root_is_another_than_a_thiefs_it_counts() {
    let (_home, index) = follows(3, "the thief's", root_of(3, "the system's")).await;
    assert_eq!(index.root().unwrap(), root_of(3, "the system's"));
    assert_eq!(knows(&index), [false, true, true]);
    // However high the thief went.
    let (_home, index) = follows(1 << 40, "the thief's", root_of(2, "the system's")).await;
    assert_eq!(index.root().unwrap(), root_of(2, "the system's"));
}

#[tokio::test]
async fn where_it_is_the_same_or_newer_the_chain_goes_on() {
    let (_home, index) = follows(3, "ours", root_of(1, "first")).await;
    assert_eq!(index.root().unwrap(), root_of(3, "ours"));
    assert_eq!(knows(&index), [true, true, true]);
    assert!(!index.take_up_the_systems_root().unwrap());
    // A newer one is taken up where no chain leads there, which a refresh finds out.
    let (_home, index) = follows(3, "ours", root_of(9, "the system's")).await;
    assert_eq!(index.root().unwrap(), root_of(3, "ours"));
    assert!(index.take_up_the_systems_root().unwrap());
    assert_eq!(index.root().unwrap(), root_of(9, "the system's"));
    assert_eq!(knows(&index), [true, true, true]);
    assert!(!index.take_up_the_systems_root().unwrap());
}

#[tokio::test]
async fn a_trust_of_the_users_own_is_not_the_systems_to_replace() {
    let (_home, store) = store();
    let mine = root_of(1, "mine");
    store.begin(record(SIMPLE), &mine, &[], None).await.unwrap();
    for (version, says) in [(1, "the system's"), (9, "the system's")] {
        let system = by_the_system(SIMPLE, &root_of(version, says)).await;
        let now = record(SIMPLE).trusted_since;
        let with = store.clone().with_system(vec![system], now).unwrap();
        let index = with.kept(&SIMPLE.parse().unwrap()).unwrap().unwrap();
        assert!(!index.take_up_the_systems_root().unwrap());
        assert_eq!(index.stored_root().unwrap(), root_of(1, "mine"));
    }
}

/// What the administrator hands over may be behind the recovery already.
#[tokio::test]
async fn what_was_seen_since_the_break_in_is_not_carried_behind_a_recovery() {
    let now = record(SIMPLE).trusted_since;
    let hour = jiff::SignedDuration::from_hours(1);
    let (_home, of_before) = store();
    let before = of_before.begin(record(SIMPLE), b"root", &[], None);
    let before = before.await.unwrap();
    for (project, at) in [("early", now - hour), ("late", now + hour)] {
        let mut remembered = Remembered::default();
        remembered.accept("github:o/demo@release.yml".parse().unwrap(), at);
        remembered.accepted[0].by = AcceptedBy::FirstUse;
        let project = project.parse().unwrap();
        before.write_remembered(&project, remembered).unwrap();
    }
    let (_home, store) = store();
    let index = store.begin(record(SIMPLE), b"root", &[], None);
    let index = index.await.unwrap();
    let known = Recovered {
        digest: Sha256::of(b"statement"),
        root: 2,
        at: now + hour,
        since: now,
        bulletin: "Stolen.".to_owned(),
        noticed: now,
        told: None,
        claims: Vec::new(),
        identities: Vec::new(),
    };
    index.put_recovered(known).unwrap();
    assert_eq!(index.carry(&before).unwrap().identities, 1);
    let remembered = index.all_remembered().unwrap();
    let projects: Vec<&str> = remembered.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(projects, ["early"]);
}

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};

use wheelmark_provenance::{AcceptedBy, Remembered};
use wheelmark_tuf::{Extra, KeyId, RoleKeys, claim_digest};

use super::*;
use crate::index::IndexUrls;
use crate::trust::{Began, IndexRecord, TrustStore};

fn day(day: i8) -> Timestamp {
    format!("2026-11-{day:02}T00:00:00Z").parse().unwrap()
}

fn name(project: &str) -> ProjectName {
    project.parse().unwrap()
}

/// An index that is trusted since the first of the month.
async fn begun() -> (tempfile::TempDir, TrustedIndex) {
    let home = tempfile::tempdir().unwrap();
    let store = TrustStore::open(home.path()).unwrap();
    let record = IndexRecord {
        urls: IndexUrls::new("https://a.example/simple/", None, None).unwrap(),
        began: Began::Fingerprint,
        trusted_since: day(1),
        first_root_version: 1,
        first_root_fingerprint: Sha256::of(b"root"),
    };
    let index = store.begin(record, b"root", &[], None).await.unwrap();
    (home, index)
}

fn claim(sealed: bool, key: &str) -> SeenClaim {
    SeenClaim {
        sealed,
        keys: BTreeSet::from([key.to_owned()]),
        threshold: 1,
        version: 7,
        by_hand: false,
        recovered: None,
        cleared: false,
    }
}

/// What the offline keys say: good until the tenth, recovered on the fifteenth; these claims go on.
fn statement(bulletin: &str, claims: &[(&str, &str)]) -> IndexRecovery {
    let claims = claims.iter().map(|(project, key)| {
        let keys = RoleKeys {
            keyids: vec![KeyId::from((*key).to_owned())],
            threshold: 1,
            extra: Extra::new(),
        };
        ((*project).to_owned(), claim_digest(&keys))
    });
    IndexRecovery {
        at: day(15),
        since: day(10),
        bulletin: bulletin.to_owned(),
        claims: claims.collect::<BTreeMap<_, _>>(),
        extra: Extra::new(),
    }
}

fn accepted(by: AcceptedBy, at: Timestamp) -> Remembered {
    let mut remembered = Remembered::default();
    remembered.accept("github:o/demo@release.yml".parse().unwrap(), at);
    remembered.accepted[0].by = by;
    remembered
}

#[tokio::test]
async fn what_a_thief_could_write_here_is_forgotten_and_nothing_else() {
    let (_home, index) = begun().await;
    let before = [
        ("thiefs", claim(false, "x")),
        ("other-keys", claim(false, "x")),
        ("provisional", claim(false, "a")),
        ("sealed", claim(true, "b")),
        (
            "compared",
            SeenClaim {
                by_hand: true,
                ..claim(false, "c")
            },
        ),
    ];
    for (project, seen) in &before {
        index.put_claim(&name(project), seen.clone()).unwrap();
    }
    for (project, by, at) in [
        ("early", AcceptedBy::FirstUse, day(9)),
        ("late", AcceptedBy::FirstUse, day(12)),
        ("by-hand", AcceptedBy::Hand, day(12)),
    ] {
        let remembered = accepted(by, at);
        index.write_remembered(&name(project), remembered).unwrap();
    }
    let said = statement("Stolen.", &[("provisional", "a"), ("other-keys", "a")]);
    index.take_in(&said, 4, day(16)).unwrap();
    let forgotten = index.recovered().unwrap().unwrap();
    assert_eq!(forgotten.claims, [name("other-keys"), name("thiefs")]);
    assert_eq!(forgotten.identities, [name("late")]);
    let kept = |project: &str| index.seen_claim(&name(project)).unwrap();
    assert_eq!((kept("thiefs"), kept("other-keys")), (None, None));
    for (project, seen) in &before[2..] {
        let expected = SeenClaim {
            recovered: Some(said.digest()),
            cleared: *project == "compared",
            ..seen.clone()
        };
        assert_eq!(kept(project), Some(expected));
    }
    let remembered = |project: &str| index.remembered(&name(project)).unwrap();
    assert!(remembered("late").is_empty());
    assert_eq!(remembered("by-hand"), accepted(AcceptedBy::Hand, day(12)));
    assert_eq!(remembered("early"), accepted(AcceptedBy::FirstUse, day(9)));
}

#[tokio::test]
async fn it_is_done_once_for_each_statement() {
    let (_home, index) = begun().await;
    let said = statement("Stolen.", &[]);
    index.take_in(&said, 4, day(16)).unwrap();
    let first = index.recovered().unwrap();
    // What is claimed since, and who is expected since.
    let project = name("claimed-since");
    index
        .remember_claim(&project, claim(false, "c"))
        .await
        .unwrap();
    let since = accepted(AcceptedBy::FirstUse, day(17));
    index.write_remembered(&project, since.clone()).unwrap();
    index.take_in(&said, 4, day(18)).unwrap();
    index.take_in(&said, 5, day(18)).unwrap();
    assert_eq!(index.recovered().unwrap(), first);
    assert!(index.seen_claim(&project).unwrap().is_some());
    assert_eq!(index.remembered(&project).unwrap(), since);
    // Another one is another recovery, whatever dates it has.
    index
        .take_in(&statement("Again.", &[]), 6, day(19))
        .unwrap();
    assert!(index.seen_claim(&project).unwrap().is_none());
    assert_eq!(index.recovered().unwrap().unwrap().bulletin, "Again.");
}

/// A run may have begun before, and may not end for an hour.
#[tokio::test]
async fn what_another_run_sees_under_the_state_of_before_is_not_remembered() {
    let (_home, index) = begun().await;
    let said = statement("Stolen.", &[]);
    let before = Under {
        root: 3,
        statement: None,
    };
    let now = Under {
        root: 4,
        statement: Some(said.digest()),
    };
    let later = Under { root: 6, ..now };
    // Written by a program that did not know of statements, and left it out.
    let without = Under {
        root: 6,
        statement: None,
    };
    index.take_in(&said, 4, day(16)).unwrap();
    for (project, under, is_kept) in [
        ("before", before, false),
        ("now", now, true),
        ("later", later, true),
        ("without", without, true),
    ] {
        let project = name(project);
        let seen = claim(false, "x");
        index.remember_found(&project, seen, under).await.unwrap();
        assert_eq!(index.seen_claim(&project).unwrap().is_some(), is_kept);
        let remembering = index.remember_seen(&project, under, |known| {
            *known = accepted(AcceptedBy::FirstUse, day(17));
        });
        remembering.await.unwrap();
        assert_eq!(!index.remembered(&project).unwrap().is_empty(), is_kept);
    }
}

#[tokio::test]
async fn what_was_seen_before_is_no_measure_for_what_is_seen_after() {
    let (_home, index) = begun().await;
    let (project, driven) = (
        name("demo"),
        SeenClaim {
            version: 1 << 53,
            ..claim(true, "b")
        },
    );
    index.put_claim(&project, driven).unwrap();
    index
        .take_in(&statement("Stolen.", &[]), 4, day(16))
        .unwrap();
    let real = claim(false, "a");
    index.remember_claim(&project, real.clone()).await.unwrap();
    assert_eq!(index.seen_claim(&project).unwrap(), Some(real));
}

#[tokio::test]
async fn a_damaged_memory_of_one_project_keeps_nobody_else_waiting() {
    let (_home, index) = begun().await;
    for project in ["broken", "thiefs"] {
        index.put_claim(&name(project), claim(false, "x")).unwrap();
    }
    index
        .write("claims/broken.json", b"{", Durability::Synced)
        .unwrap();
    index
        .take_in(&statement("Stolen.", &[]), 4, day(16))
        .unwrap();
    assert!(index.seen_claim(&name("thiefs")).unwrap().is_none());
    assert!(index.seen_claim(&name("broken")).is_err());
}

/// Nobody can mend it by hand, and nothing can be installed as long as it is in the way.
#[tokio::test]
async fn a_damaged_record_of_a_recovery_is_put_aside_and_made_anew() {
    let (_home, index) = begun().await;
    let said = statement("Stolen.", &[]);
    for damage in [&b""[..], b"{", br#"{"format":1,"recovery":{}}"#, b"\0\0\0"] {
        index.take_in(&said, 4, day(16)).unwrap();
        for (project, by_hand) in [("since", false), ("compared", true)] {
            let seen = SeenClaim {
                by_hand,
                ..claim(false, "x")
            };
            index.put_claim(&name(project), seen).unwrap();
        }
        index.write(FILE, damage, Durability::Synced).unwrap();
        assert!(index.recovered().is_err());
        index.put_damaged_aside().unwrap();
        assert!(index.recovered().unwrap().is_none());
        index.take_in(&said, 7, day(18)).unwrap();
        assert_eq!(index.recovered().unwrap().unwrap().digest, said.digest());
        let kept = |project: &str| index.seen_claim(&name(project)).unwrap().is_some();
        assert!(!kept("since") && kept("compared"));
        let aside = std::fs::read(index.directory().join(ASIDE)).unwrap();
        assert_eq!(aside, damage);
    }
}

/// A newer version of this program knows what it has written there.
#[tokio::test]
async fn a_record_of_another_format_stays_where_it_is() {
    let (_home, index) = begun().await;
    let newer = br#"{"format":2,"recovery":{"digest":"else"}}"#;
    index.write(FILE, newer, Durability::Synced).unwrap();
    index.put_damaged_aside().unwrap();
    let error = index.recovered().unwrap_err().to_string();
    assert!(error.contains("newer wheelmark"), "{error}");
    let taken = index.take_in(&statement("Stolen.", &[]), 4, day(16));
    assert!(taken.is_err());
    assert_eq!(index.read(FILE).unwrap().unwrap(), newer);
}

#[tokio::test]
async fn a_person_is_told_once_and_whenever_it_may_be_why() {
    let (_home, index) = begun().await;
    let said = statement("Stolen.", &[]);
    index.take_in(&said, 4, day(16)).unwrap();
    let news = |since, refused, now| {
        let known = index.recovered().unwrap().unwrap();
        known.is_news(since, refused, now)
    };
    let (began, soon, late) = (day(1), day(20), "2027-01-01T00:00:00Z".parse().unwrap());
    for now in [soon, late] {
        assert!(news(began, false, now));
    }
    index
        .mark_told(&Sha256::of(b"another"), soon)
        .await
        .unwrap();
    assert!(news(began, false, soon));
    index.mark_told(&said.digest(), soon).await.unwrap();
    assert!(!news(began, false, soon));
    assert!(news(began, true, soon) && !news(began, true, late));
    // Whoever came later, to whom it may still be why something is refused.
    let came = day(16);
    assert!(!news(came, false, soon) && news(came, true, soon) && !news(came, true, late));
}

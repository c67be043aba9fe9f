//! Pages that more than one role could answer for: a copy has what a search finds.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use wheelmark_mirror::{AuditOptions, DirectoryPlace, Everything, Tally, audit_directory};
use wheelmark_tuf::Clock as _;

use crate::copier::{Copier, plain};
use crate::index::{TestIndex, content};
use crate::signing::Pages;

const NEW: &str = "demo-3.0.tar.gz";

/// An index whose page of `demo` is another one than the page that is handed out.
async fn with_an_earlier_page() -> (TestIndex, Pages) {
    let mut index = TestIndex::with_files().await;
    let earlier = index.page("demo").await;
    index.add(NEW, &content(NEW)).await;
    index.publish().await;
    (index, earlier)
}

fn has_new(copier: &Copier) -> bool {
    plain(&copier.directory)["demo"].contains(&NEW.to_owned())
}

#[tokio::test]
async fn what_a_role_drops_another_one_may_have() {
    let (index, earlier) = with_an_earlier_page().await;
    let copier = Copier::of(&index, "copy").await;
    index.claim("demo", false, earlier).await;
    let outcome = copier.run().await.unwrap();
    assert_eq!((outcome.complete.projects, outcome.complete.files), (3, 6));
    assert!(!has_new(&copier));
    index
        .sign_anew(|role, targets| {
            if role.as_str() == "project-demo" {
                targets.targets.clear();
            }
        })
        .await;
    let outcome = copier.run().await.unwrap();
    assert!(has_new(&copier));
    assert_eq!((outcome.complete.projects, outcome.complete.files), (3, 7));
}

#[tokio::test]
async fn what_a_role_takes_over_is_counted_once() {
    let (index, earlier) = with_an_earlier_page().await;
    let copier = Copier::of(&index, "copy").await;
    assert_eq!(copier.run().await.unwrap().complete.files, 7);
    index.claim("demo", false, earlier).await;
    let outcome = copier.run().await.unwrap();
    assert!(!has_new(&copier));
    assert_eq!((outcome.complete.projects, outcome.complete.files), (3, 6));
}

#[tokio::test]
async fn projects_of_a_delegation_that_is_withdrawn_are_gone() {
    let index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    let page = index.page("demo").await;
    index.claim("demo", true, page).await;
    index
        .sign_anew(|role, targets| {
            if role.as_str().starts_with("simple-") {
                let is_other = |path: &str| !path.starts_with("simple/demo/");
                targets.targets.retain(|path, _| is_other(path.as_str()));
            }
        })
        .await;
    assert_eq!(copier.run().await.unwrap().complete.projects, 3);
    index
        .sign_anew(|role, targets| {
            if role.as_str() == "recently-claimed" {
                targets.delegations = None;
            }
        })
        .await;
    let outcome = copier.run().await.unwrap();
    assert_eq!((outcome.complete.projects, outcome.projects_gone), (2, 1));
    assert!(!plain(&copier.directory).contains_key("demo"));
}

#[tokio::test]
async fn behind_a_terminating_delegation_nothing_is_copied() {
    let index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    copier.run().await.unwrap();
    // The bins list it still, and no reader asks them.
    index.claim("demo", true, BTreeMap::new()).await;
    let outcome = copier.run().await.unwrap();
    assert_eq!((outcome.complete.projects, outcome.projects_gone), (2, 1));
    assert!(!plain(&copier.directory).contains_key("demo"));

    let fresh = Copier::of(&index, "fresh").await;
    assert_eq!(fresh.run().await.unwrap().complete.projects, 2);
}

/// A project whose people do not publish any more is one project that readers refuse, and no reason
/// to withhold the others from them.
#[tokio::test]
async fn a_project_whose_role_has_expired_is_copied_as_it_is_and_named() {
    let (index, earlier) = with_an_earlier_page().await;
    let copier = Copier::of(&index, "copy").await;
    index.claim("demo", true, earlier).await;
    let expired = index.clock.now() - SignedDuration::from_hours(1);
    index
        .sign_anew(|role, targets| {
            if role.as_str() == "project-demo" {
                targets.expires = expired;
            }
        })
        .await;
    for _ in 0..2 {
        let outcome = copier.run().await.unwrap();
        let ended = &outcome.complete.ended;
        assert_eq!(ended.len(), 1, "{ended:?}");
        assert_eq!(ended[0].role, "project-demo");
        assert_eq!(ended[0].expired, expired);
        assert_eq!((outcome.complete.projects, outcome.complete.files), (3, 6));
    }
    // Byte for byte, and readers of the copy refuse that project as they do at the index.
    let role = "metadata/2.project-demo.json";
    let copied = std::fs::read(copier.directory.join(role)).unwrap();
    assert_eq!(copied, std::fs::read(index.path(role)).unwrap());
    let place = DirectoryPlace::new(&copier.directory, 1, None);
    let options = AuditOptions {
        now: index.clock.now(),
        listed: 10,
        scope: &Everything,
        tally: &Tally::default(),
    };
    let (audit, _) = audit_directory(&place, &index.first_root(), &options);
    assert_eq!((audit.stale.count, audit.ended.count), (0, 1));
    assert_eq!(audit.ended.roles[0].role, "project-demo");
    assert!(audit.is_fresh());

    // Once its people publish again, nothing is left of it.
    let later = index.clock.now() + SignedDuration::from_hours(24 * 365);
    index
        .sign_anew(|role, targets| {
            if role.as_str() == "project-demo" {
                targets.expires = later;
            }
        })
        .await;
    assert!(copier.run().await.unwrap().complete.ended.is_empty());
}

#[tokio::test]
async fn a_role_of_the_index_that_has_expired_stops_a_copy() {
    let index = TestIndex::with_files().await;
    let copier = Copier::of(&index, "copy").await;
    let expired = index.clock.now() - SignedDuration::from_hours(1);
    index
        .sign_anew(|role, targets| {
            if role.as_str() == "recently-claimed" {
                targets.expires = expired;
            }
        })
        .await;
    let refused = copier.run().await.unwrap_err();
    assert_eq!(refused.blame(), wheelmark_mirror::Blame::Refused);
}

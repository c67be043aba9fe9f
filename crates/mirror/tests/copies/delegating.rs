//! Pages that more than one role could answer for: a copy has what a search finds.

use std::collections::BTreeMap;

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

//! What is refused, before anything is published.

use std::collections::BTreeMap;

use wheelmark_repository::{GoBackError, Kept, Turn, WentBack};
use wheelmark_store::Outcome;
use wheelmark_tuf::{RECOVERY_RAISE, Sha256};

use super::{EVIL, World, said};
use crate::holding::{engine_with, hand_in, outcome};
use crate::robbed::{both, engine};

async fn refusal(world: &World, files: crate::holding::Files, kept: &[(&str, &[Kept])]) -> String {
    let back = world.good.going_back(&world.index, files, kept).await;
    let before = std::fs::read(world.index.path("metadata/timestamp.json")).unwrap();
    let refused = said(&world.goes_back(&back).await.unwrap_err());
    let after = std::fs::read(world.index.path("metadata/timestamp.json")).unwrap();
    assert_eq!(before, after, "{refused}");
    assert!(
        world
            .index
            .store
            .recorded_intents()
            .await
            .unwrap()
            .is_empty()
    );
    refused
}

fn says(refused: &str, what: &str) {
    assert!(refused.contains(what), "{refused}");
}

#[tokio::test]
async fn the_ceremony_of_a_recovery_is_whole() {
    let world = World::new().await;
    let (index, good, none) = (&world.index, &world.good, BTreeMap::new());
    for role in ["targets", "simple", "packages", "claimed", "root"] {
        let mut files = world.ceremony();
        files.retain(|(name, _)| !name.ends_with(&format!(".{role}.json")));
        let refused = refusal(&world, files, &[]).await;
        says(&refused, &format!("{role} is not signed anew"));
    }
    let files = good.ceremony_with(index, &none, |role, content| {
        if role == "packages" {
            content["version"] = (good.version("packages") + RECOVERY_RAISE - 1).into();
        }
    });
    says(&refusal(&world, files, &[]).await, "is not raised");
    let files = good.ceremony_with(index, &none, |role, content| {
        if role == "targets" {
            content["_wheelmark"]
                .as_object_mut()
                .unwrap()
                .remove("recovery");
        }
    });
    let refused = refusal(&world, files, &[]).await;
    says(&refused, "does not state what the recovery is about");
    let nobodys = BTreeMap::from([("demo".to_owned(), Sha256::of(b"keys"))]);
    let files = good.ceremony(index, &nobodys);
    says(
        &refusal(&world, files, &[]).await,
        "has no claim with these keys",
    );
    // Somebody has put another file where the ceremony's is to be.
    let version = good.version("claimed") + RECOVERY_RAISE;
    let taken = index.path(&format!("metadata/{version}.claimed.json"));
    std::fs::write(&taken, b"in the way").unwrap();
    let refused = refusal(&world, world.ceremony(), &[]).await;
    says(&refused, "another file stands under the name");
    std::fs::remove_file(taken).unwrap();
    let back = world.going_back(&[]).await;
    world.goes_back(&back).await.unwrap();
}

/// Only a recovery raises versions, and only a recovery states one.
#[tokio::test]
async fn no_other_ceremony_does_what_a_recovery_may() {
    let world = World::new().await;
    let index = &world.index;
    let raised = world.ceremony();
    let plain = world
        .good
        .ceremony_with(index, &BTreeMap::new(), |role, content| {
            if role != "root" {
                content["version"] = (world.good.version(role) + 1).into();
            }
        });
    for (files, why) in [
        (raised, "does not follow on version"),
        (plain, "another statement of what a recovery"),
    ] {
        let seq = hand_in(index, &files).await;
        let mut engine = engine(index).await;
        while engine.turn().await.unwrap() != Turn::Idle {}
        match outcome(index, seq).await.unwrap() {
            Outcome::Refused { reason } => says(&reason, why),
            other => panic!("{other:?}"),
        }
    }
}

/// A statement is carried on, and changed or left out by no other ceremony.
#[tokio::test]
async fn a_statement_is_carried_on() {
    let world = World::new().await;
    let back = world.going_back(&[]).await;
    world.goes_back(&back).await.unwrap();
    let mut engine = engine_with(&world.index, both(&world.index)).await;
    let name = |role: &str, raise: u64| {
        let version = world.good.version(role) + RECOVERY_RAISE + raise;
        format!("metadata/{version}.{role}.json")
    };
    let targets = std::fs::read(world.index.path(&name("targets", 0))).unwrap();
    let targets: serde_json::Value = serde_json::from_slice(&targets).unwrap();
    let keys = crate::holding::offline(&world.index);
    for (changes, why) in [
        (true, Some("another statement of what a recovery")),
        (false, None),
    ] {
        let mut content = targets["signed"].clone();
        content["version"] = (content["version"].as_u64().unwrap() + 1).into();
        if changes {
            content["_wheelmark"]["recovery"]["bulletin"] = "All is well.".into();
        }
        let bytes = wheelmark_tuf::canonical::encode(&content);
        let signers = crate::holding::pair(&keys, "targets");
        let bytes = wheelmark_signing::sign_role(&bytes, &signers).unwrap();
        let file = name("targets", 1).replace("metadata/", "");
        let seq = hand_in(&world.index, &vec![(file, bytes)]).await;
        while engine.turn().await.unwrap() != Turn::Idle {}
        match (outcome(&world.index, seq).await.unwrap(), why) {
            (Outcome::Refused { reason }, Some(why)) => says(&reason, why),
            (Outcome::Published { .. }, None) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_published_is_what_was_decided_about() {
    let world = World::new().await;
    let mut back = world.going_back(&[]).await;
    world
        .index
        .upload("more-1.0-py3-none-any.whl", b"more")
        .await;
    let mut running = engine_with(&world.index, world.index.logged()).await;
    running.turn().await.unwrap();
    drop(running);
    let refused = world.goes_back(&back).await.unwrap_err();
    assert!(matches!(refused, GoBackError::Changed { .. }), "{refused}");
    back.present.snapshot = crate::robbed::published(&world.index);
    back.root = 2;
    let refused = world.goes_back(&back).await.unwrap_err();
    assert!(
        matches!(refused, GoBackError::RootSince { .. }),
        "{refused}"
    );
    back.root = 1;
    back.snapshot.sha256 = Sha256::of(b"another snapshot");
    let refused = world.goes_back(&back).await.unwrap_err();
    assert!(matches!(refused, GoBackError::LastGood(_)), "{refused}");
}

/// A next key that has signed what a thief brought in would let him show it to new clients.
#[tokio::test]
async fn a_next_key_that_has_signed_the_present_state_is_refused() {
    let world = World::new().await;
    let mut running = engine(&world.index).await;
    running.turn().await.unwrap();
    drop(running);
    let back = world.going_back(&[]).await;
    let refused = world.goes_back(&back).await.unwrap_err();
    assert!(matches!(refused, GoBackError::NextKeyUsed), "{refused}");
}

#[tokio::test]
async fn the_bytes_of_a_name_do_not_change_and_nothing_is_kept_that_is_not_there() {
    let world = World::new().await;
    for (kept, why) in [
        (Kept::File("demo-9.0.tar.gz".to_owned()), "does not know it"),
        (Kept::TakenAway, "does not sign for itself"),
    ] {
        let refused = refusal(&world, world.ceremony(), &[("demo", &[kept])]).await;
        says(&refused, why);
    }
    let kept = [Kept::File(EVIL.to_owned())];
    let back = world.going_back(&[("demo", &kept)]).await;
    // Its bytes are gone.
    let sha256 = Sha256::of(b"an evil wheel");
    let object = world
        .index
        .path(&format!("targets/packages/demo/{sha256}.{EVIL}"));
    let bytes = std::fs::read(&object).unwrap();
    std::fs::remove_file(&object).unwrap();
    let refused = world.goes_back(&back).await.unwrap_err();
    assert!(matches!(refused, GoBackError::Lost { .. }), "{refused}");
    std::fs::write(&object, bytes).unwrap();
    let done = world.goes_back(&back).await.unwrap();
    assert!(matches!(done, WentBack::Published { .. }));
    assert_eq!(world.index.files("demo").len(), 2);
}

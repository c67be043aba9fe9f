//! Claims: who makes one, with which keys, and who ends it.

use wheelmark_repository::{Engine, Lifetimes};
use wheelmark_signing::{FileKey, Signer};
use wheelmark_store::{Admission, Change, Orders, Outcome, ReleaseDenied, ReleaseError};
use wheelmark_tuf::Clock as _;

use crate::releasing::{claim, draft, key};
use crate::{FIRST, SECOND, THIRD, World, holding, own};

#[tokio::test]
async fn a_claim_and_an_upload_at_once_do_not_come_between_each_other() {
    let mut world = World::new().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    // The upload is first: the page that was signed for is not the one that is there.
    let file = world.index.place(SECOND, b"upload").await;
    let upload = world.index.store.admit_from(file, &world.alice, None).await;
    let Admission::Recorded(upload) = upload.unwrap() else {
        panic!("not new");
    };
    let mut first = draft(&world.index, "demo", 1, &[]).await;
    first.claim = Some(claim(&[&world.key], 1));
    let claimed = first
        .hand_in(&world.index, &world.alice, &[&alice])
        .await
        .unwrap();
    world.outcome(upload).await.unwrap();
    let refused = world.outcome(claimed).await.unwrap_err();
    assert!(
        refused.contains("build on the page that it leaves"),
        "{refused}"
    );
    assert!(
        world.roles(FIRST)[0]
            .as_ref()
            .unwrap()
            .starts_with("simple-")
    );
    // The claim is first: the upload is refused.
    let mut second = draft(&world.index, "demo", 1, &[]).await;
    second.claim = Some(claim(&[&world.key], 1));
    let claimed = second
        .hand_in(&world.index, &world.alice, &[&alice])
        .await
        .unwrap();
    let file = world.index.place(THIRD, b"upload").await;
    let upload = world.index.store.admit_from(file, &world.alice, None).await;
    let Admission::Recorded(upload) = upload.unwrap() else {
        panic!("not new");
    };
    world.outcome(claimed).await.unwrap();
    world.outcome(upload).await.unwrap_err();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
}

#[tokio::test]
async fn keys_that_cannot_sign_for_a_project_are_refused() {
    let mut world = World::new().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let other = key(&world.index, "other-key");
    let online = FileKey::open(&world.index.folder.path().join("online")).unwrap();
    let twice = claim(&[&alice, &alice], 1);
    let laden = {
        let mut laden = claim(&[&alice], 1);
        laden.keys[0].key["x"] = "y".repeat(1000).into();
        let id = wheelmark_tuf::Key::from_value(laden.keys[0].key.clone()).unwrap();
        laden.keys[0].keyid = id.keyid().as_str().to_owned();
        laden
    };
    let misnamed = {
        let mut misnamed = claim(&[&alice], 1);
        misnamed.keys[0].keyid = other.key().keyid().as_str().to_owned();
        misnamed
    };
    let cases = [
        ("no key", "a claim names 0 keys", claim(&[], 1)),
        ("a threshold of none", "0 of 1 keys", claim(&[&alice], 0)),
        ("a threshold of more", "2 of 1 keys", claim(&[&alice], 2)),
        (
            "one that did not sign",
            "signed by 1 of the 2",
            claim(&[&alice, &other], 1),
        ),
        (
            "the index's own",
            "one of the index's own",
            claim(&[&online], 1),
        ),
        ("one key twice", "twice", twice),
        ("another id", "not the id of a key", misnamed),
        ("a key that brings more along", "not the id of a key", laden),
    ];
    for (what, words, claim) in cases {
        let mut spoilt = draft(&world.index, "demo", 1, &[]).await;
        spoilt.claim = Some(claim);
        let signers: &[&FileKey] = if what == "the index's own" {
            &[&online]
        } else {
            &[&alice]
        };
        let refused = world.hand_in(spoilt, signers).await.expect_err(what);
        assert!(refused.contains(words), "{what}: {refused}");
        assert!(
            world.roles(FIRST)[0]
                .as_ref()
                .unwrap()
                .starts_with("simple-"),
            "{what}"
        );
    }
    // A refused claim keeps nobody from claiming.
    world.claim().await;
    // And it is claimed once.
    let mut again = draft(&world.index, "demo", 2, &[]).await;
    again.claim = Some(claim(&[&other], 1));
    let denied = again.hand_in(&world.index, &world.alice, &[&other]).await;
    assert!(matches!(
        denied,
        Err(ReleaseError::Release(ReleaseDenied::Claimed { .. }))
    ));
    // Also for a web process that asks nobody.
    world.index.sql("DELETE FROM claim").await;
    let mut again = draft(&world.index, "demo", 2, &[]).await;
    again.claim = Some(claim(&[&other], 1));
    let refused = world.hand_in(again, &[&other]).await.unwrap_err();
    assert!(refused.contains("claimed already"), "{refused}");
    assert_eq!(world.roles(FIRST), own());
}

#[tokio::test]
async fn entries_that_nobody_compared_are_marked_when_a_project_is_claimed() {
    let mut world = World::new().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let mut first = draft(&world.index, "demo", 1, &[]).await;
    let now = world.index.clock.now();
    first.page.files[0] = first.page.files[0].adopted(now).unwrap();
    first.claim = Some(claim(&[&alice], 1));
    world.hand_in(first, &[&alice]).await.unwrap();
    let page = world.index.page("demo").unwrap();
    assert!(page.files[0].is_adopted());
    // The next release leaves it at that.
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
    let page = world.index.page("demo").unwrap();
    assert_eq!(
        page.files
            .iter()
            .map(|file| file.is_adopted())
            .collect::<Vec<_>>(),
        [true, false]
    );
}

#[tokio::test]
async fn nothing_is_claimed_where_whoever_runs_the_index_has_not_said_so() {
    let mut world = World::new().await;
    world.engine.take_claims(false);
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let mut first = draft(&world.index, "demo", 1, &[]).await;
    first.claim = Some(claim(&[&alice], 1));
    let refused = world.hand_in(first, &[&alice]).await.unwrap_err();
    assert!(refused.contains("takes no claims"), "{refused}");
    world.engine.take_claims(true);
    world.claim().await;
    // What is claimed goes on.
    world.engine.take_claims(false);
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
}

#[tokio::test]
async fn whoever_runs_the_index_can_end_a_claim_and_nobody_else() {
    let mut world = World::new().await;
    world.claim().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
    // The journal of the web process cannot ask for it.
    let change = r#"{"kind":"claim-ended","project":"demo"}"#;
    world
        .index
        .sql(&format!("INSERT INTO journal (change) VALUES ('{change}')"))
        .await;
    let end = world.index.store.journal_end().await.unwrap();
    let refused = world.outcome(end).await.unwrap_err();
    assert!(refused.contains("whoever runs the index"), "{refused}");
    assert_eq!(world.roles(SECOND), own());

    let orders = Orders::open(&world.index.folder.path().join("orders.sqlite"))
        .await
        .unwrap();
    let demo: wheelmark_packaging::ProjectName = "demo".parse().unwrap();
    let ended = |project: &wheelmark_packaging::ProjectName| Change::ClaimEnded {
        project: project.clone(),
    };
    let changes = [ended(&demo), ended(&"other".parse().unwrap())];
    let now = world.index.clock.now();
    let asked = orders.ask_all(&changes, now, "somebody").await.unwrap();
    let World {
        index,
        engine,
        alice: bearer,
        key,
    } = world;
    drop(engine);
    let mut engine = Engine::open_with_orders(
        index.tree.clone(),
        index.store.clone(),
        orders.clone(),
        index.logged(),
        index.clock.clone(),
        Lifetimes::default(),
    )
    .await
    .unwrap();
    engine.take_claims(true);
    engine.turn().await.unwrap();
    let mut world = World {
        index,
        engine,
        alice: bearer,
        key,
    };
    let outcomes = [
        orders.outcome(asked[0]).await.unwrap().unwrap(),
        orders.outcome(asked[1]).await.unwrap().unwrap(),
    ];
    assert!(
        matches!(outcomes[0], Outcome::Published { .. }),
        "{outcomes:?}"
    );
    assert!(
        matches!(&outcomes[1], Outcome::Refused { reason } if reason.contains("not claimed")),
        "{outcomes:?}"
    );
    assert!(
        world.roles(SECOND)[0]
            .as_ref()
            .unwrap()
            .starts_with("simple-")
    );
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
    assert!(!world.index.store.is_claimed(&demo).await.unwrap());
    // It takes uploads, and can be claimed anew, in the version behind the last one.
    world.upload("demo-4.0-py3-none-any.whl").await.unwrap();
    let mut again = draft(&world.index, "demo", 3, &[]).await;
    again.claim = Some(claim(&[&alice], 1));
    world.hand_in(again, &[&alice]).await.unwrap();
    assert_eq!(world.roles(SECOND), own());
    assert_eq!(world.index.files("demo").len(), 3);
}

#[tokio::test]
async fn what_whoever_runs_the_index_asks_for_comes_before_a_release_in_the_same_moment() {
    let mut world = World::new().await;
    world.claim().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let orders = Orders::open(&world.index.folder.path().join("orders.sqlite"))
        .await
        .unwrap();
    let World {
        index,
        engine,
        alice: bearer,
        key,
    } = world;
    drop(engine);
    let engine = Engine::open_with_orders(
        index.tree.clone(),
        index.store.clone(),
        orders.clone(),
        index.logged(),
        index.clock.clone(),
        Lifetimes::default(),
    );
    let mut world = World {
        engine: engine.await.unwrap(),
        index,
        alice: bearer,
        key,
    };
    world.engine.take_claims(true);
    // A release is there first, and the claim ends all the same; with it, the file goes.
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    let release = next.hand_in(&world.index, &world.alice, &[&alice]).await;
    let project: wheelmark_packaging::ProjectName = "demo".parse().unwrap();
    let changes = [
        Change::ClaimEnded {
            project: project.clone(),
        },
        Change::FileRemoved {
            project: project.clone(),
            filename: FIRST.to_owned(),
            reason: None,
        },
        Change::StatusSet {
            project,
            status: "quarantined".to_owned(),
            reason: Some("malware".to_owned()),
        },
    ];
    let now = world.index.clock.now();
    let asked = orders.ask_all(&changes, now, "somebody").await.unwrap();
    let refused = world.outcome(release.unwrap()).await.unwrap_err();
    assert!(refused.contains("comes first"), "{refused}");
    for order in asked {
        let outcome = orders.outcome(order).await.unwrap().unwrap();
        assert!(matches!(outcome, Outcome::Published { .. }), "{outcome:?}");
    }
    assert!(world.index.files("demo").is_empty());
    let page = world.index.page("demo").unwrap();
    assert!(page.wheelmark.removed.contains_key(FIRST));
    // Nobody claims it anew before that is over.
    let mut again = draft(&world.index, "demo", 2, &[]).await;
    again.claim = Some(claim(&[&alice], 1));
    let refused = world.hand_in(again, &[&alice]).await.unwrap_err();
    assert!(refused.contains("quarantined"), "{refused}");
}

#[tokio::test]
async fn a_key_is_its_user_s_as_long_as_any_claim_names_it() {
    let mut world = World::new().await;
    world.upload("third-1.0.tar.gz").await.unwrap();
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    for project in ["demo", "other"] {
        let mut first = draft(&world.index, project, 1, &[]).await;
        first.claim = Some(claim(&[&alice], 1));
        world.hand_in(first, &[&alice]).await.unwrap();
    }
    // The claim that registered it first ends, and the other one names it still.
    let world = end_claims(world, &["demo"]).await;
    let mut stolen = draft(&world.index, "third", 1, &[]).await;
    let mut of_bob = claim(&[&alice], 1);
    of_bob.keys[0].maintainer = "bob".to_owned();
    stolen.claim = Some(of_bob);
    let denied = stolen.hand_in(&world.index, &world.alice, &[&alice]).await;
    assert!(
        matches!(
            denied,
            Err(ReleaseError::Release(ReleaseDenied::KeyOfAnother { .. }))
        ),
        "{denied:?}"
    );
    let known = "UPDATE developer_key SET seq = seq";
    assert_eq!(world.index.sql(known).await, 1);
    let world = end_claims(world, &["other"]).await;
    assert_eq!(world.index.sql(known).await, 0);
}

/// Whoever runs the index ends these claims, and goes on.
async fn end_claims(world: World, projects: &[&str]) -> World {
    let World {
        index,
        engine,
        alice,
        key,
    } = world;
    drop(engine);
    let orders = holding::orders(&index).await;
    let changes: Vec<Change> = projects
        .iter()
        .map(|project| Change::ClaimEnded {
            project: project.parse().unwrap(),
        })
        .collect();
    let now = index.clock.now();
    let asked = orders.ask_all(&changes, now, "somebody").await.unwrap();
    let mut engine = holding::engine(&index).await;
    engine.take_claims(true);
    engine.turn().await.unwrap();
    for seq in asked {
        let outcome = orders.outcome(seq).await.unwrap();
        assert!(
            matches!(outcome, Some(Outcome::Published { .. })),
            "{outcome:?}"
        );
    }
    World {
        index,
        engine,
        alice,
        key,
    }
}

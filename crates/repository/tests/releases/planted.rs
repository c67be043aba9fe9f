//! What somebody has put there who can write to the tree or beside the rows of the journal.

use wheelmark_signing::{FileKey, Signer};
use wheelmark_store::{ReleaseDenied, ReleaseError};

use crate::releasing::{claim, draft};
use crate::{FIRST, SECOND, THIRD, World};

#[tokio::test]
async fn what_stands_beside_a_row_counts_for_nothing_if_it_was_changed() {
    let mut world = World::new().await;
    world.claim().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    let seq = next
        .hand_in(&world.index, &world.alice, &[&alice])
        .await
        .unwrap();
    world
        .index
        .sql("UPDATE release_part SET page = x'7b7d'")
        .await;
    let refused = world.outcome(seq).await.unwrap_err();
    assert!(refused.contains("not the page that it names"), "{refused}");
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    let seq = next
        .hand_in(&world.index, &world.alice, &[&alice])
        .await
        .unwrap();
    world.index.sql("DELETE FROM release_part").await;
    let refused = world.outcome(seq).await.unwrap_err();
    assert!(refused.contains("not to be found"), "{refused}");
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
}

/// Puts a file where the next version of the project's role would stand.
fn plant(world: &World, version: u64, bytes: &[u8]) {
    let name = format!("repository/metadata/{version}.project-demo.json");
    std::fs::write(world.index.folder.path().join(name), bytes).unwrap();
}

#[tokio::test]
async fn planted_files_under_the_next_versions_stop_nobody() {
    let mut world = World::new().await;
    world.claim().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    plant(&world, 2, b"planted");
    // Also one that the project's own people have signed, and that was never published.
    let own = draft(&world.index, "demo", 3, &[]).await;
    let role = wheelmark_signing::sign_role(
        &wheelmark_tuf::Role::to_canonical(&own.role),
        &[&alice as &dyn Signer],
    );
    plant(&world, 3, &role.unwrap());
    // And one that the snapshot process may not even read; root may read everything.
    let planted = world.index.folder.path();
    let planted = planted.join("repository/metadata/2.project-demo.json");
    let unreadable = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(planted, unreadable).unwrap();
    for (version, words) in [
        (
            2,
            "another file stands in the tree under version 2 of the project's role: sign version 4",
        ),
        (3, "under version 3 of the project's role: sign version 4"),
        (5, "has version 5, and 4 is next"),
        (1, "has version 1, and 4 is next"),
    ] {
        let spoilt = draft(&world.index, "demo", version, &[(SECOND, b"x")]).await;
        let refused = world.hand_in(spoilt, &[&alice]).await.unwrap_err();
        assert!(refused.contains(words), "{version}: {refused}");
    }
    world.upload("other-2.0.tar.gz").await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST]);
    let next = draft(&world.index, "demo", 4, &[(SECOND, b"x")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
    // Where nothing is planted, no version is passed over.
    let far = draft(&world.index, "demo", 6, &[(THIRD, b"y")]).await;
    let refused = world.hand_in(far, &[&alice]).await.unwrap_err();
    assert!(
        refused.contains("has version 6, and 5 is next"),
        "{refused}"
    );
    let next = draft(&world.index, "demo", 5, &[(THIRD, b"y")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
}

/// A claim that follows on an earlier one is no other matter, and more files than are looked at are
/// found when the snapshot is written: that release is refused, and the others go on.
#[tokio::test]
async fn more_planted_files_than_are_looked_at_cost_one_refusal_each() {
    let mut world = World::new().await;
    world.claim().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    for version in 2..=10 {
        plant(&world, version, b"planted");
    }
    let next = draft(&world.index, "demo", 10, &[(SECOND, b"x")]).await;
    let refused = world.hand_in(next, &[&alice]).await.unwrap_err();
    assert!(refused.contains("sign version 11"), "{refused}");
    world.upload("other-2.0.tar.gz").await.unwrap();
    let next = draft(&world.index, "demo", 11, &[(SECOND, b"x")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_keeps_no_key_and_no_project() {
    let mut world = World::new().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let mut first = draft(&world.index, "demo", 1, &[]).await;
    first.claim = Some(claim(&[&alice], 1));
    let seq = first.hand_in(&world.index, &world.alice, &[&alice]).await;
    world
        .index
        .sql("UPDATE journal SET change = 'x' WHERE seq = (SELECT max(seq) FROM journal)")
        .await;
    world.outcome(seq.unwrap()).await.unwrap_err();
    world
        .index
        .sql("UPDATE developer_key SET person = 'mallory'")
        .await;
    world.claim().await;
    // One that is too long does not come so far.
    let mut other = draft(&world.index, "other", 1, &[]).await;
    let mut long = claim(&[&alice], 1);
    long.keys[0].key["x"] = "y".repeat(300_000).into();
    other.claim = Some(long);
    let denied = other.hand_in(&world.index, &world.alice, &[&alice]).await;
    assert!(matches!(
        denied,
        Err(ReleaseError::Release(ReleaseDenied::TooLong { .. }))
    ));
}

#[tokio::test]
async fn what_stands_beside_no_row_keeps_nobody_waiting_and_goes() {
    let mut world = World::new().await;
    world.claim().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    // One of a row that was decided about, and one of a row that is not there.
    for (seq, project) in [(1, "demo"), (4711, "third")] {
        let planted = format!(
            "INSERT INTO release_part (seq, project, metadata, page) VALUES ({seq}, '{project}', x'00', x'00')"
        );
        assert_eq!(world.index.sql(&planted).await, 1);
    }
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
    let left = world.index.sql("UPDATE release_part SET seq = seq").await;
    assert_eq!(left, 0);
}

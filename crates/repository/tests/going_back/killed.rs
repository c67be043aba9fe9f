//! A kill at any step: the next start finishes the recovery, or nothing has happened.

use wheelmark_repository::{Phase, WentBack};

use super::{Client, World};
use crate::holding::engine_with;
use crate::robbed::{engine, next_key, returning};

#[tokio::test]
async fn every_step_can_be_the_last_one() {
    for phase in [
        Phase::Plan,
        Phase::Sign,
        Phase::Record,
        Phase::Write,
        Phase::Done,
    ] {
        let mut world = World::new().await;
        let back = world.going_back(&[]).await;
        let mut dying = returning(&world.index, &back).await;
        dying.observe(move |now| assert!(now != phase, "the kill that this test wants"));
        let killed = tokio::spawn(async move { dying.go_back("somebody").await.map(drop) });
        assert!(killed.await.unwrap_err().is_panic());
        let seen = world.index.versions();
        let is_recorded = matches!(phase, Phase::Write | Phase::Done);
        if !is_recorded {
            // Abandoned: the index goes on from the state that it had, as if nothing had been.
            Client::new(&world.index).uses(&world.index, &[]);
            assert_eq!(world.index.files("demo").len(), 2, "{phase:?}");
            let done = world.goes_back(&back).await.unwrap();
            assert!(matches!(done, WentBack::Published { .. }), "{phase:?}");
        } else {
            // What is recorded is sealed by the next key, and finished without the stolen one.
            drop(engine_with(&world.index, next_key(&world.index).into()).await);
            let done = world.goes_back(&back).await.unwrap();
            assert!(matches!(done, WentBack::There { .. }), "{phase:?}");
        }
        for (name, bytes) in &seen {
            let now = world.index.versions();
            assert_eq!(now.get(name), Some(bytes), "{name} was signed twice");
        }
        world.is_as_before().await;
    }
}

/// The tree as a kill leaves it after any number of files: each state can be read, and is finished.
#[tokio::test]
async fn it_can_be_cut_off_after_every_file() {
    let mut world = World::new().await;
    let back = world.going_back(&[]).await;
    let mut dying = returning(&world.index, &back).await;
    dying.observe(|now| assert!(now != Phase::Write, "the kill that this test wants"));
    let killed = tokio::spawn(async move { dying.go_back("somebody").await.map(drop) });
    assert!(killed.await.unwrap_err().is_panic());
    let intent = world.index.store.intent().await.unwrap().unwrap();
    let is_root = |path: &str| path.ends_with(".root.json");
    let objects = intent.objects.iter().filter(|(path, _)| !is_root(path));
    for (path, bytes) in objects {
        std::fs::write(world.index.path(path), bytes).unwrap();
        world.robbed.uses(&world.index, &[]);
        Client::new(&world.index).uses(&world.index, &[]);
    }
    let timestamp = world.index.path("metadata/timestamp.json");
    std::fs::write(timestamp, &intent.timestamp).unwrap();
    Client::new(&world.index).uses(&world.index, &[]);
    world.spared.uses(&world.index, &[]);
    drop(engine(&world.index).await);
    world.is_as_before().await;
}

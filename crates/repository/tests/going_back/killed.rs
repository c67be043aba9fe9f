//! A kill at any step: the next start finishes the recovery, or nothing has happened.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use wheelmark_repository::{GoingBack, Phase, Turn, WentBack};

use super::{Client, EVIL, NAME, World};
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

/// Given up before it is recorded: the index goes on with the key of before, as if nothing had been, and another
/// recovery, with another key, brings it back.
#[tokio::test]
async fn given_up_before_it_is_recorded_the_index_goes_on() {
    for phase in [Phase::Plan, Phase::Sign, Phase::Record] {
        let mut world = World::new().await;
        let back = world.going_back(&[]).await;
        let mut dying = returning(&world.index, &back).await;
        dying.observe(move |now| assert!(now != phase, "the kill that this test wants"));
        let killed = tokio::spawn(async move { dying.go_back("somebody").await.map(drop) });
        assert!(killed.await.unwrap_err().is_panic());

        std::fs::remove_file(next_key(&world.index).path()).unwrap();
        let mut engine = engine_with(&world.index, world.index.logged()).await;
        world
            .index
            .upload("demo-3.0-py3-none-any.whl", b"a third")
            .await;
        while engine.turn().await.unwrap() != Turn::Idle {}
        engine.flush().await.unwrap();
        drop(engine);
        assert_eq!(world.index.files("demo").len(), 3, "{phase:?}");
        world.robbed.uses(&world.index, &[]);
        Client::new(&world.index).uses(&world.index, &[]);

        let again = world.going_back(&[]).await;
        let done = world.goes_back(&again).await.unwrap();
        assert!(matches!(done, WentBack::Published { .. }), "{phase:?}");
        world.is_as_before().await;
    }
}

/// A stretch of the way: from the phase that begins it (or the very beginning) on.
#[derive(Clone, Copy)]
enum Stretch {
    Beginning,
    After(Phase),
}

/// How often a future has waited in a stretch; nothing before that has begun.
type Waited = Arc<Mutex<Option<usize>>>;

/// A future that is dropped when it has waited so many times in a stretch.
struct Cut<F> {
    future: Pin<Box<F>>,
    waited: Waited,
    most: usize,
}

impl<F: Future> Future for Cut<F> {
    /// None if it was cut off.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(waited) = &mut *self.waited.lock().unwrap() {
            if *waited > self.most {
                return Poll::Ready(None);
            }
            *waited += 1;
        }
        self.future.as_mut().poll(context).map(Some)
    }
}

/// Goes back until it has waited so many times in a stretch; whether it came to its end, and how often it
/// waited from the beginning of the stretch to its own end.
async fn go_back_until(
    world: &World,
    back: &GoingBack,
    from: Stretch,
    most: usize,
) -> (bool, usize) {
    let begun = matches!(from, Stretch::Beginning).then_some(0);
    let waited: Waited = Arc::new(Mutex::new(begun));
    let mut opened = returning(&world.index, back).await;
    let counted = waited.clone();
    opened.observe(move |now| {
        if matches!(from, Stretch::After(phase) if phase == now) {
            counted.lock().unwrap().get_or_insert(0);
        }
    });
    let cut = Cut {
        future: Box::pin(opened.go_back("somebody")),
        waited: waited.clone(),
        most,
    };
    let done = cut.await;
    drop(opened);
    // What was begun on another thread comes to its end, as a system call does.
    while world.index.tree.lock().await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let waited = waited.lock().unwrap().unwrap_or(0);
    (done.is_some_and(|done| done.is_ok()), waited)
}

/// Cut off wherever it waits: while files are written, while the catalogue's rows are put right, and while names are
/// given. Whoever reads meanwhile has a whole state, and the same again finishes it.
#[tokio::test]
async fn it_can_be_cut_off_wherever_it_waits() {
    let stretches = [
        (Stretch::Beginning, 3),
        (Stretch::After(Phase::Write), 8),
        (Stretch::After(Phase::Done), 6),
    ];
    for (from, parts) in stretches {
        let mut whole = World::new().await;
        let back = whole.going_back(&[]).await;
        let (is_done, end) = go_back_until(&whole, &back, from, usize::MAX).await;
        assert!(is_done && end > 1);
        whole.is_as_before().await;
        for most in (0..parts).map(|part| end * part / parts) {
            let mut world = World::new().await;
            let back = world.going_back(&[]).await;
            let (is_done, _) = go_back_until(&world, &back, from, most).await;
            // How often one waits differs from run to run, so that late cuts may come too late; the first cannot.
            assert!(!is_done || most > 0, "nothing was cut off");
            world.robbed.uses(&world.index, &[]);
            Client::new(&world.index).uses(&world.index, &[]);
            let done = world.goes_back(&back).await;
            assert!(done.is_ok(), "cut off after {most} of {end}: {done:?}");
            world.is_as_before().await;
            for (filename, is_there) in [(NAME, true), (EVIL, false)] {
                let project = "demo".parse().unwrap();
                let row = world.index.store.file(&project, filename).await.unwrap();
                assert_eq!(row.is_some(), is_there, "{filename}, after {most} of {end}");
            }
        }
    }
}

//! An index that nobody asks for anything renews itself.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/index.rs"]
mod index;

use std::time::{Duration, Instant};

use index::TestIndex;
use jiff::SignedDuration;
use tokio::sync::oneshot;
use wheelmark_repository::{BinForm, Engine, JournalWriter, Lifetimes};

/// How long it is waited for, at the most: its timer comes every second here.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn without_uploads_and_restarts_its_timer_is_enough() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let lifetimes = Lifetimes {
        online: SignedDuration::from_secs(96),
        ..Lifetimes::default()
    };
    let engine = Engine::open(
        index.tree.clone(),
        index.store.clone(),
        index.logged(),
        index.clock.clone(),
        lifetimes,
        JournalWriter::Operator,
    );
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(engine.await.unwrap().run(async {
        stopped.await.unwrap();
    }));
    // The first roles live a day; then each life is short, and half of it over.
    for hours in [24, 1, 1] {
        let before = index.versions().len();
        index.clock.forward(SignedDuration::from_hours(hours));
        let began = Instant::now();
        while index.versions().len() < before + 11 {
            assert!(began.elapsed() < PATIENCE, "nothing was renewed");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    index.client();
}

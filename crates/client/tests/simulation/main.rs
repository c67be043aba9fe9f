//! A week in a minute: an index, its mirrors and its clients on one clock that the test moves,
//! through publishes, removals, yanks, renewals, key rotations, expiry, restarts and attacks drawn
//! at random.
//!
//! For every client, at every step:
//!
//! - **(a)** No role's version, as the client trusts it, goes down, and no role that its
//!   snapshot lists vanishes; except that timestamp and snapshot begin anew when root gives
//!   them other keys (TUF §5.3.11, recovery from a fast-forward).
//! - **(b)** No file, and no core metadata, is completed at the installer with other bytes than
//!   the published ones.
//! - **(c)** Nothing is accepted that had expired at the start of the refresh.
//! - **(d)** When an attack has ended, and after the operator has replaced a key if one was
//!   stolen, every client refreshes and installs the newest file: the same process, without
//!   anybody's help.
//! - **(e)** A client that has seen a state never installs from an older one, and is never told
//!   that a project of it does not exist. The page that it installs from is, file by file with
//!   digests and yanks, one that the index published, and none older than the last it saw.
//! - **(f)** Nothing is completed that the page in use does not list: a file that was removed is
//!   gone, until it is back with the bytes that it had.
//!
//! The index is the real engine; the ceremonies are the test's. Clients are real trust stores,
//! readers and proxies over loopback sockets. What a snapshot signs for is read by the test
//! itself, not by the code that is tested.
//!
//! It can fail. Each of these checks, taken out of the client alone, was noticed within 150
//! seeds, by the invariant behind it:
//!
//! - (a): rollback of the timestamp, of the snapshot that it names, of a role in the snapshot; a
//!   role that vanishes from the snapshot; an expired timestamp as the floor; every root kept;
//!   root's version (also d); timestamp and snapshot forgotten at a rotation.
//! - (b): the digest of a file, and of its core metadata.
//! - (c): expiry of the timestamp, and of delegated roles; no answer from the last state where a
//!   refresh failed.
//! - (d): the threshold of the old root, and of the new one; two keys where two are needed; the
//!   signature itself; a failed refresh that is tried again; verdicts that end with their state.
//! - (e): the announced version of a role (also d); the name that a bin states of itself; yanks
//!   that are passed on.
//! - (f): files looked up in the page of the state in use, and not in an earlier one.
//!
//! `WHEELMARK_SEEDS=N` runs N seeds, from `WHEELMARK_FIRST_SEED` on if that is set;
//! `WHEELMARK_SEED=S` replays one and tells its story. `cargo xtask soak` runs thousands.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::print_stdout,
    reason = "the seed of a failure, and the progress of a long run, are for the person who waits"
)]

mod attack;
mod client;
mod door;
mod index;
mod listing;
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::client::Broken;
use crate::world::World;

/// Seeds without a word from the environment.
const SEEDS: u64 = 500;

/// A failure's last steps, in its report.
const LAST_STEPS: usize = 12;

/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(20);

#[test]
fn every_invariant_holds_in_every_week() {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().unwrap())
    };
    let seeds = match number("WHEELMARK_SEED") {
        Some(one) => one..=one,
        None => {
            let first = number("WHEELMARK_FIRST_SEED").unwrap_or(0);
            first..=first + number("WHEELMARK_SEEDS").unwrap_or(SEEDS) - 1
        }
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let failures = runtime.block_on(run(seeds));
    assert_eq!(failures, 0, "seeds with a broken invariant");
}

/// Runs the seeds, as many at a time as the machine has processors, and counts the failures.
async fn run(seeds: std::ops::RangeInclusive<u64>) -> u64 {
    let began = Instant::now();
    let mut told = began;
    let all = seeds.clone().count();
    let at_a_time = std::thread::available_parallelism().map_or(2, usize::from) + 1;
    let places = Arc::new(Semaphore::new(at_a_time));
    let mut running = JoinSet::new();
    let (mut done, mut failures) = (0, 0);
    let mut finished = |outcome: Result<(u64, Option<String>), tokio::task::JoinError>| {
        let (seed, failure) = outcome.unwrap();
        done += 1;
        if let Some(failure) = failure {
            failures += 1;
            println!(
                "{failure}\nfailing seed: {seed}\nagain: WHEELMARK_SEED={seed} cargo test \
                 -p wheelmark-client --test simulation -- --nocapture\n"
            );
        }
        if told.elapsed() > PROGRESS {
            told = Instant::now();
            println!(
                "simulation: {done} of {all} seeds, {failures} failed, {} s",
                began.elapsed().as_secs()
            );
        }
    };
    for seed in seeds {
        let place = places.clone().acquire_owned().await.unwrap();
        running.spawn(async move {
            let failure = one(seed).await;
            drop(place);
            (seed, failure)
        });
        while let Some(outcome) = running.try_join_next() {
            finished(outcome);
        }
    }
    while let Some(outcome) = running.join_next().await {
        finished(outcome);
    }
    println!(
        "simulation: {done} seeds, {failures} failed, {:.1} s",
        began.elapsed().as_secs_f64()
    );
    failures
}

/// Lives through one seed; what went wrong, if anything did.
async fn one(seed: u64) -> Option<String> {
    let lived = tokio::spawn(async move {
        let mut world = World::new(seed).await;
        let outcome = world.live().await;
        (outcome, world.story)
    });
    match lived.await {
        Ok((Ok(()), _)) => None,
        Ok((Err(Broken(invariant, what)), story)) => {
            let last = story.len().saturating_sub(LAST_STEPS);
            let steps = story[last..].join("\n  ");
            Some(format!(
                "  {steps}\ninvariant ({invariant}) is broken: {what}"
            ))
        }
        Err(panic) => Some(format!("the seed ended early: {panic}")),
    }
}

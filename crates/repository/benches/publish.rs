//! The cost of publishing one file into a full-size index, beside its floor.
//!
//! The floor is what nobody can avoid: four signatures (two bins, snapshot, timestamp), of
//! which the snapshot's reads its bytes twice with SHA-512, and one SHA-256 pass over the
//! snapshot for the timestamp. Both are measured in the same run, in turns. The index lies in
//! memory where the machine has `/dev/shm`, so that the disk is left out.
//!
//! Ends with one line of JSON.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark may panic and print"
)]

#[path = "../tests/support/index.rs"]
mod index;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use index::TestIndex;
use wheelmark_repository::{BinForm, Phase};
use wheelmark_signing::Signer as _;
use wheelmark_tuf::Sha256;

const BINS: u32 = 16_384;
const FILES_BEFORE: usize = 2_000;
const ROUNDS: usize = 60;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let in_memory = std::path::Path::new("/dev/shm").is_dir();
    let started = Instant::now();
    let index = if in_memory {
        TestIndex::new_in("/dev/shm", BINS, BinForm::Succinct).await
    } else {
        TestIndex::new(BINS, BinForm::Succinct).await
    };
    println!(
        "first snapshot, {BINS} + {BINS} bins: {:.1?}",
        started.elapsed()
    );

    let started = Instant::now();
    let mut engine = index.engine().await;
    println!("taking up the signed state: {:.1?}", started.elapsed());
    for i in 0..FILES_BEFORE {
        let name = format!("project{i}-1.0-py3-none-any.whl");
        index.upload(&name, name.as_bytes()).await;
    }
    let started = Instant::now();
    while engine.turn().await.unwrap() != wheelmark_repository::Turn::Idle {}
    println!(
        "publishing {FILES_BEFORE} files at once: {:.1?}",
        started.elapsed()
    );

    let marks: Arc<Mutex<Vec<(Phase, Instant)>>> = Arc::default();
    let seen = marks.clone();
    engine.observe(move |phase| seen.lock().unwrap().push((phase, Instant::now())));

    let mut phases: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let mut floors = Vec::new();
    let mut costs = Vec::new();
    for round in 0..ROUNDS {
        let name = format!("measured{round}-1.0-py3-none-any.whl");
        index.upload(&name, name.as_bytes()).await;
        marks.lock().unwrap().clear();
        engine.turn().await.unwrap();
        let marks = marks.lock().unwrap().clone();
        let mut cost = Duration::ZERO;
        for pair in marks.windows(2) {
            let took = pair[1].1 - pair[0].1;
            let name = match pair[0].0 {
                Phase::Plan => "plan",
                Phase::Sign => "sign",
                Phase::Record => "record",
                Phase::Write | Phase::Done => "write",
            };
            if matches!(name, "plan" | "sign") {
                cost += took;
            }
            phases.entry(name).or_default().push(took);
        }
        costs.push(cost);

        let folder = index.folder.path().join("repository/metadata");
        let file = folder.join(format!("{}.snapshot.json", engine.snapshot_version()));
        let snapshot = std::fs::read(file).unwrap();
        let small = vec![b'x'; 2_000];
        let started = Instant::now();
        // Ed25519 reads the message twice with SHA-512: that is the floor's two passes.
        black_box(index.online.sign(black_box(&snapshot)).unwrap());
        black_box(Sha256::of(black_box(&snapshot)));
        for _ in 0..3 {
            black_box(index.online.sign(black_box(&small)).unwrap());
        }
        floors.push(started.elapsed());
    }

    let floor = median(&mut floors);
    let cost = median(&mut costs);
    let ratio = cost.as_secs_f64() / floor.as_secs_f64();
    println!("\npublishing one file, median of {ROUNDS}:");
    let mut figures = serde_json::Map::new();
    for name in ["plan", "sign", "record", "write"] {
        let took = median(phases.get_mut(name).unwrap());
        println!("  {name:<8} {:>8.2} ms", millis(took));
        figures.insert(format!("{name}_ms"), round(millis(took)));
    }
    println!(
        "  floor    {:>8.2} ms   two SHA-512 passes and one SHA-256 pass over the snapshot, four signatures",
        millis(floor)
    );
    println!("  plan + sign is {ratio:.2} times the floor");
    figures.insert("bench".into(), "publish".into());
    figures.insert("bins".into(), BINS.into());
    figures.insert("in_memory".into(), in_memory.into());
    figures.insert("floor_ms".into(), round(millis(floor)));
    figures.insert("plan_and_sign_ms".into(), round(millis(cost)));
    figures.insert("ratio".into(), round(ratio));
    println!("{}", serde_json::Value::Object(figures));
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn round(figure: f64) -> serde_json::Value {
    ((figure * 1_000.0).round() / 1_000.0).into()
}

//! The cost of signing what is there already: a hundred thousand files of projects of very
//! different sizes, through the store and the engine.
//!
//! Their objects stand in the tree before the time is taken, since how they come there depends on
//! where they come from. What is measured is the rest: journal rows, and snapshots that take so
//! many changes each. The peak of memory is told after every snapshot, so that one that grows
//! with the index is seen.
//!
//! Options: `--files N`, `--per-snapshot N`, `--bins N`, `--folder DIR` (where the index lies; not
//! in memory unless it is said so). Ends with one line of JSON.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark may panic and print"
)]

#[path = "../tests/support/index.rs"]
mod index;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use index::TestIndex;
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::ProjectName;
use wheelmark_repository::{BinForm, Turn};
use wheelmark_store::NewFile;
use wheelmark_tuf::Sha256;

/// Of a hundred thousand files: how many projects have how many files each.
const SIZES: [(usize, usize); 4] = [(1, 20_000), (10, 2_000), (200, 100), (4_000, 10)];

/// Files that are admitted in one transaction.
const ADMITTED_AT_ONCE: usize = 1_000;

struct Options {
    files: usize,
    per_snapshot: NonZeroU32,
    bins: u32,
    folder: PathBuf,
}

fn main() {
    let mut options = Options {
        files: 100_000,
        per_snapshot: NonZeroU32::new(10_000).unwrap(),
        bins: 256,
        folder: std::env::temp_dir(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().expect("an option has a value");
        match word.as_str() {
            // What cargo gives every benchmark.
            "--bench" => {}
            "--files" => options.files = value().parse().unwrap(),
            "--per-snapshot" => options.per_snapshot = value().parse().unwrap(),
            "--bins" => options.bins = value().parse().unwrap(),
            "--folder" => options.folder = value().into(),
            other => panic!("no such option: {other}"),
        }
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run(options));
}

async fn run(options: Options) {
    let Options {
        files,
        per_snapshot,
        bins,
        folder,
    } = options;
    let index = TestIndex::new_in(folder, bins, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    engine.set_changes_per_snapshot(per_snapshot);
    let names: Vec<_> = names(files).collect();

    let (mut placing, mut admitting) = (Duration::ZERO, Duration::ZERO);
    for names in names.chunks(ADMITTED_AT_ONCE) {
        let began = Instant::now();
        let objects = names.iter().map(|(project, filename)| {
            let content = Bytes::from(filename.clone());
            let path = ObjectPath::file(project, &Sha256::of(&content), filename).unwrap();
            (path, content)
        });
        index.tree.create_all(objects.collect()).await.unwrap();
        placing += began.elapsed();

        let began = Instant::now();
        let files = names.iter().map(|(project, filename)| NewFile {
            project: project.clone(),
            filename: filename.clone(),
            sha256: Sha256::of(filename.as_bytes()),
            size: filename.len() as u64,
            uploaded_at: "2019-03-01T12:00:00Z".parse().unwrap(),
            requires_python: Some(">=3.9".to_owned()),
            core_metadata_sha256: None,
            chunks_sha256: None,
            gpg_signature: None,
            provenance_sha256: None,
            uploaded_by: "an import".to_owned(),
            back_signed: true,
            yanked: None,
        });
        index.store.admit_all(files.collect()).await.unwrap();
        admitting += began.elapsed();
    }
    let before = peak_memory();
    println!("placing {files} objects (not counted): {placing:.1?}");
    println!("admitting them: {admitting:.1?}, peak memory {before:.0} MB");

    let began = Instant::now();
    let (mut snapshots, mut signed) = (0, 0);
    loop {
        let turn_began = Instant::now();
        let Turn::Published { changes, .. } = engine.turn().await.unwrap() else {
            break;
        };
        snapshots += 1;
        signed += changes;
        println!(
            "  {signed:>7} files signed, this snapshot took {:>6.2?}, peak memory {:.0} MB",
            turn_began.elapsed(),
            peak_memory()
        );
    }
    let publishing = began.elapsed();
    assert_eq!(signed, files, "every file is signed");

    let began = Instant::now();
    drop(engine);
    let engine = index.engine().await;
    let opening = began.elapsed();
    println!(
        "taking up the signed state of {} projects again: {opening:.1?}",
        engine.projects()
    );
    let seconds = (admitting + publishing).as_secs_f64();
    let rate = files as f64 / seconds;
    println!(
        "\n{files} files in {seconds:.1} s: {rate:.0} files a second, in {snapshots} snapshots"
    );
    let round = |figure: f64| (figure * 10.0).round() / 10.0;
    println!(
        "{}",
        serde_json::json!({
            "bench": "back-sign",
            "files": files,
            "bins": bins,
            "per_snapshot": per_snapshot,
            "snapshots": snapshots,
            "admit_s": round(admitting.as_secs_f64()),
            "publish_s": round(publishing.as_secs_f64()),
            "files_per_second": round(rate),
            "peak_memory_mb": round(peak_memory()),
        })
    );
}

/// The files, by project: large projects first, then so many small ones.
fn names(files: usize) -> impl Iterator<Item = (ProjectName, String)> {
    let of_all = move |share: usize| (share * files / 100_000).max(1);
    let projects = SIZES.into_iter().flat_map(move |(projects, size)| {
        let size = if projects == 1 { of_all(size) } else { size };
        let projects = if projects == 1 { 1 } else { of_all(projects) };
        (0..projects).map(move |number| (format!("p{size}x{number}"), size))
    });
    let files_of = |(project, size): (String, usize)| {
        let name: ProjectName = project.parse().unwrap();
        (0..size).map(move |n| {
            let filename = format!("{project}-{}.{}.tar.gz", n / 50, n % 50);
            (name.clone(), filename)
        })
    };
    projects.flat_map(files_of).take(files)
}

/// The most memory that this process ever had, in MB, as the system tells it.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kilobytes.unwrap_or(f64::NAN) / 1_024.0
}

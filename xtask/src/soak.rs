//! `cargo xtask soak`: the simulation and the fuzz targets for longer than a check can take.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::fuzz::Fuzzing;
use crate::tested::watched;
use crate::workspace::Workspace;

/// Options of `cargo xtask soak`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many seeds of the simulation to run
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 0)]
    first_seed: u64,
    /// Instead, run fuzz targets and new seeds in turns until these hours are over
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "first_seed"])]
    hours: Option<f64>,
}

/// How long one fuzz target runs before it is another's turn.
const TURN: Duration = Duration::from_secs(120);

/// How many seeds are run after each fuzz target: about as long as a turn of it.
const SEEDS_A_TURN: u64 = 500;

/// Where seeds begin that no check has run: those of CI are below.
const FRESH: u64 = 1_000_000;

/// Runs what was asked for to its end, failures or not, and then tells of them.
///
/// # Errors
///
/// When anything was found.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let mut soak = Soak::new(workspace)?;
    match args.hours {
        None => soak.simulate(args.first_seed, args.seeds)?,
        Some(hours) => {
            ensure!(
                hours > 0.0 && hours.is_finite(),
                "hours have to be more than 0"
            );
            soak.in_turns(Duration::from_secs_f64(hours * 3600.0))?;
        }
    }
    soak.summary()
}

struct Soak<'a> {
    workspace: &'a Workspace,
    folder: PathBuf,
    began: Instant,
    seeds: u64,
    failing_seeds: Vec<u64>,
    fuzzed: Duration,
    findings: Vec<String>,
}

impl<'a> Soak<'a> {
    fn new(workspace: &'a Workspace) -> anyhow::Result<Self> {
        let folder = workspace.target().join("soak");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self {
            workspace,
            folder,
            began: Instant::now(),
            seeds: 0,
            failing_seeds: Vec::new(),
            fuzzed: Duration::ZERO,
            findings: Vec::new(),
        })
    }

    /// One fuzz target, some seeds, the next target, and so on, until the time is over.
    fn in_turns(&mut self, time: Duration) -> anyhow::Result<()> {
        let fuzzing = Fuzzing::build(self.workspace, &[])?;
        // What is built once is no part of the hours.
        self.began = Instant::now();
        let mut targets = fuzzing.names().iter().cycle();
        loop {
            let left = time.saturating_sub(self.began.elapsed());
            if left < Duration::from_secs(1) {
                return Ok(());
            }
            if let Some(target) = targets.next() {
                let turn = TURN.min(left);
                let seconds = u32::try_from(turn.as_secs()).unwrap_or(u32::MAX).max(1);
                if let Err(finding) = fuzzing.run(target, seconds)? {
                    println!("{target}: {finding}");
                    self.findings.push(format!("{target}: {finding}"));
                }
                self.fuzzed += turn;
            }
            if self.began.elapsed() < time {
                let first = self.next_seeds(SEEDS_A_TURN)?;
                self.simulate(first, SEEDS_A_TURN)?;
            }
            println!(
                "soak: {} of {} minutes, {} seeds ({} failing), {} s of fuzzing ({} findings)",
                self.began.elapsed().as_secs() / 60,
                time.as_secs() / 60,
                self.seeds,
                self.failing_seeds.len(),
                self.fuzzed.as_secs(),
                self.findings.len()
            );
        }
    }

    /// Takes seeds that no earlier soak has run.
    fn next_seeds(&self, count: u64) -> anyhow::Result<u64> {
        let path = self.folder.join("next-seed");
        let first = fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(FRESH);
        fs::write(&path, (first + count).to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(first)
    }

    /// Runs seeds of the simulation. A failing one is written down as soon as it is known.
    fn simulate(&mut self, first: u64, count: u64) -> anyhow::Result<()> {
        let path = self.folder.join("failing-seeds.txt");
        let mut failing = Vec::new();
        let mut cargo = self.workspace.cargo();
        cargo
            .args([
                "test",
                "--locked",
                "--quiet",
                "--package",
                "wheelmark-client",
            ])
            .args(["--test", "simulation", "--", "--nocapture"])
            .env_remove("WHEELMARK_SEED")
            .env("WHEELMARK_FIRST_SEED", first.to_string())
            .env("WHEELMARK_SEEDS", count.to_string());
        let mut ended = false;
        let status = watched(&mut cargo, |line| {
            ended |= line.starts_with("simulation: ");
            if let Some(seed) = failing_seed(line) {
                failing.push(seed);
                let kept = fs::File::options().create(true).append(true).open(&path);
                if let Err(error) = kept.and_then(|mut file| writeln!(file, "{seed}")) {
                    println!("cannot write {}: {error}", path.display());
                }
            }
        })?;
        ensure!(
            ended && status.success() == failing.is_empty(),
            "the simulation did not run to its end ({status})"
        );
        self.seeds += count;
        self.failing_seeds.extend(failing);
        Ok(())
    }

    fn summary(&self) -> anyhow::Result<()> {
        println!(
            "\nsoak: {} seeds, {} failing; {} s of fuzzing, {} findings; {} minutes",
            self.seeds,
            self.failing_seeds.len(),
            self.fuzzed.as_secs(),
            self.findings.len(),
            self.began.elapsed().as_secs() / 60
        );
        for seed in &self.failing_seeds {
            println!(
                "again: WHEELMARK_SEED={seed} cargo test -p wheelmark-client --test simulation -- --nocapture"
            );
        }
        for finding in &self.findings {
            println!("{finding}");
        }
        ensure!(
            self.failing_seeds.is_empty() && self.findings.is_empty(),
            "something was found; failing seeds are kept in {}, inputs in {}",
            self.folder.join("failing-seeds.txt").display(),
            self.workspace.target().join("fuzz/findings").display()
        );
        Ok(())
    }
}

/// The seed in the line with which the simulation tells of a failure.
fn failing_seed(line: &str) -> Option<u64> {
    line.strip_prefix("failing seed: ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::failing_seed;

    #[test]
    fn a_failing_seed_is_found_in_its_line() {
        assert_eq!(failing_seed("failing seed: 123"), Some(123));
        assert_eq!(
            failing_seed("simulation: 5 of 500 seeds, 1 failed, 20 s"),
            None
        );
    }
}

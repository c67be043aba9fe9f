//! Feeds arbitrary bytes to everything that reads what others wrote, guided by coverage.
//!
//! The targets are the files in `fuzz/targets/`. They are built with libFuzzer by the stable
//! compiler: the instrumentation is an LLVM pass that rustc hands on. Each target begins with the
//! inputs in `fuzz/seeds/` and with what earlier runs found, which stays in the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, bail, ensure};

use crate::workspace::{Workspace, must};

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long to run each target
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Which targets to run: file names in `fuzz/targets/` without their ending; all by default
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// What makes the coverage of a run known to libFuzzer: the flags that cargo-fuzz uses, without
/// a sanitizer, which would need a nightly compiler.
const INSTRUMENTATION: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Ccodegen-units=1",
];

/// Seconds after which one input counts as a hang.
const HANG: u32 = 10;

/// Megabytes beyond which memory counts as exhausted.
const MEMORY: u32 = 2048;

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let fuzzing = Fuzzing::build(workspace, &args.targets)?;
    let failed = fuzzing.run_all(args.seconds)?;
    ensure!(
        failed.is_empty(),
        "fuzzing found something in: {}",
        failed.join(", ")
    );
    Ok(())
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Targets that are built and can be run.
pub(crate) struct Fuzzing<'a> {
    workspace: &'a Workspace,
    programs: PathBuf,
    names: Vec<String>,
}

impl<'a> Fuzzing<'a> {
    /// Builds the targets of these names, or all of them.
    pub(crate) fn build(workspace: &'a Workspace, names: &[String]) -> anyhow::Result<Self> {
        let known = targets(workspace)?;
        if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
            bail!(
                "there is no target `{unknown}`, there are: {}",
                known.join(", ")
            );
        }
        let names = if names.is_empty() {
            known
        } else {
            names.to_vec()
        };
        Ok(Self {
            workspace,
            programs: build(workspace, &names)?,
            names,
        })
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Runs all targets, as many at a time as there are processors; each uses one. The names of
    /// those with a finding, which is printed.
    fn run_all(&self, seconds: u32) -> anyhow::Result<Vec<&str>> {
        let left = Mutex::new(self.names.iter());
        let next = || held(&left).next();
        let failed = Mutex::new(Vec::new());
        let work = || {
            while let Some(name) = next() {
                if let Err(finding) = self.run(name, seconds)? {
                    println!("{name}: {finding}");
                    held(&failed).push(name.as_str());
                }
            }
            anyhow::Ok(())
        };
        let processors = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            anyhow::Ok(())
        })?;
        Ok(std::mem::take(&mut *held(&failed)))
    }

    /// Runs one target. The inner error is a finding, and what to do about it.
    pub(crate) fn run(&self, name: &str, seconds: u32) -> anyhow::Result<Result<(), String>> {
        fuzz(self.workspace, &self.programs, name, seconds)
    }
}

fn targets(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let folder = workspace.root().join("fuzz/targets");
    let mut names = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let path = entry?.path();
        if let (Some(stem), Some("rs")) = (
            path.file_stem(),
            path.extension().and_then(|end| end.to_str()),
        ) {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Builds the targets, and returns the folder that they are in.
fn build(workspace: &Workspace, names: &[String]) -> anyhow::Result<PathBuf> {
    let host = host(workspace)?;
    let folder = workspace.target().join("fuzz");
    let mut cargo = workspace.cargo();
    // With a target named, cargo keeps the flags from build scripts and macros, which could not
    // run with them.
    cargo
        .args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--manifest-path=fuzz/Cargo.toml",
        ])
        .args(["--target", &host, "--target-dir"])
        .arg(&folder)
        .args(names.iter().map(|name| format!("--bin={name}")))
        .env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTATION.join("\u{1f}"));
    must(&mut cargo, "the build of the fuzz targets")?;
    Ok(folder.join(host).join("release"))
}

fn host(workspace: &Workspace) -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = workspace
        .command(rustc)
        .arg("-vV")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host
        .context("rustc does not say what it runs on")?
        .to_owned())
}

fn fuzz(
    workspace: &Workspace,
    programs: &Path,
    name: &str,
    seconds: u32,
) -> anyhow::Result<Result<(), String>> {
    let work = workspace.target().join("fuzz");
    let [corpus, findings, logs] = ["corpus", "findings", "logs"].map(|folder| work.join(folder));
    let (corpus, findings) = (corpus.join(name), findings.join(name));
    for folder in [&corpus, &findings, &logs] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let log_path = logs.join(format!("{name}.log"));
    let log = fs::File::create(&log_path)
        .with_context(|| format!("cannot write {}", log_path.display()))?;
    let program = programs.join(name);
    let status = Command::new(&program)
        .current_dir(workspace.root())
        .arg(&corpus)
        .arg(workspace.root().join("fuzz/seeds").join(name))
        .args([
            format!("-max_total_time={seconds}"),
            format!("-timeout={HANG}"),
            format!("-rss_limit_mb={MEMORY}"),
            format!("-artifact_prefix={}/", findings.display()),
        ])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let log = String::from_utf8_lossy(&fs::read(&log_path)?).into_owned();
    if !status.success() {
        let input = log
            .lines()
            .find_map(|line| line.split_once("Test unit written to "));
        let input = input.map_or("", |(_, path)| path);
        let told = log
            .lines()
            .skip_while(|line| !line.contains("panicked at"))
            .take(4);
        let told = told.collect::<Vec<_>>().join("\n    ");
        return Ok(Err(format!(
            "failed ({status})\n    {told}\n    log: {}\n    again: {} {input}",
            log_path.display(),
            program.display(),
        )));
    }
    let figure = |mark: &str| {
        log.lines()
            .rev()
            .find(|line| line.contains(mark))
            .map(Figures::of)
    };
    let (Some(began), Some(ended)) = (figure("INITED"), figure("DONE")) else {
        bail!("{} does not say what was run", log_path.display());
    };
    ensure!(
        began.coverage > 0,
        "{name} was built without instrumentation: its coverage is not known"
    );
    println!(
        "{name}: {} inputs in {seconds} s, coverage {} -> {}, {} inputs kept",
        ended.runs, began.coverage, ended.coverage, ended.kept
    );
    Ok(Ok(()))
}

/// What a line of libFuzzer says: `#123 DONE cov: 45 ft: 67 corp: 8/9b …`.
struct Figures {
    runs: u64,
    coverage: u64,
    kept: u64,
}

impl Figures {
    fn of(line: &str) -> Figures {
        let after = |mark: &str| {
            let (_, rest) = line.split_once(mark).unwrap_or_default();
            let digits: String = rest
                .trim_start()
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            digits.parse().unwrap_or(0)
        };
        Figures {
            runs: after("#"),
            coverage: after("cov:"),
            kept: after("corp:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn a_line_of_libfuzzer_is_understood() {
        let line =
            "#920936\tDONE   cov: 1193 ft: 2774 corp: 316/350Kb lim: 4096 exec/s: 22461 rss: 29Mb";
        let figures = Figures::of(line);
        assert_eq!(
            (figures.runs, figures.coverage, figures.kept),
            (920_936, 1193, 316)
        );
        let figures = Figures::of("INFO: nothing");
        assert_eq!((figures.runs, figures.coverage, figures.kept), (0, 0, 0));
    }
}

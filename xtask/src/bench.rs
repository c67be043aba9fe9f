//! `cargo xtask bench`: speed, as ratios against a floor or a peer measured in the same run.

use clap::ValueEnum;

use crate::venv::{ATTESTATIONS, BANDERSNATCH, DEVPI, Foreign, Venv};
use crate::workspace::{Workspace, must};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which benchmark to run
    what: Bench,
    /// Options of the benchmark itself, behind `--`
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bench {
    /// Publishing one file into 16,384 + 16,384 bins, beside the cost of its hashes and signatures
    Publish,
    /// 100,000 files that were there before, signed through store and engine, with the peak of
    /// memory; behind `--`: `--files N`, `--per-snapshot N`, `--bins N`, `--folder DIR`
    BackSign,
    /// 100,000 small wheels in a directory, signed by `wheelmark sign-tree`, killed and resumed;
    /// behind `--`: `--files N`, `--projects N`, `--kills N`, `--folder DIR`
    SignTree,
    /// 200 packages installed by uv through `wheelmark exec`, beside uv alone; and the memory
    /// that a wheel of 1 GiB takes on its way
    Install,
    /// A first copy and a run without changes beside bandersnatch, and the verification of the
    /// copy beside `sha256sum`; behind `--`: `--projects N`, `--large N`, `--rounds N`
    Mirror,
    /// Pages and files a second beside nginx, devpi and pypiserver; needs nginx and wrk; behind
    /// `--`: `--rounds N`, `--seconds N`
    Serve,
    /// Attestations verified in a process and by the command, beside PyPI's own verifier, and the
    /// worst that an upload can cost; behind `--`: `--rounds N`
    Attest,
    /// Indexes with 100 to 100,000 claimed projects: what a release costs there, and what clients read,
    /// ours and python-tuf's; behind `--`: `--claims N,N,…`, `--bins N`, `--rounds N`, `--folder DIR`
    Claimed,
    /// `wheelmark recover plan` on 200,000 files with 500 planted changes: it finds all of them and no
    /// others; time and memory; behind `--`: `--files N`, `--changes N`, `--rounds N`, `--folder DIR`
    Recover,
    /// Uploads one after the other and 16 at a time, beside pypiserver; behind `--`: `--uploads N`,
    /// `--rounds N`
    Upload,
}

/// Runs one benchmark. Its last line is JSON with its figures.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    match args.what {
        Bench::Attest => {
            example(workspace, "wheelmark-provenance", "attest_speed")?;
            driven(workspace, "attest", &[ATTESTATIONS], &args.options)
        }
        Bench::Claimed => {
            example(workspace, "wheelmark-repository", "claimed_index")?;
            driven(workspace, "claimed", &[], &args.options)
        }
        Bench::Publish => engine(workspace, "publish", &args.options),
        Bench::BackSign => engine(workspace, "back_sign", &args.options),
        Bench::SignTree => driven(workspace, "sign_tree", &[], &args.options),
        Bench::Install => driven(workspace, "install", &[], &args.options),
        Bench::Mirror => driven(workspace, "mirror", &[BANDERSNATCH], &args.options),
        Bench::Serve => driven(workspace, "serve", &[DEVPI], &args.options),
        Bench::Recover => driven(workspace, "recover", &[], &args.options),
        Bench::Upload => driven(workspace, "upload", &[DEVPI], &args.options),
    }
}

/// A benchmark of the repository engine, in the release build.
fn engine(workspace: &Workspace, bench: &str, options: &[String]) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    cargo
        .args(["bench", "--quiet", "--package", "wheelmark-repository"])
        .args(["--bench", bench, "--"])
        .args(options);
    must(&mut cargo, "the benchmark")
}

/// Builds a program that a benchmark takes beside the binary, in the release build: what does its part
/// in one process, without being started anew each time.
fn example(workspace: &Workspace, package: &str, name: &str) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--locked"]);
    cargo.args(["--package", package]);
    cargo.args(["--example", name]);
    must(&mut cargo, "cargo build --release")
}

/// The release build, driven by the program that says in its first lines what is measured.
fn driven(
    workspace: &Workspace,
    bench: &str,
    peers: &[Foreign],
    options: &[String],
) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--locked", "--package", "wheelmark"]);
    must(&mut cargo, "cargo build --release")?;
    let venv = Venv::ensure(workspace)?;
    for peer in peers {
        Venv::foreign(workspace, peer)?;
    }
    let binary = format!("release/wheelmark{}", std::env::consts::EXE_SUFFIX);
    let mut python = workspace.command(venv.python());
    python
        .arg(format!("tests/e2e/bench_{bench}.py"))
        .args(options)
        .env("PATH", venv.search_path()?)
        .env("PYTHONPYCACHEPREFIX", workspace.target().join("pycache"))
        .env("WHEELMARK_BIN", workspace.target().join(binary));
    must(&mut python, "the benchmark")
}

//! `cargo xtask test`: the tests of the crates, then those that drive real installers.

use std::path::Path;
use std::process::ExitStatus;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::debian::{
    self, FAKETIME, GPG, GPG_AGENT, GPGV, NGINX, PKCS11_TOOL, SOFTHSM, SQV, SSH_AGENT, USCAN,
};
use crate::tested::{CargoTotals, PytestTotals, watched};
use crate::venv::{self, Venv};
use crate::workspace::Workspace;

/// pytest's exit status when a filter left nothing to run.
const PYTEST_NOTHING_COLLECTED: i32 = 5;

/// How many end-to-end tests run at once.
const WORKERS: &str = "3";

/// How many of the longest end-to-end tests are named at the end.
const SLOWEST: &str = "30";

/// Which tests to run
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run one of the two kinds alone
    #[arg(long, value_enum)]
    only: Option<Kind>,
    /// Run the tests whose name contains this
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Those of the crates, by cargo test
    Unit,
    /// Those that drive the built binary with real pip, uv and twine, by pytest
    E2e,
}

impl Args {
    fn wants(&self, kind: Kind) -> bool {
        self.only.is_none_or(|only| only == kind)
    }
}

/// Runs what was asked for, all of it even when the first part fails, and ends with each
/// runner's closing line (also kept in `closing-lines.txt` in the target directory).
///
/// # Errors
///
/// When a test failed, or could not be run at all.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let mut closing = Vec::new();
    let mut failed = Vec::new();
    // One build for both: the binary that the end-to-end tests drive comes out of it too.
    let binary = workspace.build()?;
    if args.wants(Kind::Unit) {
        let (status, totals) = cargo_test(workspace, args.filter.as_deref())?;
        closing.push(totals.closing(status));
        if !status.success() {
            failed.push("cargo test");
        }
    }
    if args.wants(Kind::E2e) {
        let missing = debian::install(&[
            FAKETIME,
            NGINX,
            GPG,
            GPGV,
            SQV,
            USCAN,
            SOFTHSM,
            PKCS11_TOOL,
            SSH_AGENT,
            GPG_AGENT,
        ]);
        let venv = Venv::ensure(workspace)?;
        for foreign in [venv::ATTESTATIONS, venv::BANDERSNATCH, venv::DEVPI] {
            Venv::foreign(workspace, &foreign)?;
        }
        let (status, totals) = pytest(workspace, &venv, &binary, args.filter.as_deref())?;
        closing.extend(missing);
        closing.extend(totals.closing());
        let nothing = args.filter.is_some() && status.code() == Some(PYTEST_NOTHING_COLLECTED);
        if !status.success() && !nothing {
            failed.push("pytest");
        }
    }
    let text = closing.join("\n");
    println!("\n{text}");
    std::fs::write(workspace.target().join("closing-lines.txt"), text + "\n")
        .context("cannot keep the closing lines")?;
    if !failed.is_empty() {
        bail!("tests failed: {}", failed.join(" and "));
    }
    Ok(())
}

fn cargo_test(
    workspace: &Workspace,
    filter: Option<&str>,
) -> anyhow::Result<(ExitStatus, CargoTotals)> {
    let mut totals = CargoTotals::default();
    let mut command = workspace.cargo();
    // Without --all-targets, because that would leave out the examples in the documentation.
    command
        .args([
            "test",
            "--locked",
            "--workspace",
            "--all-features",
            "--no-fail-fast",
        ])
        .args(filter);
    let status = watched(&mut command, |line| totals.see(line))?;
    Ok((status, totals))
}

fn pytest(
    workspace: &Workspace,
    venv: &Venv,
    binary: &Path,
    filter: Option<&str>,
) -> anyhow::Result<(ExitStatus, PytestTotals)> {
    let mut totals = PytestTotals::default();
    let mut command = workspace.command(venv.python());
    command
        .args(["-m", "pytest", "--color=no", "tests/e2e"])
        // Mostly the tests wait for other programs. What a file sets up is set up once.
        .args(["--numprocesses", WORKERS, "--dist", "loadfile"])
        // In the order that conftest.py gives: by themselves, the files with few tests come last,
        // and those are the long ones.
        .args(["--no-loadscope-reorder", "--durations", SLOWEST, "-o"])
        // What the tests fetch and keep stays out of the sources.
        .arg(format!("cache_dir={}", workspace.target().join("pytest").display()))
        .args(filter.into_iter().flat_map(|name| ["-k", name]))
        .env("PATH", venv.search_path()?)
        .env("PYTHONPYCACHEPREFIX", workspace.target().join("pycache"))
        .env("WHEELMARK_BIN", binary);
    let status = watched(&mut command, |line| totals.see(line))?;
    Ok((status, totals))
}

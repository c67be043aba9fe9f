//! `cargo xtask conformance`: the public TUF client conformance suite against `wheelmark tuf`.
//!
//! The suite (theupdateframework/tuf-conformance) is not part of this repository: the person
//! names a checkout. It is a pytest suite that drives any client through a program, under a
//! time that `faketime` makes.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::debian::{self, FAKETIME};
use crate::tested::{PytestTotals, watched};
use crate::venv::Venv;
use crate::workspace::Workspace;

/// Options of `cargo xtask conformance`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A checkout of theupdateframework/tuf-conformance, as it is on GitHub
    #[arg(long, value_name = "DIR")]
    suite: PathBuf,
    /// Run the tests whose name contains this
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
}

/// Runs the suite, and ends with pytest's closing line.
///
/// # Errors
///
/// When a test did anything else than pass: one that is skipped, or that fails as expected,
/// says nothing about conformance.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let suite = std::path::absolute(&args.suite)?;
    ensure!(
        suite.join("tuf_conformance/conftest.py").is_file(),
        "{} is not a checkout of the suite: there is no tuf_conformance/conftest.py in it",
        suite.display()
    );
    let binary = workspace.build()?;
    let missing = debian::install(&[FAKETIME]);
    ensure!(missing.is_empty(), "{}", missing.join("\n"));
    let venv = Venv::of_project(workspace, "venv-conformance", &suite)?;
    let entrypoint = entrypoint(workspace, &binary)?;

    let mut totals = PytestTotals::default();
    let mut pytest = workspace.command(venv.python());
    pytest
        .current_dir(&suite)
        .args(["-m", "pytest", "--color=no", "-rA", "--tb=short", "--quiet"])
        .args(["-p", "no:cacheprovider", "tuf_conformance", "--entrypoint"])
        .arg(&entrypoint)
        .args(args.filter.iter().flat_map(|name| ["-k", name]))
        .env("PATH", venv.search_path()?)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let status = watched(&mut pytest, |line| totals.see(line))?;

    let counts = totals.counts();
    println!("\n{}", totals.closing().join("\n"));
    let others: Vec<String> = counts
        .iter()
        .filter(|(_, word)| !matches!(*word, "passed" | "deselected"))
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    ensure!(others.is_empty(), "not all passed: {}", others.join(", "));
    ensure!(status.success(), "pytest ended with {status}");
    ensure!(
        counts.iter().any(|(_, word)| *word == "passed"),
        "no test was run"
    );
    Ok(())
}

/// The program that the suite runs, in a folder without a list of expected failures, which the
/// suite would look for beside it.
fn entrypoint(workspace: &Workspace, binary: &Path) -> anyhow::Result<PathBuf> {
    let folder = workspace.target().join("conformance");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("wheelmark-tuf");
    let quoted = binary.display().to_string().replace('\'', r"'\''");
    std::fs::write(&path, format!("#!/bin/sh\nexec '{quoted}' tuf \"$@\"\n"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} executable", path.display()))?;
    }
    Ok(path)
}

//! The chores of the workspace, as `cargo xtask <chore>`.
//!
//! `.ci/run` is the list of what has to hold before a change goes in; each of its lines
//! is one chore here, so that a person can run any of them alone. This program has few
//! dependencies on purpose: it must be there in seconds on a machine that has never built
//! the workspace.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to the person who started it"
)]

mod bench;
mod checks;
mod conformance;
mod debian;
mod fuzz;
mod soak;
mod test;
mod tested;
mod venv;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Chores of the Wheelmark workspace
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run all tests: those of the crates, and those that drive real pip, uv and twine
    Test(test::Args),
    /// Measure speed against a floor or a peer in the same run; ends with a line of JSON
    Bench(bench::Args),
    /// Feed arbitrary bytes to everything that reads what others wrote, guided by coverage
    Fuzz(fuzz::Args),
    /// Run many random weeks of the simulation, and the fuzz targets, for as long as you like
    Soak(soak::Args),
    /// Run the public TUF conformance suite, from a checkout of yours, against `wheelmark tuf`
    Conformance(conformance::Args),
    /// Check that the sources are formatted
    Fmt,
    /// Run clippy over everything; a warning is an error
    Lint,
    /// Build the API documentation; a warning is an error
    Docs,
    /// Check licences, banned crates and sources of the dependencies with cargo-deny
    Licences,
    /// Check the architecture invariants and the conformance table alone
    Invariants,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let workspace = Workspace::locate()?;
    match arguments.chore {
        Chore::Test(args) => test::run(&workspace, &args),
        Chore::Bench(args) => bench::run(&workspace, &args),
        Chore::Fuzz(args) => fuzz::run(&workspace, &args),
        Chore::Soak(args) => soak::run(&workspace, &args),
        Chore::Conformance(args) => conformance::run(&workspace, &args),
        Chore::Fmt => checks::fmt(&workspace),
        Chore::Lint => checks::lint(&workspace),
        Chore::Docs => checks::docs(&workspace),
        Chore::Licences => checks::licences(&workspace),
        Chore::Invariants => checks::invariants(&workspace),
    }
}

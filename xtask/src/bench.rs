//! `cargo xtask bench`: speed, as ratios against a floor or a peer measured in the same run.

use clap::ValueEnum;

use crate::workspace::Workspace;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which benchmark to run
    what: Bench,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bench {
    /// Publishing one file into 16,384 + 16,384 bins, beside the cost of its hashes and signatures
    Publish,
}

/// Runs one benchmark. Its last line is JSON with its figures.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let (package, bench) = match args.what {
        Bench::Publish => ("wheelmark-repository", "publish"),
    };
    let mut cargo = workspace.cargo();
    cargo.args(["bench", "--quiet", "--package", package, "--bench", bench]);
    crate::workspace::must(&mut cargo, "the benchmark")
}

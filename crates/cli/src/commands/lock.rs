//! `wheelmark lock`: what there is to do to a lock file besides verifying it.

mod rewrite;

use std::process::ExitCode;

use clap::Subcommand;

use crate::context::Context;

/// Put lock files right (to check one: `wheelmark verify uv.lock`)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: LockCommand,
}

#[derive(Debug, Subcommand)]
enum LockCommand {
    Rewrite(rewrite::Args),
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        LockCommand::Rewrite(args) => rewrite::run(args, context).await,
    }
}

//! `wheelmark recover`: the day after a break-in.
//!
//! One file for each subcommand, under `recover/`.

mod publish;

use std::process::ExitCode;

use crate::context::Context;

/// Bring an index back from a break-in
///
/// The index goes back to the last state that is known to be good, keeps of what came since what people
/// decide, and goes over to another online key. Clients follow by themselves.
///
///   wheelmark recover publish recovery --data /srv/index
///
/// docs/recovery.md goes through it all, from the first minute on.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Publish(publish::Args),
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Publish(args) => publish::run(&args, context).await,
    }
}

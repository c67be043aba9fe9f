//! `wheelmark recover`: the day after a break-in.
//!
//! One file for each subcommand, under `recover/`; `folder` is the directory that they share. The
//! ceremony is with the others, under `ceremony/`.

mod abandon;
mod decide;
mod folder;
mod good_tree;
mod plan;
mod publish;
mod reading;
mod show;
mod source;
mod supports;
mod words;

use std::process::ExitCode;

use super::ceremony::recovery;
use crate::context::Context;

/// Bring an index back from a break-in
///
/// The index goes back to the last state that is known to be good, keeps of what came since what
/// people decide, and goes over to another online key. Clients follow by themselves.
///
///   wheelmark recover plan --data /srv/index --last-good /backup/index -o recovery
///   wheelmark recover show recovery
///   wheelmark recover decide recovery --drop unsupported
///   wheelmark recover ceremony recovery --data /srv/index
///   wheelmark recover publish recovery --data /srv/index
///
/// Until it is published, `wheelmark recover abandon` gives it up.
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
    Plan(plan::Args),
    Show(show::Args),
    Decide(decide::Args),
    Ceremony(Box<recovery::Args>),
    Publish(publish::Args),
    Abandon(abandon::Args),
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Plan(args) => plan::run(args, context).await,
        Command::Show(args) => show::run(&args),
        Command::Decide(args) => decide::run(&args),
        Command::Ceremony(args) => recovery::run(&args, context).await,
        Command::Publish(args) => publish::run(&args, context).await,
        Command::Abandon(args) => abandon::run(&args).await,
    }
}

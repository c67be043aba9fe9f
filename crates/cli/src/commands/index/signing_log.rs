//! `wheelmark index signing-log`: what the online key has signed, and whether that was rewritten.

mod show;
mod verify;

use std::process::ExitCode;

use crate::data::Data;

/// What the online key has signed: show it, and verify that nothing of it was rewritten
///
///   wheelmark index signing-log show --last 5
///   wheelmark index signing-log verify --from 5f0c…
///   wheelmark index signing-log verify --sent /mnt/elsewhere/signing.log
///
/// Every line names the one before it by its SHA-256, so the newest one, the head, stands for all.
/// A head that has left this machine, in a published timestamp, in what was sent elsewhere or on
/// paper, shows later that nothing up to it was rewritten. docs/signing-log.md says more.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(show::Args),
    Verify(verify::Args),
}

pub(super) fn run(args: &Args, data: &Data) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Show(args) => show::run(args, data),
        Command::Verify(args) => verify::run(args, data),
    }
}

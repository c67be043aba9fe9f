//! `wheelmark project`: who signs for a project.

mod claim;
mod keygen;
mod keys;
mod recover;
mod renew;
mod threshold;
mod transfer;

use std::process::ExitCode;

use crate::context::Context;

/// Sign for a project with keys of your own
///
/// A project that is claimed is answered for by its own people's keys: whoever breaks into the index
/// can publish nothing in its name that clients who know it accept.
///
///   wheelmark project keygen --out me.age
///   wheelmark project claim acme-tools --signer file:me.age
///   wheelmark publish dist/* --signer file:me.age
///   wheelmark project renew acme-tools --signer file:me.age
///
/// docs/claims.md says what it protects from, and what not yet.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Claim(claim::Args),
    Keygen(keygen::Args),
    Renew(renew::Args),
    Keys(keys::Args),
    Threshold(threshold::Args),
    Transfer(transfer::Args),
    Recover(recover::Args),
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Claim(args) => claim::run(args, context).await,
        Command::Keygen(args) => keygen::run(&args),
        Command::Renew(args) => renew::run(args, context).await,
        Command::Keys(args) => keys::run(args, context).await,
        Command::Threshold(args) => threshold::run(args, context).await,
        Command::Transfer(args) => transfer::run(args, context).await,
        Command::Recover(args) => recover::run(args, context).await,
    }
}

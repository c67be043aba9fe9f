//! `wheelmark policy`: what is asked of files before they are installed.

mod check;

use std::process::ExitCode;

use crate::context::Context;

/// Look at what your policy asks of files
///
/// The policy stands in wheelmark.toml: the system's, your own, and each one at or above the working
/// directory. What each of them asks for has to hold; so one that comes with a project can only ask
/// for more.
///
///   [everything]
///   chain = "index-signed"
///   min-age = "7 days"
///
///   [[for]]
///   projects = ["acme-*"]
///   min-age = "0 days"
///
/// In one file the first [[for]] that is for a file decides in each respect; [everything] is
/// asked last. docs/policy.md has all that can be asked for.
#[expect(
    rustdoc::broken_intra_doc_links,
    reason = "the names of tables in the help are no links"
)]
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(check::Args),
}

pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Check(args) => check::run(&args, context),
    }
}

//! `wheelmark project threshold`: how many keys have to sign for a project.

use std::process::ExitCode;

use crate::context::Context;
use crate::releasing::{HandOver, Wanted};

/// Change how many of a project's keys have to sign each release
///
/// As many of them sign the change as had to until now, and as many as will have to.
///
///   wheelmark project threshold acme-tools 2 --signer file:me.age --signer file:spare.age
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(flatten)]
    hand_over: HandOver,

    /// How many keys have to sign from now on
    #[arg(value_name = "N")]
    threshold: u32,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let wanted = Wanted {
        added: &[],
        of: None,
        removed: Some(&[]),
        threshold: Some(args.threshold),
    };
    args.hand_over.run(&wanted, context).await
}

//! `wheelmark project transfer`: somebody else's keys sign for a project from now on.

use std::process::ExitCode;

use crate::context::Context;
use crate::releasing::{HandOver, Wanted};

/// Hand a project over to somebody else: their keys sign for it from now on, and none of yours
///
/// They have to be a member of the project on the index, and their keys sign, too: those that are not
/// at hand are named by a file with their public half (`wheelmark project keys public`), and sign on their
/// machine. Clients that know the project follow it to the new keys by themselves.
///
///   wheelmark project transfer acme-tools --to bob --new file:bob.age --signer file:me.age
///   wheelmark project transfer acme-tools --to bob --new public:bob.key --signer file:me.age
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(flatten)]
    hand_over: HandOver,

    /// The user whose keys sign from now on
    #[arg(long, value_name = "USER")]
    to: String,

    /// Where a key of theirs is, or public:FILE with the public half of one
    #[arg(long = "new", value_name = "URI", required = true)]
    new: Vec<String>,

    /// How many of their keys have to sign
    #[arg(long, value_name = "N", default_value_t = 1)]
    threshold: u32,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let wanted = Wanted {
        added: &args.new,
        of: Some(&args.to),
        removed: None,
        threshold: Some(args.threshold),
    };
    args.hand_over.run(&wanted, context).await
}

//! `wheelmark ceremony`: the next version of what the offline keys sign, as files that travel.
//!
//! One file for each subcommand, under `ceremony/`; `folder` is the directory that travels.

mod abort;
mod backup;
mod begin;
mod finish;
mod folder;
mod keygen;
mod parcel;
pub(crate) mod policy;
mod publish;
pub(crate) mod recovery;
mod review;
mod seen;
mod sheet;
mod sign;
pub(crate) mod signer;
mod status;
mod unpack;

pub(crate) use self::abort::{break_off, online_key_of};
pub(crate) use self::begin::claims::USUAL_AGE;
pub(crate) use self::publish::finished_recovery;
pub(crate) use self::signer::{credential_secret, secret_in};

use std::process::ExitCode;

use crate::context::Context;

/// Renew what the offline keys sign, and change who holds them
///
/// A ceremony is a directory of small files. It begins where the index is, travels to each holder
/// on a stick or by mail, and comes back with their signatures. No holder needs a network, and
/// nobody who carries it can change what is signed.
///
///   wheelmark ceremony begin --data /srv/index --out /media/stick/march
///   wheelmark ceremony sign /media/stick/march --trust FINGERPRINT --signer file:custodian-1.age
///   wheelmark ceremony finish /media/stick/march
///   wheelmark ceremony publish /media/stick/march --data /srv/index
///
/// Each holder signs on a machine of their own; the rest is done where the index is.
///
/// `wheelmark index keys` says when the next one is due; docs/ceremonies.md goes through it all.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Begin(begin::Args),
    Keygen(keygen::Args),
    Review(review::Args),
    Sign(sign::Args),
    Status(status::Args),
    Finish(finish::Args),
    Publish(publish::Args),
    Abort(abort::Args),
    Policy(policy::Args),
    Sheet(sheet::Args),
    Backup(backup::Args),
    Unpack(unpack::Args),
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Begin(args) => begin::run(&args, context),
        Command::Keygen(args) => keygen::run(&args),
        Command::Review(args) => review::run(&args, context),
        Command::Sign(args) => sign::run(&args, context),
        Command::Status(args) => status::run(&args, context),
        Command::Finish(args) => finish::run(&args, context),
        Command::Publish(args) => publish::run(&args, context).await,
        Command::Abort(args) => abort::run(&args, context).await,
        Command::Policy(args) => policy::run(&args),
        Command::Sheet(args) => sheet::run(&args, context),
        Command::Backup(args) => backup::run(&args, context),
        Command::Unpack(args) => unpack::run(&args),
    }
}

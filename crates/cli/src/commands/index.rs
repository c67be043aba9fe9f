//! `wheelmark index`: what only whoever runs an index can do, on its data directory.
//!
//! One file for each subcommand, under `index/`.

mod access;
mod account;
mod audit;
mod audit_log;
mod backup;
mod certificate;
mod claims;
mod config;
mod end_recovery;
mod files;
mod gc;
mod hashes;
mod keys;
mod limit;
mod newest;
mod notices;
mod orders;
mod own_roles;
mod page;
mod permissions;
mod project;
mod publisher;
mod reason;
mod rebin;
mod rebuild;
mod remove;
mod renew;
mod restore;
mod roles;
mod rotate_online_key;
mod sealing;
mod signing_log;
mod snapshot_log;
mod status;
pub(crate) mod table;
mod token;
mod unclaim;
mod under_way;
mod user;
mod which;
mod yank;

pub(crate) use self::audit::Other;
pub(crate) use self::rotate_online_key::{folder_of, public_half};

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use wheelmark_objects::{Directory, LockError};
use wheelmark_store::Store;

use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// Look after an index: what only whoever runs it can do
///
/// These commands work on the data directory of the index, as the user that runs it; none of
/// them goes through its web server.
///
///   wheelmark index files flask
///   wheelmark index gc --dry-run
///   wheelmark index keys
///   wheelmark index user add alice
///   wheelmark index token create --user alice --scope upload --expires 90d
///   wheelmark index project maintainer add flask bob
///   wheelmark index publisher add flask github:pallets/flask@release.yml#pypi
///   wheelmark index backup /backup/index
///   wheelmark index yank flask 3.0.9 --reason "breaks on Python 3.14"
///   wheelmark index status flask archived
///   wheelmark index status
///
/// --data says which index, as for `wheelmark up`; it can stand before the subcommand or after.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Where the index keeps everything
    #[arg(
        long,
        value_name = "DIR",
        default_value = "wheelmark-data",
        global = true
    )]
    data: PathBuf,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Files(files::Args),
    Gc(gc::Args),
    Hashes(hashes::Args),
    Keys(keys::Args),
    User(user::Args),
    Token(token::Args),
    Project(project::Args),
    Publisher(publisher::Args),
    Access(access::Args),
    Limit(limit::Args),
    Audit(audit::Args),
    AuditLog(audit_log::Args),
    Config(config::Args),
    Yank(yank::Args),
    Unyank(yank::UnyankArgs),
    Remove(remove::Args),
    Unremove(remove::RestoreArgs),
    Status(status::Args),
    Backup(backup::Args),
    Rebuild(rebuild::Args),
    Restore(restore::Args),
    SnapshotLog(snapshot_log::Args),
    Permissions(permissions::Args),
    Rebin(rebin::Args),
    RotateOnlineKey(rotate_online_key::Args),
    SigningLog(signing_log::Args),
    Renew(renew::Args),
}

/// The account of whoever runs this command, for people to read.
pub(crate) fn account_name() -> String {
    orders::name_of(&account::operator())
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    // These need no index: settings can be wrong or come first, and a restored index comes to be.
    match args.command {
        Command::Config(config) => return config::run(config, &args.data),
        Command::Rebuild(rebuild) => return rebuild::run(&rebuild, &args.data, context).await,
        Command::Restore(restore) => return restore::run(&restore, &args.data, context).await,
        _ => {}
    }
    let data = Data::open_existing(&args.data)?;
    // Before any database is opened: this one runs as root, and the catalogue can be another's.
    if let Command::Permissions(permissions) = args.command {
        return permissions::run(&permissions, data).await;
    }
    bring_up_to_date(&data).await?;
    match args.command {
        Command::Config(_)
        | Command::Rebuild(_)
        | Command::Restore(_)
        | Command::Permissions(_) => {
            unreachable!("done above")
        }
        Command::Backup(args) => backup::run(&args, &data, context).await,
        Command::Files(args) => files::run(&args, &data).await,
        Command::Gc(args) => gc::run(&args, &data, context).await,
        Command::Hashes(args) => hashes::run(&args, &data, context).await,
        Command::Keys(args) => keys::run(&args, &data, context).await,
        Command::User(args) => user::run(args, &data, context).await,
        Command::Token(args) => token::run(args, &data, context).await,
        Command::Project(args) => project::run(args, &data, context).await,
        Command::Publisher(args) => publisher::run(args, &data, context).await,
        Command::Access(args) => access::run(args, &data, context).await,
        Command::Limit(args) => limit::run(args, &data).await,
        Command::Audit(args) => audit::run(&args, &data, context).await,
        Command::AuditLog(args) => audit_log::run(args, &data).await,
        Command::Yank(args) => yank::run(&args, &data, context).await,
        Command::Unyank(args) => yank::run_unyank(&args, &data, context).await,
        Command::Remove(args) => remove::run(&args, &data, context).await,
        Command::Unremove(args) => remove::run_restore(&args, &data, context).await,
        Command::Renew(args) => renew::run(&args, &data, context).await,
        Command::SigningLog(args) => signing_log::run(&args, &data),
        Command::SnapshotLog(args) => snapshot_log::run(&args, &data).await,
        Command::Status(args) => status::run(&args, &data, context).await,
        Command::Rebin(args) => rebin::run(&args, &data),
        Command::RotateOnlineKey(args) => rotate_online_key::run(&args, &data, context).await,
    }
}

/// Brings the database of an older version up to date, unless that version still runs: it would
/// look for what is said here, such as that a token is revoked, where it is not said any more.
async fn bring_up_to_date(data: &Data) -> anyhow::Result<()> {
    if !Store::is_older(&data.catalogue()).await? {
        return Ok(());
    }
    let tree = Directory::open(&data.tree()).await?;
    let _lock = match tree.lock().await {
        Err(LockError::Held { .. }) => {
            return Err(anyhow!(
                "an older version of wheelmark runs on {}, and would not obey what is changed here",
                data.directory().display()
            ))
            .hint("stop it, start it anew in this version, and give this command again");
        }
        other => other?,
    };
    Store::open(&data.catalogue()).await?.close().await;
    Ok(())
}

//! `wheelmark index publisher`: who may upload without a token of this index to keep.

mod add;
mod list;
mod revoke;

use std::process::ExitCode;

use wheelmark_packaging::ProjectName;
use wheelmark_store::{PublisherError, Store, UserName};

use super::account::operator;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// Trust CI services to upload to a project (trusted publishing)
///
/// A publisher is a workflow, a pipeline or an account for machines. It shows an identity token of
/// its CI service and gets an upload token for the project, good for 15 minutes: no secret of this
/// index lies anywhere.
///
///   wheelmark index publisher add flask github:pallets/flask@release.yml#pypi
///   wheelmark index publisher add acme-tools gitlab:acme/tools@.gitlab-ci.yml --issuer https://git.acme.example
///   wheelmark index publisher add new-project github:acme/new@release.yml --owner alice
///   wheelmark index publisher list
///   wheelmark index publisher revoke github-3f9a12cd04be --since 2026-11-20
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Add(add::Args),
    List(list::Args),
    /// Trust a publisher no longer; its tokens end where no other project lists it
    ///
    /// What it has uploaded stays: `revoke` shows it.
    Remove {
        /// The project
        #[arg(value_name = "PROJECT")]
        project: ProjectName,

        /// The publisher's name, as `list` shows it
        #[arg(value_name = "NAME")]
        id: UserName,
    },
    Revoke(revoke::Args),
}

pub(super) async fn run(args: Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Revoke(args) => return revoke::run(&args, data, context).await,
        Command::Add(args) => add::run(args, data, context).await?,
        Command::List(args) => list::run(&args, data, context).await?,
        Command::Remove { project, id } => {
            let store = Store::open(&data.catalogue()).await?;
            let now = context.clock.now();
            let removed = store
                .remove_publisher(&project, &id, &operator(), now)
                .await;
            removed.or_else(|error| explained(error, &project))?;
            store.close().await;
            print_line(&format!("{project} does not trust {id} any more."))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The error with what to do.
fn explained<T>(error: PublisherError, project: &ProjectName) -> anyhow::Result<T> {
    let hint = match &error {
        PublisherError::Exists { .. } => {
            format!("`wheelmark index publisher list {project}` shows it")
        }
        PublisherError::NoProject { .. } => {
            "say whose it will be (--owner NAME): the publisher then makes it with its first upload; who only attests needs a project that is there".to_owned()
        }
        PublisherError::Taken { project, .. } => {
            format!("`wheelmark index project show {project}` says whose it is; without --owner it is left as it is")
        }
        PublisherError::NoUser { name } => {
            format!("add them first: wheelmark index user add {name}")
        }
        PublisherError::Missing { .. } => {
            "`wheelmark index publisher list` shows the names".to_owned()
        }
        PublisherError::Store(_) => return Err(error.into()),
    };
    Err(error).hint(hint)
}

//! `wheelmark index project unclaim`: the index answers for a project again.

use std::process::ExitCode;

use wheelmark_packaging::ProjectName;
use wheelmark_store::{AuditAction, Change};

use super::orders::{How, Order, give};
use super::page;
use crate::context::Context;
use crate::data::Data;

/// End a project's claim: its own people's keys sign for it no longer, and the index's do
///
/// For a claim that somebody has made who had no right to, for a project whose keys are lost, and for
/// a file that has to go at once: removing, yanking and quarantining work again then. The page stays as it is. Clients
/// that know the claim refuse the project from then on, until the person says that it is right
/// (`wheelmark trust claims forget`). The project can be claimed anew.
///
///   wheelmark index project unclaim acme-tools
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The project
    project: ProjectName,

    #[command(flatten)]
    how: How,
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    args.how.demand(data)?;
    let project = &args.project;
    page::of(data, project).await?;
    let order = Order {
        change: Change::ClaimEnded {
            project: project.clone(),
        },
        subject: project.to_string(),
        done: "no longer claimed",
        action: AuditAction::ClaimEnded,
    };
    give(vec![order], project, &args.how, data, context).await
}

//! `wheelmark index project unclaim`: the index answers for a project again.

use std::process::ExitCode;

use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::Status;
use wheelmark_store::{AuditAction, Change};

use super::orders::{How, Order, give};
use super::page;
use super::reason::reason;
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
///   wheelmark index project unclaim acme-tools --quarantine "its last release is malware"
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The project
    project: ProjectName,

    /// Quarantine it in the same snapshot, for this reason: its files are listed no longer, and nobody
    /// can claim it anew, until `wheelmark index status` says otherwise
    #[arg(long, value_name = "REASON", value_parser = reason)]
    quarantine: Option<String>,

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
    let mut orders = vec![order];
    orders.extend(args.quarantine.clone().map(|reason| Order {
        change: Change::StatusSet {
            project: project.clone(),
            status: Status::Quarantined.as_str().to_owned(),
            reason: Some(reason),
        },
        subject: project.to_string(),
        done: "quarantined",
        action: AuditAction::StatusChanged,
    }));
    give(orders, project, &args.how, data, context).await
}

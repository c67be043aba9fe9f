//! `wheelmark index project end-recovery`: nobody asks for other keys of a project any more.

use std::process::ExitCode;

use wheelmark_packaging::ProjectName;
use wheelmark_store::{AuditAction, Change};

use super::orders::{How, Order, give};
use super::page;
use crate::context::Context;
use crate::data::Data;

/// Take back that a project's keys are said to be lost
///
/// An owner says so with `wheelmark project recover`, everybody can see it, and when it has stood for a
/// while other keys take the place of those that the project has. For one that its people have not asked
/// for: somebody has an owner's token, or more.
///
///   wheelmark index project end-recovery acme-tools
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
        change: Change::RecoveryEnded {
            project: project.clone(),
        },
        subject: project.to_string(),
        done: "keeps the keys that it has",
        action: AuditAction::RecoveryEnded,
    };
    give(vec![order], project, &args.how, data, context).await
}

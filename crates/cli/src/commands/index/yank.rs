//! `wheelmark index yank` and `unyank` (PEP 592).

use std::process::ExitCode;

use wheelmark_packaging::ProjectName;
use wheelmark_store::{AuditAction, Change};

use super::orders::{How, Order, give};
use super::page;
use super::reason::reason;
use super::which::{Which, there};
use crate::context::Context;
use crate::data::Data;

/// Yank a version or a file: installers pass it over unless it is asked for exactly
///
///   wheelmark index yank flask 3.0.9 --reason "breaks on Python 3.14"
///   wheelmark index yank flask flask-3.0.9-py3-none-any.whl
///
/// Waits until the change is in a published snapshot. If the index does not run, it publishes
/// one itself where it has the online key; otherwise the next start does, and the exit code is 3.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The project
    #[arg(value_name = "PROJECT")]
    project: ProjectName,

    /// The version, all files of it, or one file by its name
    #[arg(value_name = "VERSION|FILENAME")]
    which: Which,

    /// Why, for people: one line, which installers show
    #[arg(
        long,
        value_name = "TEXT",
        value_parser = reason,
        default_value = "",
        hide_default_value = true
    )]
    reason: String,

    #[command(flatten)]
    how: How,
}

/// Take a yank back
///
///   wheelmark index unyank flask 3.0.9
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct UnyankArgs {
    /// The project
    #[arg(value_name = "PROJECT")]
    project: ProjectName,

    /// The version, all files of it, or one file by its name
    #[arg(value_name = "VERSION|FILENAME")]
    which: Which,

    #[command(flatten)]
    how: How,
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    let yanked = Some(args.reason.clone());
    set(&args.project, &args.which, yanked, &args.how, data, context).await
}

pub(super) async fn run_unyank(
    args: &UnyankArgs,
    data: &Data,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    set(&args.project, &args.which, None, &args.how, data, context).await
}

async fn set(
    project: &ProjectName,
    which: &Which,
    yanked: Option<String>,
    how: &How,
    data: &Data,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    how.demand(data)?;
    let page = page::of(data, project).await?;
    let (done, action) = match &yanked {
        Some(_) => ("yanked", AuditAction::FileYanked),
        None => ("no longer yanked", AuditAction::FileUnyanked),
    };
    let files = there(&page, Some(which))?.into_iter();
    let given = files.map(|filename| Order {
        change: Change::FileYanked {
            project: project.clone(),
            filename: filename.clone(),
            yanked: yanked.clone(),
        },
        subject: filename,
        done,
        action,
    });
    give(given.collect(), project, how, data, context).await
}

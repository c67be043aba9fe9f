//! `wheelmark index remove` and `restore`.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use wheelmark_packaging::ProjectName;
use wheelmark_store::{AuditAction, Change};

use super::orders::{How, Order, give};
use super::page;
use super::which::{self, Which};
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// Remove a file, a version, or all files of a project
///
///   wheelmark index remove flask 3.0.9
///   wheelmark index remove flask flask-3.0.9.tar.gz --yes
///   wheelmark index remove flask
///
/// A removed name is never free again: it takes the bytes that it had (`wheelmark index
/// restore`), and no others. Whoever wants installers to pass a file over, and those who need it
/// to keep it, yanks it instead.
///
/// Waits until the change is in a published snapshot. If the index does not run, it publishes
/// one itself where it has the online key; otherwise the next start does, and the exit code is 3.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The project
    #[arg(value_name = "PROJECT")]
    project: ProjectName,

    /// The version, all files of it, or one file by its name [default: all of the project]
    #[arg(value_name = "VERSION|FILENAME")]
    which: Option<Which>,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    how: How,
}

/// Bring back a file that was removed, with the bytes it had
///
///   wheelmark index unremove flask 3.0.9
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct RestoreArgs {
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
    let page = page::of(data, &args.project).await?;
    let files = which::there(&page, args.which.as_ref())?;
    if !args.yes {
        confirm(&args.project, &files)?;
    }
    let given = files.into_iter().map(|filename| Order {
        change: Change::FileRemoved {
            project: args.project.clone(),
            filename: filename.clone(),
        },
        subject: filename,
        done: "removed; the name takes no other bytes",
        action: AuditAction::FileRemoved,
    });
    give(given.collect(), &args.project, &args.how, data, context).await
}

pub(super) async fn run_restore(
    args: &RestoreArgs,
    data: &Data,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let page = page::of(data, &args.project).await?;
    let files = which::removed(&page, Some(&args.which))?.into_iter();
    let given = files.map(|filename| Order {
        change: Change::FileRestored {
            project: args.project.clone(),
            filename: filename.clone(),
        },
        subject: filename,
        done: "back, as it was",
        action: AuditAction::FileRestored,
    });
    give(given.collect(), &args.project, &args.how, data, context).await
}

/// Lets a person type the project's name.
fn confirm(project: &ProjectName, files: &[String]) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(anyhow!(
            "nobody is there to confirm that {} files go",
            files.len()
        ))
        .hint("scripts say --yes");
    }
    let mut err = std::io::stderr().lock();
    writeln!(err, "These go, and their names take no other bytes ever:")?;
    for file in files {
        writeln!(err, "  {file}")?;
    }
    write!(err, "Type the name of the project to go on: ")?;
    err.flush()?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    if typed.trim() != project.as_str() {
        bail!("nothing was removed");
    }
    Ok(())
}

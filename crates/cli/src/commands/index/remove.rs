//! `wheelmark index remove` and `restore`.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use jiff::Timestamp;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::ProjectPage;
use wheelmark_store::{AuditAction, Change};

use super::orders::{How, Order, give};
use super::page;
use super::reason::reason;
use super::which::{self, Which};
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// Remove a file, a version, or all files of a project
///
///   wheelmark index remove flask 3.0.9
///   wheelmark index remove flask flask-3.0.9.tar.gz --yes
///   wheelmark index remove flask
///   wheelmark index remove flask --since 2026-11-20T08:00:00Z --reason "signed by a stolen key"
///
/// A removed name is never free again: it takes the bytes that it had (`wheelmark index
/// restore`), and no others. Of a project whose own people sign for it, the file is withdrawn: it
/// stays on the page that they have signed, and nobody is given it. Whoever wants installers to pass a file over, and those who need it
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

    /// Every file that came in at this moment or later, or that does not say when: after somebody had a
    /// token or a key of the project. The files from before stay
    #[arg(long, value_name = "TIME", conflicts_with = "which")]
    since: Option<Timestamp>,

    /// Why, for people: one line. It goes into the log of what was done, and where the project signs for
    /// itself, into what is signed
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,

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

    /// Do not ask; without it, a version's files are shown before they come back
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    how: How,
}

impl Args {
    /// The names of the files that are to go.
    fn chosen(&self, page: &ProjectPage) -> anyhow::Result<Vec<String>> {
        match self.since {
            Some(moment) => which::since(page, moment),
            None => which::there(page, self.which.as_ref()),
        }
    }
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    args.how.demand(data)?;
    let page = page::of(data, &args.project).await?;
    let files = args.chosen(&page)?;
    if !args.yes {
        confirm(
            &args.project,
            "These go, and their names take no other bytes ever:",
            &files,
        )?;
    }
    let given = files.into_iter().map(|filename| Order {
        change: Change::FileRemoved {
            project: args.project.clone(),
            filename: filename.clone(),
            reason: args.reason.clone().filter(|reason| !reason.is_empty()),
        },
        subject: filename,
        done: "removed; the name takes no other bytes",
        action: AuditAction::FileRemoved,
    });
    let code = give(given.collect(), &args.project, &args.how, data, context).await?;
    // What was published between the reading and the removing was not asked for.
    let page = page::of(data, &args.project).await?;
    if code == ExitCode::SUCCESS
        && let Ok(left) = args.chosen(&page)
    {
        return Err(anyhow!(
            "published meanwhile, and not removed: {}",
            left.join(", ")
        ))
        .hint("run the command once more; a quarantine keeps new files out");
    }
    Ok(code)
}

pub(super) async fn run_restore(
    args: &RestoreArgs,
    data: &Data,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    args.how.demand(data)?;
    let page = page::of(data, &args.project).await?;
    let files = which::removed(&page, Some(&args.which))?;
    if !args.yes && matches!(args.which, Which::Version(_)) {
        let removed = &page.wheelmark.removed;
        let shown = files.iter().map(|name| match removed.get(name) {
            Some(removed) => format!("{name}, removed {}", removed.removed_at),
            None => name.clone(),
        });
        let shown: Vec<String> = shown.collect();
        confirm(&args.project, "These come back:", &shown)?;
    }
    let given = files.into_iter().map(|filename| Order {
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

/// Shows the files and lets a person type the project's name.
fn confirm(project: &ProjectName, what: &str, files: &[String]) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(anyhow!(
            "nobody is there to confirm it for {} files",
            files.len()
        ))
        .hint("scripts say --yes");
    }
    let mut err = std::io::stderr().lock();
    writeln!(err, "{what}")?;
    for file in files {
        writeln!(err, "  {file}")?;
    }
    write!(err, "Type the name of the project to go on: ")?;
    err.flush()?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    if typed.trim() != project.as_str() {
        bail!("nothing was changed");
    }
    Ok(())
}

//! `wheelmark recover show`: a plan, for people.

use std::path::PathBuf;
use std::process::ExitCode;

use wheelmark_packaging::ProjectName;

use super::folder::Folder;
use super::words::{self, Shown};
use crate::commands::up::print_line;

/// Show what changed since the last good state, and what is decided
///
///   wheelmark recover show recovery
///   wheelmark recover show recovery --undecided
///   wheelmark recover show recovery --project flask
///
/// One line for each change: what it is, what speaks for it, and what becomes of it. What is marked
/// `project` was signed by the project's own keys, what is marked `index` by the online key.
///
/// Exit code: 0 if everything is decided, 3 if something is not, or two decisions do not go together.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The recovery
    #[arg(value_name = "DIR")]
    recovery: PathBuf,

    /// Only what nobody has decided about
    #[arg(long)]
    undecided: bool,

    /// Only this project
    #[arg(long, value_name = "NAME")]
    project: Option<ProjectName>,

    /// How many changes to list; all of them are counted
    #[arg(long, value_name = "N", default_value_t = 200)]
    list: usize,

    /// Print a JSON object with the counts; the plan itself is JSON, in plan.json
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = Folder::at(&args.recovery);
    let plan = folder.plan()?;
    if args.json {
        print_line(&words::to_json(&plan).to_string())?;
    } else {
        let mut lines = words::summary(&plan);
        let shown = Shown {
            undecided: args.undecided,
            project: args.project.as_ref(),
            most: args.list,
        };
        lines.extend(words::changes(&plan, &shown));
        lines.extend(words::next(&plan, folder.path()));
        print_line(&lines.join("\n"))?;
    }
    Ok(words::code(&plan))
}

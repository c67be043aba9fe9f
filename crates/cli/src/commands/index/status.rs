//! `wheelmark index status`: how the index stands, or what state a project is in (PEP 792).

mod whole;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::ProjectPage;
use wheelmark_store::{AuditAction, Change};
use wheelmark_tuf::without_controls;

use super::orders::{How, Order, give};
use super::page;
use super::reason::reason;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;

/// Show how the index stands; show or set the state of a project
///
///   wheelmark index status
///   wheelmark index status --json
///
/// Without a project: every role with its version, its keys, when it was written, when it ends and
/// what is to be done about it; whether a process publishes and how many changes wait for it; the
/// head of the signing log; the projects that sign for themselves, those of them whose signature
/// ends soon, and those whose keys are said to be lost; from when on the next ceremony is due; another online key that takes over
/// and what it waits for; a ceremony that was handed in. The exit code is for monitoring: 0 when nothing is to be done, 3 when a ceremony is due, a renewal is late, or changes wait and no
/// process publishes, 4 when clients refuse the index: something has expired, or a file that root's keys have
/// not signed lies in the place of the next root.
///
///   wheelmark index status flask
///   wheelmark index status flask archived --reason "use quart"
///   wheelmark index status flask active
///
///   active       nothing special
///   deprecated   obsolete: marked so, and nothing else changes
///   archived     no updates are expected: uploads are refused
///   quarantined  taken for unsafe: no file is listed, and uploads are refused
///
/// The files of a quarantined project come back, as they were, with its next state; until then
/// and after it, their names take no other bytes.
///
/// Waits until the change is in a published snapshot. If the index does not run, it publishes
/// one itself where it has the online key; otherwise the next start does, and the exit code is 3.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The project [default: show how the index stands]
    #[arg(value_name = "PROJECT")]
    project: Option<ProjectName>,

    /// The state to set [default: show the one it is in]
    #[arg(value_name = "STATE")]
    status: Option<Word>,

    /// Why, for people: one line, in the project's page and in the answer to uploads
    #[arg(long, value_name = "TEXT", value_parser = reason, requires = "status")]
    reason: Option<String>,

    /// Of an index: the policy that says how long before its end a role is due [default:
    /// ceremony-policy.toml in the data directory, if it is there]
    #[arg(long, value_name = "FILE", conflicts_with = "project")]
    policy: Option<PathBuf>,

    #[command(flatten)]
    how: How,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Word {
    Active,
    Deprecated,
    Archived,
    Quarantined,
}

impl Word {
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Archived => "archived",
            Self::Quarantined => "quarantined",
        }
    }
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    let Some(project) = &args.project else {
        return whole::run(args.how.json(), args.policy.as_deref(), data, context).await;
    };
    let page = page::of(data, project).await?;
    let Some(word) = args.status else {
        return show(&page, args.how.json());
    };
    args.how.demand(data)?;
    let order = Order {
        change: Change::StatusSet {
            project: project.clone(),
            status: word.as_str().to_owned(),
            reason: args.reason.clone(),
        },
        subject: project.to_string(),
        done: word.as_str(),
        action: AuditAction::StatusChanged,
    };
    give(vec![order], project, &args.how, data, context).await
}

fn show(page: &ProjectPage, as_json: bool) -> anyhow::Result<ExitCode> {
    let status = page.project_status.clone().unwrap_or_default();
    let (word, withheld) = (status.status.as_str(), page.wheelmark.withheld.len());
    let text = if as_json {
        let files = page.files.len();
        json!({
            "project": page.name.as_str(),
            "status": word,
            "reason": status.reason,
            "files": files,
            "withheld": withheld,
        })
        .to_string()
    } else {
        let mut text = format!("{} is {}", page.name, without_controls(word));
        if let Some(reason) = &status.reason {
            text.push_str(&format!(": {}", without_controls(reason)));
        }
        if withheld > 0 {
            text.push_str(&format!(
                "\n{withheld} files are withheld until its release"
            ));
        }
        text
    };
    print_line(&text)?;
    Ok(ExitCode::SUCCESS)
}

//! `wheelmark release list`: what waits.

use std::process::ExitCode;

use serde_json::json;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::without_controls;

use super::At;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::releasing::{Entry, Kind, short};

/// Show what waits for signatures
///
/// Without a project, it is that of all projects that are claimed as far as this machine knows, and
/// that you are a member of.
///
///   wheelmark release list acme-tools
///   wheelmark release list --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The project [default: all that this machine knows]
    project: Option<ProjectName>,

    #[command(flatten)]
    at: At,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let desk = args.at.desk(context)?;
    let mut entries = Vec::new();
    match &args.project {
        Some(project) => entries = desk.waiting(project).await?,
        None => {
            for project in desk.known_projects()? {
                match desk.waiting(&project).await {
                    Ok(waiting) => entries.extend(waiting),
                    // Most that are known here are somebody else's.
                    Err(error) => tracing::debug!("{project}: {error:#}"),
                }
            }
        }
    }
    if args.json {
        print_line(&json!({ "staged": entries }).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    if entries.is_empty() {
        print_line("nothing waits for signatures")?;
    }
    for entry in &entries {
        print_line(&shown(entry))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(entry: &Entry) -> String {
    let state = without_controls(&entry.state);
    let how = match (entry.kind, entry.state.as_str()) {
        (Kind::File, _) => format!("unsigned: wheelmark release adopt {}", entry.name()),
        (Kind::Release, "waiting") => format!(
            "signed by {} of {}, waits for {}",
            entry.signed.len(),
            entry.threshold,
            entry.missing()
        ),
        (Kind::Release, "stale") => {
            "stale: another release was published since, and this one never can be".to_owned()
        }
        (Kind::Release, _) => state,
    };
    let mut lines = vec![format!(
        "{}  {}  {how}",
        short(&entry.id.to_string()),
        entry.what()
    )];
    if let Some(change) = &entry.change {
        let ids = |word: &str, ids: &[String]| -> String {
            let ids = ids.iter().map(|id| short(id));
            ids.map(|id| format!("{word} {id}…, ")).collect()
        };
        lines.push(format!(
            "    changes its keys: {}{}{} have to sign, where {} had to",
            ids("adds", &change.added),
            ids("removes", &change.removed),
            change.threshold,
            change.threshold_before
        ));
    } else if entry.files.is_empty() {
        lines.push("    renews what is published, and adds nothing".to_owned());
    }
    for file in &entry.files {
        lines.push(format!(
            "    {}  {} bytes",
            without_controls(&file.filename),
            file.size
        ));
    }
    lines.push(format!(
        "    sent by {} at {}, waits until {}",
        without_controls(&entry.user),
        without_controls(&entry.received_at),
        without_controls(&entry.ends_at)
    ));
    lines.join("\n")
}

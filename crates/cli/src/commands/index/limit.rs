//! `wheelmark index limit`: projects that may be larger, or must be smaller, than others.

use std::process::ExitCode;

use serde_json::json;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{LimitedProject, ProjectLimits, Store};

use super::table::table;
use crate::commands::up::print_line;
use crate::data::Data;
use crate::settings::sizes::size;

/// Show or set how large the files of one project may be
///
/// What is not said of a project is what the settings allow all (max-file-size,
/// max-project-size). It counts from the next upload on, also while the index runs.
///
///   wheelmark index limit
///   wheelmark index limit torch --file-size 8GiB --project-size 500GiB
///   wheelmark index limit torch --none
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The project, which need not exist yet [default: show all that have limits of their own]
    #[arg(value_name = "PROJECT")]
    project: Option<ProjectName>,

    /// Longest file, such as 8GiB
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "project")]
    file_size: Option<u64>,

    /// Most that all its files may have together, such as 500GiB
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "project")]
    project_size: Option<u64>,

    /// Take its own limits away
    #[arg(long, requires = "project", conflicts_with_all = ["file_size", "project_size"])]
    none: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, data: &Data) -> anyhow::Result<ExitCode> {
    let store = Store::open(&data.catalogue()).await?;
    let mut shown = store.limited_projects().await?;
    if let Some(project) = args.project {
        let mut limits = store.project_limits(&project).await?;
        if args.none {
            limits = ProjectLimits::default();
        }
        limits.file_len = args.file_size.or(limits.file_len);
        limits.total_len = args.project_size.or(limits.total_len);
        if args.none || args.file_size.is_some() || args.project_size.is_some() {
            store.set_project_limits(&project, limits).await?;
        }
        shown = vec![LimitedProject { project, limits }];
    }
    store.close().await;
    print_line(&if args.json {
        as_json(&shown)
    } else {
        text(&shown)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn text(shown: &[LimitedProject]) -> String {
    if shown.is_empty() {
        return "no project has limits of its own".to_owned();
    }
    let cell = |len: Option<u64>| len.map_or_else(|| "as all".to_owned(), |len| len.to_string());
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|LimitedProject { project, limits }| {
            vec![
                project.to_string(),
                cell(limits.file_len),
                cell(limits.total_len),
            ]
        })
        .collect();
    table(&["PROJECT", "FILE BYTES", "PROJECT BYTES"], &rows)
}

fn as_json(shown: &[LimitedProject]) -> String {
    let projects = shown.iter().map(|LimitedProject { project, limits }| {
        json!({
            "project": project.as_str(),
            "file_size": limits.file_len,
            "project_size": limits.total_len,
        })
    });
    json!({ "projects": projects.collect::<Vec<_>>() }).to_string()
}

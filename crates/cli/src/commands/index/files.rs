//! `wheelmark index files`: what there is of a project, and what was taken away.

use std::process::ExitCode;

use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::json;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{PageFile, ProjectPage, Yanked};
use wheelmark_tuf::{Shown, without_controls};

use super::page;
use crate::commands::up::print_line;
use crate::data::Data;

/// List the files of a project, with those that were yanked or removed
///
///   wheelmark index files flask
///   wheelmark index files flask --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The project
    #[arg(value_name = "PROJECT")]
    project: ProjectName,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// How a file stands.
enum Standing {
    Listed(Yanked),
    Withheld(Yanked),
    Removed(jiff::Timestamp),
}

pub(super) async fn run(args: &Args, data: &Data) -> anyhow::Result<ExitCode> {
    let page = page::of(data, &args.project).await?;
    let rows = rows(&page);
    if args.json {
        print_line(&as_json(&page, &rows).to_string())?;
    } else {
        print_line(&as_text(&page, &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Every file that the page lists or remembers, by version and name.
fn rows(page: &ProjectPage) -> Vec<(&PageFile, Standing)> {
    let listed = page.files.iter();
    let listed = listed.map(|file| (file, Standing::Listed(file.yanked.clone())));
    let withheld = page.wheelmark.withheld.iter();
    let withheld = withheld.map(|file| (file, Standing::Withheld(file.yanked.clone())));
    let removed = page.wheelmark.removed.values();
    let removed = removed.map(|gone| (&gone.entry, Standing::Removed(gone.removed_at)));
    let mut rows: Vec<_> = listed.chain(withheld).chain(removed).collect();
    rows.sort_by(|(one, _), (other, _)| {
        let versions = one.filename.version().cmp(other.filename.version());
        versions.then_with(|| one.filename.cmp(&other.filename))
    });
    rows
}

fn as_json(page: &ProjectPage, rows: &[(&PageFile, Standing)]) -> serde_json::Value {
    let files = rows.iter().map(|(file, standing)| {
        let (yanked, removed_at) = match standing {
            Standing::Listed(yanked) | Standing::Withheld(yanked) => (yanked, None),
            Standing::Removed(at) => (&file.yanked, Some(at.to_string())),
        };
        let yanked: serde_json::Value = match yanked {
            Yanked::No => false.into(),
            Yanked::Yes => true.into(),
            Yanked::Because(reason) => reason.as_str().into(),
        };
        json!({
            "filename": file.filename.as_str(),
            "version": file.filename.version().to_string(),
            "sha256": file.sha256().map(|digest| digest.to_string()),
            "size": file.size,
            "upload_time": file.upload_time.map(|time| time.to_string()),
            "yanked": yanked,
            "removed_at": removed_at,
            "withheld": matches!(standing, Standing::Withheld(_)),
        })
    });
    let status = page.project_status.clone().unwrap_or_default();
    json!({
        "project": page.name.as_str(),
        "status": status.status.as_str(),
        "status_reason": status.reason,
        "files": files.collect::<Vec<_>>(),
    })
}

fn as_text(page: &ProjectPage, rows: &[(&PageFile, Standing)]) -> String {
    let width = rows.iter().map(|(file, _)| file.filename.as_str().len());
    let width = width.max().unwrap_or(0).max("file".len());
    let title = page
        .name
        .as_str()
        .if_supports_color(Stdout, |t| t.bold())
        .to_string();
    let mut lines = vec![title];
    if let Some(status) = &page.project_status {
        let reason = status.reason.as_ref();
        let reason = reason.map(|reason| format!(": {}", Shown(reason)));
        let word = without_controls(status.status.as_str());
        lines.push(format!("  {word}{}", reason.unwrap_or_default()));
    }
    if rows.is_empty() {
        lines.push("  no files".to_owned());
    } else {
        lines.push(format!(
            "  {:<width$}  {:<16}  {:>13}  state",
            "file", "uploaded", "bytes"
        ));
    }
    for (file, standing) in rows {
        let uploaded = file
            .upload_time
            .map(|time| time.strftime("%Y-%m-%d %H:%M").to_string());
        let size = file.size.map(|size| size.to_string());
        let line = format!(
            "  {:<width$}  {:<16}  {:>13}  {}",
            without_controls(file.filename.as_str()),
            uploaded.unwrap_or_default(),
            size.unwrap_or_default(),
            said(standing)
        );
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

fn said(standing: &Standing) -> String {
    let said = match standing {
        Standing::Listed(Yanked::No) => return String::new(),
        Standing::Withheld(_) => "withheld: the project is quarantined".to_owned(),
        Standing::Listed(Yanked::Yes) => "yanked".to_owned(),
        Standing::Listed(Yanked::Because(reason)) => format!("yanked: {}", Shown(reason)),
        Standing::Removed(at) => format!("removed {}", at.strftime("%Y-%m-%d %H:%M")),
    };
    said.if_supports_color(Stdout, |t| t.yellow()).to_string()
}

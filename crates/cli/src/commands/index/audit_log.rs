//! `wheelmark index audit-log`: who did what.

use std::process::ExitCode;
use std::time::Duration;

use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::json;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{Actor, AuditAction, AuditRow, Store};
use wheelmark_tuf::without_controls;

use crate::commands::up::{StopSignals, print_line};
use crate::data::Data;

/// How often a log that is followed is looked at.
const FOLLOW_PAUSE: Duration = Duration::from_millis(500);

/// How many rows are read at a time.
const ROWS: u32 = 500;

/// Show who did what: uploads, refusals, changes of users, tokens, projects and access
///
///   wheelmark index audit-log --last 20
///   wheelmark index audit-log --project flask
///   wheelmark index audit-log --follow --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// What concerns this project alone
    #[arg(long, value_name = "PROJECT")]
    project: Option<ProjectName>,

    /// How many of the last entries to show
    #[arg(long, value_name = "N", default_value = "100", conflicts_with = "all")]
    last: u32,

    /// Show all of them, from the beginning
    #[arg(long)]
    all: bool,

    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    follow: bool,

    /// Print one JSON object for each entry, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, data: &Data) -> anyhow::Result<ExitCode> {
    let store = Store::open(&data.catalogue()).await?;
    let project = args.project.as_ref();
    let mut seen = 0;
    if !args.all {
        // Where nothing is shown, the last one still says from where to follow.
        let rows = store.audit_last(project, args.last.max(1)).await?;
        seen = rows.last().map_or(0, |row| row.number);
        for row in rows.iter().filter(|_| args.last > 0) {
            show(row, args.json)?;
        }
    }
    let mut stop = StopSignals::new()?;
    loop {
        let rows = store.audit_after(seen, project, ROWS).await?;
        for row in &rows {
            show(row, args.json)?;
            seen = row.number;
        }
        if !rows.is_empty() {
            continue;
        }
        if !args.follow {
            break;
        }
        tokio::select! {
            () = stop.received() => break,
            () = tokio::time::sleep(FOLLOW_PAUSE) => {}
        }
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn show(row: &AuditRow, json: bool) -> anyhow::Result<()> {
    if json {
        print_line(&as_json(row).to_string())
    } else {
        print_line(&as_text(row))
    }
}

fn as_json(row: &AuditRow) -> serde_json::Value {
    let entry = &row.entry;
    let (user, token, account) = match &entry.actor {
        Actor::Bearer { user, token } => (Some(user.as_str()), Some(token.as_str()), None),
        Actor::Operator { account } => (None, None, Some(account.as_str())),
        Actor::Stranger => (None, None, None),
    };
    json!({
        "number": row.number,
        "at": entry.at.to_string(),
        "user": user,
        "token": token,
        "account": account,
        "action": entry.action.as_str(),
        "project": entry.project.as_ref().map(ProjectName::as_str),
        "subject": entry.subject,
        "address": entry.address.map(|address| address.to_string()),
        "detail": entry.detail,
    })
}

fn as_text(row: &AuditRow) -> String {
    let entry = &row.entry;
    let who = match &entry.actor {
        Actor::Bearer { user, token } => format!("{user} with {token}"),
        Actor::Operator { account } => format!("{account} on this machine"),
        Actor::Stranger => "nobody known".to_owned(),
    };
    let action = match entry.action {
        AuditAction::UploadRefused | AuditAction::AccessRefused => entry
            .action
            .if_supports_color(Stdout, |t| t.yellow())
            .to_string(),
        action => action.to_string(),
    };
    let mut line = format!("{:.0}  {action}  {}", entry.at, without_controls(&who));
    let subject = [
        entry.project.as_ref().map(ProjectName::as_str),
        entry.subject.as_deref(),
    ];
    for part in subject.into_iter().flatten() {
        line.push_str(&format!("  {}", without_controls(part)));
    }
    if let Some(address) = entry.address {
        line.push_str(&format!("  from {address}"));
    }
    if let Some(detail) = &entry.detail {
        line.push_str(&format!("  ({})", without_controls(detail)));
    }
    line
}

//! `wheelmark index publisher revoke`: what to do when somebody else had a CI account.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::anyhow;
use jiff::Timestamp;
use serde_json::json;
use wheelmark_packaging::ProjectName;
use wheelmark_server::TrustedPublisher;
use wheelmark_store::{AuditAction, Change, PublisherRow, Store, UploadedFile, UserName};
use wheelmark_tuf::without_controls;

use super::list::shown;
use crate::commands::index::account::operator;
use crate::commands::index::orders::{How, Order, give};
use crate::commands::index::reason::reason;
use crate::commands::index::table::{minute, table};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// Trust a publisher nowhere any more, and show what came through it since
///
/// For a CI account that somebody else has had. All projects cease to trust it, its tokens end with
/// the next request, and the files that it has uploaded since DATE are listed: they stay until
/// --remove or --yank takes them away. A removed file can come back as it was (`wheelmark index
/// unremove`).
///
///   wheelmark index publisher revoke github-3f9a12cd04be --since 2026-11-20
///   wheelmark index publisher revoke github-3f9a12cd04be --since 2026-11-20T14:00:00Z --remove
///   wheelmark index publisher revoke github-3f9a12cd04be --since 2026-11-20 --yank "stolen account"
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The publisher's name, as `list` and the audit log show it
    #[arg(value_name = "NAME")]
    id: UserName,

    /// The first day, or the first moment, at which somebody else may have had it; UTC
    #[arg(long, value_name = "DATE", value_parser = since)]
    since: Timestamp,

    /// Remove the files: installers find them no more
    #[arg(long, conflicts_with = "yank")]
    remove: bool,

    /// Yank the files, for this reason: installers pass them over
    #[arg(long, value_name = "REASON", value_parser = reason)]
    yank: Option<String>,

    #[command(flatten)]
    how: How,
}

/// A day or a moment.
fn since(text: &str) -> Result<Timestamp, String> {
    let day = format!("{text}T00:00:00Z");
    let read = text.parse::<Timestamp>().or_else(|_| day.parse());
    read.map_err(|_| "a day such as 2026-11-20, or a time such as 2026-11-20T14:00:00Z".to_owned())
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    let takes_away = args.remove || args.yank.is_some();
    let store = Store::open(&data.catalogue()).await?;
    let now = context.clock.now();
    let others = others_of_the_account(&args.id, &store.publishers(None).await?);
    // First of all, and all at once: nothing more comes from there.
    let projects = store.revoke_publisher(&args.id, &operator(), now).await?;
    let files = store.uploads_by(&args.id, None, args.since).await?;
    store.close().await;
    if projects.is_empty() && files.is_empty() {
        return Err(anyhow!(
            "no project trusts {}, and nothing came from it since {}",
            args.id,
            args.since
        ))
        .hint("`wheelmark index publisher list` and `wheelmark index audit-log` show the names");
    }
    if !takes_away {
        tell(args, &projects, &files, &others)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.how.json() {
        tell(args, &projects, &files, &others)?;
    }
    args.how.demand(data)?;
    take_away(args, &files, data, context).await
}

/// Another publisher of the same account: whoever had that, had this one as well.
struct Other {
    id: UserName,
    shown: String,
    projects: Vec<ProjectName>,
}

/// The other publishers of a publisher's account: of the same number, or, where one of the two is not
/// known, of the same owner.
fn others_of_the_account(id: &UserName, rows: &[PublisherRow]) -> Vec<Other> {
    let mut others: BTreeMap<&UserName, Other> = BTreeMap::new();
    let revoked: Vec<&PublisherRow> = rows.iter().filter(|row| row.id == *id).collect();
    for row in rows.iter().filter(|row| row.id != *id) {
        if revoked.iter().any(|known| are_of_one_account(known, row)) {
            let other = others.entry(&row.id).or_insert_with(|| Other {
                id: row.id.clone(),
                shown: shown(row),
                projects: Vec::new(),
            });
            other.projects.push(row.project.clone());
        }
    }
    others.into_values().collect()
}

fn are_of_one_account(one: &PublisherRow, other: &PublisherRow) -> bool {
    if one.issuer != other.issuer {
        return false;
    }
    if let (Some(one), Some(other)) = (&one.account, &other.account) {
        return one == other;
    }
    let owner = |row: &PublisherRow| TrustedPublisher::from_json(&row.identity)?.owner();
    owner(one).is_some_and(|one| owner(other).is_some_and(|other| one == other))
}

fn tell(
    args: &Args,
    projects: &[ProjectName],
    files: &[UploadedFile],
    others: &[Other],
) -> anyhow::Result<()> {
    if args.how.json() {
        let files = files.iter().map(|file| {
            json!({
                "project": file.project.as_str(),
                "filename": file.filename,
                "sha256": file.sha256.to_string(),
                "uploaded_at": file.uploaded_at.to_string(),
                "token": file.token.as_str(),
                "removed": file.removed,
            })
        });
        let projects: Vec<&str> = projects.iter().map(ProjectName::as_str).collect();
        let others = others.iter().map(|other| {
            let projects: Vec<&str> = other.projects.iter().map(ProjectName::as_str).collect();
            json!({ "id": other.id.as_str(), "publisher": other.shown, "projects": projects })
        });
        let object = json!({
            "id": args.id.as_str(),
            "others": others.collect::<Vec<_>>(),
            "projects": projects,
            "files": files.collect::<Vec<_>>(),
        });
        return print_line(&object.to_string());
    }
    let names: Vec<&str> = projects.iter().map(ProjectName::as_str).collect();
    let trusted = match names.as_slice() {
        [] => format!("No project trusts {}.", args.id),
        names => format!("{} do not trust {} any more.", names.join(", "), args.id),
    };
    print_line(&trusted)?;
    if !others.is_empty() {
        print_line("Whoever had its account had these as well; revoke them, too:")?;
    }
    for other in others {
        let projects: Vec<&str> = other.projects.iter().map(ProjectName::as_str).collect();
        print_line(&format!(
            "  {}  {}, trusted by {}",
            other.id,
            without_controls(&other.shown),
            projects.join(", ")
        ))?;
    }
    if files.is_empty() {
        return print_line(&format!("It has uploaded nothing since {}.", args.since));
    }
    let rows: Vec<Vec<String>> = files
        .iter()
        .map(|file| {
            vec![
                file.project.to_string(),
                without_controls(&file.filename),
                minute(file.uploaded_at),
                file.token.to_string(),
                if file.removed { "removed" } else { "" }.to_owned(),
            ]
        })
        .collect();
    print_line(&table(
        &["project", "file", "uploaded", "token", "state"],
        &rows,
    ))?;
    if !args.remove && args.yank.is_none() {
        print_line("They stay as they are; --remove or --yank REASON takes them away.")?;
    }
    Ok(())
}

/// Gives the orders, project by project; the worst of their answers is this command's.
async fn take_away(
    args: &Args,
    files: &[UploadedFile],
    data: &Data,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let mut of_project: BTreeMap<&ProjectName, Vec<Order>> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.removed) {
        let (project, filename) = (file.project.clone(), file.filename.clone());
        let order = match &args.yank {
            Some(reason) => Order {
                subject: filename.clone(),
                change: Change::FileYanked {
                    project,
                    filename,
                    yanked: Some(reason.clone()),
                },
                done: "yanked",
                action: AuditAction::FileYanked,
            },
            None => Order {
                subject: filename.clone(),
                change: Change::FileRemoved {
                    project,
                    filename,
                    reason: None,
                },
                done: "removed; the name takes no other bytes",
                action: AuditAction::FileRemoved,
            },
        };
        of_project.entry(&file.project).or_default().push(order);
    }
    let mut worst = ExitCode::SUCCESS;
    for (project, given) in of_project {
        let code = give(given, project, &args.how, data, context).await?;
        if code != ExitCode::SUCCESS && worst != ExitCode::FAILURE {
            worst = code;
        }
    }
    Ok(worst)
}

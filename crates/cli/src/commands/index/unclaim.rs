//! `wheelmark index project unclaim`: the index answers for a project again.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::anyhow;
use jiff::Timestamp;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::Status;
use wheelmark_store::{AuditAction, Change};

use super::claims::{MadeClaim, not_sealed};
use super::orders::{How, Order, give, give_several};
use super::page;
use super::reason::reason;
use super::table::{minute, table};
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// End claims: projects' own people's keys sign for them no longer, and the index's do
///
/// For a claim that somebody has made who had no right to, for a project whose keys are lost, and for
/// a file that has to go at once: removing, yanking and quarantining work again then. The page stays as it is. Clients
/// that know the claim refuse the project from then on, until the person says that it is right
/// (`wheelmark trust claims forget`). The project can be claimed anew.
///
///   wheelmark index project unclaim acme-tools
///   wheelmark index project unclaim acme-tools --quarantine "its last release is malware"
///   wheelmark index project unclaim --since 2026-11-20T08:00:00Z
///   wheelmark index project unclaim --all --yes
///
/// After a break-in into the web process, --since ends every claim that was made from that moment on, and
/// --all every claim there is; those that an offline key has sealed stay, since a ceremony alone ends
/// them. They are listed first, by what the index has signed of them. All of it is one snapshot.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["project", "since", "all"])))]
pub(super) struct Args {
    /// The project
    project: Option<ProjectName>,

    /// Every claim that was made from this moment on, such as 2026-11-20T08:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,

    /// Every claim that is not sealed
    #[arg(long)]
    all: bool,

    /// With --since and --all: do not ask
    #[arg(long, conflicts_with = "project")]
    yes: bool,

    /// Quarantine it in the same snapshot, for this reason: its files are listed no longer, and nobody
    /// can claim it anew, until `wheelmark index status` says otherwise
    #[arg(long, value_name = "REASON", value_parser = reason)]
    quarantine: Option<String>,

    #[command(flatten)]
    how: How,
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    args.how.demand(data)?;
    let Some(project) = &args.project else {
        return several(args, data, context).await;
    };
    page::of(data, project).await?;
    give(orders(args, project), project, &args.how, data, context).await
}

/// Ends a claim, and quarantines the project if that was asked for.
fn orders(args: &Args, project: &ProjectName) -> Vec<Order> {
    let order = Order {
        change: Change::ClaimEnded {
            project: project.clone(),
        },
        subject: project.to_string(),
        done: "no longer claimed",
        action: AuditAction::ClaimEnded,
    };
    let mut orders = vec![order];
    orders.extend(args.quarantine.clone().map(|reason| Order {
        change: Change::StatusSet {
            project: project.clone(),
            status: Status::Quarantined.as_str().to_owned(),
            reason: Some(reason),
        },
        subject: project.to_string(),
        done: "quarantined",
        action: AuditAction::StatusChanged,
    }));
    orders
}

/// Ends the claims that were made from a moment on, or all of them.
async fn several(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    let chosen = chosen(args, data)?;
    if chosen.is_empty() {
        return Err(anyhow!("no claim was made since then that is not sealed"))
            .hint("`wheelmark index status` counts the projects that sign for themselves");
    }
    if !args.yes {
        confirm(&chosen)?;
    }
    let given = chosen.iter().flat_map(|claim| orders(args, &claim.project));
    let code = give_several(given.collect(), &args.how, data, context).await?;
    if code == ExitCode::SUCCESS {
        // What was claimed between the listing and the ending was not asked for.
        let left = self::chosen(args, data)?;
        if !left.is_empty() {
            let names: Vec<String> = left.iter().map(|claim| claim.project.to_string()).collect();
            return Err(anyhow!("claimed meanwhile: {}", names.join(", "))).hint(
                "run the command once more; `claims = \"off\"` in index.toml keeps new claims out",
            );
        }
    }
    Ok(code)
}

/// A claim that does not say since when it is there is of any time.
fn chosen(args: &Args, data: &Data) -> anyhow::Result<Vec<MadeClaim>> {
    let mut claims = not_sealed(data)?;
    if let Some(since) = args.since {
        claims.retain(|claim| claim.claimed_at.is_none_or(|at| at >= since));
    }
    Ok(claims)
}

/// Shows the claims, and lets a person say that they are to end.
fn confirm(claims: &[MadeClaim]) -> anyhow::Result<()> {
    let count = claims.len();
    let rows: Vec<Vec<String>> = claims
        .iter()
        .map(|claim| {
            vec![
                claim.project.to_string(),
                claim.claimed_at.map(minute).unwrap_or_default(),
                claim.users.join(", "),
                format!("{} of {}", claim.threshold, claim.keys),
            ]
        })
        .collect();
    let listed = table(&["PROJECT", "CLAIMED", "KEYS OF", "SIGN"], &rows);
    if !std::io::stdin().is_terminal() {
        return Err(anyhow!(
            "nobody is there to confirm it for {count} claims:\n{listed}"
        ))
        .hint("say --yes, once you have looked at them");
    }
    let mut terminal = std::io::stderr().lock();
    writeln!(
        terminal,
        "These claims end, and clients that know them refuse the projects:\n{listed}"
    )?;
    write!(terminal, "type the number of them to go on: ")?;
    drop(terminal);
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim() == count.to_string() {
        return Ok(());
    }
    Err(anyhow!("nothing was changed")).hint("it was not confirmed")
}

//! `wheelmark index renew`: signs everything anew that the online key signs.

use std::process::ExitCode;

use anyhow::anyhow;
use serde_json::json;
use wheelmark_store::{AuditAction, AuditEntry, Change, Outcome, Store};
use wheelmark_tuf::without_controls;

use super::account;
use super::orders::{How, WAITING, name_of, outcomes_of, wait};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;

/// Sign everything anew that the online key signs, now
///
///   wheelmark index renew
///   wheelmark index renew --json
///
/// The running index does so by itself, long before anything ends; this is for those who do not want
/// to wait: before a planned outage (all of it holds for a day then, half a day at least), or after a
/// disk was full. Asks the running snapshot process, and does it itself if none runs. What offline
/// keys sign is renewed by a ceremony (`wheelmark ceremony begin`).
///
/// Exit code: 0 when it is published, 3 when it is recorded and not published yet.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(flatten)]
    how: How,
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    args.how.demand(data)?;
    let orders = data.orders().await?;
    data.demand_plain_catalogue()?;
    let store = Store::open(&data.catalogue()).await?;
    let (actor, now) = (account::operator(), context.clock.now());
    let entry = AuditEntry::new(now, actor.clone(), AuditAction::RolesRenewed);
    store.audit_all(&[entry]).await?;
    let asked = orders
        .ask_all(&[Change::Renewal], now, &name_of(&actor))
        .await?;
    let waited = wait(&asked, &orders, &store, &args.how, data, context).await;
    // From here on the order stands, whatever fails.
    let outcome = outcomes_of(&asked, &orders).await;
    let outcome = outcome.unwrap_or_else(|error| {
        let error = format!("{error:#}");
        tracing::error!(error, "what became of the order cannot be read");
        Vec::new()
    });
    let outcome = outcome.into_iter().next().flatten();
    store.close().await;
    orders.close().await;
    if let (Err(error), None) = (waited, &outcome) {
        tracing::error!(
            error = format!("{error:#}"),
            "the order is recorded, and this command cannot publish it"
        );
    }
    match outcome {
        Some(Outcome::Published { snapshot_version }) => {
            print_line(&match args.how.json() {
                true => {
                    json!({ "renewed": true, "snapshot_version": snapshot_version }).to_string()
                }
                false => format!(
                    "renewed, in snapshot {snapshot_version}: every role that the online key signs"
                ),
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Outcome::Refused { reason }) => Err(anyhow!("refused: {}", without_controls(&reason))),
        None => {
            print_line(&match args.how.json() {
                true => json!({ "renewed": false, "waiting": true }).to_string(),
                false => "recorded and not published yet: the index does it at its next start, or when it is done with what it is at".to_owned(),
            })?;
            Ok(ExitCode::from(WAITING))
        }
    }
}

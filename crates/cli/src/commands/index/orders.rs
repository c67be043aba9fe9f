//! Orders to the snapshot process: written down, waited for, and told of.
//!
//! The process that publishes may be another one, or none: then this one takes a turn itself, or
//! the next start does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde_json::json;
use wheelmark_objects::{Directory, LockError};
use wheelmark_packaging::ProjectName;
use wheelmark_repository::{Engine, Lifetimes, OpenError, Turn};
use wheelmark_store::{Actor, AuditAction, AuditEntry, Change, Orders, Outcome, Seq, Store};
use wheelmark_tuf::without_controls;

use super::account;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;
use crate::settings::{Effective, Flags};

/// How long a snapshot of the running index is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the command answers when an order stands in the journal and is not carried out yet.
pub(super) const WAITING: u8 = 3;

/// How an order is given.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// The file with the online key, if it is not DATA/online-key; used when the index does not run
    #[arg(long, value_name = "FILE")]
    online_key: Option<PathBuf>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

impl How {
    /// Whether orders can be given for this index at all, by whoever runs the command and with
    /// the key that was named. To be asked before a person is asked anything.
    pub(super) fn demand(&self, data: &Data) -> anyhow::Result<()> {
        demand_own(data)?;
        data.demand_not_recovering()?;
        if let Some(named) = &self.online_key {
            data.online_keys(Some(named))?;
        }
        Ok(())
    }

    /// The file with the online key, if it was named.
    pub(super) fn online_key(&self) -> Option<&std::path::Path> {
        self.online_key.as_deref()
    }

    /// Whether it is a script that asks.
    pub(super) fn json(&self) -> bool {
        self.json
    }
}

/// One thing that is asked for, and how people are told of it.
pub(super) struct Order {
    pub(super) change: Change,
    /// What it concerns: a file's name, or the project's.
    pub(super) subject: String,
    /// What is done to it once it is done: `yanked`.
    pub(super) done: &'static str,
    pub(super) action: AuditAction,
}

/// Gives the orders, waits for them, and tells what became of them. [`How::demand`] comes first.
///
/// Exit code: 0 when all is published, 1 when something was refused, 3 when they are recorded and
/// not published yet.
pub(super) async fn give(
    given: Vec<Order>,
    project: &ProjectName,
    how: &How,
    data: &Data,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    give_to(given, Some(project), how, data, context).await
}

/// The same for orders about several projects.
pub(super) async fn give_several(
    given: Vec<Order>,
    how: &How,
    data: &Data,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    give_to(given, None, how, data, context).await
}

async fn give_to(
    given: Vec<Order>,
    project: Option<&ProjectName>,
    how: &How,
    data: &Data,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let orders = data.orders().await?;
    data.demand_plain_catalogue()?;
    let store = Store::open(&data.catalogue()).await?;
    let actor = account::operator();
    let now = context.clock.now();
    let changes: Vec<Change> = given.iter().map(|order| order.change.clone()).collect();
    let entries = given.iter().map(|order| {
        let mut entry = AuditEntry::new(now, actor.clone(), order.action);
        entry.project = project.or(order.change.project()).cloned();
        entry.subject = Some(order.subject.clone());
        entry.detail = reason_of(&order.change);
        entry
    });
    // First the log: no order is carried out that it does not have.
    store.audit_all(&entries.collect::<Vec<_>>()).await?;
    let asked = orders.ask_all(&changes, now, &name_of(&actor)).await?;
    // From here on the orders stand, whatever fails.
    let failed = wait(&asked, &orders, &store, how, data, context).await;
    if let Err(error) = failed {
        tracing::error!(
            error = format!("{error:#}"),
            orders = ?asked.iter().map(|seq| seq.0).collect::<Vec<_>>(),
            "the orders are recorded, and this command cannot publish them"
        );
    }
    let outcomes = outcomes_of(&asked, &orders).await.unwrap_or_else(|error| {
        tracing::error!(
            error = format!("{error:#}"),
            "what became of the orders cannot be read"
        );
        vec![None; asked.len()]
    });
    store.close().await;
    orders.close().await;
    tell(&given, &outcomes, project, how.json)
}

/// Waits until there is an answer to every order, or for as long as there is patience. What that
/// needs is a process that publishes: this one does, where no other holds the tree.
pub(super) async fn wait(
    asked: &[Seq],
    orders: &Orders,
    store: &Store,
    how: &How,
    data: &Data,
    context: &Context,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let tree = Arc::new(Directory::open(&data.tree()).await?);
    while !is_over(asked, orders, deadline).await? {
        let online = match data.online_keys(how.online_key.as_deref()) {
            Ok(online) => online,
            // Without the key, only whoever has it can go on.
            Err(error) if tree.lock().await.is_ok() => {
                return Err(error.context("no process publishes, and this one has no online key"));
            }
            Err(_) => {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
        };
        let engine = Engine::open_with_orders(
            tree.clone(),
            store.clone(),
            orders.clone(),
            online,
            context.clock.clone(),
            Lifetimes::default(),
        );
        match engine.await {
            // Not a turn more than these orders need: the index's own process waits for the lock.
            Ok(mut engine) => {
                let settings = Effective::read(data.directory(), &Flags::default())?.settings();
                // Wrong settings keep nobody from carrying out an order.
                if let Ok(settings) = settings {
                    engine.link_provenance_below(settings.provenance_below());
                    engine.take_claims(settings.claims);
                    engine.split_claims_above(settings.split_claims_above);
                    engine.recover_after(settings.recovery_delay);
                }
                while engine.turn().await? != Turn::Idle
                    && !is_over(asked, orders, deadline).await?
                {}
                engine.flush().await?;
            }
            Err(OpenError::Lock(LockError::Held { .. })) => tokio::time::sleep(LOOK_EVERY).await,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether all orders are answered, or patience has ended.
async fn is_over(asked: &[Seq], orders: &Orders, deadline: Instant) -> anyhow::Result<bool> {
    let outcomes = outcomes_of(asked, orders).await?;
    Ok(outcomes.iter().all(Option::is_some) || Instant::now() > deadline)
}

/// What became of orders that were asked for at once, and so follow on one another.
pub(super) async fn outcomes_of(
    asked: &[Seq],
    orders: &Orders,
) -> anyhow::Result<Vec<Option<Outcome>>> {
    let [first, .., last] = asked else {
        return match asked {
            [only] => Ok(vec![orders.outcome(*only).await?]),
            _ => Ok(Vec::new()),
        };
    };
    let mut known: BTreeMap<Seq, Outcome> =
        orders.outcomes(*first, *last).await?.into_iter().collect();
    Ok(asked.iter().map(|seq| known.remove(seq)).collect())
}

fn tell(
    given: &[Order],
    outcomes: &[Option<Outcome>],
    project: Option<&ProjectName>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let mut waiting = 0;
    let mut refused = 0;
    let mut lines = Vec::with_capacity(given.len() + 1);
    let mut entries = Vec::with_capacity(given.len());
    for (order, outcome) in given.iter().zip(outcomes) {
        let subject = without_controls(&order.subject);
        let (done, version, reason) = match outcome {
            Some(Outcome::Published { snapshot_version }) => {
                lines.push(format!(
                    "{subject}: {}, in snapshot {snapshot_version}",
                    order.done
                ));
                (true, Some(*snapshot_version), None)
            }
            Some(Outcome::Refused { reason }) => {
                refused += 1;
                lines.push(format!("{subject}: refused: {}", without_controls(reason)));
                (false, None, Some(reason.as_str()))
            }
            None => {
                waiting += 1;
                (false, None, None)
            }
        };
        entries.push(json!({
            "subject": order.subject,
            "what": order.done,
            "published": done,
            "snapshot_version": version,
            "refused": reason,
        }));
    }
    if waiting > 0 {
        lines.push(format!(
            "recorded and not published yet: {waiting}. The index does it at its next start, or when it is done with what it is at"
        ));
    }
    if as_json {
        let project = project.map(ProjectName::as_str);
        let told = json!({ "project": project, "waiting": waiting, "orders": entries });
        print_line(&told.to_string())?;
    } else {
        print_line(&lines.join("\n"))?;
    }
    Ok(match (refused, waiting) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(WAITING),
        (_, _) => ExitCode::FAILURE,
    })
}

/// Only an index of its own, and only the user whose it is: what another one makes in there, the
/// index could not change.
fn demand_own(data: &Data) -> anyhow::Result<()> {
    if let Some(tree) = &data.settings().tree {
        return Err(anyhow!("{} follows what is elsewhere", tree.display()))
            .hint("change it there; the next `wheelmark sign-tree` takes it over");
    }
    data.demand_owner()
}

pub(super) fn name_of(actor: &Actor) -> String {
    match actor {
        Actor::Operator { account } => account.clone(),
        Actor::Bearer { user, .. } => user.to_string(),
        Actor::Stranger => String::new(),
    }
}

fn reason_of(change: &Change) -> Option<String> {
    match change {
        Change::FileYanked { yanked, .. } => yanked.clone().filter(|reason| !reason.is_empty()),
        Change::FileRemoved { reason, .. } => reason.clone(),
        Change::StatusSet { status, reason, .. } => Some(match reason {
            Some(reason) => format!("{status}: {reason}"),
            None => status.clone(),
        }),
        Change::CertificatesSet { required, .. } => {
            required.then(|| "signatures are required".to_owned())
        }
        Change::FileAdded(_)
        | Change::FileRestored { .. }
        | Change::HashesSet { .. }
        | Change::ProjectSigned(_)
        | Change::ClaimEnded { .. }
        | Change::RecoveryAsked(_)
        | Change::RecoveryEnded { .. }
        | Change::Renewal
        | Change::Unreadable(_) => None,
    }
}

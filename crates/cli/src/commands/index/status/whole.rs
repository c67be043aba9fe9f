//! How a whole index stands: its roles, the process that publishes, what waits, and the signing log.

use std::process::ExitCode;

use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::json;
use wheelmark_objects::{Directory, LockError};
use wheelmark_repository::{Head, Lines, log_files};
use wheelmark_store::Store;
use wheelmark_tuf::OWN_MEMBER;

use crate::commands::index::keys::{advice, exit_code, rows_as_json, rows_as_text};
use crate::commands::index::roles::{Roles, State};
use crate::commands::index::table::minute;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;

/// What is looked at beside the roles.
struct Beside {
    /// Whether a process publishes; none where that cannot be told.
    publishes: Option<bool>,
    /// How many uploads and orders wait for it.
    waiting: u64,
    logged: Option<Head>,
}

pub(super) async fn run(as_json: bool, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    let roles = Roles::read(data, context.clock.now())?;
    let beside = beside(data, &roles).await?;
    let mut worst = roles.worst();
    if beside.waiting > 0 && beside.publishes == Some(false) {
        worst = worst.max(State::Late);
    }
    let ceremony = roles.rows.iter().filter(|row| row.offline);
    let ceremony = ceremony.map(|row| row.due).min();
    let snapshot = roles.online.snapshot.version;
    if as_json {
        let told = json!({
            "state": worst.word(),
            "snapshot_version": snapshot,
            "timestamp_version": roles.online.timestamp.version,
            "publishes": beside.publishes,
            "waiting": beside.waiting,
            "signing_log": beside.logged.map(|head| json!({ "entry": head.number, "sha256": head.sha256 })),
            "next_ceremony": ceremony.map(|due| due.to_string()),
            "roles": rows_as_json(&roles.rows),
        });
        print_line(&told.to_string())?;
        return Ok(exit_code(worst));
    }
    let mut lines = vec![rows_as_text(&roles.rows), String::new()];
    lines.push(format!("published: snapshot {snapshot}"));
    lines.push(match (beside.publishes, beside.waiting) {
        (Some(true), 0) => "a process publishes; nothing waits for it".to_owned(),
        (Some(true), waiting) => format!("a process publishes; {waiting} changes wait for it"),
        (Some(false), 0) => "no process publishes now".to_owned(),
        (Some(false), waiting) => {
            let said = format!("no process publishes now, and {waiting} changes wait for one");
            said.if_supports_color(Stdout, |t| t.yellow()).to_string()
        }
        (None, waiting) => format!("{waiting} changes wait to be published"),
    });
    if let Some(head) = beside.logged {
        lines.push(format!(
            "signing log: entry {}, {}",
            head.number, head.sha256
        ));
    }
    if let Some(due) = ceremony {
        lines.push(format!("next ceremony: from {} on", minute(due)));
    }
    if let Some(advice) = advice(&roles.rows, worst) {
        lines.push(String::new());
        lines.push(advice);
    }
    print_line(&lines.join("\n"))?;
    Ok(exit_code(worst))
}

async fn beside(data: &Data, roles: &Roles) -> anyhow::Result<Beside> {
    let tree = Directory::open(&data.tree()).await?;
    let publishes = match tree.lock().await {
        Ok(_) => Some(false),
        Err(LockError::Held { .. }) => Some(true),
        Err(_) => None,
    };
    let own = roles.online.timestamp.extra.get(OWN_MEMBER);
    let followed = |journal: &str| {
        let position = own.and_then(|own| own.get(journal)?.as_u64());
        position.unwrap_or(0)
    };
    data.demand_plain_catalogue()?;
    let store = Store::open(&data.catalogue()).await?;
    let uploads = store.journal_end().await?.0;
    store.close().await;
    let mut waiting = uploads.saturating_sub(followed("journal"));
    if data.settings().tree.is_none() {
        let orders = data.orders().await?;
        waiting += orders.end().await?.0.saturating_sub(followed("orders"));
        orders.close().await;
    }
    Ok(Beside {
        publishes,
        waiting,
        logged: newest_entry(data)?,
    })
}

/// The last entry of the signing log.
fn newest_entry(data: &Data) -> anyhow::Result<Option<Head>> {
    for (_, path) in log_files(&data.signing_log())?.iter().rev() {
        let mut newest = None;
        for line in Lines::of(path)? {
            newest = line?.head().or(newest);
        }
        if newest.is_some() {
            return Ok(newest);
        }
    }
    Ok(None)
}

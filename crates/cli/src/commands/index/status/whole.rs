//! How a whole index stands: its roles, the process that publishes, what waits, and the signing log.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::json;
use wheelmark_repository::{Head, Lines, log_files};
use wheelmark_store::{Change, Seq, Store};
use wheelmark_tuf::{OWN_MEMBER, without_controls};

use crate::commands::ceremony::policy;
use crate::commands::index::keys::{advice, exit_code, rows_as_json, rows_as_text};
use crate::commands::index::notices::Notices;
use crate::commands::index::own_roles::OwnRoles;
use crate::commands::index::roles::{Roles, State};
use crate::commands::index::sealing::Sealing;
use crate::commands::index::table::minute;
use crate::commands::index::under_way::UnderWay;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::shipping::Sent;

/// For so long uploads may wait while a process publishes: it is to take them in at once.
const WAIT: SignedDuration = SignedDuration::from_mins(10);

/// For so long entries of the signing log may wait to be sent.
const SENDING: Duration = Duration::from_secs(3600);

/// What is looked at beside the roles.
struct Beside {
    /// Whether a process publishes; none where that cannot be told.
    publishes: Option<bool>,
    /// How many uploads and orders wait for it.
    waiting: u64,
    /// Since when the first of the uploads waits.
    since: Option<Timestamp>,
    logged: Option<Head>,
    /// Where the signing log is sent, up to which entry, and whether that is late.
    sent: Option<(Sent, bool)>,
}

impl Beside {
    /// What is late of it, in words.
    fn late(&self, now: Timestamp) -> Vec<String> {
        let mut late = Vec::new();
        if self.waiting > 0 && self.publishes == Some(false) {
            late.push(format!(
                "{} changes wait, and no process publishes: start `wheelmark up` or `wheelmark snapshotter`",
                self.waiting
            ));
        } else if let Some(since) = self.since
            && now.duration_since(since) > WAIT
        {
            late.push(format!(
                "uploads wait since {}: look into the log of the snapshot process",
                minute(since)
            ));
        }
        if let Some((sent, true)) = &self.sent {
            late.push(format!(
                "the signing log is sent to {} up to entry {} only: look into the log of the snapshot process",
                without_controls(&sent.to),
                sent.entry
            ));
        }
        late
    }
}

pub(super) async fn run(
    as_json: bool,
    named: Option<&Path>,
    data: &Data,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let policy = policy::of(named, Some(data))?;
    let roles = Roles::read(data, &policy, context.clock.now())?;
    let beside = beside(data, &roles).await?;
    let under_way = UnderWay::of(data, &roles.standing).await?;
    let mut late = beside.late(context.clock.now());
    late.extend(roles.stray_root());
    let worst = match late.is_empty() {
        true => roles.worst(),
        false => roles.worst().max(State::Late),
    };
    let ceremony = roles.rows.iter().filter(|row| row.offline);
    let ceremony = ceremony.map(|row| row.due).min();
    let snapshot = roles.online.snapshot.version;
    let now = context.clock.now();
    let own = OwnRoles::read(&data.tree(), &roles.online.snapshot, now);
    let notices = Notices::read(&data.tree(), &roles.online.snapshot);
    if as_json {
        let told = json!({
            "state": worst.word(),
            "snapshot_version": snapshot,
            "timestamp_version": roles.online.timestamp.version,
            "publishes": beside.publishes,
            "waiting": beside.waiting,
            "signing_log": beside.logged.map(|head| json!({ "entry": head.number, "sha256": head.sha256 })),
            "sent": beside.sent.as_ref().map(|(sent, _)| json!({ "to": sent.to, "entry": sent.entry })),
            "late": late,
            "under_way": under_way.to_json(),
            "claims": Sealing::of(&roles.standing).to_json(context.clock.now()),
            "next_ceremony": ceremony.map(|due| due.to_string()),
            "projects": own.to_json(),
            "lost_keys": notices.to_json(),
            "roles": rows_as_json(&roles.rows),
        });
        print_line(&told.to_string())?;
        return Ok(exit_code(&roles, worst));
    }
    let mut lines = vec![rows_as_text(&roles.rows), String::new()];
    lines.push(format!("published: snapshot {snapshot}"));
    lines.push(match (beside.publishes, beside.waiting) {
        (Some(true), 0) => "a process publishes; nothing waits for it".to_owned(),
        (Some(true), waiting) => format!("a process publishes; {waiting} changes wait for it"),
        (Some(false), 0) => "no process publishes now".to_owned(),
        (Some(false), waiting) => {
            format!("no process publishes now; {waiting} changes wait for one")
        }
        (None, waiting) => format!("{waiting} changes wait to be published"),
    });
    if let Some(head) = beside.logged {
        lines.push(format!(
            "signing log: entry {}, {}",
            head.number, head.sha256
        ));
    }
    if let Some((sent, _)) = &beside.sent {
        let to = without_controls(&sent.to);
        lines.push(format!("sent to {to}: up to entry {}", sent.entry));
    }
    if let Some(due) = ceremony {
        lines.push(format!("next ceremony: from {} on", minute(due)));
    }
    lines.extend(Sealing::of(&roles.standing).line(context.clock.now()));
    lines.extend(own.line());
    lines.extend(under_way.lines());
    let yellow = |said: &String| said.if_supports_color(Stdout, |t| t.yellow()).to_string();
    let advice = advice(&roles.rows, roles.worst());
    let mut told = late;
    told.extend(own.warnings());
    told.extend(notices.warnings());
    if advice.is_some() || !told.is_empty() {
        lines.push(String::new());
    }
    lines.extend(told.iter().map(yellow));
    lines.extend(advice);
    print_line(&lines.join("\n"))?;
    Ok(exit_code(&roles, worst))
}

async fn beside(data: &Data, roles: &Roles) -> anyhow::Result<Beside> {
    let own = roles.online.timestamp.extra.get(OWN_MEMBER);
    let followed = |journal: &str| {
        let position = own.and_then(|own| own.get(journal)?.as_u64());
        position.unwrap_or(0)
    };
    data.demand_plain_catalogue()?;
    let store = Store::open(&data.catalogue()).await?;
    let uploads = store.journal_end().await?.0;
    let mut waiting = uploads.saturating_sub(followed("journal"));
    let first = match waiting {
        0 => Vec::new(),
        _ => store.journal_after(Seq(followed("journal")), 1).await?,
    };
    store.close().await;
    let since = first.into_iter().find_map(|row| match row.change {
        Change::FileAdded(file) => Some(file.uploaded_at),
        _ => None,
    });
    if data.settings().tree.is_none() {
        let orders = data.orders().await?;
        waiting += orders.end().await?.0.saturating_sub(followed("orders"));
        orders.close().await;
    }
    let logged = newest_entry(data)?;
    let sent = Sent::of(&data.signing_log()).map(|(sent, at)| {
        let waits = logged.is_some_and(|head| head.number > sent.entry);
        let is_late = waits && at.elapsed().is_ok_and(|age| age > SENDING);
        (sent, is_late)
    });
    Ok(Beside {
        publishes: is_held(&data.tree().join(".lock")),
        waiting,
        since,
        logged,
        sent,
    })
}

/// Whether a process holds the lock on the tree; none where the system does not say. Looking is not
/// taking: whoever starts at this moment must not find it taken.
fn is_held(lock: &Path) -> Option<bool> {
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let Ok(file) = std::fs::metadata(lock) else {
        return Some(false);
    };
    // `1: FLOCK  ADVISORY  WRITE 4242 08:01:1234 0 EOF`; a line with `->` waits for one.
    let suffix = format!(":{}", file.ino());
    let mut held = locks.lines().filter(|line| !line.contains("->"));
    Some(held.any(|line| line.split_whitespace().any(|word| word.ends_with(&suffix))))
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

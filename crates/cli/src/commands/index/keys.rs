//! `wheelmark index keys`: every role, who signs it, until when it holds, and what is to be done.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::json;
use wheelmark_ceremony::Standing;
use wheelmark_repository::Lifetimes;
use wheelmark_tuf::{
    DelegatedRoles, Delegations, KeyId, RoleKeys, RoleName, Root, Targets, Verified, verify,
};

use super::table::{minute, table};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::published::{self, Online, version_and_expiry};

/// What the command answers when a ceremony is due.
const DUE: u8 = 3;

/// What the command answers when something has expired, so that clients refuse the index.
const EXPIRED: u8 = 4;

/// How many digits of a key's id are shown.
const SHOWN_KEYID: usize = 16;

/// Show every role: who signs it, until when it holds, and what is to be done
///
/// Roles that the online key signs are renewed by the running index. Those of the offline keys need
/// a ceremony, and are said to be due long before they end: 60 days, and 30 for `claimed`, which
/// lives 90. Needs no key, and works while the index runs or not.
///
///   wheelmark index keys --data /srv/index
///   wheelmark index keys --json
///
/// Exit code, for monitoring: 0 when nothing is to be done, 3 when a ceremony is due, 4 when
/// something has expired and clients refuse the index.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// How a role stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Ok,
    Due,
    Expired,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Due => "due",
            Self::Expired => "expired",
        }
    }
}

/// One role, or all bins of a family.
struct Row {
    role: String,
    offline: bool,
    /// Of bins, the highest.
    version: u64,
    threshold: u32,
    keys: Vec<KeyId>,
    /// When the file was written here.
    signed: Option<Timestamp>,
    /// Of bins, the first.
    expires: Timestamp,
    /// From when on a ceremony is due.
    due: Option<Timestamp>,
    state: State,
}

pub(super) fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    let tree = data.tree();
    let now = context.clock.now();
    let (files, online) = published::read(&tree)?;
    let standing = Standing::verify(files).context("what is published is damaged")?;
    let looking = Looking {
        tree: &tree,
        standing: &standing,
        online: &online,
        now,
    };
    let rows = looking.rows()?;
    let worst = rows.iter().map(|row| row.state).max().unwrap_or(State::Ok);
    print_line(&match args.json {
        true => as_json(&rows, &standing, worst),
        false => text(&rows, &standing, worst),
    })?;
    Ok(match worst {
        State::Ok => ExitCode::SUCCESS,
        State::Due => ExitCode::from(DUE),
        State::Expired => ExitCode::from(EXPIRED),
    })
}

/// What is looked at, and when.
struct Looking<'a> {
    tree: &'a Path,
    standing: &'a Standing,
    online: &'a Online,
    now: Timestamp,
}

impl Looking<'_> {
    /// Offline roles first, in the order in which clients come to them.
    fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        for role in self.standing.roles() {
            let keys = self.standing.keys_of(&role);
            let version_and_expiry = self.standing.version_and_expiry(&role);
            if let (Some((_, keys)), Some((version, expires))) = (keys, version_and_expiry) {
                rows.push(self.offline(&role, version, expires, keys));
            }
        }
        let root: &Root = self.standing.root();
        let name = RoleName::timestamp();
        let (version, expires) = version_and_expiry(&*self.online.timestamp);
        let signed = self.written(&name.file_name());
        rows.push(self.renewed(
            name.as_str(),
            version,
            expires,
            &root.roles.timestamp,
            signed,
        ));
        let name = RoleName::snapshot();
        let (version, expires) = version_and_expiry(&*self.online.snapshot);
        let signed = self.written(&name.versioned_file_name(version));
        rows.push(self.renewed(
            name.as_str(),
            version,
            expires,
            &root.roles.snapshot,
            signed,
        ));
        let top = self.standing.targets();
        for role in delegated(top) {
            if self.standing.role(&role).is_none() {
                rows.extend(self.of(std::slice::from_ref(&role), role.as_str(), top)?);
            }
        }
        for family in self.standing.roles() {
            let Some(below) = self.standing.role(&family) else {
                continue;
            };
            let bins = delegated(below);
            if family.is_top_level() || bins.is_empty() {
                continue;
            }
            let name = format!("{family}-* ({})", bins.len());
            rows.extend(self.of(&bins, &name, below)?);
        }
        Ok(rows)
    }

    /// Online roles that one role delegates to, together: the first expiry counts.
    fn of(&self, roles: &[RoleName], name: &str, by: &Targets) -> anyhow::Result<Option<Row>> {
        let Some(delegations) = &by.delegations else {
            return Ok(None);
        };
        let mut found: Option<Row> = None;
        for role in roles {
            let Some(keys) = delegations.role_keys(role) else {
                continue;
            };
            let metadata = self.open(role, delegations, keys)?;
            let (version, expires) = version_and_expiry(&*metadata);
            let signed = self.written(&role.versioned_file_name(version));
            let row = self.renewed(name, version, expires, keys, signed);
            found = Some(match found {
                Some(first) if first.expires <= row.expires => Row {
                    version: first.version.max(row.version),
                    ..first
                },
                Some(later) => Row {
                    version: later.version.max(row.version),
                    ..row
                },
                None => row,
            });
        }
        Ok(found)
    }

    fn open(
        &self,
        role: &RoleName,
        delegations: &Delegations,
        keys: &RoleKeys,
    ) -> anyhow::Result<Verified<Targets>> {
        let listed = self.online.snapshot.role(role);
        let version = listed
            .map(|meta| meta.version)
            .ok_or_else(|| anyhow!("the snapshot does not list {role}"))?;
        let name = role.versioned_file_name(version);
        let bytes = published::metadata(self.tree, &name)?
            .ok_or_else(|| anyhow!("{name} is missing from the tree"))?;
        verify(&bytes, &delegations.keys, keys)
            .with_context(|| format!("{name} is not as this index signed it"))
    }

    fn offline(&self, role: &RoleName, version: u64, expires: Timestamp, keys: &RoleKeys) -> Row {
        let due = Lifetimes::default().ceremony_due(role, expires);
        let state = match self.now {
            now if now >= expires => State::Expired,
            now if now >= due => State::Due,
            _ => State::Ok,
        };
        Row {
            role: role.to_string(),
            offline: true,
            version,
            threshold: keys.threshold,
            keys: keys.keyids.clone(),
            signed: self.written(&role.versioned_file_name(version)),
            expires,
            due: Some(due),
            state,
        }
    }

    fn renewed(
        &self,
        role: &str,
        version: u64,
        expires: Timestamp,
        keys: &RoleKeys,
        signed: Option<Timestamp>,
    ) -> Row {
        Row {
            role: role.to_owned(),
            offline: false,
            version,
            threshold: keys.threshold,
            keys: keys.keyids.clone(),
            signed,
            expires,
            due: None,
            state: match self.now >= expires {
                true => State::Expired,
                false => State::Ok,
            },
        }
    }

    /// When a metadata file was written: signed metadata does not say when it was signed.
    fn written(&self, name: &str) -> Option<Timestamp> {
        let file = self.tree.join("metadata").join(name);
        let modified = std::fs::metadata(file).ok()?.modified().ok()?;
        Timestamp::try_from(modified).ok()
    }
}

fn delegated(targets: &Targets) -> Vec<RoleName> {
    match targets.delegations.as_ref().map(|below| &below.roles) {
        Some(DelegatedRoles::Listed(roles)) => roles.iter().map(|role| role.name.clone()).collect(),
        Some(DelegatedRoles::Succinct(bins)) => bins.bins().collect(),
        None => Vec::new(),
    }
}

fn next(row: &Row) -> String {
    match (row.offline, row.state, row.due) {
        (true, State::Ok, Some(due)) => format!("a ceremony from {} on", minute(due)),
        (true, State::Due, _) => "hold a ceremony now".to_owned(),
        (true, _, _) => "hold a ceremony: clients refuse the index".to_owned(),
        (false, State::Expired, _) => "start the index: clients refuse it".to_owned(),
        (false, _, _) => "renewed by the running index".to_owned(),
    }
}

fn text(rows: &[Row], standing: &Standing, worst: State) -> String {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.role.clone(),
                row.version.to_string(),
                format!("{} of {}", row.threshold, row.keys.len()),
                row.signed.map(minute).unwrap_or_default(),
                minute(row.expires),
                next(row),
            ]
        })
        .collect();
    let headings = ["ROLE", "VERSION", "SIGN", "WRITTEN", "EXPIRES", "NEXT"];
    let mut lines = vec![table(&headings, &cells), String::new()];
    for seat in standing.seats() {
        let keys = seat.keys.iter().map(|(role, id)| {
            let short: String = id.as_str().chars().take(SHOWN_KEYID).collect();
            format!("{role} {short}")
        });
        let keys: Vec<String> = keys.collect();
        lines.push(format!("holder {}: {}", seat.number, keys.join(", ")));
    }
    lines.push(format!(
        "newest root: version {}, {}",
        standing.root().version,
        standing.newest_fingerprint()
    ));
    match worst {
        State::Ok => {}
        State::Due | State::Expired => {
            lines.push(String::new());
            let said =
                "begin one with `wheelmark ceremony begin`; docs/ceremonies.md goes through it";
            let needs = rows.iter().any(|row| row.offline && row.state > State::Ok);
            let said = match needs {
                true => said,
                false => {
                    "what is signed online has run out: `wheelmark up` or `wheelmark snapshotter` renews it"
                }
            };
            lines.push(said.if_supports_color(Stdout, |t| t.yellow()).to_string());
        }
    }
    lines.join("\n")
}

fn as_json(rows: &[Row], standing: &Standing, worst: State) -> String {
    let ids = |ids: &[KeyId]| {
        ids.iter()
            .map(|id| id.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    let roles = rows.iter().map(|row| {
        json!({
            "role": row.role,
            "offline": row.offline,
            "version": row.version,
            "threshold": row.threshold,
            "keys": ids(&row.keys),
            "written": row.signed.map(|time| time.to_string()),
            "expires": row.expires.to_string(),
            "due": row.due.map(|time| time.to_string()),
            "state": row.state.word(),
            "next": next(row),
        })
    });
    let holders = standing.seats().into_iter().map(|seat| {
        let keys: serde_json::Map<String, serde_json::Value> = seat
            .keys
            .iter()
            .map(|(role, id)| (role.as_str().to_owned(), id.as_str().into()))
            .collect();
        json!({ "holder": seat.number, "keys": keys })
    });
    json!({
        "state": worst.word(),
        "first_root_fingerprint": standing.first_fingerprint(),
        "root_fingerprint": standing.newest_fingerprint(),
        "roles": roles.collect::<Vec<_>>(),
        "holders": holders.collect::<Vec<_>>(),
    })
    .to_string()
}

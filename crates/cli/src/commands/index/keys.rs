//! `wheelmark index keys`: every role, who signs it, until when it holds, and what is to be done.

use std::path::PathBuf;
use std::process::ExitCode;

use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::json;
use wheelmark_ceremony::Standing;
use wheelmark_tuf::{KeyId, without_controls};

use super::roles::{Roles, Row, State, next};
use super::sealing::Sealing;
use super::table::{minute, table};
use super::under_way::UnderWay;
use crate::commands::ceremony::policy;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;

/// What the command answers when a ceremony is due, or a renewal is late.
const DUE: u8 = 3;

/// What the command answers when clients refuse the index: something has expired, or lies in the place of
/// the next root.
const EXPIRED: u8 = 4;

/// How many digits of a key's id are shown.
const SHOWN_KEYID: usize = 16;

/// Show every role: who signs it, until when it holds, and what is to be done
///
/// Roles that the online key signs are renewed by the running index. Those of the offline keys need
/// a ceremony, and are said to be due long before they end: 60 days, and 30 for `claimed`, which
/// lives 90. Below stand the holders, the newest root, and what is under way: another online key that
/// takes over, a ceremony that was handed in, and how many claims wait to be sealed. Needs no key, and works while the index runs or not.
///
///   wheelmark index keys --data /srv/index
///   wheelmark index keys --json
///
/// Exit code, for monitoring: 0 when nothing is to be done, 3 when a ceremony is due, 4 when
/// clients refuse the index: something has expired, or a file that root's keys have not signed lies in the
/// place of the next root.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The policy that says how long before its end a role is due [default: ceremony-policy.toml in the
    /// data directory, if it is there]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    let policy = policy::of(args.policy.as_deref(), Some(data))?;
    let roles = Roles::read(data, &policy, context.clock.now())?;
    let worst = roles.worst();
    let under_way = UnderWay::of(data, &roles.standing).await?;
    let (sealing, now) = (Sealing::of(&roles.standing), context.clock.now());
    print_line(&match args.json {
        true => {
            let mut told = as_json(&roles.rows, &roles.standing, &under_way, worst);
            told["claims"] = sealing.to_json(now);
            told["stray_root"] = json!(roles.online.stray_root);
            told.to_string()
        }
        false => {
            let claims = sealing.line(now);
            text(&roles, claims, &under_way, worst)
        }
    })?;
    Ok(exit_code(&roles, worst))
}

/// The table of all roles.
pub(super) fn rows_as_text(rows: &[Row]) -> String {
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
    table(&headings, &cells)
}

fn text(roles: &Roles, claims: Option<String>, under_way: &UnderWay, worst: State) -> String {
    let (rows, standing) = (&roles.rows, &roles.standing);
    let mut lines = vec![rows_as_text(rows), String::new()];
    for seat in standing.seats() {
        let keys = seat.keys.iter().map(|(role, id)| {
            let short: String = id.as_str().chars().take(SHOWN_KEYID).collect();
            format!("{role} {short}")
        });
        let keys: Vec<String> = keys.collect();
        let called = without_controls(&seat.called());
        lines.push(format!("{called}: {}", keys.join(", ")));
    }
    lines.push(format!(
        "newest root: version {}, {}",
        standing.root().version,
        standing.newest_fingerprint()
    ));
    lines.extend(claims);
    lines.extend(under_way.lines());
    let stray = roles.stray_root();
    let stray = stray.map(|said| said.if_supports_color(Stdout, |t| t.red()).to_string());
    for said in stray.into_iter().chain(advice(rows, worst)) {
        lines.push(String::new());
        lines.push(said);
    }
    lines.join("\n")
}

/// What to do about the worst of it.
pub(super) fn advice(rows: &[Row], worst: State) -> Option<String> {
    let needs = rows.iter().any(|row| row.offline && row.state > State::Ok);
    let said = match worst {
        State::Ok => return None,
        State::Expired if needs && rows.iter().any(|row| !row.offline && row.state == worst) => {
            "start the index, which renews what is signed online; and begin a ceremony with `wheelmark ceremony begin`"
        }
        _ if needs => {
            "begin a ceremony with `wheelmark ceremony begin`; docs/ceremonies.md goes through it"
        }
        State::Expired => {
            "what is signed online has run out: `wheelmark up` or `wheelmark snapshotter` renews it"
        }
        State::Late | State::Due => {
            "what is signed online should have been renewed: look whether the snapshot process runs, and what it logs; `wheelmark index renew` renews it now"
        }
    };
    Some(said.if_supports_color(Stdout, |t| t.yellow()).to_string())
}

/// The exit code by which monitoring knows how the worst of it stands.
pub(super) fn exit_code(roles: &Roles, worst: State) -> ExitCode {
    match worst {
        _ if roles.online.stray_root.is_some() => ExitCode::from(EXPIRED),
        State::Ok => ExitCode::SUCCESS,
        State::Late | State::Due => ExitCode::from(DUE),
        State::Expired => ExitCode::from(EXPIRED),
    }
}

/// The roles, for scripts.
pub(super) fn rows_as_json(rows: &[Row]) -> Vec<serde_json::Value> {
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
            "due": row.due.to_string(),
            "state": row.state.word(),
            "next": next(row),
        })
    });
    roles.collect()
}

fn as_json(
    rows: &[Row],
    standing: &Standing,
    under_way: &UnderWay,
    worst: State,
) -> serde_json::Value {
    let holders = standing.seats().into_iter().map(|seat| {
        let keys: serde_json::Map<String, serde_json::Value> = seat
            .keys
            .iter()
            .map(|(role, id)| (role.as_str().to_owned(), id.as_str().into()))
            .collect();
        json!({ "holder": seat.number, "name": seat.name, "keys": keys })
    });
    json!({
        "state": worst.word(),
        "first_root_fingerprint": standing.first_fingerprint(),
        "root_fingerprint": standing.newest_fingerprint(),
        "roles": rows_as_json(rows),
        "holders": holders.collect::<Vec<_>>(),
        "under_way": under_way.to_json(),
    })
}

//! `wheelmark index signing-log show`: the last entries, and the head.

use std::collections::VecDeque;
use std::process::ExitCode;

use serde_json::json;
use wheelmark_repository::{Entry, Head, Lines, log_files};
use wheelmark_tuf::{RoleName, Sha256};

use crate::commands::up::print_line;
use crate::data::Data;

/// Of more roles than this, their number is shown.
const SHOWN_ROLES: usize = 6;

/// Show what was signed last, and the head of the log
///
///   wheelmark index signing-log show
///   wheelmark index signing-log show --role snapshot --last 3
///   wheelmark index signing-log show --json | jq -r .sha256
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// How many of the last entries to show
    #[arg(long, value_name = "N", default_value = "20")]
    last: usize,

    /// Entries in which this role was signed alone
    #[arg(long, value_name = "ROLE")]
    role: Option<RoleName>,

    /// Print one JSON object for each entry, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, data: &Data) -> anyhow::Result<ExitCode> {
    let mut shown: VecDeque<(Entry, Sha256)> = VecDeque::new();
    let mut newest: Option<Head> = None;
    for (_, path) in log_files(&data.signing_log())? {
        for line in Lines::of(&path)? {
            let line = line?;
            let head = line.head();
            let (Some(head), Some(entry)) = (head, line.entry) else {
                continue;
            };
            newest = Some(head);
            let wanted = args.role.as_ref();
            if wanted.is_some_and(|role| !entry.signed.contains_key(role)) {
                continue;
            }
            shown.push_back((entry, head.sha256));
            if shown.len() > args.last {
                shown.pop_front();
            }
        }
    }
    for (entry, sha256) in &shown {
        print_line(&match args.json {
            true => as_json(entry, sha256),
            false => as_text(entry),
        })?;
    }
    if args.json {
        return Ok(ExitCode::SUCCESS);
    }
    print_line(&match newest {
        Some(head) => format!("head: entry {}, {}", head.number, head.sha256),
        None => "nothing was signed yet since the log was there".to_owned(),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn as_json(entry: &Entry, sha256: &Sha256) -> String {
    let roles = entry.signed.iter().map(|(role, signed)| {
        let sha256 = signed.sha256.to_string();
        let signed = json!({ "version": signed.version, "sha256": sha256 });
        (role.as_str().to_owned(), signed)
    });
    let roles: serde_json::Map<String, serde_json::Value> = roles.collect();
    let follows = entry.follows.map(|follows| {
        json!({
            "timestamp": follows.version,
            "sha256": follows.sha256,
            "lost": follows.lost.map(|lost| json!({ "entry": lost.number, "sha256": lost.sha256 })),
        })
    });
    let keys: Vec<&str> = entry.keys.iter().map(|id| id.as_str()).collect();
    json!({
        "entry": entry.number,
        "sha256": sha256,
        "previous": entry.previous,
        "time": entry.time.to_string(),
        "keys": keys,
        "signed": roles,
        "record": entry.record,
        "follows": follows,
    })
    .to_string()
}

fn as_text(entry: &Entry) -> String {
    let mut parts: Vec<String> = match entry.signed.len() {
        many if many > SHOWN_ROLES => vec![format!("{many} roles")],
        _ => entry
            .signed
            .iter()
            .map(|(role, signed)| format!("{role} {}", signed.version))
            .collect(),
    };
    if entry.record.is_some() {
        parts.push("a record sealed".to_owned());
    }
    if let Some(follows) = entry.follows {
        let timestamp = follows.version;
        parts.push(match follows.lost {
            None => format!("goes on from timestamp {timestamp}"),
            Some(lost) => format!(
                "goes on from timestamp {timestamp}, whose entry {} is lost",
                lost.number
            ),
        });
    }
    format!(
        "{:>6}  {:.0}  {}",
        entry.number,
        entry.time,
        parts.join(", ")
    )
}

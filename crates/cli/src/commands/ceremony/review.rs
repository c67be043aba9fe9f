//! `wheelmark ceremony review`: what a ceremony changes, in words.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use wheelmark_ceremony::{Ceremony, HolderChange, Seat};
use wheelmark_tuf::without_controls;

use super::folder::{Folder, pinned};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;

/// Show what a ceremony changes
///
/// Works offline. Everything that is to be signed is computed anew from the plan and from what is
/// published, and compared with the files that travelled.
///
///   wheelmark ceremony review march --trust 5f0c…
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The directory of the ceremony
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// A root that you trust: its fingerprint, or your own copy of the file
    #[arg(long, value_name = "ROOT")]
    trust: Option<String>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let ceremony = Folder::open(&args.directory)?.ceremony(context)?;
    let trusted = args
        .trust
        .as_deref()
        .map(|trust| demand_pinned(&ceremony, trust, false));
    let trusted = trusted.transpose()?;
    if args.json {
        let told = json!({
            "ceremony": ceremony.id().to_string(),
            "words": ceremony.words().to_string(),
            "sha256": ceremony.digest(),
            "index": ceremony.standing().first_fingerprint(),
            "trusted_root": trusted,
            "cautions": ceremony.cautions(),
            "roles": as_json(&ceremony),
            "recovery": recovery_as_json(&ceremony),
        });
        print_line(&told.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    print_line(&text(&ceremony))?;
    print_line(&words(&ceremony))?;
    print_line(&match trusted {
        Some(version) => ground(&ceremony, version),
        None => "\nwhether this is the index that you mean was not asked: name a root that you trust with --trust".to_owned(),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The version of the root that a holder trusts, which has to be one of those that the ceremony
/// stands on. `is_known` says that the holder has signed for this index before.
pub(super) fn demand_pinned(
    ceremony: &Ceremony,
    trust: &str,
    is_known: bool,
) -> anyhow::Result<u64> {
    let pinned = pinned(trust)?;
    let newest = ceremony.standing().root().version;
    let is_later = pinned.version.is_some_and(|version| version > newest);
    ceremony.standing().pinned(&pinned.fingerprint).hint(match is_known || is_later {
        true => format!(
            "the ceremony stands on version {newest} of root, and the root that you trust is a later one, or another index's: what happened since would be left out. Sign nothing, and ask whoever began it by another way"
        ),
        false => format!(
            "either this is a ceremony of another index, or it stands on an older state than you know, version {newest} of root, and leaves out what happened since: sign nothing, and ask whoever began it by another way"
        ),
    })
}

/// What changes, for people.
pub(super) fn text(ceremony: &Ceremony) -> String {
    let mut lines = vec![
        format!("ceremony {}", ceremony.id()),
        format!("of the index {}", ceremony.standing().first_fingerprint()),
        format!("begun {}", ceremony.plan().made_at),
        String::new(),
    ];
    for difference in ceremony.differences() {
        let (before, after) = difference.versions;
        let (until, now_until) = difference.expires;
        lines.push(format!(
            "{}: version {before} -> {after}, until {now_until} (now {until})",
            difference.role
        ));
        let changes = difference.changes.iter();
        lines.extend(changes.map(|change| format!("  {}", without_controls(change))));
        if difference.changes.is_empty() {
            lines.push("  nothing else changes".to_owned());
        }
    }
    for change in &ceremony.plan().holders {
        lines.push(String::new());
        let (by, what) = match change {
            HolderChange::Replace { seat, by } => (
                by,
                format!("takes the place of {}", called(ceremony, *seat)),
            ),
            HolderChange::Add(by) => (by, "joins".to_owned()),
            HolderChange::Remove { seat } => {
                lines.push(format!("{} goes", called(ceremony, *seat)));
                continue;
            }
        };
        lines.push(format!("{} {what}. Compare these words with those that they read aloud when they made their keys:", by.name()));
        lines.extend(by.words().lines().map(|line| format!("  {line}")));
        lines.push("in full, the keys".to_owned());
        lines.extend(by.keyids().map(|(name, id)| format!("  {name:<8} {id}")));
    }
    if let Some(online) = &ceremony.plan().online {
        lines.push(String::new());
        let printed_by = match ceremony.plan().recovery {
            Some(_) => "recover ceremony",
            None => "index rotate-online-key",
        };
        lines.push(format!("another key signs online from then on. Whoever has it can publish anything: compare it with what `wheelmark {printed_by}` printed where the index runs, by another way than this directory"));
        lines.extend(online.words().lines().map(|line| format!("  {line}")));
        lines.push(format!("  online   {}", online.key().keyid()));
    }
    for caution in ceremony.cautions() {
        lines.push(String::new());
        lines.push(format!("NOTE: {caution}"));
    }
    // What newcomers are called, and anything else that came from elsewhere, is shown and not obeyed.
    let lines: Vec<String> = lines.iter().map(|line| without_controls(line)).collect();
    lines.join("\n")
}

/// What the holder at a position is called.
fn called(ceremony: &Ceremony, seat: usize) -> String {
    let seats = ceremony.standing().seats();
    let found = seats.iter().find(|found| found.number == seat);
    found.map_or_else(|| format!("holder {seat}"), Seat::called)
}

/// The words, for whoever reads them aloud.
pub(super) fn words(ceremony: &Ceremony) -> String {
    let lines = ceremony.words();
    let lines = lines.lines().map(|line| format!("  {line}"));
    let lines: Vec<String> = lines.collect();
    format!("\nto read aloud:\n{}", lines.join("\n"))
}

/// What the ceremony stands on, beside the root that a holder trusts.
pub(super) fn ground(ceremony: &Ceremony, trusted: u64) -> String {
    let newest = ceremony.standing().root().version;
    let told = format!(
        "\nit stands on version {newest} of root; the root that you trust is version {trusted} of this index's"
    );
    match newest > trusted {
        true => format!(
            "{told}\nwhether version {newest} is the newest one is not proved by that: ask, and name the newest root with --trust"
        ),
        false => told,
    }
}

/// What a recovery goes back to, and what `targets` says of it then; nothing where this is none.
pub(super) fn recovery_as_json(ceremony: &Ceremony) -> Option<Value> {
    let recovery = ceremony.plan().recovery.as_ref()?;
    Some(json!({
        "since": recovery.since.to_string(),
        "snapshot_version": recovery.snapshot_version,
        "snapshot_sha256": recovery.snapshot_sha256,
        "statement": ceremony.recovery_statement().map(|said| said.to_value()),
    }))
}

/// What changes, for scripts.
pub(super) fn as_json(ceremony: &Ceremony) -> Value {
    let differences = ceremony.differences().into_iter();
    let roles = differences.map(|difference| {
        let payload = ceremony.payload(&difference.role);
        json!({
            "role": difference.role.as_str(),
            "version": difference.versions.1,
            "published_version": difference.versions.0,
            "expires": difference.expires.1.to_string(),
            "published_expires": difference.expires.0.to_string(),
            "changes": difference.changes,
            "payload_sha256": payload.map(|payload| payload.sha256()),
        })
    });
    roles.collect()
}

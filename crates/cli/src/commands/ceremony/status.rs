//! `wheelmark ceremony status`: which signatures there are, and which are missing.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use wheelmark_ceremony::{Need, Tally};
use wheelmark_tuf::{KeyId, without_controls};

use super::folder::{Folder, Stage};
use crate::commands::up::print_line;
use crate::context::Context;

/// What the command answers while signatures are missing.
const INCOMPLETE: u8 = 3;

/// How many digits of a key's id are shown.
const SHOWN_KEYID: usize = 16;

/// Show who has signed, who is missing, and what is next
///
/// Where keys change, those of before have to sign as well as those of after. Exit code: 0 when
/// every threshold is met, 3 while one is not, 1 when a signature is there that does not count.
/// That a ceremony is published is known in the directory that was given to `publish`, not in copies.
///
///   wheelmark ceremony status march
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The directory of the ceremony
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let folder = Folder::open(&args.directory)?;
    let ceremony = folder.ceremony(context)?;
    let (tally, refused) = folder.signatures(&ceremony)?;
    let stage = folder.stage();
    let claims = &ceremony.plan().claims;
    if args.json {
        let refused = refused.iter().map(|refused| {
            let why = format!("{:#}", refused.why);
            json!({ "file": refused.file, "why": why })
        });
        let told = json!({
            "ceremony": ceremony.id().to_string(),
            "complete": tally.is_complete(),
            "stage": stage.word(),
            "seals": claims.seal.len(),
            "takes_over": claims.take_over.len(),
            "unseals": claims.unseal.len(),
            "recovers": ceremony.plan().recovery.is_some(),
            "needs": as_json(&tally),
            "refused": refused.collect::<Vec<_>>(),
        });
        print_line(&told.to_string())?;
    } else {
        print_line(&format!("ceremony {}", ceremony.id()))?;
        if let Some(recovery) = &ceremony.plan().recovery {
            let since = recovery.since;
            print_line(&format!("it brings the index back to its state of {since}"))?;
        }
        for (count, what) in [
            (claims.seal.len(), "seals the claims"),
            (claims.take_over.len(), "takes over changed keys"),
            (claims.unseal.len(), "unseals the claims"),
        ] {
            if count > 0 {
                print_line(&format!("it {what} of {count} projects"))?;
            }
        }
        print_line(&text(&tally, stage))?;
        for refused in &refused {
            let why = without_controls(&format!("{:#}", refused.why));
            let file = without_controls(&refused.file.display().to_string());
            print_line(&format!("{file} does not count: {why}"))?;
        }
    }
    Ok(match (refused.is_empty(), tally.is_complete()) {
        (false, _) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(INCOMPLETE),
        (true, true) => ExitCode::SUCCESS,
    })
}

/// What is there and what is missing, for people.
pub(super) fn text(tally: &Tally<'_>, stage: Stage) -> String {
    let mut lines: Vec<String> = tally.needs().iter().map(|need| line(tally, need)).collect();
    match stage {
        _ if !tally.is_complete() => {}
        Stage::Signing => lines.push("complete: `wheelmark ceremony finish` is next".to_owned()),
        Stage::Finished => lines.push(match tally.ceremony().plan().recovery {
            None => "finished: `wheelmark ceremony publish` is next".to_owned(),
            Some(_) => "finished: `wheelmark recover publish` is next".to_owned(),
        }),
        Stage::Published { snapshot_version } => lines.push(format!(
            "published in snapshot {snapshot_version}: nothing is left to do"
        )),
    }
    lines.join("\n")
}

fn line(tally: &Tally<'_>, need: &Need) -> String {
    let whose = if need.in_force { "now" } else { "next" };
    let mark = if need.is_met() { "ok     " } else { "missing" };
    let count = need.signed.len();
    let mut line = format!(
        "{mark} {:<9} {count} of {} ({whose})",
        need.role.as_str(),
        need.threshold
    );
    if !need.is_met() {
        let missing = need.missing.iter().map(|id| {
            let short: String = id.as_str().chars().take(SHOWN_KEYID).collect();
            match tally.ceremony().holder_of(id) {
                Some(holder) => format!("{} {short}", without_controls(&holder)),
                None => short,
            }
        });
        line.push_str(": ");
        line.push_str(&missing.collect::<Vec<_>>().join(", "));
    }
    line
}

/// The same, for scripts.
pub(super) fn as_json(tally: &Tally<'_>) -> Value {
    let ids = |ids: &[KeyId]| {
        ids.iter()
            .map(|id| id.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    let needs = tally.needs().into_iter().map(|need| {
        json!({
            "role": need.role.as_str(),
            "keys": if need.in_force { "now" } else { "next" },
            "threshold": need.threshold,
            "met": need.is_met(),
            "signed": ids(&need.signed),
            "missing": ids(&need.missing),
        })
    });
    needs.collect()
}

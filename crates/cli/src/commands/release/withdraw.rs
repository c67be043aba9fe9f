//! `wheelmark release withdraw`: something waits no longer.

use std::process::ExitCode;

use anyhow::anyhow;
use serde_json::json;

use super::At;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::releasing::{Entry, Kind, Named, confirm};

/// Take back what waits for signatures
///
/// A release, and files that were uploaded and that nobody has signed. What is published stays.
///
///   wheelmark release withdraw acme-tools==2.0
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// PROJECT==VERSION, PROJECT for all that waits there, or an id (`wheelmark release list`)
    #[arg(value_name = "RELEASE")]
    named: Named,

    #[command(flatten)]
    at: At,

    /// Take it back without asking
    #[arg(long)]
    yes: bool,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let desk = args.at.desk(context)?;
    let entries = desk.waiting_as(&args.named).await?;
    if entries.is_empty() {
        return Err(anyhow!("nothing of this name waits"))
            .hint("look what waits: wheelmark release list PROJECT");
    }
    let names: Vec<String> = entries.iter().map(|entry| entry.name()).collect();
    confirm(&format!("take back {}?", names.join(", ")), args.yes)?;
    for entry in &entries {
        desk.withdraw(entry).await?;
    }
    let is_signed = |entry: &&Entry| entry.kind == Kind::Release && !entry.signed.is_empty();
    if let Some(entry) = entries.iter().find(is_signed) {
        tracing::warn!(
            "what was signed stays signed, for whoever has read it: publish something else, or renew, so that its version is taken (wheelmark project renew {})",
            entry.project
        );
    }
    print_line(&match args.json {
        true => json!({ "withdrawn": entries }).to_string(),
        false => format!("taken back: {}", names.join(", ")),
    })?;
    Ok(ExitCode::SUCCESS)
}

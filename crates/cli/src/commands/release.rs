//! `wheelmark release`: releases that wait for the signatures of several people.

mod adopt;
mod approve;
mod list;
mod review;
mod withdraw;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use wheelmark_tuf::without_controls;

use crate::context::Context;
use crate::releasing::{Desk, Entry, short};

/// Releases that wait for the signatures of several people
///
/// Where two people have to sign, what one publishes waits at the index, and nobody who installs
/// sees it. Another one looks through it on a machine of their own, and signs exactly that; with the
/// last signature that is needed it goes live by itself.
///
///   wheelmark release list acme-tools
///   wheelmark release review acme-tools==2.0
///   wheelmark release approve acme-tools==2.0 --signer ssh:
///
/// What twine and uv upload to a claimed project waits here as well: `wheelmark release adopt`
/// signs and publishes it.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Review(review::Args),
    Approve(approve::Args),
    Adopt(adopt::Args),
    Withdraw(withdraw::Args),
}

/// Where it waits, and who asks.
#[derive(Debug, clap::Args)]
struct At {
    /// The trusted index [default: the only one]
    #[arg(long, value_name = "URL")]
    index: Option<String>,

    /// A file with your upload token [default: what `wheelmark login` keeps]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl At {
    fn desk(&self, context: &Context) -> anyhow::Result<Desk> {
        Desk::open(self.index.as_deref(), self.token_file.as_deref(), context)
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(args) => list::run(args, context).await,
        Command::Review(args) => review::run(args, context).await,
        Command::Approve(args) => approve::run(args, context).await,
        Command::Adopt(args) => adopt::run(args, context).await,
        Command::Withdraw(args) => withdraw::run(args, context).await,
    }
}

/// Who still has to sign something that waits, and how.
pub(crate) fn waits(
    is_json: bool,
    entry: &Entry,
    maintainers: &BTreeMap<String, String>,
) -> anyhow::Result<String> {
    if is_json {
        return Ok(json!({
            "project": entry.project,
            "state": entry.state,
            "staged": entry,
            "missing": entry.missing(),
        })
        .to_string());
    }
    let (what, name) = (entry.what(), entry.call());
    let count = entry.missing();
    let mut lines = vec![format!(
        "{what} waits at the index, signed by {} of {}: nobody who installs sees it yet",
        entry.signed.len(),
        entry.threshold
    )];
    lines.push(match count {
        1 => "one of these keys has to sign it, too:".to_owned(),
        count => format!("{count} of these keys have to sign it, too:"),
    });
    for id in &entry.others {
        let whose = maintainers.get(id);
        let whose = whose.map(|user| format!(" ({})", without_controls(user)));
        lines.push(format!("  {}…{}", short(id), whose.unwrap_or_default()));
    }
    lines.push("whoever has one of them runs:".to_owned());
    lines.push(format!("  wheelmark release review {name}"));
    lines.push(format!("  wheelmark release approve {name} --signer URI"));
    lines.push(format!(
        "it waits until {}",
        without_controls(&entry.ends_at)
    ));
    Ok(lines.join("\n"))
}

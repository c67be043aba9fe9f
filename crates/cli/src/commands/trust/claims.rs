//! `wheelmark trust claims`: whose keys sign for which project, as it was seen.

use std::process::ExitCode;

use anyhow::anyhow;
use serde_json::{Value, json};
use wheelmark_client::TrustStore;
use wheelmark_packaging::ProjectName;

use super::{find, print, print_json, trusted};
use crate::homes::choose;
use crate::logging::WithHint as _;

/// Show and forget whose keys sign for projects
///
/// A project that its own people's keys signed for once is refused from then on where others sign:
/// other keys, fewer of them, or the index alone. If the project has really changed its keys, or given
/// up its claim, it says so by another way than the index; forget what was seen then.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the projects whose own keys were seen, and which keys those are
    List {
        /// The index [default: all]
        #[arg(long, value_name = "URL")]
        index: Option<String>,

        /// Print a JSON array, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Forget whose keys sign for a project: whoever signs for it next is believed
    Forget {
        /// The project
        project: ProjectName,

        /// The index [default: the only one that is trusted]
        #[arg(long, value_name = "URL")]
        index: Option<String>,
    },
}

pub(super) async fn run(args: Args, store: &TrustStore) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List { index, json } => list(store, index.as_deref(), json),
        Command::Forget { project, index } => {
            let index = choose(store, index.as_deref())?;
            if !index.forget_claim(&project).await? {
                return Err(anyhow!(
                    "nothing is remembered of who signs for {project} on {}",
                    index.urls().simple()
                ))
                .hint("what is remembered: wheelmark trust claims list");
            }
            print(&format!(
                "{project} on {}: whoever signs for it next is believed.\n",
                index.urls().simple()
            ))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn list(store: &TrustStore, named: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let indexes = match named {
        Some(url) => vec![find(store, url)?],
        None => trusted(store)?,
    };
    let (mut values, mut lines) = (Vec::<Value>::new(), String::new());
    for index in indexes {
        let url = index.urls().simple();
        for (project, claim) in index.seen_claims()? {
            let word = match claim.sealed {
                true => "sealed",
                false => "not yet sealed",
            };
            lines.push_str(&format!(
                "{project} on {url}: {} of {} keys, {word}\n",
                claim.threshold,
                claim.keys.len()
            ));
            for id in &claim.keys {
                lines.push_str(&format!("  {id}\n"));
            }
            values.push(json!({
                "index": url.as_str(),
                "project": project.as_str(),
                "sealed": claim.sealed,
                "threshold": claim.threshold,
                "keys": claim.keys,
                "role_version": claim.version,
                "by_hand": claim.by_hand,
            }));
        }
    }
    if json {
        print_json(&values.into())?;
    } else if lines.is_empty() {
        print("no project's own keys were seen yet\n")?;
    } else {
        print(&lines)?;
    }
    Ok(ExitCode::SUCCESS)
}

//! `wheelmark trust mirror`: where else a trusted index is to be had.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;
use wheelmark_client::{
    Mirror, MirrorError, MirrorState, Remote, TrustStore, TrustedIndex, Turn, check_mirror,
};
use wheelmark_tuf::without_controls;

use super::{find, print, print_json};
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::remote::remote;

/// Say where copies of a trusted index are
///
/// A mirror need not be trusted: what comes from it is verified like what comes from the index
/// itself, and what it does not have as it was signed comes from the next source.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List an index's mirrors, in the order in which they are asked
    List {
        /// The index's simple URL
        index: String,

        /// Print a JSON array, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Add a mirror, after looking at what it has
    Add {
        #[command(flatten)]
        named: Named,

        /// Ask it before the index itself: a mirror nearby
        #[arg(long)]
        before: bool,
    },
    /// Take a mirror off the list
    Remove {
        #[command(flatten)]
        named: Named,
    },
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The index's simple URL
    index: String,

    /// The base of the copy: metadata at BASE/metadata/, pages and files at BASE/targets/
    #[arg(required_unless_present_any = ["metadata_url", "targets_url"])]
    base: Option<String>,

    /// Where the mirror's metadata is; without BASE it has no other part but what is named
    #[arg(long, value_name = "URL")]
    metadata_url: Option<String>,

    /// Where the mirror's pages and files are
    #[arg(long, value_name = "URL")]
    targets_url: Option<String>,
}

impl Named {
    fn mirror(&self, turn: Turn) -> Result<Mirror, MirrorError> {
        Mirror::new(
            self.base.as_deref(),
            self.metadata_url.as_deref(),
            self.targets_url.as_deref(),
            turn,
        )
    }
}

pub(super) async fn run(
    args: Args,
    store: &TrustStore,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List { index, json } => list(&find(store, &index)?, json),
        Command::Add { named, before } => {
            let turn = if before { Turn::Before } else { Turn::After };
            let index = find(store, &named.index)?;
            add(index, named.mirror(turn)?, context).await
        }
        Command::Remove { named } => {
            let index = find(store, &named.index)?;
            remove(index, &named.mirror(Turn::After)?).await
        }
    }
}

/// The mirrors of which only the bases are given.
pub(super) fn of_bases(bases: &[String]) -> Result<Vec<Mirror>, MirrorError> {
    let mut mirrors: Vec<Mirror> = Vec::new();
    for base in bases {
        let mirror = Mirror::new(Some(base), None, None, Turn::After)?;
        if !mirrors.iter().any(|known| known.is_at(&mirror)) {
            mirrors.push(mirror);
        }
    }
    Ok(mirrors)
}

pub(super) fn to_json(mirrors: &[Mirror]) -> serde_json::Value {
    let one = |mirror: &Mirror| {
        json!({
            "metadata_url": mirror.metadata().map(url::Url::as_str),
            "targets_url": mirror.targets().map(url::Url::as_str),
            "asked": mirror.turn(),
        })
    };
    mirrors.iter().map(one).collect::<Vec<_>>().into()
}

/// A line for each mirror.
pub(super) fn lines(mirrors: &[Mirror], head: &str) -> String {
    let line = |mirror: &Mirror| {
        let turn = match mirror.turn() {
            Turn::Before => ", asked before the index itself",
            Turn::After => "",
        };
        format!("{head}{mirror}{turn}\n")
    };
    mirrors.iter().map(line).collect()
}

fn list(index: &TrustedIndex, json: bool) -> anyhow::Result<ExitCode> {
    let mirrors = index.urls().mirrors();
    let of_turn = |turn| mirrors.iter().filter(move |m| m.turn() == turn).cloned();
    let ordered: Vec<Mirror> = of_turn(Turn::Before).chain(of_turn(Turn::After)).collect();
    if json {
        return print_json(&to_json(&ordered));
    }
    if ordered.is_empty() {
        let simple = index.urls().simple();
        print(&format!("{simple} has no mirrors here.\n"))?;
    }
    print(&lines(&ordered, ""))?;
    Ok(ExitCode::SUCCESS)
}

async fn add(
    mut index: TrustedIndex,
    mirror: Mirror,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    if !index.add_mirror(mirror.clone()).await? {
        return Err(anyhow::anyhow!(
            "{mirror} is a mirror of {} already",
            index.urls().simple()
        ))
        .hint(format!(
            "to change when it is asked, first: wheelmark trust mirror remove {} …",
            index.urls().simple()
        ));
    }
    print(&format!(
        "{mirror} is a mirror of {} from now on.\n",
        index.urls().simple()
    ))?;
    tell_state(&index, &mirror, &remote(context)?, context).await?;
    Ok(ExitCode::SUCCESS)
}

/// Looks at a mirror, and says what it has. Whatever that is, it is no reason not to list it:
/// nothing of it is believed.
pub(super) async fn tell_state(
    index: &TrustedIndex,
    mirror: &Mirror,
    remote: &Remote,
    context: &Context,
) -> anyhow::Result<()> {
    let state = check_mirror(index, mirror, remote, context.clock.now()).await?;
    let warn = |text: String| {
        let text = format!("warning: {}\n", without_controls(&text));
        // Standard error that is gone is no reason to fail.
        drop(std::io::stderr().lock().write_all(text.as_bytes()));
    };
    match state {
        MirrorState::Current { version } => print(&format!(
            "It has the index's state as of timestamp version {version}, and that verifies.\n"
        ))?,
        MirrorState::TargetsAlone => {
            print(
                "It can be reached; it has pages and files alone, which are verified one by one.\n",
            )?;
        }
        MirrorState::Behind { version, known } => warn(format!(
            "{mirror} is behind: timestamp version {version}, {known} is known"
        )),
        MirrorState::Down(failure) => warn(format!(
            "{mirror} cannot be reached at the moment: {}",
            causes(&failure)
        )),
        MirrorState::Bad(failure) => warn(format!(
            "what {mirror} serves does not verify: {}. It costs a request each run, and nothing else",
            causes(&failure)
        )),
    }
    Ok(())
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

async fn remove(mut index: TrustedIndex, mirror: &Mirror) -> anyhow::Result<ExitCode> {
    let simple = index.urls().simple().clone();
    if !index.remove_mirror(mirror).await? {
        bail!("{mirror} is not a mirror of {simple}");
    }
    print(&format!("{mirror} is no longer a mirror of {simple}.\n"))?;
    Ok(ExitCode::SUCCESS)
}

//! `wheelmark index hashes`: which hashes of files metadata and pages list.

mod following;
mod survey;

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use wheelmark_objects::MAX_SHA512_FILENAME_LEN;
use wheelmark_store::{AuditAction, AuditEntry, Change, ListedHashes, Outcome, Store};
use wheelmark_tuf::without_controls;

use self::following::{Followed, follow};
use self::survey::Survey;
use super::account;
use super::orders::{How, WAITING, name_of, outcomes_of, wait};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// How many of the things in the way are named on a terminal.
const MOST_NAMED: usize = 10;

/// Say which hashes of files metadata and pages list, or change it
///
///   wheelmark index hashes show
///   wheelmark index hashes add sha512 --dry-run
///   wheelmark index hashes add sha512
///   wheelmark index hashes drop sha256
///
/// An index lists SHA-256. PEP 458 recommends SHA-512 as well, and says how one follows on the other:
/// first both are listed, then clients have as long as they need, then the old one goes. Each step
/// needs the online key alone and goes on while the index runs: it reads every file once (`add
/// sha512`), and lists its hashes anew in the project's page and in the file's bin, some projects in
/// each snapshot. No client needs to do anything, and none fails on the way. Back it goes in the same
/// way: `add sha256`, `drop sha512`.
///
/// It can be killed at any time: the index goes on by itself, and `add` or `drop` once more shows how
/// far it is. It gives names by SHA-512 back as well that were lost. To abandon an `add sha512`, `drop
/// sha512`.
///
/// An object's name with a SHA-512 has to fit in 255 bytes: a file whose own name has more than 126
/// keeps SHA-256 as the hash of its target. `drop sha256` is refused while there are such files, and
/// new ones are refused after it.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say which hashes are listed, and how far a change is
    ///
    ///   wheelmark index hashes show
    ///   wheelmark index hashes show --json
    #[command(verbatim_doc_comment)]
    Show {
        /// Print a JSON object, for scripts
        #[arg(long)]
        json: bool,
    },
    /// List one more hash beside the one that is listed
    ///
    ///   wheelmark index hashes add sha512 --dry-run
    ///   wheelmark index hashes add sha512
    ///
    /// Exit code: 0 when everything lists both, 3 when it goes on, or a project is in the way.
    #[command(verbatim_doc_comment)]
    Add(ChangeArgs),
    /// List one hash no more, of the two that are listed
    ///
    ///   wheelmark index hashes drop sha256 --dry-run
    ///   wheelmark index hashes drop sha256
    ///
    /// Give clients time before: those that do not know the hash that stays would have none. All of
    /// Wheelmark's know both, and so do python-tuf, pip and uv.
    ///
    /// Exit code: 0 when nothing lists it any more, 1 when it is refused, 3 when it goes on.
    #[command(verbatim_doc_comment)]
    Drop(ChangeArgs),
}

#[derive(Debug, clap::Args)]
struct ChangeArgs {
    /// The hash
    algorithm: Algorithm,

    /// Say what it comes to, and what would be in the way; change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Algorithm {
    /// SHA-256
    Sha256,
    /// SHA-512
    Sha512,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Show { json } => show(*json, data),
        Command::Add(args) => change(args, with(args.algorithm), data, context).await,
        Command::Drop(args) => change(args, without(args.algorithm), data, context).await,
    }
}

/// What is listed after a hash was added.
fn with(_: Algorithm) -> ListedHashes {
    ListedHashes::Both
}

/// What is listed when a hash is not.
fn without(dropped: Algorithm) -> ListedHashes {
    match dropped {
        Algorithm::Sha256 => ListedHashes::Sha512,
        Algorithm::Sha512 => ListedHashes::Sha256,
    }
}

fn show(as_json: bool, data: &Data) -> anyhow::Result<ExitCode> {
    let survey = Survey::of(&data.tree())?;
    print_line(&match as_json {
        true => survey.to_json().to_string(),
        false => survey.to_text(),
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn change(
    args: &ChangeArgs,
    next: ListedHashes,
    data: &Data,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let survey = Survey::of(&data.tree())?;
    demand_step(&survey, args.algorithm, next)?;
    if args.dry_run {
        return tell_dry_run(&survey, next, args.how.json());
    }
    args.how.demand(data)?;
    let is_so = survey.listed == next;
    if is_so && survey.left(next) == 0 {
        return tell(&survey, next, Followed::Done, None, args.how.json());
    }
    let orders = data.orders().await?;
    data.demand_plain_catalogue()?;
    let store = Store::open(&data.catalogue()).await?;
    let (actor, now) = (account::operator(), context.clock.now());
    let mut entry = AuditEntry::new(now, actor.clone(), AuditAction::HashesChanged);
    entry.detail = Some(next.names().join(", "));
    store.audit_all(&[entry]).await?;
    // Also where it was asked for before: what is in the way may be mended since.
    let asked = [Change::HashesSet { listed: next }];
    let asked = orders.ask_all(&asked, now, &name_of(&actor)).await?;
    let waited = wait(&asked, &orders, &store, &args.how, data, context).await;
    let outcomes = outcomes_of(&asked, &orders).await?;
    let outcome = outcomes.into_iter().next().flatten();
    let followed = match &outcome {
        Some(Outcome::Published { .. }) => {
            follow(next, &orders, &store, &args.how, data, context).await
        }
        Some(Outcome::Refused { reason }) => Err(anyhow!("refused: {}", without_controls(reason))),
        None => waited.map(|()| Followed::Waiting),
    };
    store.close().await;
    orders.close().await;
    let survey = Survey::of(&data.tree())?;
    let version = match outcome {
        Some(Outcome::Published { snapshot_version }) => Some(snapshot_version),
        _ => None,
    };
    tell(&survey, next, followed?, version, args.how.json())
}

/// Whether a hash can be added or dropped as things are.
fn demand_step(survey: &Survey, algorithm: Algorithm, next: ListedHashes) -> anyhow::Result<()> {
    let now = survey.listed;
    if now == next {
        return Ok(());
    }
    let names = now.names().join(" and ");
    if now != ListedHashes::Both && next != ListedHashes::Both {
        return Err(anyhow!(
            "{names} alone is listed, so {} cannot be dropped",
            algorithm.name()
        ))
        .hint("list both first: `wheelmark index hashes add`, and then wait for clients");
    }
    if next == ListedHashes::Both {
        return Ok(());
    }
    if next == ListedHashes::Sha512 {
        let behind = survey.behind(ListedHashes::Both);
        if !behind.is_empty() {
            return Err(anyhow!("{} projects do not list both yet", behind.len())).hint(
                "`wheelmark index hashes add sha512` goes on with it, and says what is in the way",
            );
        }
        if survey.nameless > 0 {
            return Err(anyhow!("{} names by sha512 are missing", survey.nameless)).hint(
                "`wheelmark index hashes add sha512` gives them again; other TUF clients find nothing without",
            );
        }
        if !survey.long.is_empty() {
            let mut named = survey
                .long
                .iter()
                .take(MOST_NAMED)
                .cloned()
                .collect::<Vec<_>>();
            let more = survey.long.len().saturating_sub(MOST_NAMED);
            if more > 0 {
                named.push(format!("and {more} more"));
            }
            return Err(anyhow!("{}", named.join("\n  ")))
                .context(format!(
                    "the names of {} files are longer than {MAX_SHA512_FILENAME_LEN} bytes, and keep sha256",
                    survey.long.len()
                ))
                .hint("remove these files (`wheelmark index remove`), or go on listing both");
        }
    }
    Ok(())
}

fn tell_dry_run(survey: &Survey, next: ListedHashes, as_json: bool) -> anyhow::Result<ExitCode> {
    let behind = survey.behind(next).len();
    if as_json {
        let mut told = survey.to_json();
        told["dry_run"] = true.into();
        told["next"] = json!(next.names());
        told["projects_to_list"] = behind.into();
        print_line(&told.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = vec![format!(
        "{} would be listed; the pages of {behind} projects would be rendered anew",
        next.names().join(" and ")
    )];
    if next.sha512() && !survey.listed.sha512() {
        lines.push(format!(
            "{} files would be read, {}",
            survey.files,
            indicatif::DecimalBytes(survey.bytes)
        ));
    }
    if next.sha512() && !survey.long.is_empty() {
        lines.push(format!(
            "{} files have names of more than {MAX_SHA512_FILENAME_LEN} bytes: their targets keep sha256 alone, \
             and `drop sha256` is refused while they are there",
            survey.long.len()
        ));
        let named = survey.long.iter().take(MOST_NAMED);
        lines.extend(named.map(|name| format!("  {name}")));
    }
    print_line(&lines.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn tell(
    survey: &Survey,
    next: ListedHashes,
    followed: Followed,
    version: Option<u64>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let behind = survey.behind(next);
    let is_done = followed == Followed::Done && survey.listed == next && survey.left(next) == 0;
    if as_json {
        let mut told = survey.to_json();
        told["done"] = is_done.into();
        told["snapshot_version"] = version.into();
        told["in_the_way"] = match followed {
            Followed::Stuck => json!(behind),
            Followed::Done | Followed::Waiting => json!([]),
        };
        print_line(&told.to_string())?;
    } else {
        let mut lines = vec![survey.to_text()];
        match followed {
            Followed::Done => {}
            Followed::Waiting => lines.push(
                "recorded; the index goes on with it by itself: `wheelmark index hashes show` says how far it is"
                    .to_owned(),
            ),
            Followed::Stuck => {
                lines.push(format!(
                    "{} projects are left, and nothing becomes of them: `wheelmark index audit` says what is damaged; the log of the \
                     process that publishes names each",
                    behind.len()
                ));
                lines.extend(behind.iter().take(MOST_NAMED).map(|name| format!("  {name}")));
            }
        }
        print_line(&lines.join("\n"))?;
    }
    Ok(match is_done {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(WAITING),
    })
}

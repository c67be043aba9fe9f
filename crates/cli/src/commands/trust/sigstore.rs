//! `wheelmark trust sigstore`: the trusted root of Sigstore's public instance.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};
use wheelmark_provenance::{PUBLIC_GOOD_AS_OF, TrustedRoots};
use wheelmark_tuf::Sha256;
use wheelmark_tuf::limits::MAX_ROOT_LENGTH;

use super::{print, print_json};
use crate::context::Context;
use crate::public_root::{InForce, Kept, REPOSITORY, Record};
use crate::published::read_bounded;

/// Refresh and show whose certificates and logs Sigstore's public instance consists of
///
/// Attestations are believed by the authorities and logs of a trusted root. That of Sigstore's public
/// instance comes with this program; Sigstore publishes newer ones in a TUF repository, signed by its
/// root keys. `refresh` fetches the newest, verified on from the root of that repository that is built
/// in; it is kept with the rest of your trust, and counts from then on. Nothing fetches it by itself.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Fetch the newest trusted root that Sigstore has signed
    ///
    /// One that has expired, or is older than what was seen before, is refused, and what was known goes on
    /// counting.
    Refresh {
        /// A mirror of the repository, with the metadata in it and the trusted root in targets/
        #[arg(long, value_name = "URL", default_value = REPOSITORY)]
        url: String,

        /// The first root of another repository, of a Sigstore of your own: it counts besides the public one,
        /// and never for jobs and accounts of public services. Not where the system's wheelmark.toml is
        #[arg(long, value_name = "FILE")]
        root: Option<PathBuf>,

        /// Print a JSON object, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Show which trusted root counts, and since when
    Show {
        /// Print a JSON object, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Forget what was fetched: the trusted root that is built in counts again
    Forget,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let kept = Kept::of(context);
    match args.command {
        Command::Refresh { url, root, json } => {
            let root = root.map(|path| {
                read_bounded(&path, MAX_ROOT_LENGTH)
                    .with_context(|| format!("could not read {}", path.display()))
            });
            kept.refresh(&url, root.transpose()?, context.clock.now())
                .await?;
            show(&kept, json, context)
        }
        Command::Show { json } => show(&kept, json, context),
        Command::Forget => {
            let forgotten = kept.forget()?;
            print(if forgotten {
                "Sigstore's public root is the one that is built in again.\n"
            } else {
                "Nothing was fetched: Sigstore's public root is the one that is built in.\n"
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show(kept: &Kept, as_json: bool, context: &Context) -> anyhow::Result<ExitCode> {
    let built_in = Sha256::of(TrustedRoots::public_good_json().as_bytes()).to_string();
    match kept.in_force()? {
        InForce::BuiltIn { passed_over } if as_json => print_json(&json!({
            "in_force": "built-in",
            "as_of": PUBLIC_GOOD_AS_OF.to_string(),
            "sha256": built_in,
            "passed_over": passed_over.as_deref().map(record_json),
        })),
        InForce::BuiltIn { passed_over } => {
            let older = match passed_over {
                Some(record) => format!(
                    "kept         one of {}, which is older, and does not count\n",
                    record.refreshed_at.strftime("%Y-%m-%d")
                ),
                None => String::new(),
            };
            print(&format!(
                "in force     the one that is built in, as of {PUBLIC_GOOD_AS_OF}\nsha256       {built_in}\n{older}newer ones   wheelmark trust sigstore refresh\n"
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        InForce::Refreshed(record) if as_json => {
            let mut shown = record_json(&record);
            shown["in_force"] = "refreshed".into();
            shown["trusted_root"] = kept.trusted_root().display().to_string().into();
            shown["differs_from_built_in"] = (record.sha256 != built_in).into();
            print_json(&shown)
        }
        InForce::Refreshed(record) => {
            let now = context.clock.now();
            let same = if record.sha256 == built_in {
                "the same as is built in"
            } else {
                "not the one that is built in"
            };
            let advice = if record.timestamp.expires <= now {
                "newer ones   Sigstore has signed anew since: wheelmark trust sigstore refresh\n"
            } else {
                ""
            };
            let own = if record.own {
                ", a Sigstore of one's own"
            } else {
                ""
            };
            print(&format!(
                "in force     refreshed {} from {}{own}
sha256       {}, {same}
root         version {}, until {}
targets      version {}, until {}
timestamp    version {}, until {}
kept in      {}
{advice}",
                record.refreshed_at.strftime("%Y-%m-%d %H:%M UTC"),
                record.url,
                record.sha256,
                record.root.version,
                record.root.expires,
                record.targets.version,
                record.targets.expires,
                record.timestamp.version,
                record.timestamp.expires,
                kept.trusted_root().display(),
            ))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn record_json(record: &Record) -> Value {
    json!(record)
}

//! `wheelmark ceremony finish`: the metadata, accepted as clients would.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use wheelmark_ceremony::{Ceremony, FinishError, Finished};

use super::folder::{Folder, Stage};
use super::status;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;

/// Put the signed metadata together, once enough have signed
///
/// Follows the result as a client that is new, as one that knows the root of today, and as a client
/// on the last day before something ends. Works offline; nothing is published.
///
///   wheelmark ceremony finish march
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
    let tally = folder.all_signatures(&ceremony)?;
    let finished = match tally.finish(context.clock.now()) {
        Err(error @ FinishError::Lacking { .. }) => {
            return Err(error)
                .context("the ceremony is not complete")
                .hint(format!(
                    "`wheelmark ceremony status` says who is missing:\n{}",
                    status::text(&tally, Stage::Signing)
                ));
        }
        Err(error @ FinishError::Expired { .. }) => {
            return Err(error)
                .context("clients would not accept the result")
                .hint(
                    "begin a ceremony that renews that role as well: without --role, it renews all",
                );
        }
        other => other.context("clients would not accept the result")?,
    };
    folder.write_finished(&named(&finished))?;
    if args.json {
        let files = named(&finished).into_iter().map(|(name, _)| name);
        let told = json!({
            "ceremony": ceremony.id().to_string(),
            "files": files.collect::<Vec<_>>(),
            "ends": finished.ends.to_string(),
            "first_to_end": finished.first_to_end.as_str(),
        });
        print_line(&told.to_string())?;
    } else {
        print_line(&format!(
            "ceremony {} is finished: new clients and those of today accept it, until {} ends at {}\n\
             publish it: {}",
            ceremony.id(),
            finished.first_to_end,
            finished.ends,
            next(&ceremony, &folder),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The command that publishes it.
fn next(ceremony: &Ceremony, folder: &Folder) -> String {
    let directory = folder.directory();
    match ceremony.plan().recovery {
        None => format!(
            "wheelmark ceremony publish {} --data DIR",
            directory.display()
        ),
        // It lies in the folder of the recovery.
        Some(_) => {
            let whole = directory.parent().unwrap_or(directory);
            format!("wheelmark recover publish {} --data DIR", whole.display())
        }
    }
}

/// The finished files, by the names that they have in the tree.
pub(super) fn named(finished: &Finished) -> Vec<(String, Vec<u8>)> {
    let files = finished.files.iter();
    files
        .map(|(role, version, bytes)| (role.versioned_file_name(*version), bytes.clone()))
        .collect()
}

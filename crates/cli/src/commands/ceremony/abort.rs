//! `wheelmark ceremony abort`: a ceremony that is not to be finished.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use serde_json::json;
use wheelmark_ceremony::CeremonyId;
use wheelmark_store::TakenBack;
use wheelmark_tuf::KeyId;

use super::folder::Folder;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// Break a ceremony off
///
/// Removes the signatures in this directory and marks it, so that nothing more is signed there.
/// Remove the other copies as well: signatures that stay somewhere could be put together later. With
/// --data, what was handed in and not published yet is taken back.
///
///   wheelmark ceremony abort march --data /srv/index
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The directory of the ceremony
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// The data directory of the index, to take back what was handed in
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// The name of the ceremony, if its directory does not say any more [default: as in DIR]
    #[arg(long, value_name = "ID", requires = "data")]
    ceremony: Option<CeremonyId>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// Breaks off the ceremony in a directory, whatever became of it; how many signatures lay there.
///
/// # Errors
///
/// When the directory cannot be read or written.
pub(crate) fn break_off(directory: &Path) -> anyhow::Result<usize> {
    let folder = Folder::of(directory);
    let signatures = folder.count_signatures()?;
    folder.abort()?;
    Ok(signatures)
}

/// The next online key that the ceremony in a directory was to bring, as its plan says.
///
/// # Errors
///
/// When there is no ceremony, or its plan cannot be read.
pub(crate) fn online_key_of(directory: &Path) -> anyhow::Result<Option<KeyId>> {
    let online = Folder::of(directory).plan()?.online;
    Ok(online.map(|online| online.key().keyid().clone()))
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let folder = Folder::of(&args.directory);
    let mut taken_back = false;
    if let Some(data) = &args.data {
        let id = match &args.ceremony {
            Some(id) => id.to_string(),
            None => Folder::open(&args.directory)?
                .ceremony(context)
                .hint("name the ceremony with --ceremony if its directory does not say any more")?
                .id()
                .to_string(),
        };
        let data = Data::open_existing(data)?;
        data.demand_owner()?;
        let orders = data.orders().await?;
        let became = orders.take_back(&id, "it was broken off").await?;
        orders.close().await;
        taken_back = match became {
            TakenBack::Back => true,
            TakenBack::NotThere => false,
            TakenBack::Published => {
                return Err(anyhow!("the ceremony {id} is published"))
                    .hint("another ceremony can follow on it");
            }
            TakenBack::TooLate => {
                return Err(anyhow!("the index is publishing the ceremony {id}"))
                    .hint("it is too late to break it off; another one can follow on it");
            }
        };
    } else {
        Folder::open(&args.directory)?;
    }
    folder.abort()?;
    print_line(&if args.json {
        json!({ "aborted": true, "taken_back": taken_back }).to_string()
    } else {
        let back = if taken_back {
            "; what was handed in is taken back"
        } else {
            ""
        };
        format!(
            "{} is broken off{back}\nremove every other copy of it: for clients that have not followed a newer root, its signatures stay valid",
            folder.directory().display()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

//! `wheelmark ceremony abort`: a ceremony that is not to be finished.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::folder::Folder;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;

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

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let folder = Folder::open(&args.directory)?;
    let mut taken_back = false;
    if let Some(data) = &args.data {
        let ceremony = folder.ceremony(context)?;
        let data = Data::open_existing(data)?;
        data.demand_owner()?;
        let orders = data.orders().await?;
        let id = ceremony.id().to_string();
        taken_back = orders.take_back(&id, "it was broken off").await?;
        orders.close().await;
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
            "{} is broken off{back}\nremove every other copy of it: its signatures are valid for as long as nothing newer is published",
            folder.directory().display()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

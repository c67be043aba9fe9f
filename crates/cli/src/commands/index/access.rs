//! `wheelmark index access`: who may read.

use std::process::ExitCode;

use wheelmark_store::{Access, Store};

use super::account::operator;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;

/// Say whether reading is open to everybody, or show it
///
/// Where it is private, pages, files and metadata are for those who have a token, of whatever
/// scope. It counts within a second, also while the index runs.
///
///   wheelmark index access private
///   wheelmark index token create --user team --scope read
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Who may read from now on
    #[arg(value_enum)]
    access: Option<AccessName>,
}

/// Who may read
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum AccessName {
    /// Everybody who can reach the index
    Public,
    /// Who has a token of it
    Private,
}

pub(super) async fn run(args: Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    let store = Store::open(&data.catalogue()).await?;
    let wanted = args.access.map(|access| match access {
        AccessName::Public => Access::Public,
        AccessName::Private => Access::Private,
    });
    let changed = match wanted {
        Some(access) => {
            store
                .set_access(access, &operator(), context.clock.now())
                .await?
        }
        None => false,
    };
    let access = store.access().await?;
    let said = match access {
        Access::Public => "public: everybody who can reach the index reads",
        Access::Private => "private: who has a token reads",
    };
    let now = match (wanted, changed) {
        (None, _) => "",
        (Some(_), true) => " from now on",
        (Some(_), false) => " already",
    };
    print_line(&format!("{said}{now}"))?;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

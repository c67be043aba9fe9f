//! `wheelmark index access`: who may read.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::anyhow;
use wheelmark_store::{Access, Store};

use super::account::operator;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// What is as it was after reading was closed.
const NOT_CLOSED: &str = "\
note: this closes what the index itself serves. What was read before can lie in caches on the way: purge those
of a proxy or CDN. Copies (`wheelmark mirror`, rsync, a bucket) are open to whoever reaches them.";

/// Say whether reading is open to everybody, or show it
///
/// Where it is private, pages, files and metadata are for those who have a token, of whatever
/// scope. It counts within a second, also while the index runs.
///
/// Only `wheelmark up` and `wheelmark serve` ask for tokens: copies that something else serves are as open as that
/// makes them, and what a shared cache took before stays in it until it is purged.
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
    if let Some(tree) = &data.settings().tree {
        return Err(anyhow!(
            "{} is served by a web server of your own, which does not ask whether reading is private",
            tree.display()
        ))
        .hint("let that web server ask for a password, or let it serve on a closed network alone");
    }
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
    if changed && access == Access::Private {
        // Standard error is for people, and this is no answer to the question.
        writeln!(std::io::stderr().lock(), "{NOT_CLOSED}")?;
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

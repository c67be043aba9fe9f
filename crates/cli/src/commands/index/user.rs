//! `wheelmark index user`: who uses the index.

use std::process::ExitCode;

use serde_json::json;
use wheelmark_store::{Store, UserError, UserName};

use super::account::operator;
use super::table::{minute, table};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// Add, list, disable and enable users
///
/// A user has no password: what they do, they do with tokens, which `wheelmark index token
/// create` makes.
///
///   wheelmark index user add alice
///   wheelmark index token create --user alice --scope upload --expires 90d
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Add a user
    Add {
        /// Their name: lowercase letters, digits, `.`, `_` and `-`
        name: UserName,
    },
    /// List the users
    List {
        /// Print a JSON array, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Take none of a user's tokens from now on; their projects stay theirs
    Disable {
        /// Their name
        name: UserName,
    },
    /// Take a disabled user's tokens again
    Enable {
        /// Their name
        name: UserName,
    },
}

pub(super) async fn run(args: Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    let store = Store::open(&data.catalogue()).await?;
    match args.command {
        Command::Add { name } => {
            let added = store
                .add_user(&name, &operator(), context.clock.now())
                .await;
            added.hint("`wheelmark index user list` shows who is there")?;
            print_line(&format!(
                "{name} is a user now. Next: wheelmark index token create --user {name} --scope upload"
            ))?;
        }
        Command::List { json } => list(&store, json).await?,
        Command::Disable { name } => set_disabled(&store, &name, true, context).await?,
        Command::Enable { name } => set_disabled(&store, &name, false, context).await?,
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn set_disabled(
    store: &Store,
    name: &UserName,
    disabled: bool,
    context: &Context,
) -> anyhow::Result<()> {
    let now = context.clock.now();
    let changed = store
        .set_user_disabled(name, disabled, &operator(), now)
        .await;
    let changed = match changed {
        Err(error @ UserError::Missing { .. }) => {
            Err(error).hint("`wheelmark index user list` shows who is there")?
        }
        other => other?,
    };
    let state = if disabled { "disabled" } else { "enabled" };
    let already = if changed { "" } else { " already" };
    print_line(&format!("{name} is {state}{already}."))
}

async fn list(store: &Store, json: bool) -> anyhow::Result<()> {
    let users = store.users().await?;
    if json {
        let users = users.iter().map(|user| {
            json!({
                "name": user.name.as_str(),
                "created_at": user.created_at.to_string(),
                "disabled_at": user.disabled_at.map(|at| at.to_string()),
            })
        });
        return print_line(&users.collect::<serde_json::Value>().to_string());
    }
    let rows: Vec<Vec<String>> = users
        .iter()
        .map(|user| {
            let state = user
                .disabled_at
                .map(|at| format!("disabled {}", minute(at)));
            vec![
                user.name.to_string(),
                minute(user.created_at),
                state.unwrap_or_default(),
            ]
        })
        .collect();
    print_line(&table(&["user", "since", "state"], &rows))
}

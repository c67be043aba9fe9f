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

        /// Revoke their tokens, too, so that none is good again when they are enabled
        #[arg(long)]
        revoke_tokens: bool,
    },
    /// Take a disabled user's tokens again, those that were not revoked meanwhile
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
        Command::Disable {
            name,
            revoke_tokens,
        } => {
            let said = set_disabled(&store, &name, true, context).await?;
            let left = alive(&store, &name, context).await?;
            let of_tokens = match (left.as_slice(), revoke_tokens) {
                ([], _) => String::new(),
                (left, true) => {
                    for id in left {
                        let now = context.clock.now();
                        store.revoke_token(id, &operator(), now).await?;
                    }
                    format!(" and {} revoked for good", tokens(left))
                }
                (left, false) => format!(
                    "; {} good again if they are enabled (--revoke-tokens ends them for good)",
                    tokens(left)
                ),
            };
            print_line(&format!("{said}{of_tokens}."))?;
        }
        Command::Enable { name } => {
            let said = set_disabled(&store, &name, false, context).await?;
            let of_tokens = match alive(&store, &name, context).await?.as_slice() {
                [] => "none of their tokens is left".to_owned(),
                left => format!(
                    "{} good: {}. To end one: wheelmark index token revoke ID",
                    tokens(left),
                    left.join(", ")
                ),
            };
            print_line(&format!("{said}; {of_tokens}."))?;
        }
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn set_disabled(
    store: &Store,
    name: &UserName,
    disabled: bool,
    context: &Context,
) -> anyhow::Result<String> {
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
    Ok(format!("{name} is {state}{already}"))
}

/// The tokens of a user that have not ended by themselves.
async fn alive(store: &Store, name: &UserName, context: &Context) -> anyhow::Result<Vec<String>> {
    let now = context.clock.now();
    let tokens = store.tokens().await?.into_iter().filter(|token| {
        let over = token.expires_at.is_some_and(|at| at <= now);
        token.user == *name && token.revoked_at.is_none() && !over
    });
    Ok(tokens.map(|token| token.id.to_string()).collect())
}

fn tokens(ids: &[String]) -> String {
    match ids.len() {
        1 => "1 token is".to_owned(),
        more => format!("{more} tokens are"),
    }
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

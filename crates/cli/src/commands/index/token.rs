//! `wheelmark index token`: what users may do, and until when.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use jiff::{SignedDuration, Timestamp};
use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::json;
use wheelmark_packaging::ProjectName;
use wheelmark_signing::create_private_file;
use wheelmark_store::{NewToken, Scope, Store, TokenError, TokenRow, UserName, format_token};
use wheelmark_tuf::Sha256;
use zeroize::Zeroizing;

use super::account::operator;
use super::table::{minute, table};
use crate::commands::mirror::duration;
use crate::commands::up::print_line;
use crate::context::{Context, fill_random};
use crate::data::Data;
use crate::logging::WithHint as _;

/// Make, list and revoke tokens
///
///   wheelmark index token create --user alice --scope upload --expires 90d
///   wheelmark index token create --user ci --scope upload --project flask
///   wheelmark index token create --user team --scope read --json
///   wheelmark index token revoke alice-3f9a12cd
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Create(CreateArgs),
    /// List the tokens; their secrets are nowhere to be had
    List {
        /// Those of this user alone
        #[arg(long, value_name = "NAME")]
        user: Option<UserName>,

        /// Print a JSON array, for scripts
        #[arg(long)]
        json: bool,
    },
    /// End a token for good
    Revoke {
        /// The token's name, as `list` shows it
        id: String,
    },
}

/// Make a token; its secret is printed this once, and kept nowhere
///
/// It goes into a new file that only you can read, or alone to standard output:
///
///   wheelmark index token create --user ci --scope read --out token
///   wheelmark index token create --user ci --scope read | secret-tool store …
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct CreateArgs {
    /// Whose it is
    #[arg(long, value_name = "NAME")]
    user: UserName,

    /// What it allows
    #[arg(long, value_enum)]
    scope: ScopeName,

    /// Upload to this project alone
    #[arg(long, value_name = "PROJECT")]
    project: Option<ProjectName>,

    /// How long it is good, such as 12h or 90d [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<SignedDuration>,

    /// What it is for, for people
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,

    /// Write the secret into this file, which must not be there yet (mode 0600)
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    out: Option<PathBuf>,

    /// Print a JSON object, the secret in it, for scripts
    #[arg(long)]
    json: bool,
}

/// What a token allows
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ScopeName {
    /// To read a private index
    Read,
    /// To upload to the projects that the user owns or maintains, and to new ones; and to read
    Upload,
    /// To upload to every project, whosever it is; and to read
    Admin,
}

pub(super) async fn run(args: Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    let store = Store::open(&data.catalogue()).await?;
    match args.command {
        Command::Create(args) => create(args, &store, context).await?,
        Command::List { user, json } => {
            let mut tokens = store.tokens().await?;
            tokens.retain(|token| user.as_ref().is_none_or(|user| token.user == *user));
            list(&tokens, json, context.clock.now())?;
        }
        Command::Revoke { id } => {
            let revoked = store
                .revoke_token(&id, &operator(), context.clock.now())
                .await;
            let revoked = revoked.hint("`wheelmark index token list` shows their names")?;
            let already = if revoked { "" } else { " already" };
            print_line(&format!("{id} is revoked{already}."))?;
        }
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn create(args: CreateArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let scope = match (args.scope, args.project) {
        (ScopeName::Read, None) => Scope::Read,
        (ScopeName::Upload, None) => Scope::Upload,
        (ScopeName::Upload, Some(project)) => Scope::UploadTo(project),
        (ScopeName::Admin, None) => Scope::Admin,
        (ScopeName::Read | ScopeName::Admin, Some(_)) => {
            return Err(anyhow!(
                "only a token of scope upload can be for one project"
            ))
            .hint("leave --project out, or say --scope upload");
        }
    };
    if args.expires.is_some_and(|expires| expires.is_zero()) {
        return Err(anyhow!(
            "a token that has ended before it is made is good for nothing"
        ))
        .hint("say how long it is to be good, such as --expires 90d");
    }
    let now = context.clock.now();
    // To the second: it is for people to read.
    let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let expires_at = args.expires.map(|expires| whole.checked_add(expires));
    let expires_at = expires_at
        .transpose()
        .hint("that is further away than dates go; without --expires it is good until revoked")?;
    let mut secret = Zeroizing::new([0_u8; 32]);
    fill_random(secret.as_mut_slice())?;
    let text = Zeroizing::new(format_token(&secret));
    let mut distinct = [0_u8; 4];
    fill_random(&mut distinct)?;
    let token = NewToken {
        id: format!("{}-{}", args.user, hex::encode(distinct)),
        user: args.user,
        scope,
        secret_sha256: Sha256::of(text.as_bytes()),
        expires_at,
        note: args.note,
    };
    // First of all: a token whose secret could not be kept would be one more to revoke.
    if let Some(out) = &args.out {
        create_private_file(out, text.as_bytes())
            .with_context(|| format!("{} cannot be made", out.display()))
            .hint("name a file that is not there yet, in a folder that you can write to")?;
    }
    let created = store.create_token(&token, &operator(), now).await;
    if let (Err(_), Some(out)) = (&created, &args.out) {
        std::fs::remove_file(out).with_context(|| format!("{} is left over", out.display()))?;
    }
    match created {
        Err(error @ TokenError::NoUser { .. }) => {
            Err(error).hint(format!(
                "add them first: wheelmark index user add {}",
                token.user
            ))?;
        }
        other => other?,
    }
    let disabled = of_disabled(store, &token).await?;
    let without_part = without_part(store, &token).await?;
    for warning in disabled.into_iter().chain(without_part) {
        said(&warning)?;
    }
    if args.json {
        let object = Zeroizing::new(
            json!({
                "id": token.id,
                "user": token.user.as_str(),
                "scope": token.scope.name(),
                "project": token.scope.project().map(ProjectName::as_str),
                "expires_at": token.expires_at.map(|at| at.to_string()),
                "token": text.as_str(),
            })
            .to_string(),
        );
        return print_line(&object);
    }
    let until = match token.expires_at {
        Some(at) => format!("until {at}"),
        None => "until it is revoked".to_owned(),
    };
    let about = format!("{} of {}: {}, {until}.", token.id, token.user, token.scope);
    if let Some(out) = &args.out {
        return print_line(&format!(
            "{about} Its secret is in {} alone.",
            out.display()
        ));
    }
    said(&format!(
        "{about} Its secret is shown this once, and kept nowhere:"
    ))?;
    print_line(&text)
}

/// What to say where a token's user is disabled.
async fn of_disabled(store: &Store, token: &NewToken) -> anyhow::Result<Option<String>> {
    let users = store.users().await?;
    let user = users.iter().find(|user| user.name == token.user);
    Ok(user.and_then(|user| user.disabled_at).map(|_| {
        let user = &token.user;
        format!(
            "warning: {user} is disabled, so the token is taken nowhere until they are enabled: \
             wheelmark index user enable {user}"
        )
    }))
}

/// What to say where a token is for a project in which its user has no part.
async fn without_part(store: &Store, token: &NewToken) -> anyhow::Result<Option<String>> {
    let Some(project) = token.scope.project() else {
        return Ok(None);
    };
    let Some(members) = store.members(project).await? else {
        return Ok(None);
    };
    if members.iter().any(|member| member.user == token.user) {
        return Ok(None);
    }
    let user = &token.user;
    Ok(Some(format!(
        "warning: {user} is neither owner nor maintainer of {project}, so the token uploads nothing \
         until they are: wheelmark index project maintainer add {project} {user}"
    )))
}

/// Standard error is for people; standard output is the secret's alone.
fn said(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stderr().lock(), "{text}")
}

fn list(tokens: &[TokenRow], json: bool, now: Timestamp) -> anyhow::Result<()> {
    if json {
        let tokens = tokens.iter().map(|token| {
            let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
            json!({
                "id": token.id.as_str(),
                "user": token.user.as_str(),
                "scope": token.scope.name(),
                "project": token.scope.project().map(ProjectName::as_str),
                "created_at": token.created_at.to_string(),
                "expires_at": text(token.expires_at),
                "last_used_at": text(token.last_used_at),
                "revoked_at": text(token.revoked_at),
                "note": token.note,
            })
        });
        return print_line(&tokens.collect::<serde_json::Value>().to_string());
    }
    let rows: Vec<Vec<String>> = tokens
        .iter()
        .map(|token| {
            vec![
                token.id.to_string(),
                token.user.to_string(),
                token.scope.to_string(),
                minute(token.created_at),
                token.last_used_at.map_or("never".to_owned(), minute),
                state(token, now),
                token.note.clone(),
            ]
        })
        .collect();
    let headings = [
        "token",
        "user",
        "scope",
        "made",
        "last used",
        "state",
        "note",
    ];
    print_line(&table(&headings, &rows))?;
    if tokens.is_empty() {
        let hint = "none yet: wheelmark index token create --user NAME --scope upload";
        print_line(&hint.if_supports_color(Stdout, |t| t.dimmed()).to_string())?;
    }
    Ok(())
}

fn state(token: &TokenRow, now: Timestamp) -> String {
    match (token.revoked_at, token.expires_at) {
        (Some(at), _) => format!("revoked {}", minute(at)),
        (None, Some(at)) if at <= now => format!("expired {}", minute(at)),
        (None, Some(at)) => format!("until {}", minute(at)),
        (None, None) => String::new(),
    }
}

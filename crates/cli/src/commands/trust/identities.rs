//! `wheelmark trust identities`: who is expected to attest to which project.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use jiff::Timestamp;
use serde_json::{Value, json};
use wheelmark_client::{TrustStore, TrustedIndex};
use wheelmark_packaging::ProjectName;
use wheelmark_provenance::{AcceptedBy, Publisher, Remembered};

use super::{find_known, print, print_json, trusted};
use crate::context::Context;
use crate::logging::WithHint as _;

/// Show, accept and revoke the identities that are expected to attest to projects
///
/// Whoever attested to the first file of a project that was installed here is expected from then
/// on: a later file that somebody else attests to, or nobody, is refused. What a policy or a lock
/// file names counts besides. An identity is written as github:OWNER/REPOSITORY@WORKFLOW,
/// gitlab:GROUP/PROJECT@FILE, google:EMAIL, circleci:PROJECT/PIPELINE or SUBJECT+ISSUER.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List who is expected to attest to which project, and since when
    List {
        /// One project alone
        #[arg(value_name = "PROJECT")]
        project: Option<ProjectName>,

        /// The index [default: all]
        #[arg(long, value_name = "URL")]
        index: Option<String>,

        /// Print a JSON array, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Let an identity's attestations count for a project, from now on
    ///
    /// After the project has said, by a way that you trust, that its releases come from there now.
    Accept(Named),
    /// Let an identity's attestations for a project count no more
    ///
    /// Its files are refused from then on, also those that were installed before it, until it is
    /// accepted again. Without IDENTITY, all of the project's are revoked.
    Revoke {
        /// The project
        project: ProjectName,

        /// The identity [default: every one that counts for the project]
        identity: Option<Publisher>,

        /// The index [default: the only one that is trusted]
        #[arg(long, value_name = "URL")]
        index: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The project
    project: ProjectName,

    /// The identity
    identity: Publisher,

    /// The index [default: the only one that is trusted]
    #[arg(long, value_name = "URL")]
    index: Option<String>,
}

pub(super) async fn run(
    args: Args,
    store: &TrustStore,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let now = context.clock.now();
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    match args.command {
        Command::List {
            project,
            index,
            json,
        } => list(store, index.as_deref(), project.as_ref(), json),
        Command::Accept(named) => accept(named, store, now).await,
        Command::Revoke {
            project,
            identity,
            index,
        } => {
            let index = one(store, index.as_deref())?;
            revoke(&project, identity, &index, now).await
        }
    }
}

fn one(store: &TrustStore, named: Option<&str>) -> anyhow::Result<TrustedIndex> {
    if let Some(url) = named {
        return find_known(store, url);
    }
    // Those that pip or uv is configured for count only where nothing is trusted.
    let mut configured = store.configured()?;
    if configured.len() == 1 && trusted(store)?.is_empty() {
        return Ok(configured.remove(0));
    }
    crate::homes::choose(store, named)
}

async fn accept(named: Named, store: &TrustStore, now: Timestamp) -> anyhow::Result<ExitCode> {
    let index = one(store, named.index.as_deref())?;
    let (project, identity) = (&named.project, &named.identity);
    index
        .remember(project, |known| known.accept(identity.clone(), now))
        .await?;
    if !index
        .remembered(project)?
        .accepted
        .iter()
        .any(|one| one.publisher == *identity)
    {
        return Err(anyhow!(
            "there is no room for another identity of {project}"
        ))
        .hint(format!("wheelmark trust identities list {project}"));
    }
    print(&format!(
        "{project} on {}: what {identity} attests to counts from now on.\n",
        index.urls().simple()
    ))?;
    Ok(ExitCode::SUCCESS)
}

async fn revoke(
    project: &ProjectName,
    identity: Option<Publisher>,
    index: &TrustedIndex,
    now: Timestamp,
) -> anyhow::Result<ExitCode> {
    let revoked = index
        .remember(project, |known| {
            let each: Vec<Publisher> = match identity {
                Some(identity) => vec![identity],
                None => known
                    .accepted
                    .iter()
                    .map(|one| one.publisher.clone())
                    .collect(),
            };
            for one in &each {
                known.revoke(one, now);
            }
            each
        })
        .await?;
    if revoked.is_empty() {
        bail!(
            "no identity counts for {project} on {}",
            index.urls().simple()
        );
    }
    for one in revoked {
        print(&format!(
            "{project} on {}: what {one} attests to counts no more.\n",
            index.urls().simple()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn list(
    store: &TrustStore,
    index: Option<&str>,
    only: Option<&ProjectName>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let indexes = match index {
        Some(url) => vec![find_known(store, url)?],
        None => [trusted(store)?, store.configured()?].concat(),
    };
    let mut rows: Vec<(String, ProjectName, Remembered)> = Vec::new();
    for index in &indexes {
        for (project, remembered) in index.all_remembered()? {
            if only.is_none_or(|only| *only == project) && !remembered.is_empty() {
                rows.push((index.urls().simple().to_string(), project, remembered));
            }
        }
    }
    if json {
        let rows: Vec<Value> = rows.iter().map(as_json).collect();
        return print_json(&rows.into());
    }
    let mut text = String::new();
    for (index, project, remembered) in &rows {
        text.push_str(&format!("{project}, on {index}\n"));
        for one in &remembered.accepted {
            let how = match (one.by, &one.file) {
                (AcceptedBy::FirstUse, Some(file)) => format!("first use, with {file}"),
                (AcceptedBy::FirstUse, None) => "first use".to_owned(),
                (AcceptedBy::Hand, _) => "accepted by hand".to_owned(),
            };
            let account = one.account.as_ref();
            let account = account.map_or(String::new(), |number| format!(", account {number}"));
            text.push_str(&format!(
                "  {}  {}, {how}{account}\n",
                one.publisher,
                day(one.at)
            ));
        }
        for gone in &remembered.revoked {
            text.push_str(&format!("  {}  revoked {}\n", gone.publisher, day(gone.at)));
        }
        if let Some(since) = &remembered.since {
            text.push_str(&format!("  expected from {} on\n", since.version));
        }
    }
    if rows.is_empty() {
        text.push_str("Nobody is expected to attest to anything yet.\n");
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn as_json((index, project, remembered): &(String, ProjectName, Remembered)) -> Value {
    let accepted: Vec<Value> = remembered
        .accepted
        .iter()
        .map(|one| {
            json!({
                "identity": one.publisher.to_string(),
                "publisher": one.publisher,
                "by": one.by,
                "at": one.at.to_string(),
                "file": one.file,
                "account": one.account,
            })
        })
        .collect();
    let revoked: Vec<Value> = remembered
        .revoked
        .iter()
        .map(|gone| {
            json!({
                "identity": gone.publisher.to_string(),
                "publisher": gone.publisher,
                "at": gone.at.to_string(),
            })
        })
        .collect();
    json!({
        "index": index,
        "project": project,
        "accepted": accepted,
        "revoked": revoked,
        "expected_from": remembered.since.as_ref().map(|since| since.version.to_string()),
    })
}

fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

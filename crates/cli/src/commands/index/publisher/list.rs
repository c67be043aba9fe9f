//! `wheelmark index publisher list`.

use jiff::Timestamp;
use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::json;
use wheelmark_packaging::ProjectName;
use wheelmark_server::TrustedPublisher;
use wheelmark_store::{PublisherRow, Store};

use crate::commands::index::table::{minute, table};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::Data;

/// List the publishers
///
///   wheelmark index publisher list
///   wheelmark index publisher list flask --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Those of this project alone
    #[arg(value_name = "PROJECT")]
    project: Option<ProjectName>,

    /// Print a JSON array, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<()> {
    let store = Store::open(&data.catalogue()).await?;
    let rows = store.publishers(args.project.as_ref()).await?;
    store.close().await;
    if args.json {
        let rows = rows.iter().map(as_json);
        return print_line(&rows.collect::<serde_json::Value>().to_string());
    }
    let now = context.clock.now();
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.project.to_string(),
                row.id.to_string(),
                shown(row),
                public_or_not(row),
                row.account.clone().unwrap_or_default(),
                row.last_used_at.map_or("never".to_owned(), minute),
                state(row, now),
            ]
        })
        .collect();
    let headings = [
        "project",
        "name",
        "publisher",
        "issuer",
        "account",
        "last used",
        "state",
    ];
    print_line(&table(&headings, &lines))?;
    if rows.is_empty() {
        let hint =
            "none yet: wheelmark index publisher add PROJECT github:OWNER/REPOSITORY@WORKFLOW.yml";
        print_line(&hint.if_supports_color(Stdout, |t| t.dimmed()).to_string())?;
    }
    Ok(())
}

/// The publisher as people write it.
pub(super) fn shown(row: &PublisherRow) -> String {
    let publisher = TrustedPublisher::from_json(&row.identity);
    publisher.map_or_else(
        || "of a later version".to_owned(),
        |publisher| publisher.to_string(),
    )
}

/// The issuer, where it is not the service that the publisher's kind names.
fn public_or_not(row: &PublisherRow) -> String {
    let public = TrustedPublisher::from_json(&row.identity)
        .and_then(|publisher| publisher.issuer_kind().public_issuer());
    if public == Some(row.issuer.as_str()) {
        String::new()
    } else {
        row.issuer.clone()
    }
}

fn state(row: &PublisherRow, now: Timestamp) -> String {
    match (&row.pending, row.may_upload) {
        (Some(pending), _) if pending.until <= now => {
            format!("was not used until {}", minute(pending.until))
        }
        (Some(pending), _) => format!(
            "makes it for {} until {}",
            pending.owner,
            minute(pending.until)
        ),
        (None, true) => String::new(),
        (None, false) => "attests only".to_owned(),
    }
}

fn as_json(row: &PublisherRow) -> serde_json::Value {
    let pending = row.pending.as_ref();
    json!({
        "project": row.project.as_str(),
        "id": row.id.as_str(),
        "publisher": shown(row),
        "issuer": row.issuer,
        "account": row.account,
        "uploads": row.may_upload,
        "created_at": row.created_at.to_string(),
        "last_used_at": row.last_used_at.map(|at| at.to_string()),
        "owner": pending.map(|pending| pending.owner.as_str()),
        "pending_until": pending.map(|pending| pending.until.to_string()),
    })
}

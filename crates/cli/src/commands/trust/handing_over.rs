//! `wheelmark trust export` and `wheelmark trust import`: trust as a file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use wheelmark_client::{Beginning, HandedOver, TrustStore, add_trust};

use super::{explain, find, print};
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::remote::remote;

/// Write what is trusted of an index into a file, for others
///
/// The file holds the index's URLs, its root, the versions that were seen here, and whose keys sign for
/// claimed projects; whoever takes it over accepts nothing older, and no other keys. It is not secret, but it decides what is trusted: hand
/// it over by a way on which nobody can change it.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// The index's simple URL
    url: String,

    /// Where to write it [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Begin to trust an index as somebody else does, who wrote FILE with `trust export`
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// The file
    file: PathBuf,
}

pub(super) fn export(
    args: &ExportArgs,
    store: &TrustStore,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let index = find(store, &args.url)?;
    let now = context
        .clock
        .now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let handed = index.hand_over(now.parse()?)?;
    let text = handed.to_json();
    let Some(file) = &args.output else {
        print(&text)?;
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::write(file, &text).with_context(|| format!("could not write {}", file.display()))?;
    print(&format!(
        "{} is in {}, from root version {} on. Compare its fingerprint by another way:\n  {}\n",
        handed.urls().simple(),
        file.display(),
        handed.root_version(),
        handed.root_fingerprint(),
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn import(
    args: &ImportArgs,
    store: &TrustStore,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let handed = read(&args.file)?;
    let urls = handed.urls().clone();
    let simple = urls.simple().clone();
    let text = format!(
        "{simple} is trusted, as it was handed over on {}, from root version {} on:\n  {}\n",
        handed.exported().strftime("%Y-%m-%d"),
        handed.root_version(),
        handed.root_fingerprint(),
    );
    let remote = remote(context)?;
    let beginning = Beginning::HandedOver(Box::new(handed));
    let added = add_trust(store, &remote, urls, beginning, context.clock.now()).await;
    if let Err(error) = added {
        let hint = explain(&error, &simple);
        return Err(error).hint(hint);
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> anyhow::Result<HandedOver> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("could not read {}", file.display()))?;
    HandedOver::parse(&text)
        .with_context(|| format!("{} cannot be used", file.display()))
        .hint(
            "whoever trusts the index writes such a file with `wheelmark trust export URL -o FILE`",
        )
}

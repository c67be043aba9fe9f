//! `wheelmark publish`: a release that a project's own people sign.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use serde_json::json;
use wheelmark_client::{Claim, VerifiedPage};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::PageFile;

use crate::commands::ceremony::signer::Passphrase;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::releasing::{
    Desk, LocalFile, Next, Outcome, Sending, confirm, local_files, short, to_sign,
};

/// How often a release is built anew when others were faster.
const TRIES: u32 = 4;

/// Publish files that you sign yourself, to a project that is claimed
///
/// The next page is built on the one that this machine verifies under the project's own keys, and
/// adds the files that you name; nothing else changes. Every hash that is added is shown before it
/// is signed. Metadata, page and files go as one release: all of it is published, or nothing. If
/// somebody else publishes at the same time, yours is built anew on theirs.
///
///   wheelmark publish dist/* --signer file:me.age
///   wheelmark publish dist/* --signer ssh: --yes
///   wheelmark publish dist/* --signer 'pkcs11:token=me?module-path=/usr/lib/softhsm/libsofthsm2.so'
///
/// On a machine that has not claimed the project, name the keys that sign for it, as the person who
/// claimed it reads them to you: what the index alone says of that could be anybody's.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Wheels and source distributions of one project
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Where your key is: file:PATH, pkcs11:…, ssh: or command:PATH (see docs/signers.md); several
    /// where several have to sign
    #[arg(long = "signer", value_name = "URI", required = true)]
    signers: Vec<String>,

    /// The trusted index to publish to [default: the only one]
    #[arg(long, value_name = "URL")]
    index: Option<String>,

    /// A file with your upload token [default: what `wheelmark login` keeps]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The id of a key that signs for the project; all of them, the first time on this machine
    #[arg(long = "key", value_name = "KEYID")]
    keys: Vec<String>,

    #[command(flatten)]
    passphrase: Passphrase,

    /// Sign what is shown without asking
    #[arg(long)]
    yes: bool,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(args.index.as_deref(), args.token_file.as_deref(), context)?;
    let (project, local) = local_files(&args.files, desk.now)?;
    let mut keys = None;
    let mut is_confirmed = args.yes;
    for _ in 0..TRIES {
        let (page, claim) = claimed(&desk, &project).await?;
        demand_known(&desk, &project, &claim, &args.keys).await?;
        let new = new_files(&page, &local)?;
        if new.is_empty() {
            tell(&args, &project, &page, &[])?;
            return Ok(ExitCode::SUCCESS);
        }
        if !args.json {
            print_line(&shown(&desk, &project, &page, &claim, &new))?;
        }
        confirm("sign and publish this?", is_confirmed)?;
        is_confirmed = true;
        if keys.is_none() {
            keys = Some(to_sign(&args.signers, &args.passphrase, &claim.keys)?);
        }
        let signers = keys.as_deref().unwrap_or_default();
        demand_enough(signers.len(), &claim)?;
        let mut files = page.page().files.clone();
        files.extend(
            new.iter()
                .map(|file| PageFile::released(&project, file.released.clone())),
        );
        let version = desk.next_version(&project).await?;
        let next = Next::of(&project, Some(page.page()), files, version, desk.now)?;
        let sending = Sending {
            project: &project,
            metadata: next.sign(signers)?,
            next: &next,
            claim: None,
            files: &new,
        };
        match sending.send(&desk).await? {
            Outcome::Published(page) => {
                tell(&args, &project, &page, &new)?;
                return Ok(ExitCode::SUCCESS);
            }
            Outcome::Overtaken => {
                tracing::warn!("somebody else was faster: building on what they published");
            }
        }
    }
    Err(anyhow!("others were faster each time")).hint("try it once more")
}

/// The project's page and whose keys sign for it.
pub(super) async fn claimed(
    desk: &Desk,
    project: &ProjectName,
) -> anyhow::Result<(Arc<VerifiedPage>, Claim)> {
    let page = desk.page_to_build_on(project).await?;
    let claimed = page.and_then(|page| {
        let claim = page.claim().cloned()?;
        Some((page, claim))
    });
    claimed
        .ok_or_else(|| anyhow!("{project} is not claimed: nobody's own keys sign for it"))
        .hint(format!(
            "claim it first: wheelmark project claim {project} --signer URI; or upload with twine or uv"
        ))
}

/// Whether the keys that sign are those that a person on this machine knows.
pub(super) async fn demand_known(
    desk: &Desk,
    project: &ProjectName,
    claim: &Claim,
    named: &[String],
) -> anyhow::Result<()> {
    let seen = desk.index().seen_claim(project)?;
    if seen.is_some_and(|seen| seen.by_hand && seen.keys == claim.keys) {
        return Ok(());
    }
    let named: BTreeSet<String> = named.iter().cloned().collect();
    if named == claim.keys {
        return Ok(desk
            .index()
            .remember_claim(project, claim.seen(true))
            .await?);
    }
    let ids: Vec<String> = claim.keys.iter().map(|id| format!("--key {id}")).collect();
    let what = match named.is_empty() {
        true => format!("nobody on this machine has said whose keys sign for {project}"),
        false => format!("the keys that you name are not those that sign for {project}"),
    };
    Err(anyhow!("{what}; the index says {}", ids.join(" "))).hint(
        "compare the ids with those of whoever claimed it, by another way than the index, and name them all: --key ID",
    )
}

/// The files that the page does not list yet.
fn new_files<'a>(
    page: &VerifiedPage,
    local: &'a [LocalFile],
) -> anyhow::Result<Vec<&'a LocalFile>> {
    let mut new = Vec::with_capacity(local.len());
    for file in local {
        let name = file.released.filename.as_str();
        if page.page().wheelmark.removed.contains_key(name) {
            return Err(anyhow!("{name} was removed from the index"))
                .hint("publish a new version or build number");
        }
        match page.page().file(name) {
            None => new.push(file),
            Some(known) if known.sha256() == Some(file.released.sha256) => {
                tracing::info!("{name} is published already");
            }
            Some(_) => {
                return Err(anyhow!("{name} is published with other contents"))
                    .hint("a published file never changes; publish a new version or build number");
            }
        }
    }
    Ok(new)
}

pub(super) fn demand_enough(keys: usize, claim: &Claim) -> anyhow::Result<()> {
    if keys >= claim.threshold as usize {
        return Ok(());
    }
    Err(anyhow!(
        "{keys} of the project's keys are here, and {} have to sign",
        claim.threshold
    ))
    .hint("name a --signer for each of them")
}

fn shown(
    desk: &Desk,
    project: &ProjectName,
    page: &VerifiedPage,
    claim: &Claim,
    new: &[&LocalFile],
) -> String {
    let mut lines = vec![format!(
        "{project} on {}, version {} of its role, signed by {} of {} keys",
        desk.urls().simple(),
        claim.version + 1,
        claim.threshold,
        claim.keys.len()
    )];
    for file in new {
        let released = &file.released;
        lines.push(format!(
            "  adds  {}  {} bytes\n        sha256 {}",
            released.filename, released.size, released.sha256
        ));
    }
    lines.push(format!(
        "  keeps {} files as they are, and removes none",
        page.page().files.len()
    ));
    lines.join("\n")
}

fn tell(
    args: &Args,
    project: &ProjectName,
    page: &VerifiedPage,
    new: &[&LocalFile],
) -> anyhow::Result<()> {
    let names = new.iter().map(|file| file.released.filename.as_str());
    let names: Vec<&str> = names.collect();
    let version = page.role_version().unwrap_or_default();
    if args.json {
        let told = json!({
            "project": project.as_str(),
            "published": names,
            "role_version": version,
            "page_sha256": page.sha256().to_string(),
            "chain": page.chain().to_string(),
        });
        return print_line(&told.to_string());
    }
    print_line(&match names.as_slice() {
        [] => format!("all of it is published already, in version {version} of {project}'s role"),
        names => format!(
            "published, and read back as it was signed: {} (page {}…)",
            names.join(", "),
            short(&page.sha256().to_string())
        ),
    })
}

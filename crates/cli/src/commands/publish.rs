//! `wheelmark publish`: a release that a project's own people sign.
//!
//! Signed by as many as have to, it is published; signed by fewer, it waits for the others.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use serde_json::json;
use wheelmark_client::{Claim, VerifiedPage};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::PageFile;

use crate::commands::ceremony::signer::Passphrase;
use crate::commands::release::waits;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::releasing::{
    Desk, LocalFile, Next, Outcome, Sending, claimed, confirm, demand_enough, demand_known,
    handovers, local_files, short, signing, to_sign,
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
/// Where more people have to sign than have their keys here, the release waits at the index, and
/// nobody who installs sees it: others look through it with `wheelmark release review`, and sign it
/// with `wheelmark release approve`. It goes live with the last signature that is needed.
///
/// On a machine that has not claimed the project, name the keys that sign for it, as the person who
/// claimed it reads them to you: what the index alone says of that could be anybody's.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Wheels and source distributions of one project
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    #[command(flatten)]
    how: How,
}

/// With which keys, where, and what is shown: the same for all that publishes.
#[derive(Debug, clap::Args)]
pub(crate) struct How {
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
    pub(crate) keys: Vec<String>,

    /// Sign this version of the project's role, since files that nobody has published stand under those
    /// before it: once whoever runs the index has said, by another way, that they cannot be taken away
    #[arg(long, value_name = "VERSION")]
    pass_over: Option<u64>,

    #[command(flatten)]
    passphrase: Passphrase,

    /// Sign what is shown without asking
    #[arg(long)]
    yes: bool,

    /// Print a JSON object, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

impl How {
    /// The index that is published to.
    pub(crate) fn desk(&self, context: &Context) -> anyhow::Result<Desk> {
        Desk::open(self.index.as_deref(), self.token_file.as_deref(), context)
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let desk = args.how.desk(context)?;
    let (project, local) = local_files(&args.files, desk.now)?;
    publish(&desk, &project, &local, &args.how).await
}

/// Signs and sends what is new of these files.
pub(crate) async fn publish(
    desk: &Desk,
    project: &ProjectName,
    local: &[LocalFile],
    how: &How,
) -> anyhow::Result<ExitCode> {
    let mut keys = None;
    let mut is_confirmed = how.yes;
    for _ in 0..TRIES {
        let (page, claim) = claimed(desk, project).await?;
        demand_known(desk, project, &claim, &how.keys).await?;
        let new = new_files(&page, local)?;
        if new.is_empty() {
            tell(how, project, &page, &[])?;
            return Ok(ExitCode::SUCCESS);
        }
        if !how.json {
            print_line(&shown(desk, project, &page, &claim, &new))?;
        }
        confirm("sign and publish this?", is_confirmed)?;
        is_confirmed = true;
        if keys.is_none() {
            keys = Some(to_sign(&how.signers, &how.passphrase, &signing(&claim))?);
        }
        let signers = keys.as_deref().unwrap_or_default();
        let mut files = page.as_signed().files.clone();
        files.extend(
            new.iter()
                .map(|file| PageFile::released(project, file.released.clone())),
        );
        let version = desk.next_version(project, how.pass_over).await?;
        let next = Next::of(project, Some(page.as_signed()), files, version, desk.now)?
            .carrying(handovers(&claim)?);
        let sending = Sending {
            project,
            metadata: next.sign(signers)?,
            next: &next,
            claim: None,
            keys: None,
            files: &new,
        };
        let is_whole = demand_enough(signers, &claim).is_ok();
        let outcome = match is_whole {
            true => sending.send(desk).await?,
            false => sending.stage(desk).await?,
        };
        match outcome {
            Outcome::Published(page) => {
                tell(how, project, &page, &new)?;
                return Ok(ExitCode::SUCCESS);
            }
            Outcome::Waiting(entry) => {
                // Whoever has put it together has seen what is in it.
                let id = next.id();
                desk.index()
                    .remember_review(project, &id, version, desk.now)
                    .await?;
                print_line(&waits(how.json, &entry, &claim.maintainers)?)?;
                return Ok(ExitCode::SUCCESS);
            }
            Outcome::Overtaken => {
                tracing::warn!("somebody else was faster: building on what they published");
            }
        }
    }
    Err(anyhow!("others were faster each time")).hint("try it once more")
}

/// The files that the page does not list yet.
fn new_files<'a>(
    page: &VerifiedPage,
    local: &'a [LocalFile],
) -> anyhow::Result<Vec<&'a LocalFile>> {
    let mut new = Vec::with_capacity(local.len());
    let signed = page.as_signed();
    for file in local {
        let name = file.released.filename.as_str();
        if signed.wheelmark.removed.contains_key(name) {
            return Err(anyhow!("{name} was removed from the index"))
                .hint("publish a new version or build number");
        }
        match signed.file(name) {
            None => new.push(file),
            Some(known) if page.page().file(name).is_none() => {
                let same = known.sha256() == Some(file.released.sha256);
                let what = if same { "" } else { " with other contents" };
                return Err(anyhow!(
                    "{name} is published{what}, and the index has taken it away"
                ))
                .hint(
                    "`wheelmark explain PROJECT` says why; publish a new version or build number",
                );
            }
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
        page.as_signed().files.len()
    ));
    lines.join("\n")
}

fn tell(
    args: &How,
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
            "page_sha256": page.signed_sha256().to_string(),
            "chain": page.chain().to_string(),
        });
        return print_line(&told.to_string());
    }
    print_line(&match names.as_slice() {
        [] => format!("all of it is published already, in version {version} of {project}'s role"),
        names => format!(
            "published, and read back as it was signed: {} (page {}…)",
            names.join(", "),
            short(&page.signed_sha256().to_string())
        ),
    })
}

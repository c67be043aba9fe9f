//! `wheelmark project renew`: what a project has signed holds for another year.

use std::process::ExitCode;

use anyhow::anyhow;
use jiff::Timestamp;
use serde_json::json;
use wheelmark_client::{Claim, VerifiedPage};
use wheelmark_packaging::ProjectName;

use crate::commands::ceremony::signer::Passphrase;
use crate::commands::release::waits;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::releasing::{
    Desk, Next, Outcome, Sending, claimed, confirm, demand_enough, demand_known, ends_soon,
    handovers, signing, to_sign,
};

/// How often it is built anew when others were faster.
const TRIES: u32 = 4;

/// Sign what is published once more, so that it holds for another year
///
/// What a project's people sign holds for a year, and everybody refuses the project then. Publishing
/// renews it; this does it without a new file. The page stays as it is, with the same files. It works
/// as well once what was signed has ended.
///
///   wheelmark project renew acme-tools --signer file:me.age
///   wheelmark project renew acme-tools --signer ssh: --if-needed --yes
///
/// Where more have to sign than have their keys here, it waits at the index for the others
/// (`wheelmark release list`).
///
/// With --if-needed nothing is done until 60 days before the end: for a job that runs every month.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The project
    project: ProjectName,

    /// Where your key is: file:PATH, pkcs11:…, ssh: or command:PATH (see docs/signers.md); several
    /// where several have to sign
    #[arg(long = "signer", value_name = "URI", required = true)]
    signers: Vec<String>,

    /// The trusted index that has the project [default: the only one]
    #[arg(long, value_name = "URL")]
    index: Option<String>,

    /// A file with your upload token [default: what `wheelmark login` keeps]
    #[arg(long, value_name = "FILE")]
    token_file: Option<std::path::PathBuf>,

    /// The id of a key that signs for the project; all of them, the first time on this machine
    #[arg(long = "key", value_name = "KEYID")]
    keys: Vec<String>,

    /// Sign this version of the project's role, since files that nobody has published stand under those
    /// before it: once whoever runs the index has said, by another way, that they cannot be taken away
    #[arg(long, value_name = "VERSION")]
    pass_over: Option<u64>,

    #[command(flatten)]
    passphrase: Passphrase,

    /// Do nothing as long as it holds for 60 more days
    #[arg(long)]
    if_needed: bool,

    /// Sign what is shown without asking
    #[arg(long)]
    yes: bool,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(args.index.as_deref(), args.token_file.as_deref(), context)?;
    let project = &args.project;
    let mut keys = None;
    let mut is_confirmed = args.yes;
    for _ in 0..TRIES {
        let (page, claim) = claimed(&desk, project).await?;
        demand_known(&desk, project, &claim, &args.keys).await?;
        if args.if_needed && !ends_soon(claim.expires, desk.now) {
            tell(&args, claim.version, claim.expires, false)?;
            return Ok(ExitCode::SUCCESS);
        }
        if !args.json {
            print_line(&shown(&desk, project, &page, &claim))?;
        }
        confirm("sign this for another year?", is_confirmed)?;
        is_confirmed = true;
        if keys.is_none() {
            keys = Some(to_sign(&args.signers, &args.passphrase, &signing(&claim))?);
        }
        let signers = keys.as_deref().unwrap_or_default();
        let files = page.as_signed().files.clone();
        let version = desk.next_version(project, args.pass_over).await?;
        let next = Next::of(project, Some(page.as_signed()), files, version, desk.now)?
            .carrying(handovers(&claim)?);
        let expires = next.role.expires;
        let sending = Sending {
            project,
            metadata: next.sign(signers)?,
            next: &next,
            claim: None,
            keys: None,
            files: &[],
        };
        let is_whole = demand_enough(signers, &claim).is_ok();
        let outcome = match is_whole {
            true => sending.send(&desk).await?,
            false => sending.stage(&desk).await?,
        };
        match outcome {
            Outcome::Published(_) => {
                tell(&args, version, expires, true)?;
                return Ok(ExitCode::SUCCESS);
            }
            Outcome::Waiting(entry) => {
                let (index, id) = (desk.index(), next.id());
                index
                    .remember_review(project, &id, version, desk.now)
                    .await?;
                print_line(&waits(args.json, &entry, &claim.maintainers)?)?;
                return Ok(ExitCode::SUCCESS);
            }
            Outcome::Overtaken => {
                tracing::warn!("somebody else was faster: building on what they published");
            }
        }
    }
    Err(anyhow!("others were faster each time")).hint("try it once more")
}

fn shown(desk: &Desk, project: &ProjectName, page: &VerifiedPage, claim: &Claim) -> String {
    let verb = match claim.expires <= desk.now {
        true => "ended",
        false => "ends",
    };
    format!(
        "{project} on {}, version {} of its role; the one of now {verb} at {}\n  \
         keeps {} files as they are, adds and removes none",
        desk.urls().simple(),
        claim.version + 1,
        claim.expires,
        page.as_signed().files.len()
    )
}

fn tell(args: &Args, version: u64, expires: Timestamp, is_new: bool) -> anyhow::Result<()> {
    let project = args.project.as_str();
    if args.json {
        let told = json!({
            "project": project,
            "renewed": is_new,
            "role_version": version,
            "expires": expires.to_string(),
        });
        return print_line(&told.to_string());
    }
    print_line(&match is_new {
        true => format!("renewed, and read back as it was signed: {project} holds until {expires}"),
        false => format!("nothing was signed: {project} holds until {expires}"),
    })
}

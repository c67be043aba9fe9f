//! `wheelmark release approve`: signs what was looked through on this machine.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde_json::json;

use super::review::reviewed;
use super::{At, waits};
use crate::commands::ceremony::signer::Passphrase;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::releasing::{
    Answer, Desk, Entry, Named, Outcome, confirm, demand_known, look, look_back, look_claim, short,
    sign_both, to_sign,
};

/// How often it is looked whether it is live.
const LOOKS: u32 = 6;

/// Sign a release that you have looked through
///
/// It signs exactly the bytes that `wheelmark release review` has shown on this machine, and sends
/// the signature. If it was the last one that is needed, the release goes live, and is read back as
/// an installer reads it.
///
///   wheelmark release approve acme-tools==2.0 --signer file:me.age
///   wheelmark release approve acme-tools==2.0 --signer ssh: --yes
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// PROJECT==VERSION, or an id (`wheelmark release list`)
    #[arg(value_name = "RELEASE")]
    named: Named,

    /// Where your key is: file:PATH, pkcs11:…, ssh: or command:PATH (see docs/signers.md)
    #[arg(long = "signer", value_name = "URI", required = true)]
    signers: Vec<String>,

    #[command(flatten)]
    at: At,

    /// The id of a key that signs for the project; all of them, the first time on this machine
    #[arg(long = "key", value_name = "KEYID")]
    keys: Vec<String>,

    #[command(flatten)]
    passphrase: Passphrase,

    /// Sign what was looked through without asking once more
    #[arg(long)]
    yes: bool,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let desk = args.at.desk(context)?;
    let entry = desk.release_as(&args.named).await?;
    if !desk.index().was_reviewed(&entry.project, &entry.id)? {
        offer_review(&desk, &entry, &args).await?;
    }
    if entry.claim {
        return approve_claim(&desk, entry, &args).await;
    }
    let review = look(&desk, &entry).await?;
    // Those that come in were named when it was looked through.
    let added = review.added();
    let others = args.keys.iter();
    let others = others.filter(|id| !added.contains(&id.as_str()));
    let others: Vec<String> = others.cloned().collect();
    demand_known(&desk, &entry.project, &review.claim, &others).await?;
    if !args.json {
        print_line(&format!(
            "{}, version {} of the project's role: {}",
            entry.what(),
            review.next.role.version,
            entry.id
        ))?;
        if let Some(change) = review.change(&desk, &entry) {
            print_line(&change.to_string())?;
        }
        for file in &review.new {
            let (name, sha256) = (&file.filename, file.sha256);
            print_line(&format!("  adds {name}\n    sha256 {sha256}"))?;
        }
    }
    confirm("sign what was looked through?", args.yes)?;
    let keys = to_sign(&args.signers, &args.passphrase, &review.signing)?;
    let handover = review.missing.brings.as_ref();
    let mut answer = None;
    for key in &keys {
        let signed = sign_both(key, &review.canonical, handover)?;
        let told = desk.sign_staged(&entry, &signed).await?;
        let is_last = matches!(told, Answer::Published);
        answer = Some(told);
        if is_last {
            break;
        }
    }
    match answer.context("no key has signed")? {
        Answer::Waiting(now) if now.missing() > 0 || now.state != "published" => {
            print_line(&waits(args.json, &now, &review.claim.maintainers)?)?;
        }
        Answer::Waiting(_) | Answer::Published => {
            let project = &entry.project;
            let Outcome::Published(page) = look_back(&desk, project, &review.next, LOOKS).await?
            else {
                return Err(anyhow!("another release was published in its place"))
                    .hint(format!("look what is there: wheelmark explain {project}"));
            };
            let claim = page.claim().context("the project is not claimed")?;
            if handover.is_some_and(|handover| claim.present() != Some(&handover.to)) {
                return Err(anyhow!("the index names other keys for {project}"))
                    .hint("tell whoever runs the index, with this message");
            }
            print_line(&match args.json {
                true => json!({
                    "project": project,
                    "id": entry.id,
                    "state": "published",
                    "role_version": page.role_version(),
                    "page_sha256": page.signed_sha256().to_string(),
                    "chain": page.chain().to_string(),
                })
                .to_string(),
                false => format!(
                    "{} is live, and was read back as it was signed (page {}…)",
                    entry.what(),
                    short(&page.signed_sha256().to_string())
                ),
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Looks it through now, if somebody is there to see it.
async fn offer_review(desk: &Desk, entry: &Entry, args: &Args) -> anyhow::Result<()> {
    if args.json || !std::io::stdin().is_terminal() {
        return Err(anyhow!(
            "{} was not looked through on this machine, and nothing was signed",
            entry.what()
        ))
        .hint(format!(
            "look it through first: wheelmark release review {}",
            entry.call()
        ));
    }
    confirm(
        "it was not looked through on this machine: do that now?",
        false,
    )?;
    let (told, version) = reviewed(desk, entry, &args.keys, false).await?;
    print_line(&told)?;
    // Also where somebody said --yes: they had not seen it then.
    confirm("is all of this as it should be?", false)?;
    let index = desk.index();
    index
        .remember_review(&entry.project, &entry.id, version, desk.now)
        .await?;
    Ok(())
}

/// Signs a claim; with the last of its keys it is made.
async fn approve_claim(desk: &Desk, entry: Entry, args: &Args) -> anyhow::Result<ExitCode> {
    let (project, id) = (entry.project.clone(), entry.id);
    let review = look_claim(desk, &entry).await?;
    review.demand_named(&args.keys)?;
    let entry = review.verified(entry);
    if !args.json {
        print_line(&review.told(desk, &entry))?;
    }
    confirm("sign what was looked through?", args.yes)?;
    let ids: BTreeSet<String> = review.people.keys().cloned().collect();
    let keys = to_sign(&args.signers, &args.passphrase, &ids)?;
    let mut answer = None;
    for key in &keys {
        let signed = sign_both(key, &review.canonical, None)?;
        answer = Some(desk.sign_staged(&entry, &signed).await?);
    }
    if let Answer::Waiting(now) = answer.context("no key has signed")?
        && now.state != "published"
    {
        print_line(&waits(args.json, &now, &review.people)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Outcome::Published(page) = look_back(desk, &project, &review.next, LOOKS).await? else {
        return Err(anyhow!("somebody else has claimed {project} meanwhile"))
            .hint(format!("who signs for it: wheelmark explain {project}"));
    };
    let claim = page.claim().context("the project is not claimed")?;
    if claim.keys != ids || claim.threshold != review.keys.threshold() {
        return Err(anyhow!("the index names other keys for {project}"))
            .hint("tell whoever runs the index, with this message");
    }
    desk.index()
        .remember_claim(&project, claim.seen(true))
        .await?;
    print_line(&match args.json {
        true => json!({
            "project": project,
            "id": id,
            "state": "published",
            "keys": ids,
            "threshold": claim.threshold,
        })
        .to_string(),
        false => format!(
            "{project} is claimed, not yet sealed: {} of {} keys sign for it",
            claim.threshold,
            ids.len()
        ),
    })?;
    Ok(ExitCode::SUCCESS)
}

//! `wheelmark project recover`: other keys take the place of those that were lost.
//!
//! ```text
//! no notice ─▶ ask: the new keys sign a request ─▶ notice, for everybody to see
//! notice for these keys, old enough ─▶ finish: the new keys sign the published page ─▶ they sign from now on
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use serde_json::json;
use wheelmark_client::{Claim, SeenClaim, VerifiedPage};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::RecoveryNotice;
use wheelmark_signing::HeldKey;
use wheelmark_tuf::{Key, KeyId, KeySet, without_controls};

use super::claim::{Entry, compared, registered};
use crate::commands::ceremony::signer::Passphrase;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::releasing::{
    Desk, Next, Outcome, Registering, Sending, StatedKeys, claimed, confirm, short,
};

/// What the command ends with while the notice has not stood for long enough.
const NOT_YET: u8 = 3;

/// Give a project new keys when all that it had are lost
///
/// For an owner of the project on the index, and slow on purpose. The first time, the new keys ask for it,
/// and the index shows everybody that the project's keys are said to be lost. When that has stood for two
/// weeks, or as long as the index says, the same command finishes: the new keys sign the page that is
/// published, and sign for the project from then on.
///
///   wheelmark project recover acme-tools --new file:new.age
///   wheelmark project recover acme-tools --new ssh: --new bob=file:bob.age --threshold 2
///   wheelmark project recover acme-tools --withdraw
///
/// Whatever the keys of before sign meanwhile ends it, and so does --withdraw. Clients that know the
/// project refuse it afterwards, until their person has asked for the new keys and said so (`wheelmark
/// trust claims forget`), or an offline key of the index names them. Where one has sealed the project, a
/// ceremony has to take the seal off first (`wheelmark ceremony begin --unseal`), and the time counts from
/// then.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The project
    project: ProjectName,

    /// Where a new key is: file:PATH, pkcs11:…, ssh: or command:PATH (see docs/signers.md); with whose it
    /// is before it, if somebody else's
    #[arg(
        long = "new",
        value_name = "[USER=]URI",
        required_unless_present = "withdraw"
    )]
    new: Vec<String>,

    /// How many of the new keys have to sign each release
    #[arg(long, value_name = "N", default_value_t = 1)]
    threshold: u32,

    /// Your own copies of files that are published, or directories with them
    #[arg(long, value_name = "PATH")]
    compare: Vec<PathBuf>,

    /// Take it back: nobody asks for other keys any more
    #[arg(long, conflicts_with_all = ["new", "compare", "threshold"])]
    withdraw: bool,

    /// The trusted index [default: the only one]
    #[arg(long, value_name = "URL")]
    index: Option<String>,

    /// A file with your upload token [default: what `wheelmark login` keeps]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

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
    json: bool,
}

/// The keys that take a project over.
struct Wanted {
    keys: Vec<HeldKey>,
    maintainers: BTreeMap<String, String>,
    set: KeySet,
}

impl Wanted {
    fn ids(&self) -> BTreeSet<String> {
        let ids = self.set.keys().keys().map(KeyId::as_str);
        ids.map(str::to_owned).collect()
    }

    fn lines(&self) -> String {
        let ids = self.ids().into_iter().map(|id| {
            let whose = self.maintainers.get(&id);
            let whose = whose.map(|whose| format!(" ({})", without_controls(whose)));
            format!("\n  {id}{}", whose.unwrap_or_default())
        });
        ids.collect()
    }
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let project = &args.project;
    let desk = Desk::open(args.index.as_deref(), args.token_file.as_deref(), context)?;
    if args.withdraw {
        desk.end_recovery(project).await?;
        let told = json!({ "project": project.as_str(), "state": "withdrawn" });
        print_line(&match args.json {
            true => told.to_string(),
            false => format!("nobody asks for other keys of {project} any more"),
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let (page, claim) = claimed(&desk, project).await?;
    let wanted = wanted(&args)?;
    if claim.present() == Some(&wanted.set) {
        return Err(anyhow!("these keys sign for {project} already"))
            .hint(format!("wheelmark project keys list {project}"));
    }
    let notice = page.taken_away().and_then(|list| list.recovery.as_ref());
    match notice {
        None => ask(&args, &desk, &claim, &wanted).await,
        Some(notice)
            if notice.keyids == wanted.ids() && notice.threshold == wanted.set.threshold() =>
        {
            finish(&args, &desk, (&page, &claim), &wanted, notice).await
        }
        Some(notice) => Err(anyhow!(
            "{} asks since {} for other keys of {project}, of which {} sign: {}",
            without_controls(&notice.by),
            notice.since,
            notice.threshold,
            without_controls(&notice.keyids.iter().cloned().collect::<Vec<_>>().join(", "))
        ))
        .hint(format!(
            "if that is wrong, take it back, and begin with your own: wheelmark project recover {project} --withdraw"
        )),
    }
}

fn wanted(args: &Args) -> anyhow::Result<Wanted> {
    let (keys, maintainers) = registered(&args.new, &args.passphrase)?;
    let set = KeySet::new(
        keys.iter().map(|key| key.signer.key().clone()),
        args.threshold,
    );
    let set = set
        .with_context(|| format!("{} cannot have such keys", args.project))
        .hint("name a --new for each key; --threshold says how many of them have to sign")?;
    Ok(Wanted {
        keys,
        maintainers,
        set,
    })
}

/// The first step: the new keys ask, and everybody can see it.
async fn ask(args: &Args, desk: &Desk, claim: &Claim, wanted: &Wanted) -> anyhow::Result<ExitCode> {
    let project = &args.project;
    let shown = format!(
        "{project} on {}: all of its keys are said to be lost, for everybody to see\n\
         {} of these keys are to sign for it:{}\n\
         anything that the keys of before sign ends it; if one of them is there, use it: wheelmark project keys replace{}",
        desk.urls().simple(),
        wanted.set.threshold(),
        wanted.lines(),
        match claim.sealed {
            true =>
                "\nit is sealed: a ceremony has to take the seal off, and the time counts from then",
            false => "",
        }
    );
    if !args.json {
        print_line(&shown)?;
    }
    confirm("ask for it with these keys?", args.yes)?;
    let asking = desk.ask_recovery(project, &wanted.set, &wanted.keys, &wanted.maintainers);
    let delay = asking.await?;
    let from = desk.now.checked_add(delay).unwrap_or(Timestamp::MAX);
    if args.json {
        let told = json!({
            "project": project.as_str(),
            "state": "asked",
            "keys": wanted.ids(),
            "threshold": wanted.set.threshold(),
            "from": from.to_string(),
        });
        print_line(&told.to_string())?;
    } else {
        print_line(&format!(
            "everybody can see it now (wheelmark explain {project}); give the same command once more from {} on\n\
             keep the new keys until then, and tell those who install it, by another way than the index, that they come",
            minute(from)
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The second step: the new keys sign what is published, and sign for the project from then on.
async fn finish(
    args: &Args,
    desk: &Desk,
    (page, claim): (&VerifiedPage, &Claim),
    wanted: &Wanted,
    notice: &RecoveryNotice,
) -> anyhow::Result<ExitCode> {
    let project = &args.project;
    let delay = desk.recovery_delay(project).await?;
    // While it was sealed, nobody had to say no.
    let unsealed = claim.marks.unsealed_at;
    let since = unsealed.map_or(notice.since, |at| at.max(notice.since));
    let from = since.saturating_add(delay).unwrap_or(Timestamp::MAX);
    if claim.sealed {
        return Err(anyhow!("{project} is sealed: an offline key says whose keys sign for it"))
            .hint("ask whoever runs the index to take the seal off in a ceremony: wheelmark ceremony begin --unseal PROJECT; the time that the notice has to stand counts from then");
    }
    if desk.now < from {
        return not_yet(args, notice, from);
    }
    let seen = desk.index().seen_claim(project)?;
    let is_known = seen
        .as_ref()
        .is_some_and(|seen| seen.by_hand && seen.keys == claim.keys);
    let base = page.as_signed();
    let entries = match is_known {
        true => base.files.iter().map(Entry::known).collect(),
        false => compared(&base.files, &args.compare, desk.now)?,
    };
    if !args.json {
        print_line(&shown(args, desk, &entries, wanted, is_known))?;
    }
    confirm("sign this with the new keys?", args.yes)?;
    let version = desk.next_version(project, args.pass_over).await?;
    let files = entries.iter().map(|entry| entry.entry.clone()).collect();
    let next = Next::of(project, Some(base), files, version, desk.now)?;
    let keys: Vec<Key> = wanted.set.keys().values().cloned().collect();
    let sending = Sending {
        project,
        metadata: next.sign(&wanted.keys)?,
        next: &next,
        claim: Some(StatedKeys {
            keys: &keys,
            maintainers: &wanted.maintainers,
            threshold: wanted.set.threshold(),
            how: Registering::Recovery,
        }),
        keys: None,
        files: &[],
    };
    let after = send(desk, project, sending, seen, wanted).await?;
    tell(args, &entries, &after)
}

fn not_yet(args: &Args, notice: &RecoveryNotice, from: Timestamp) -> anyhow::Result<ExitCode> {
    print_line(&match args.json {
        true => json!({
            "project": args.project.as_str(),
            "state": "waiting",
            "since": notice.since.to_string(),
            "from": from.to_string(),
        })
        .to_string(),
        false => format!(
            "everybody can see since {} that these keys ask for it; give the same command once more from {} on",
            minute(notice.since),
            minute(from)
        ),
    })?;
    Ok(ExitCode::from(NOT_YET))
}

/// Sends it, and reads it back with nothing else in mind than the new keys; if that fails, what was known
/// of the project before is known again.
async fn send(
    desk: &Desk,
    project: &ProjectName,
    sending: Sending<'_>,
    seen: Option<SeenClaim>,
    wanted: &Wanted,
) -> anyhow::Result<Claim> {
    desk.index().forget_claim(project).await?;
    let sent = match sending.send(desk).await {
        Ok(Outcome::Published(page)) => page
            .claim()
            .filter(|claim| claim.set.as_ref() == Some(&wanted.set))
            .cloned()
            .ok_or_else(|| anyhow!("the index names other keys for {project}"))
            .hint("tell whoever runs the index, with this message"),
        Ok(_) => Err(anyhow!("somebody else has published to {project} meanwhile"))
            .hint("whoever has its keys still can: nothing was changed, and nobody asks for other keys any more"),
        Err(error) => Err(error),
    };
    match (&sent, seen) {
        (Ok(claim), _) => {
            let index = desk.index();
            index.remember_claim(project, claim.seen(true)).await?;
        }
        (Err(_), Some(seen)) => {
            desk.index().forget_claim(project).await?;
            desk.index().remember_claim(project, seen).await?;
        }
        (Err(_), None) => {}
    }
    sent
}

fn shown(args: &Args, desk: &Desk, entries: &[Entry], wanted: &Wanted, is_known: bool) -> String {
    let mut lines = vec![format!("{} on {}", args.project, desk.urls().simple())];
    for Entry { entry, is_compared } in entries {
        let sha256 = entry.sha256().map(|sha256| sha256.to_string());
        let word = match (is_known, is_compared) {
            (true, _) => "verified    ",
            (false, true) => "compared    ",
            (false, false) => "taken unseen",
        };
        lines.push(format!(
            "  {word}  {}  {}",
            sha256.unwrap_or_default(),
            entry.filename
        ));
    }
    if entries.is_empty() {
        lines.push("  it has no files".to_owned());
    }
    lines.push(format!(
        "{} of these keys sign for it from now on:{}",
        wanted.set.threshold(),
        wanted.lines()
    ));
    lines.join("\n")
}

fn tell(args: &Args, entries: &[Entry], claim: &Claim) -> anyhow::Result<ExitCode> {
    let adopted = entries.iter().filter(|entry| entry.entry.is_adopted());
    let adopted = adopted.count();
    if args.json {
        let told = json!({
            "project": args.project.as_str(),
            "state": "recovered",
            "keys": claim.keys,
            "threshold": claim.threshold,
            "files": entries.len(),
            "adopted": adopted,
            "role_version": claim.version,
        });
        print_line(&told.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let ids: Vec<String> = claim
        .keys
        .iter()
        .map(|id| format!("{}…", short(id)))
        .collect();
    print_line(&format!(
        "{} of {} keys sign for {} from now on ({}); {} files, {adopted} of them taken over unseen\n\
         clients that know it refuse it until they hear of these keys by another way than the index: wheelmark trust claims forget {}",
        claim.threshold,
        claim.keys.len(),
        args.project,
        ids.join(", "),
        entries.len(),
        args.project,
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

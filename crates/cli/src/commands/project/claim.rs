//! `wheelmark project claim`: from now on, these keys sign for a project.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use serde_json::json;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{PageFile, ProjectPage};
use wheelmark_signing::HeldKey;
use wheelmark_tuf::{Key, KeyId, KeySet, without_controls};

use crate::commands::ceremony::signer::Passphrase;
use crate::commands::release::waits;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::releasing::{
    Desk, Next, Outcome, Registering, Sending, StatedKeys, confirm, distinct, of_user, public_file,
    read_public, released, short, to_claim,
};

/// Claim a project: from now on your keys sign for it, and the index's do not
///
/// You have to be an owner of the project on the index. The files that are published stay. Those
/// that you have copies of are compared with them; the others are marked as taken over unseen, and
/// clients do not call them signed by you. From then on an upload by twine or uv is refused: publish
/// with `wheelmark publish`.
///
///   wheelmark project claim acme-tools --signer file:me.age --compare dist/
///   wheelmark project claim acme-tools --signer ssh: --signer file:spare.age
///   wheelmark project claim acme-tools --signer ssh: --maintainer bob=file:bob.age --threshold 2
///   wheelmark project claim acme-tools --signer ssh: --maintainer bob=public:bob.key --threshold 2
///
/// Every key signs the claim. It waits at the index for those that are not at hand: whoever has them runs
/// `wheelmark release review` and `approve`.
///
/// Each --signer registers one key. A second one, kept elsewhere, is what you have when the first is
/// lost.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The project
    project: ProjectName,

    /// Where a key is: file:PATH, pkcs11:…, ssh: or command:PATH (see docs/signers.md)
    #[arg(long = "signer", value_name = "URI", required = true)]
    signers: Vec<String>,

    /// A key of another member of the project: USER=URI, or USER=public:FILE with the public half of one
    /// that is not at hand (`wheelmark project keys public`)
    #[arg(long = "maintainer", value_name = "USER=URI")]
    maintainers: Vec<String>,

    /// How many of the keys have to sign each release
    #[arg(long, value_name = "N", default_value_t = 1)]
    threshold: u32,

    /// Your own copies of files that are published, or directories with them
    #[arg(long, value_name = "PATH")]
    compare: Vec<PathBuf>,

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

/// A published file, and whether it was compared with a copy.
pub(super) struct Entry {
    pub(super) entry: PageFile,
    pub(super) is_compared: bool,
}

impl Entry {
    /// One that was verified under the project's keys on this machine: it needs no copy.
    pub(super) fn known(entry: &PageFile) -> Self {
        Self {
            entry: entry.clone(),
            is_compared: true,
        }
    }
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let project = &args.project;
    let desk = Desk::open(args.index.as_deref(), args.token_file.as_deref(), context)?;
    let page = desk.page(project).await?;
    if page.as_ref().is_some_and(|page| page.claim().is_some()) {
        return Err(anyhow!("{project} is claimed already"))
            .hint(format!("who signs for it: wheelmark explain {project}"));
    }
    let base = page.as_ref().map(|page| page.page());
    if let Some(page) = base {
        demand_plain(page)?;
    }
    let published = base.map(|page| page.files.as_slice()).unwrap_or_default();
    let entries = compared(published, &args.compare, desk.now)?;
    let Keys {
        keys,
        held,
        maintainers,
    } = keys_of(&args)?;
    if args.threshold == 0 || args.threshold as usize > keys.len() {
        return Err(anyhow!(
            "{} of {} keys cannot be asked for",
            args.threshold,
            keys.len()
        ))
        .hint("name a --signer for each key; --threshold says how many of them have to sign");
    }
    if !args.json {
        let removed = base.map(|page| page.wheelmark.removed.keys());
        let removed: Vec<&String> = removed.into_iter().flatten().collect();
        print_line(&shown(&desk, &args, &entries, &removed, &keys))?;
    }
    confirm("claim it with these keys?", args.yes)?;
    let version = desk.next_version(project, args.pass_over).await?;
    let files = entries.iter().map(|entry| entry.entry.clone()).collect();
    let mut next = Next::of(project, base, files, version, desk.now)?;
    let set = KeySet::new(keys.iter().cloned(), args.threshold)
        .with_context(|| format!("{project} cannot have such keys"))?;
    next.role.state_claim(&set);
    let sending = Sending {
        project,
        metadata: next.sign(&held)?,
        next: &next,
        claim: Some(StatedKeys {
            keys: &keys,
            maintainers: &maintainers,
            threshold: args.threshold,
            how: Registering::Claim,
        }),
        keys: None,
        files: &[],
    };
    let outcome = match held.len() == keys.len() {
        true => sending.send(&desk).await?,
        false => sending.stage(&desk).await?,
    };
    let page = match outcome {
        Outcome::Published(page) => page,
        Outcome::Waiting(entry) => {
            let (index, id) = (desk.index(), next.id());
            index
                .remember_review(project, &id, version, desk.now)
                .await?;
            print_line(&waits(args.json, &entry, &maintainers)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        Outcome::Overtaken => {
            return Err(anyhow!("somebody else has claimed {project} meanwhile"))
                .hint(format!("who signs for it: wheelmark explain {project}"));
        }
    };
    let claim = page.claim().context("the project is not claimed")?;
    let is_ours = |id: &String| keys.iter().any(|key| key.keyid().as_str() == id);
    let is_threshold = claim.threshold == args.threshold;
    if claim.keys.len() != keys.len() || !claim.keys.iter().all(is_ours) || !is_threshold {
        return Err(anyhow!("the index names other keys for {project}"))
            .hint("tell whoever runs the index, with this message");
    }
    desk.index()
        .remember_claim(project, claim.seen(true))
        .await?;
    tell(&args, &entries, &keys)?;
    Ok(ExitCode::SUCCESS)
}

/// The keys that are to be registered.
struct Keys {
    keys: Vec<Key>,
    /// Those that are at hand.
    held: Vec<HeldKey>,
    /// Whose they are that are somebody else's, by their ids.
    maintainers: BTreeMap<String, String>,
}

/// All keys that are to be registered.
fn keys_of(args: &Args) -> anyhow::Result<Keys> {
    let mut held = to_claim(&args.signers, &args.passphrase)?;
    let mut public = Vec::new();
    let mut maintainers = BTreeMap::new();
    for text in &args.maintainers {
        let (Some(user), uri) = of_user(text) else {
            return Err(anyhow!("{text} names no user"))
                .hint("say whose the key is and where: --maintainer bob=file:bob.age");
        };
        let mut named = |key: &Key| {
            let id = key.keyid().as_str().to_owned();
            maintainers.insert(id, user.to_owned());
        };
        if let Some(file) = public_file(uri) {
            let key = read_public(file)?;
            named(&key);
            public.push(key);
            continue;
        }
        for key in to_claim(&[uri.to_owned()], &args.passphrase)? {
            named(key.signer.key());
            held.push(key);
        }
    }
    let keys = held.iter().map(|key| key.signer.key().clone());
    let keys: Vec<Key> = keys.chain(public).collect();
    let ids: BTreeSet<&KeyId> = keys.iter().map(Key::keyid).collect();
    if ids.len() < keys.len() {
        return Err(anyhow!("a key is named twice")).hint("a key is of one person and one machine");
    }
    Ok(Keys {
        keys,
        held,
        maintainers,
    })
}

/// Keys that take a project over, and whose they are that are somebody else's, by their ids.
pub(super) fn registered(
    places: &[String],
    passphrase: &Passphrase,
) -> anyhow::Result<(Vec<HeldKey>, BTreeMap<String, String>)> {
    let (mut keys, mut maintainers) = (Vec::new(), BTreeMap::new());
    for text in places {
        let (user, uri) = of_user(text);
        for key in to_claim(&[uri.to_owned()], passphrase)? {
            let id = key.signer.key().keyid().as_str().to_owned();
            maintainers.extend(user.map(|user| (id, user.to_owned())));
            keys.push(key);
        }
    }
    Ok((each_once(keys)?, maintainers))
}

fn each_once(keys: Vec<HeldKey>) -> anyhow::Result<Vec<HeldKey>> {
    let count = keys.len();
    let keys = distinct(keys);
    match keys.len() < count {
        true => Err(anyhow!("a key is named twice")).hint("a key is of one person and one machine"),
        false => Ok(keys),
    }
}

/// Whether the page has nothing besides files that would be signed unseen.
fn demand_plain(page: &ProjectPage) -> anyhow::Result<()> {
    let marks = &page.wheelmark;
    let what = [
        (
            !page.unrecognised.is_empty(),
            "files that are no distributions",
        ),
        (
            !page.extra.is_empty() || !page.meta.is_empty(),
            "members that this program does not know",
        ),
        (
            !marks.extra.is_empty(),
            "marks that this program does not know",
        ),
        (!marks.withheld.is_empty(), "files that are withheld"),
    ];
    match what.into_iter().find(|(has, _)| *has) {
        Some((_, what)) => Err(anyhow!(
            "the page has {what}, which nobody should sign unseen"
        ))
        .hint("ask whoever runs the index about it"),
        None => Ok(()),
    }
}

/// Holds published files against copies; those that there are none of are taken over unseen.
pub(super) fn compared(
    published: &[PageFile],
    copies: &[PathBuf],
    now: Timestamp,
) -> anyhow::Result<Vec<Entry>> {
    let copies = copies_in(copies)?;
    let mut entries = Vec::with_capacity(published.len());
    for file in published {
        let name = file.filename.as_str();
        if !file.extra.is_empty() {
            return Err(anyhow!(
                "the index says more of {name} than this program understands"
            ))
            .hint("claim it with the version of wheelmark that the index has");
        }
        let is_compared = match copies.get(name) {
            Some(copy) => is_compared(file, copy, now)?,
            None => false,
        };
        // One of an earlier claim is marked already.
        let entry = match is_compared || file.is_adopted() {
            true => file.clone(),
            false => file
                .adopted(now)
                .ok_or_else(|| anyhow!("the index says nothing of when {name} was signed"))?,
        };
        let is_compared = is_compared && !file.is_adopted();
        entries.push(Entry { entry, is_compared });
    }
    Ok(entries)
}

/// Whether all that an entry says of a file is what the copy is. An entry that says what the copy does
/// not show (a signature, provenance, a yank) is not.
fn is_compared(file: &PageFile, copy: &Path, now: Timestamp) -> anyhow::Result<bool> {
    let name = file.filename.as_str();
    let mine = released(copy, file.filename.clone(), now)?;
    let marks = file.wheelmark.as_ref();
    let core_metadata = file.core_metadata.as_ref();
    for (what, is_same) in [
        ("sha256", file.sha256() == Some(mine.sha256)),
        ("length", file.size == Some(mine.size)),
        (
            "Requires-Python",
            file.requires_python == mine.requires_python,
        ),
        (
            "core metadata",
            core_metadata.and_then(|hashes| hashes.sha256()) == mine.core_metadata_sha256,
        ),
        (
            "chunk list",
            marks.and_then(|marks| marks.chunks_sha256) == mine.chunks_sha256,
        ),
    ] {
        if !is_same {
            return Err(anyhow!(
                "{name} on the index is not {}: it has another {what}",
                copy.display()
            ))
            .hint("find out which of the two is right before you sign for it; nothing was signed");
        }
    }
    let says_more = file.yanked.is_yanked()
        || file.provenance.is_some()
        || file.has_signature()
        || marks.is_some_and(|marks| {
            marks.provenance_sha256.is_some() || marks.gpg_sig.is_some() || !marks.extra.is_empty()
        });
    Ok(!says_more)
}

/// The files that were named, and those in directories that were, by name.
fn copies_in(named: &[PathBuf]) -> anyhow::Result<HashMap<String, PathBuf>> {
    let mut copies = HashMap::new();
    let mut add = |path: &Path| {
        if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            copies.insert(name.to_owned(), path.to_owned());
        }
    };
    for path in named {
        let cannot = || format!("{} cannot be read", path.display());
        if !path.is_dir() {
            std::fs::metadata(path).with_context(cannot)?;
            add(path);
            continue;
        }
        for entry in std::fs::read_dir(path).with_context(cannot)? {
            let entry = entry.with_context(cannot)?.path();
            if entry.is_file() {
                add(&entry);
            }
        }
    }
    Ok(copies)
}

fn shown(desk: &Desk, args: &Args, entries: &[Entry], removed: &[&String], keys: &[Key]) -> String {
    let mut lines = vec![format!("{} on {}", args.project, desk.urls().simple())];
    for Entry { entry, is_compared } in entries {
        let sha256 = entry.sha256().map(|sha256| sha256.to_string());
        let word = match is_compared {
            true => "compared    ",
            false => "taken unseen",
        };
        lines.push(format!(
            "  {word}  {}…  {}",
            short(&sha256.unwrap_or_default()),
            entry.filename
        ));
    }
    if entries.is_empty() {
        lines.push("  it has no files yet".to_owned());
    }
    for name in removed {
        lines.push(format!("  was removed   {}", without_controls(name)));
    }
    lines.push(format!("{} of these keys sign for it:", args.threshold));
    for key in keys {
        lines.push(format!("  {}", key.keyid().as_str()));
    }
    if keys.len() == 1 {
        lines.push("there is one key alone: if it is lost, nobody can publish, and if it is stolen, the thief can".to_owned());
    } else if args.threshold == 1 {
        lines.push("whoever has one of the keys can publish alone".to_owned());
    }
    lines.join("\n")
}

fn tell(args: &Args, entries: &[Entry], keys: &[Key]) -> anyhow::Result<()> {
    let ids = keys.iter().map(|key| key.keyid().as_str());
    let ids: Vec<&str> = ids.collect();
    let unseen = entries.iter().filter(|entry| !entry.is_compared).count();
    if args.json {
        let told = json!({
            "project": args.project.as_str(),
            "keys": ids,
            "threshold": args.threshold,
            "files": entries.len(),
            "adopted": unseen,
        });
        return print_line(&told.to_string());
    }
    print_line(&format!(
        "{} is claimed, not yet sealed: {} files, {unseen} of them taken over unseen\n\
         others who publish need the ids of all keys, from you and not from the index",
        args.project,
        entries.len()
    ))
}

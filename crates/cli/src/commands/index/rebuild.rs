//! `wheelmark index rebuild`: an index out of its published tree, and nothing else.

mod rows;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;
use serde_json::json;
use wheelmark_mirror::{
    AuditOptions, Chain, DirectoryPlace, Everything, Tally, audit_directory, follow,
    root_of_fingerprint,
};
use wheelmark_objects::Directory;
use wheelmark_repository::unnamed_objects;
use wheelmark_signing::{FileKey, Signer as _};
use wheelmark_store::Store;
use wheelmark_tuf::{Sha256, root_fingerprint};

use super::newest::Newest;
use super::{audit, backup};
use crate::anchor::read_root;
use crate::commands::trust::fingerprint;
use crate::commands::up::print_line;
use crate::commands::verify::progress::Progress;
use crate::context::Context;
use crate::data::{self, Data};
use crate::logging::WithHint as _;

/// The tree in a data directory.
const TREE: &str = "repository";

/// How many findings are listed before a tree is refused.
const LISTED: usize = 10;

/// Make an index out of its published tree, where nothing else is left of it
///
///   wheelmark index --data /srv/index rebuild /copies/index --trust 1.root.json \
///     --online-key online-key
///   wheelmark index --data /srv/index rebuild /copies/index --fingerprint 5f1c… \
///     --newest https://mirror.example/simple/
///
/// TREE is a copy of the published tree: made by rsync or `wheelmark mirror`, out of a backup, or of
/// an index whose catalogue is lost. It is copied; the copy is verified, every byte, from the root that
/// --trust or --fingerprint gives, and refused if it is not whole. Take the newest copy that there is:
/// behind an older one, versions would be signed a second time. --newest names other copies, such as
/// mirrors, and refuses if one of them is ahead.
///
/// The catalogue, the positions of the journals, the state of projects, removed names, certificates, and
/// whose keys sign for the projects that are claimed all follow from what is signed. What is not in the tree begins anew: users, tokens, who owns what,
/// limits, private reading, the audit log, index.toml. There is one new token, as after a first run.
///
/// To go on publishing, the index needs its online key: --online-key copies it in. Without it, what
/// is there is served until it expires.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(group(clap::ArgGroup::new("anchor").required(true).args(["trust", "fingerprint"])))]
pub(super) struct Args {
    /// A copy of the published tree, with metadata/ and targets/ in it
    #[arg(value_name = "TREE")]
    tree: PathBuf,

    /// The root to begin with, a file that came by another way than the tree
    #[arg(long, value_name = "ROOT")]
    trust: Option<PathBuf>,

    /// The same, by the SHA-256 of its canonical signed part
    #[arg(long, value_name = "SHA256", value_parser = fingerprint)]
    fingerprint: Option<Sha256>,

    /// The file with the online key, which is copied into the data directory
    #[arg(long, value_name = "FILE")]
    online_key: Option<PathBuf>,

    #[command(flatten)]
    newest: Newest,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, target: &Path, context: &Context) -> anyhow::Result<ExitCode> {
    let target = std::path::absolute(target)?;
    if Data::open(&target)?.is_some() {
        return Err(anyhow!("{} is there already", target.display())).hint(
            "name a directory that is not there yet with --data; `index restore` replaces one",
        );
    }
    if !args.tree.join("metadata").is_dir() {
        return Err(anyhow!("{} is no tree of an index", args.tree.display()))
            .hint("name the directory that has metadata/ and targets/ in it; in a backup and in a data directory it is called repository");
    }
    let parent = target
        .parent()
        .ok_or_else(|| anyhow!("{} cannot hold an index", target.display()))?;
    std::fs::create_dir_all(parent)?;
    let staging = data::Staging::new(parent)?;
    let made = staging.path().join("data");
    // First the copy: what is verified is what becomes the index, whatever happens to the tree.
    backup::copy_tree(&args.tree, &made)
        .await
        .with_context(|| format!("{} is not whole", args.tree.display()))?;
    let (chain, root) = verified(args, &made.join(TREE), context).await?;
    let newest = chain.set.timestamp().version;
    args.newest.demand_ours(&root, newest, context).await?;
    let online = online_key(args, &chain)?;
    let place = DirectoryPlace::new(&made.join(TREE), 1, None);
    let family = rows::Family::of(&place, &chain)?;
    data::write_settings(&made, family.bins, root_fingerprint(&root)?)?;

    let store = Store::open(&made.join("catalogue.sqlite")).await?;
    let signed = chain.clone();
    let signed = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let pages = audit::signed_pages(&place, &signed)?;
        Ok((pages, rows::claims(&place, &signed)?))
    });
    let (signed, claims) = signed.await??;
    let tree = Directory::open(&made.join(TREE)).await?;
    let rebuilt = rows::fill(&store, &tree, &chain, signed, claims).await?;
    // What lies there without being signed is none of the index's.
    for object in unnamed_objects(&tree, &store, context.clock.now()).await? {
        std::fs::remove_file(tree.local_path(&object.path))?;
    }
    drop(tree);
    data::first_token(&made, &store, context).await?;
    store.close().await;
    if let Some(key) = &online {
        data::write_private(&made.join(data::ONLINE_KEY), key)?;
    }

    std::fs::rename(&made, &target)
        .with_context(|| format!("{} cannot be made", target.display()))?;
    data::sync_directory(parent)?;
    tell(args, &target, &chain, &rebuilt, online.is_some())?;
    Ok(ExitCode::SUCCESS)
}

/// Verifies every byte of the copy, and gives back its chain and the root that it began with.
async fn verified(args: &Args, tree: &Path, context: &Context) -> anyhow::Result<(Chain, Vec<u8>)> {
    let tree = tree.to_owned();
    let trusted = args.trust.as_deref().map(read_root).transpose()?;
    let by = args.fingerprint;
    let now = context.clock.now();
    let tally = Arc::new(Tally::default());
    let progress = Progress::of(&tree.display().to_string(), tally.clone());
    let verified = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let threads = std::thread::available_parallelism().map_or(1, Into::into);
        let place = DirectoryPlace::new(&tree, threads, None);
        let root = match (trusted, by) {
            (Some(root), _) => root,
            (None, Some(by)) => root_of_fingerprint(&place, &by)?.to_vec(),
            (None, None) => bail!("no root was given"),
        };
        let options = AuditOptions {
            now,
            listed: LISTED,
            scope: &Everything,
            tally: &tally,
        };
        let (audit, _) = audit_directory(&place, &root, &options);
        let chain = follow(&place, &root, Timestamp::UNIX_EPOCH).ok();
        Ok((audit, chain, root))
    });
    let (audit, chain, root) = verified.await??;
    drop(progress);
    // Copies for installers without verification are made anew.
    let matters = |trouble: &wheelmark_mirror::Trouble| {
        use wheelmark_mirror::Trouble;
        !matches!(
            trouble,
            Trouble::PlainMissing | Trouble::PlainDiffers | Trouble::CopyDiffers
        )
    };
    let counted = audit.totals.iter();
    let counted = counted.filter(|(trouble, _)| matters(trouble));
    // A copy may have files under their plain names alone; an index needs the others.
    let count = counted.map(|(_, count)| count).sum::<u64>() + audit.counts.plain_alone;
    let Some(chain) = chain.filter(|_| count == 0) else {
        for finding in audit
            .findings
            .iter()
            .filter(|found| matters(&found.trouble))
        {
            tracing::error!(
                path = finding.path,
                expected = finding.expected,
                found = finding.found,
                "not as it was signed"
            );
        }
        return Err(anyhow!(
            "{} is not whole: {count} findings",
            args.tree.display()
        ))
        .hint("`wheelmark verify` lists all of them; a copy that was made with a selection cannot become an index");
    };
    Ok((chain, root))
}

/// The online key that was given, if it is the one that the tree names.
fn online_key(args: &Args, chain: &Chain) -> anyhow::Result<Option<zeroize::Zeroizing<Vec<u8>>>> {
    let Some(file) = &args.online_key else {
        return Ok(None);
    };
    let key = FileKey::open(file)?;
    let named = &chain.set.root().roles.timestamp.keyids;
    if !named.contains(key.key().keyid()) {
        return Err(anyhow!(
            "{} is not the online key of this index",
            file.display()
        ))
        .hint(
            "name the key that this index signs with, from its backup; without --online-key nothing is published (docs/upkeep.md)",
        );
    }
    let bytes =
        std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(Some(zeroize::Zeroizing::new(bytes)))
}

fn tell(
    args: &Args,
    target: &Path,
    chain: &Chain,
    rebuilt: &rows::Rebuilt,
    online: bool,
) -> anyhow::Result<()> {
    let set = &chain.set;
    let (timestamp, snapshot) = (set.timestamp().version, set.snapshot().version);
    let token = target.join("token");
    if args.json {
        let told = json!({
            "data": target,
            "timestamp_version": timestamp,
            "snapshot_version": snapshot,
            "projects": rebuilt.projects,
            "files": rebuilt.files,
            "removed": rebuilt.removed,
            "claimed": rebuilt.claimed,
            "without_bytes": rebuilt.without_bytes,
            "online_key": online,
            "token_file": token,
        });
        return print_line(&told.to_string());
    }
    let mut lines = vec![
        format!(
            "{}: as it was signed last, with timestamp {timestamp} and snapshot {snapshot}",
            target.display()
        ),
        format!(
            "{} projects, {} files, {} names of removed files that stay taken",
            rebuilt.projects, rebuilt.files, rebuilt.removed
        ),
        "users, tokens, owners and maintainers of projects, limits, private reading and the audit log \
         are not in a tree: they begin anew (docs/people.md)"
            .to_owned(),
        format!("a new token that may do everything is in {}", token.display()),
    ];
    lines.push(
        "whoever reaches it may read: if it was private, `wheelmark index access private` first"
            .to_owned(),
    );
    if rebuilt.claimed > 0 {
        lines.push(format!(
            "{} of the projects sign for themselves, with the keys of before",
            rebuilt.claimed
        ));
    }
    if rebuilt.without_bytes > 0 {
        lines.push(format!(
            "of {} removed or withheld files the copy has no bytes: they cannot come back",
            rebuilt.without_bytes
        ));
    }
    if !online {
        lines.push(format!(
            "without the online key nothing is published or renewed: put it into {}/{} (mode 600), \
             or name it with --online-key when you start it",
            target.display(),
            data::ONLINE_KEY
        ));
    }
    lines.push(format!(
        "it goes on behind timestamp {timestamp}: where a newer one was published, versions would be \
         signed a second time, which clients refuse and others can prove. Look at every mirror for a \
         newer copy before you start it (docs/upkeep.md)"
    ));
    print_line(&lines.join("\n"))
}

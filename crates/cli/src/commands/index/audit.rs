//! `wheelmark index audit`: is everything what was signed, and does the index remember it so?
//!
//! ```text
//! signed state ─▶ tree: every byte (as `wheelmark verify`)   what nothing names
//!              ─▶ catalogue: every row                       keys, positions, versions
//!              ─▶ --against: backup, directory, URL
//! ```

mod against;
mod catalogue;
mod damage;
mod state;
mod told;

use std::collections::BTreeMap;
use std::process::ExitCode;

use wheelmark_mirror::{Audit, Chain, DirectoryPlace};
use wheelmark_objects::Directory;
use wheelmark_packaging::ProjectName;
use wheelmark_signing::{FileKey, Signer as _};
use wheelmark_store::Store;
use wheelmark_tuf::Sha256;

pub(crate) use self::against::Other;
use self::against::{Added, contents};
use self::damage::{Damage, Kind};
use self::state::Evidence;
use crate::context::Context;
use crate::data::{Data, OPERATOR};
use crate::logging::report;

/// The exit code for a place that is none.
const USAGE: u8 = 2;

/// How often it is done anew where the index has published meanwhile and something looks wrong.
const ATTEMPTS: usize = 3;

/// Compare everything that the index has with what is signed, and with a copy of it
///
///   wheelmark index audit
///   wheelmark index audit --against /backup/index
///   wheelmark index audit --against /copies/index --json
///
/// Reads every role, page and file and verifies it from the first root on, offline, as `wheelmark
/// verify` does with a copy. Besides, it holds against the signed state what only the index has: the
/// rows of its catalogue, its online key, the positions of its journal, the log of its snapshots; and
/// it names every file that nothing leads to. Tokens and users are not looked at.
///
/// --against names a backup, a directory with a copy, or the URL of a mirror. That is verified from
/// the same root, and its present state is compared with the present one here: every role that both
/// have in one version, and the hash of every file. So it comes to light where somebody with the online
/// key has put another file into the place of one that was signed, or taken one away. Files that were added
/// since are sound, whoever has added them: how many the online key signs for is told, and with --json
/// which they are. `wheelmark recover plan` says what speaks for each.
///
/// Takes nothing away and writes nothing. Works while the index runs.
///
/// Exit code: 0 if everything is sound, 1 if something is damaged or could not be looked at, 2 if
/// --against names no copy. An
/// index that was off, whose online roles have expired, is sound: it renews them when it starts.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// A backup, a directory with a copy, or a URL; may be given several times
    #[arg(long, value_name = "BACKUP|DIR|URL")]
    against: Vec<String>,

    /// How many findings to list; all of them are counted
    #[arg(long, value_name = "N", default_value_t = 100)]
    list: usize,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// What was read of another place, and what came since it was made; none where it was not compared.
type Compared = Option<(Audit, Option<Added>)>;

/// What an audit comes to.
struct Found {
    audit: Audit,
    damage: Vec<Damage>,
    rows: Option<u64>,
    /// Pages of states that are gone.
    old_pages: u64,
    /// What could not be looked at, and why.
    left_out: Vec<String>,
    /// What was read of each place, and what came since it was made.
    against: Vec<(String, Compared)>,
}

impl Found {
    /// Whether everything was looked at, and nothing is damaged.
    fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.left_out.is_empty()
    }

    /// What may be nothing but the index going on is no damage; that it could not be judged is told.
    fn without_what_moved(mut self) -> Self {
        let (moving, damage): (Vec<_>, Vec<_>) = std::mem::take(&mut self.damage)
            .into_iter()
            .partition(|damage| damage.kind.may_be_of_motion());
        self.damage = damage;
        for moved in moving {
            self.left_out
                .push(format!("{}: it changed while it was looked at", moved.path));
        }
        self
    }
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    for name in &args.against {
        if let Err(error) = Other::named(name) {
            report(&error);
            return Ok(ExitCode::from(USAGE));
        }
    }
    data.demand_plain_catalogue()?;
    let store = Store::open(&data.catalogue()).await?;
    let mut attempt = 1;
    let found = loop {
        let before = timestamp(data);
        let found = look(args, data, &store, context).await?;
        let moved = before != timestamp(data);
        let doubtful = found
            .damage
            .iter()
            .any(|damage| damage.kind.may_be_of_motion());
        if !(moved && doubtful) {
            break found;
        }
        if attempt == ATTEMPTS {
            break found.without_what_moved();
        }
        attempt += 1;
    };
    store.close().await;
    told::tell(&found, args.list, args.json)?;
    Ok(match found.is_sound() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Digests of objects, by project.
pub(super) type Listing = BTreeMap<ProjectName, Sha256>;

/// The signed page of every project of a state, and what is taken away from those that sign for
/// themselves.
pub(super) fn signed_pages(
    place: &DirectoryPlace,
    chain: &Chain,
) -> anyhow::Result<(Listing, Listing)> {
    let contents = contents(place, chain)?;
    Ok((contents.pages, contents.lists))
}

async fn look(args: &Args, data: &Data, store: &Store, context: &Context) -> anyhow::Result<Found> {
    let (mut damage, mut left_out) = (Vec::new(), Vec::new());
    let evidence = Evidence::gather(data, store).await?;
    let state = state::audit(data, context, evidence.began, &mut damage).await?;
    online_key(data, &state, &mut damage, &mut left_out);
    state::not_listed(&state, &mut left_out);
    let (mut rows, mut old_pages) = (None, 0);
    match &state.chain {
        None => left_out.push(
            "the catalogue, and files that nothing names: without a chain of signatures, nobody \
             knows what they should be"
                .to_owned(),
        ),
        Some(chain) => {
            let tree = Directory::open(&data.tree()).await?;
            let (root, signed) = (data.tree(), chain.clone());
            let pages = tokio::task::spawn_blocking(move || {
                contents(&DirectoryPlace::new(&root, 1, None), &signed)
            });
            let whole = state::is_whole(&state.audit);
            match pages.await? {
                Ok(pages) => {
                    let compared =
                        catalogue::compare(&tree, chain, pages, whole, store, &mut damage).await?;
                    rows = Some(compared);
                }
                Err(error) => left_out.push(format!("the catalogue: {error:#}")),
            }
            let journal = store.journal_end().await?;
            state::rolled_back(data, chain, &state.root, &evidence, journal, &mut damage)?;
            let (began, now) = (evidence.began, context.clock.now());
            match state::unnamed(data, store, began, now, &mut damage).await {
                Ok(count) => old_pages = count,
                Err(error) => left_out.push(format!("files that nothing names: {error:#}")),
            }
            if data.has_orders() {
                let orders = data.orders().await?;
                catalogue::logged(&tree, &orders, &mut damage).await?;
                orders.close().await;
            } else if data.directory().join(OPERATOR).exists() {
                left_out.push("the log of snapshots, which is another user's".to_owned());
            }
        }
    }
    let mut against = Vec::new();
    for name in &args.against {
        let other = Other::named(name)?;
        let audit = against::compare(name, other, &state, context, &mut damage).await?;
        against.push((name.clone(), audit));
    }
    damage.sort();
    damage.dedup();
    Ok(Found {
        audit: state.audit,
        damage,
        rows,
        old_pages,
        left_out,
        against,
    })
}

/// Whether an online key in the data directory is the one that the newest root names: while a
/// rotation waits to be ended, that is the next one. It may lie elsewhere.
fn online_key(
    data: &Data,
    state: &state::State,
    damage: &mut Vec<Damage>,
    left_out: &mut Vec<String>,
) {
    let Some(chain) = &state.chain else { return };
    let named = &chain.set.root().roles.timestamp.keyids;
    let mut found = Vec::new();
    for file in data.online_key_files(None) {
        if std::fs::symlink_metadata(&file).is_err() {
            continue;
        }
        match FileKey::open(&file) {
            Ok(key) if named.contains(key.key().keyid()) => return,
            Ok(key) => found.push(key.key().keyid().to_string()),
            Err(error) => left_out.push(format!("the online key: {error}")),
        }
    }
    if !found.is_empty() {
        damage.push(Damage::new(
            Kind::Key,
            "online-key",
            "the key that root names for the timestamp",
            &format!("the key {}", found.join(", and the key ")),
        ));
    }
}

/// What the timestamp is now.
fn timestamp(data: &Data) -> Option<Sha256> {
    let path = data.tree().join("metadata/timestamp.json");
    Some(Sha256::of(&std::fs::read(path).ok()?))
}

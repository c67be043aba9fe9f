//! `wheelmark index gc`: gives the room back that old states take.
//!
//! Only whoever holds the tree's lock takes anything away. Where that is another process, it is
//! asked to, through the operator's journal, and does it between two snapshots.

mod told;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use jiff::SignedDuration;
use wheelmark_objects::{Directory, LockError, WriterLock};
use wheelmark_repository::{Collected, Keep, collect};
use wheelmark_store::{CollectionState, Orders, Seq, Store};

use self::told::Shown;
use super::{account, orders};
use crate::commands::mirror::duration;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// How long a process that publishes may be silent about what it was asked for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked for an answer.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// So many looks in a row the lock has to be free before this process takes it: one that is started
/// anew must find it free.
const LOOKS: u32 = 50;

/// What the command answers when the wish stands in the journal and is not done yet.
const WAITING: u8 = 3;

/// Take away old states of the index, and uploads that came to nothing
///
///   wheelmark index gc --dry-run
///   wheelmark index gc
///   wheelmark index gc --snapshots 20 --older-than 1d
///   wheelmark index gc --removed-after 90d
///
/// Every snapshot leaves the one before it on the disk, with its roles and pages. What goes is what
/// none of the last snapshots names, and nothing younger than an hour: readers take their time, and
/// find all of the state that they began with. Roots never go. The hash of every snapshot that goes
/// is written down first (`wheelmark index snapshot-log`).
///
/// Files under targets/ go that no page has ever named, such as those of an upload that was cut off.
/// The bytes of a removed file stay, so that `wheelmark index unremove` can bring it back, unless
/// --removed-after says for how long; its name stays taken in any case.
///
/// Works while the index runs: its own process does it between two snapshots. If it does not run,
/// this command does, and needs no key; a full disk is no obstacle then.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Count what would go, and take nothing away
    #[arg(long)]
    dry_run: bool,

    /// How many snapshots stay at least, with all that they name
    #[arg(long, value_name = "N", default_value_t = wheelmark_repository::LAST_SNAPSHOTS)]
    snapshots: u32,

    /// For how long a snapshot stays after the next one came, and whatever else was written; an hour
    /// at least
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    older_than: SignedDuration,

    /// For how long the bytes of a removed file stay [default: for good]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    removed_after: Option<SignedDuration>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

impl Args {
    fn keep(&self) -> anyhow::Result<Keep> {
        let removed = self.removed_after.map(SignedDuration::unsigned_abs);
        Keep::new(self.snapshots, self.older_than.unsigned_abs(), removed)
            .map_err(anyhow::Error::from)
            .hint("PEP 458 keeps what was published for about an hour, and the last few snapshots")
    }
}

/// What came of it.
enum Came {
    Done(Collected),
    /// The process that publishes has not done it yet.
    Waiting,
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    let keep = args.keep()?;
    if !args.dry_run {
        data.demand_owner()?;
    }
    data.demand_plain_catalogue()?;
    let tree = Directory::open(&data.tree()).await?;
    let store = Store::open(&data.catalogue()).await?;
    let at = At {
        data,
        context,
        tree: &tree,
        store: &store,
        keep,
    };
    let came = if args.dry_run {
        Came::Done(at.collect(None, None).await?)
    } else {
        match tree.lock().await {
            Ok(lock) => Came::Done(at.alone(&lock).await?),
            Err(LockError::Held { .. }) => at.ask().await?,
            Err(error) => return Err(error.into()),
        }
    };
    store.close().await;
    match came {
        Came::Done(done) => {
            told::tell(&done, args.dry_run, args.json)?;
            Ok(ExitCode::SUCCESS)
        }
        Came::Waiting => {
            told::tell_waiting(args.json)?;
            Ok(ExitCode::from(WAITING))
        }
    }
}

/// Where it is done.
struct At<'a> {
    data: &'a Data,
    context: &'a Context,
    tree: &'a Directory,
    store: &'a Store,
    keep: Keep,
}

impl At<'_> {
    async fn collect(
        &self,
        lock: Option<&WriterLock>,
        log: Option<&Orders>,
    ) -> anyhow::Result<Collected> {
        let shown = Shown::start();
        let now = self.context.clock.now();
        let watch = |so_far: &Collected| shown.draw(so_far);
        collect(self.tree, lock, self.store, log, self.keep, now, watch)
            .await
            .map_err(anyhow::Error::from)
            .hint("`wheelmark index audit` says what is damaged; nothing that is published was touched")
    }

    /// Nobody else publishes: this process takes away.
    async fn alone(&self, lock: &WriterLock) -> anyhow::Result<Collected> {
        let first = self.with_log(lock).await?;
        if first.not_logged.is_none() || first.total().bytes == 0 {
            return Ok(first);
        }
        // There is room by now to write down which snapshots go.
        let mut second = self.with_log(lock).await?;
        second.add(&first);
        Ok(second)
    }

    async fn with_log(&self, lock: &WriterLock) -> anyhow::Result<Collected> {
        // Where it cannot be opened, on a full disk for example, old snapshots stay.
        let log = match self.data.orders().await {
            Ok(log) => Some(log),
            Err(error) => {
                tracing::debug!(error = format!("{error:#}"), "the log cannot be opened");
                None
            }
        };
        let collected = self.collect(Some(lock), log.as_ref()).await;
        if let Some(log) = log {
            log.close().await;
        }
        collected
    }

    /// Another process publishes: it is asked.
    async fn ask(&self) -> anyhow::Result<Came> {
        let about = "if the disk is full: stop the index, give this command again, and start it";
        let orders = self.data.orders().await.hint(about)?;
        let keep = serde_json::to_string(&self.keep)?;
        let by = orders::name_of(&account::operator());
        let asked = orders.ask_to_collect(&keep, self.context.clock.now(), &by);
        let asked = asked.await.map_err(anyhow::Error::from).hint(about)?;
        let came = self.wait(&orders, asked).await;
        orders.close().await;
        came
    }

    async fn wait(&self, orders: &Orders, asked: Seq) -> anyhow::Result<Came> {
        let shown = Shown::start();
        let mut heard = Instant::now();
        let (mut last, mut free) = (None, 0);
        loop {
            match orders.collection(asked).await? {
                CollectionState::Done(done) => return Ok(Came::Done(serde_json::from_str(&done)?)),
                CollectionState::Failed(why) => {
                    return Err(anyhow!("{why}"))
                        .context("the process that publishes could not do it")
                        .hint("`wheelmark index audit` says what is damaged; nothing that is published was touched");
                }
                CollectionState::Waiting(progress) => {
                    if progress.is_some() && progress != last {
                        heard = Instant::now();
                        let so_far = progress.as_deref().map(serde_json::from_str);
                        if let Some(Ok(so_far)) = so_far {
                            shown.draw(&so_far);
                        }
                        last = progress;
                    }
                }
            }
            free = match self.tree.lock().await {
                Ok(_) => free + 1,
                Err(_) => 0,
            };
            // It ended, and no other one is being started.
            if free >= LOOKS
                && let Ok(lock) = self.tree.lock().await
            {
                let done = self.collect(Some(&lock), Some(orders)).await?;
                let answer = CollectionState::Done(serde_json::to_string(&done)?);
                orders.tell_of_collection(asked, &answer).await?;
                return Ok(Came::Done(done));
            }
            if heard.elapsed() > PATIENCE {
                return Ok(Came::Waiting);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

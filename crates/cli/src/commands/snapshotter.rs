//! `wheelmark snapshotter`: the process that signs and publishes, and nothing else.

mod schedule;

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::sync::oneshot;
use wheelmark_objects::{Directory, LockError};
use wheelmark_repository::{Engine, Lifetimes, OpenError, Phase};
use wheelmark_store::Store;

use super::up::{StopSignals, explain_open, print_line};
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;
use crate::settings::{Effective, Flags, LogFormat};
use crate::shipping::{Sent, Shipping};

/// What it says on standard output once it publishes.
pub(super) const READY: &str = r#"{"publishing":true}"#;

/// How long a snapshot process that is being ended is waited for. One that was killed holds the
/// lock until the system has taken it down.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// How often its lock is tried.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// Sign and publish what an index takes in; the web side runs apart (`wheelmark serve`)
///
/// For running the two as different users, so that nobody who takes over the web side can read a
/// key or change what is published: docs/operations.md says how, with units for systemd.
/// `wheelmark up` starts this process by itself.
///
///   wheelmark snapshotter --data /var/lib/wheelmark/index
///
/// It listens on no network. Stop it after the web side: uploads wait for their snapshot.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Where the index keeps everything
    #[arg(long, value_name = "DIR", default_value = "wheelmark-data")]
    data: PathBuf,

    /// The file with the online key, if it is not DATA/online-key
    #[arg(long, value_name = "FILE")]
    online_key: Option<PathBuf>,

    /// Where the signing log is sent as it is written: file:/PATH, syslog, or a URL
    #[arg(long, value_name = "PLACE")]
    signing_log: Option<String>,

    /// The URL under which a proxy in front shows the index: pages link to provenance below it
    #[arg(long, value_name = "URL")]
    external_url: Option<String>,

    /// Print one line of JSON once it publishes
    #[arg(long)]
    json: bool,

    /// End when standard input does, or with the process that started this one
    #[arg(long, hide = true)]
    supervised: bool,
}

impl Args {
    /// Its options as settings.
    fn flags(&self) -> Flags {
        Flags::of_snapshotter(self.signing_log.clone(), self.external_url.clone())
    }

    /// The format of log lines, as the settings have it.
    pub(crate) fn log_format(&self) -> LogFormat {
        let effective = Effective::read(&self.data, &self.flags());
        effective.map_or(LogFormat::Text, |effective| effective.log_format())
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut stop = StopSignals::new()?;
    if args.supervised {
        die_with_parent()?;
    }
    let data = Data::open_existing(&args.data)?;
    data.demand_uploads()?;
    let settings = Effective::read(&args.data, &args.flags())?.settings()?;
    let online = data.online_keys(args.online_key.as_deref())?;
    let tree = Arc::new(Directory::open(&data.tree()).await?.inline());
    data.demand_plain_catalogue()?;
    let store = Store::open(&data.catalogue()).await?;
    let orders = data.orders().await?;
    let patience = Instant::now() + LOCK_PATIENCE;
    let mut engine = loop {
        let engine = Engine::open_with_orders(
            tree.clone(),
            store.clone(),
            orders.clone(),
            online.clone(),
            context.clock.clone(),
            Lifetimes::default(),
        );
        match engine.await {
            Err(OpenError::Lock(LockError::Held { .. })) if Instant::now() < patience => {
                tokio::time::sleep(TRY_EVERY).await;
            }
            opened => break opened.map_err(explain_open)?,
        }
    };
    engine.link_provenance_below(settings.provenance_below());
    engine.take_claims(settings.claims);
    engine.split_claims_above(settings.split_claims_above);
    engine.recover_after(settings.recovery_delay);
    // Of the same user, the web side cleans up: it has to read the notes of its uploads first.
    if data.is_apart() {
        tree.clean_incoming().await?;
    }
    let shipping = match (online.log(), settings.signing_log) {
        (Some(log), Some(destination)) => Some(Shipping::start(log.clone(), destination)?),
        (Some(log), None) => {
            Sent::forget(log.folder())?;
            None
        }
        (None, _) => None,
    };
    engine.follow_online_keys(data.watched_online_keys(args.online_key.as_deref())?);
    engine.remind();
    measure(&mut engine, store.clone());
    let socket = data.socket()?;
    let hearing = match socket.listen() {
        Ok(listener) => {
            let store = store.clone();
            Some(tokio::spawn(async move {
                store.hear_web_processes(listener).await
            }))
        }
        Err(error) => {
            tracing::warn!(
                %error,
                "web processes cannot wake this one: uploads are answered more slowly"
            );
            None
        }
    };
    let collecting = settings
        .collecting
        .map(|every| schedule::start(every, orders.clone(), context.clock.clone()));
    if args.json || args.supervised {
        print_line(READY)?;
    }
    engine
        .run(async {
            if args.supervised {
                // Signals are for the process that started this one: it ends its uploads first.
                end_of_input().await;
            } else {
                stop.received().await;
            }
        })
        .await;
    if let Some(collecting) = collecting {
        collecting.abort();
    }
    if let Some(shipping) = shipping {
        shipping.finish().await;
    }
    if let Some(hearing) = hearing {
        hearing.abort();
        socket.remove()?;
    }
    store.close().await;
    orders.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Tells web processes how long each snapshot takes that the engine publishes from now on.
fn measure(engine: &mut Engine, store: Store) {
    let mut began = None;
    engine.observe(move |phase| match phase {
        Phase::Plan => began = Some(Instant::now()),
        Phase::Sign | Phase::Record | Phase::Write => {}
        Phase::Done => {
            if let Some(began) = began.take() {
                store.snapshot_took(began.elapsed());
            }
        }
    });
}

/// Sees to it that this process does not outlive the one that started it, even if that one is
/// killed: what it has recorded is finished by the next one.
#[cfg(target_os = "linux")]
pub(super) fn die_with_parent() -> anyhow::Result<()> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Elsewhere the end of standard input has to do.
#[cfg(not(target_os = "linux"))]
pub(super) fn die_with_parent() -> anyhow::Result<()> {
    Ok(())
}

/// Completes when standard input ends. A thread of its own reads it, which nobody waits for.
async fn end_of_input() {
    let (ended, end) = oneshot::channel::<Infallible>();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let read = std::io::copy(&mut input, &mut std::io::sink());
        tracing::debug!(?read, "standard input ended");
        drop(ended);
    });
    drop(end.await);
}

impl Data {
    /// Opens the data directory of an index that is there.
    pub(crate) fn open_existing(directory: &std::path::Path) -> anyhow::Result<Self> {
        let absent = || anyhow!("there is no index in {}", directory.display());
        Self::open(directory)?
            .ok_or_else(absent)
            .hint("name its data directory with --data; `wheelmark up` makes a new index")
    }

    /// Refuses a link in the place of the catalogue, which another user may have put there.
    pub(crate) fn demand_plain_catalogue(&self) -> anyhow::Result<()> {
        let path = self.catalogue();
        match std::fs::symlink_metadata(&path) {
            Ok(there) if !there.is_file() => {
                Err(anyhow!("{} is no plain file", path.display())).hint(
                    "somebody put it there: look into the web side before you restore the catalogue",
                )
            }
            _ => Ok(()),
        }
    }

    /// Refuses the data directory of a tree that follows what is elsewhere.
    pub(crate) fn demand_uploads(&self) -> anyhow::Result<()> {
        match &self.settings().tree {
            None => Ok(()),
            Some(tree) => Err(anyhow!(
                "{} belongs to the tree in {}, which follows what is elsewhere",
                self.directory().display(),
                tree.display()
            ))
            .hint("`wheelmark sign-tree` keeps that tree up to date, and any web server serves it; for an index that takes uploads, name another directory with --data"),
        }
    }
}

//! `wheelmark up`: a signed index, running.

mod first_run;
mod publisher;
mod ready;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use wheelmark_objects::LockError;
use wheelmark_repository::{BinForm, Bins, OpenError, PublishError, USUAL_BINS};
use wheelmark_signing::Phrase;
use wheelmark_store::Store;

use self::publisher::{How, Publisher};
pub(crate) use self::ready::Ready;
use super::serve::web;
use crate::context::Context;
use crate::data::Data;
use crate::front::Front;
use crate::logging::WithHint as _;
use crate::published;
use crate::settings::{Effective, Flags, LogFormat};

/// Run a signed index: the first run creates everything, every run serves it
///
/// The first run makes the keys, signs an empty index and writes an upload token to DATA/token.
/// The offline keys go to a folder beside the data directory, encrypted under a phrase that is
/// printed once: move the folder to two people's offline media, and the phrase with it.
///
/// Every upload is signed and published before its answer. What signs is a process of its own,
/// which this command starts and looks after. Stop with Ctrl-C.
///
///   wheelmark up
///   wheelmark up --data /srv/index --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem
///
/// Settings can stand in DATA/index.toml (`wheelmark index config init`) or in the environment
/// (WHEELMARK_INDEX_LISTEN=…) as well.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Where the index keeps everything
    #[arg(long, value_name = "DIR", default_value = "wheelmark-data")]
    data: PathBuf,

    /// Number of bins in each family, a power of two (first run only) [default: 64, good for some 3,000 projects; PyPI's size wants 16384]
    #[arg(long, value_name = "N")]
    bins: Option<u32>,

    /// Name every bin with its hash prefixes, for TUF clients without TAP 15 (first run only)
    #[arg(long)]
    prefix_lists: bool,

    /// The file with the online key, if it is not DATA/online-key
    #[arg(long, value_name = "FILE")]
    online_key: Option<PathBuf>,

    /// Make the index and end
    #[arg(long, hide = true)]
    create_only: bool,

    /// Print one line of JSON once the index is ready, instead of text
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: Flags,
}

impl Args {
    /// The format of log lines, as the settings have it. What is wrong with them is told later.
    pub(crate) fn log_format(&self) -> LogFormat {
        let effective = Effective::read(&self.data, &self.settings);
        effective.map_or(LogFormat::Text, |effective| effective.log_format())
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    if args.create_only {
        return first_run::make(&args, context).await;
    }
    // The addresses first: if one is taken, nothing has been made yet.
    let settings = Effective::read(&args.data, &args.settings)?.settings()?;
    let front = Front::open(settings).await?;

    // Listened for before anything is made: a first run that is asked to stop is finished first,
    // and then stops. It takes seconds, and half an index is of no use.
    let mut stop = StopSignals::new()?;
    let Some(data) = open_or_create(&args, context).await? else {
        return Ok(ExitCode::FAILURE);
    };
    // Before the other process, so that one of them brings an older database up to date.
    let store = Store::open(&data.catalogue()).await?;
    let (key, log) = (args.online_key.as_deref(), args.settings.signing_log());
    let how = How::new(&args.data, key, log, args.settings.external_url(), context);
    let Some(mut publisher) = Publisher::start(how).await? else {
        return Ok(ExitCode::FAILURE);
    };
    let ready = Ready::new(&data, front.base()?, &store, context.clock.now()).await;
    let (stop_server, server_stopped) = oneshot::channel();
    let stopped = when(server_stopped);
    let mut server = web(front, &data, store.clone(), context, stopped).await?;

    if args.json {
        print_line(&serde_json::to_string(&ready.json())?)?;
    } else {
        print_line(&ready.text(&data))?;
    }

    loop {
        tokio::select! {
            () = stop.received() => break,
            ended = &mut server => {
                ended?;
                anyhow::bail!("the server ended by itself");
            }
            status = publisher.ended() => {
                let status = status?;
                tracing::error!(%status, "the snapshot process ended; it is started again");
                match publisher.again().await? {
                    Some(again) => publisher = again,
                    None => anyhow::bail!("the snapshot process does not start any more"),
                }
                tracing::warn!("the snapshot process runs again");
            }
        }
    }
    tracing::info!("stopping: running uploads are finished first");
    // What publishes goes last: uploads in flight wait for the snapshot that takes them in.
    drop(stop_server);
    server.await?;
    let status = publisher.stop().await?;
    store.close().await;
    if !status.success() {
        anyhow::bail!("the snapshot process did not end well: {status}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The index, which the first run makes; none if that did not work, and was told.
async fn open_or_create(args: &Args, context: &Context) -> anyhow::Result<Option<Data>> {
    if let Some(data) = Data::open(&args.data)? {
        data.demand_uploads()?;
        // A script that names the number of the first run goes on when it has changed.
        if let Some(asked) = args.bins
            && asked != data.settings().bins
            && let existing = published::bins(&data.tree()).unwrap_or(data.settings().bins)
            && asked != existing
        {
            return Err(anyhow!(
                "this index has {existing} bins a family, and --bins asks for {asked}"
            ))
            .hint("leave --bins out; the number is chosen at the first run, and changes by a ceremony (`wheelmark index rebin`)");
        }
        return Ok(Some(data));
    }
    // What is wrong with them is told by this process.
    bins_of(args)?;
    if !first_run::make_apart(args, context).await? {
        return Ok(None);
    }
    Data::open_existing(&args.data).map(Some)
}

/// The bins that a new index gets.
fn bins_of(args: &Args) -> anyhow::Result<Bins> {
    let form = if args.prefix_lists {
        BinForm::PrefixLists
    } else {
        BinForm::Succinct
    };
    Ok(Bins::new(args.bins.unwrap_or(USUAL_BINS), form)?)
}

pub(crate) fn explain_open(error: OpenError) -> anyhow::Error {
    let hint = match &error {
        OpenError::Lock(LockError::Held { .. }) => {
            "another wheelmark runs on this data directory: stop it first"
        }
        OpenError::Lock(_) => "the data directory must be writable, and its disk not full",
        OpenError::JournalBehind { .. } => {
            "catalogue.sqlite is older than the repository beside it: restore both from the same backup"
        }
        OpenError::Publish(PublishError::Log(_)) => {
            "what is signed has to be written down first: see to it that `signing-log` in the data directory belongs to this user, and that the disk is not full"
        }
        OpenError::Publish(PublishError::Load(error)) if error.is_of_a_root() => {
            "nothing was changed. If a ceremony has brought that root, restore the file from a backup or a mirror; if none has, somebody put it there: move it away, as evidence. Then start again"
        }
        OpenError::Store(_) | OpenError::Publish(_) => {
            "nothing was changed; restore the named file from a backup or a mirror, then start again"
        }
    };
    Err::<(), _>(error).hint(hint).expect_err("it is an error")
}

/// The phrase goes to standard error, so that a script that reads the JSON line does not log it.
pub(crate) fn announce_phrase(offline_keys: &Path, phrase: &Phrase) {
    let text = format!(
        "
The offline keys in {}
open with this phrase. It is shown this once and stored nowhere:

  {}

",
        offline_keys.display(),
        phrase.reveal()
    );
    use std::io::Write as _;
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

pub(crate) fn print_line(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// How this program is called from a shell here.
pub(crate) fn own_name() -> String {
    let Ok(own) = std::env::current_exe() else {
        return "wheelmark".into();
    };
    let on_path = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| {
            directory
                .join("wheelmark")
                .canonicalize()
                .is_ok_and(|found| own.canonicalize().is_ok_and(|own| own == found))
        })
    });
    if on_path {
        return "wheelmark".into();
    }
    let here = std::env::current_dir().unwrap_or_default();
    shell_word(own.strip_prefix(&here).unwrap_or(&own))
}

/// Whether a data directory is the one that is meant where none is named.
fn is_usual(directory: &Path) -> bool {
    std::path::absolute("wheelmark-data").is_ok_and(|usual| usual == directory)
}

/// A path as one word of a shell's command line.
pub(crate) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Completes when the other end is dropped.
async fn when(stopped: oneshot::Receiver<Infallible>) {
    drop(stopped.await);
}

/// Ctrl-C and the service manager's request to end, listened for from here on.
pub(crate) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

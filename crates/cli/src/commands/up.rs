//! `wheelmark up`: a signed index, running.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;
use jiff::{SignedDuration, Timestamp};
use owo_colors::{OwoColorize as _, Stream::Stdout};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use wheelmark_objects::{Directory, LockError};
use wheelmark_repository::{BinForm, Bins, Engine, Lifetimes, OpenError, Phase};
use wheelmark_server::{App, Metrics};
use wheelmark_signing::Phrase;
use wheelmark_store::Store;

use crate::context::Context;
use crate::data::Data;
use crate::front::Front;
use crate::logging::WithHint as _;
use crate::settings::{Effective, Flags, LogFormat};

/// How long before the end of an offline role people are reminded at every start.
const OFFLINE_REMINDER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Run a signed index: the first run creates everything, every run serves it
///
/// The first run makes the keys, signs an empty index and writes an upload token to DATA/token.
/// The offline keys go to a folder beside the data directory, encrypted under a phrase that is
/// printed once: move the folder to two people's offline media, and the phrase with it.
///
/// Every upload is signed and published before its answer. Stop with Ctrl-C.
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

    /// Number of bins in each family, a power of two (first run only) [default: 256; PyPI's size wants 16384]
    #[arg(long, value_name = "N")]
    bins: Option<u32>,

    /// Name every bin with its hash prefixes, for TUF clients without TAP 15 (first run only)
    #[arg(long)]
    prefix_lists: bool,

    /// The file with the online key, if it is not DATA/online-key
    #[arg(long, value_name = "FILE")]
    online_key: Option<PathBuf>,

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
    // The addresses first: if one is taken, nothing has been made yet.
    let settings = Effective::read(&args.data, &args.settings)?.settings()?;
    let front = Front::open(settings).await?;

    // Listened for before anything is made: a first run that is asked to stop is finished first,
    // and then stops. It takes seconds, and half an index is of no use.
    let mut stop = StopSignals::new()?;
    let data = open_or_create(&args, context).await?;
    let online = data.online_key(args.online_key.as_deref())?;
    let tree = Arc::new(Directory::open(&data.tree()).await?);
    let store = Store::open(&data.catalogue()).await?;
    let orders = data.orders().await?;
    let mut engine = Engine::open_with_orders(
        tree.clone(),
        store.clone(),
        orders.clone(),
        online,
        context.clock.clone(),
        Lifetimes::default(),
    )
    .await
    .map_err(explain_open)?;
    // Only now is it sure that no other process writes here.
    wheelmark_server::take_back_cut_off(&tree, &store).await?;
    tree.clean_incoming().await?;
    remind(&engine, context.clock.now());

    let mut app = App::new(tree, store.clone(), context.clock.clone());
    front.furnish(&mut app)?;
    measure(&mut engine, Arc::clone(&app.metrics));
    let ready = Ready::new(&data, front.base()?);

    let (stop_server, server_stopped) = oneshot::channel();
    let (stop_engine, engine_stopped) = oneshot::channel();
    let mut engine = tokio::spawn(engine.run(when(engine_stopped)));
    let server = tokio::spawn(front.serve(app, when(server_stopped)));

    if args.json {
        print_line(&serde_json::to_string(&ready.json())?)?;
    } else {
        print_line(&ready.text(&data))?;
    }

    tokio::select! {
        () = stop.received() => {}
        ended = &mut engine => {
            ended?;
            anyhow::bail!("the snapshot process ended by itself");
        }
    }
    tracing::info!("stopping: running uploads are finished first");
    // The engine goes last: uploads in flight wait for the snapshot that takes them in.
    drop(stop_server);
    server.await?;
    drop(stop_engine);
    engine.await?;
    store.close().await;
    orders.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Counts how long each snapshot takes that the engine publishes from now on.
pub(crate) fn measure(engine: &mut Engine, metrics: Arc<Metrics>) {
    let mut began = None;
    engine.observe(move |phase| match phase {
        Phase::Plan => began = Some(Instant::now()),
        Phase::Sign | Phase::Record | Phase::Write => {}
        Phase::Done => {
            if let Some(began) = began.take() {
                metrics.snapshot_took(began.elapsed());
            }
        }
    });
}

async fn open_or_create(args: &Args, context: &Context) -> anyhow::Result<Data> {
    if let Some(data) = Data::open(&args.data)? {
        if let Some(tree) = &data.settings().tree {
            return Err(anyhow!(
                "{} belongs to the tree in {}, which follows what is elsewhere",
                args.data.display(),
                tree.display()
            ))
            .hint("`wheelmark sign-tree` keeps that tree up to date, and any web server serves it; for an index that takes uploads, name another directory with --data");
        }
        let existing = data.settings().bins;
        if let Some(asked) = args.bins
            && asked != existing
        {
            return Err(anyhow!(
                "this index has {existing} bins a family, and --bins asks for {asked}"
            ))
            .hint("leave --bins out: the number of bins is chosen at the first run");
        }
        return Ok(data);
    }
    let form = if args.prefix_lists {
        BinForm::PrefixLists
    } else {
        BinForm::Succinct
    };
    let bins = Bins::new(args.bins.unwrap_or(256), form)?;
    let online_key = args.online_key.as_deref();
    Data::create(&args.data, None, bins, online_key, context, announce_phrase).await
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
        OpenError::Store(_) | OpenError::Publish(_) => {
            "nothing was changed; restore the named file from a backup or a mirror, then start again"
        }
    };
    Err::<(), _>(error).hint(hint).expect_err("it is an error")
}

/// Says which offline role ends soon, while there is time.
pub(crate) fn remind(engine: &Engine, now: Timestamp) {
    for (role, expires) in engine.offline_expiries() {
        let left = expires.duration_since(now);
        if left <= OFFLINE_REMINDER {
            tracing::warn!(
                %role,
                %expires,
                "this role is signed with offline keys and ends soon; clients refuse the index after that"
            );
        }
    }
}

/// What a person or a script needs to know of a running index.
struct Ready {
    base: String,
    token_file: PathBuf,
    root_file: PathBuf,
    root_fingerprint: String,
}

impl Ready {
    fn new(data: &Data, base: String) -> Self {
        Self {
            base,
            token_file: data.token(),
            root_file: data.root_file(),
            root_fingerprint: data.settings().root_fingerprint.to_string(),
        }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "index_url": format!("{}/simple/", self.base),
            "upload_url": format!("{}/legacy/", self.base),
            "metadata_url": format!("{}/metadata/", self.base),
            "targets_url": format!("{}/targets/", self.base),
            "token_file": self.token_file,
            "root_file": self.root_file,
            "root_fingerprint": self.root_fingerprint,
        })
    }

    fn text(&self, data: &Data) -> String {
        let (base, token) = (&self.base, shell_word(&self.token_file));
        let fingerprint = &self.root_fingerprint;
        let wheelmark = own_name();
        let data_option = match data.directory() {
            usual if is_usual(usual) => String::new(),
            other => format!(" --data {}", shell_word(other)),
        };
        let title = format!("A signed index is running at {base}/simple/");
        let mut text = format!("{}\n", title.if_supports_color(Stdout, |t| t.bold()));
        text.push_str(&format!(
            "
Publish, with the tools you have:
  TWINE_PASSWORD=\"$(cat {token})\" twine upload --repository-url {base}/legacy/ -u __token__ dist/*
  UV_PUBLISH_TOKEN=\"$(cat {token})\" uv publish --publish-url {base}/legacy/ dist/*

This token may do everything, without end. For others:
  {wheelmark} index{data_option} user add NAME
  {wheelmark} index{data_option} token create --user NAME --scope upload

Install, every byte verified (trust is given once):
  {wheelmark} trust add {base}/simple/ --fingerprint {fingerprint}
  {wheelmark} pip install NAME
  {wheelmark} uv pip install NAME

Any TUF client: metadata at {base}/metadata/, targets at {base}/targets/,
  first root in {}
",
            shell_word(&self.root_file)
        ));
        if data.offline_keys().exists() {
            text.push_str(&format!(
                "
{} {}
  As long as they are here, whoever takes this machine can take the index for good.
",
                "Offline keys on this machine:".if_supports_color(Stdout, |t| t.yellow()),
                data.offline_keys().display()
            ));
        }
        text
    }
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

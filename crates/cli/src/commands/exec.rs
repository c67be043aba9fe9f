//! `wheelmark exec`, `wheelmark pip`, `wheelmark uv`: a command whose downloads are verified.

mod child;
mod clearing;
pub(super) mod configured;
mod lead;
mod locks;
mod progress;
pub(crate) mod recoveries;
mod roots;
mod summary;
mod unverified;
mod uv_files;

use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use etcetera::BaseStrategy as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wheelmark_client::installer::{
    Mode, ModeChoice, Surroundings, asks_once, mode_of, named_projects, open_routes,
};
use wheelmark_client::{
    Entrance, Freshness, Ledger, Proxy, Reader, RefreshFailure, Report, RunRoom,
};

use crate::context::{Context, fill_random};
use crate::homes::{HomesOptions, Readers, open_homes_or};
use crate::logging::WithHint as _;
use crate::policy::policy_here;

use lead::Lead;
use uv_files::UvFiles;

/// The exit code of a run in which something was refused although the command ended well.
pub(crate) const REFUSED: u8 = 86;

/// Run a command, every package it downloads verified
///
/// Starts a verifying proxy for this run, points pip and uv at it, refuses every other host,
/// and runs CMD. Whatever does not verify is not handed on.
///
/// Exit code: CMD's own; 86 if CMD ended with 0 although something was refused; 126 or 127 if
/// CMD could not be run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,

    /// The command and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    command: Vec<OsString>,
}

/// Run pip, every package it downloads verified (short for `exec -- pip …`)
#[derive(Debug, clap::Args)]
pub(crate) struct PipArgs {
    #[command(flatten)]
    options: Options,

    /// pip's arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARG"
    )]
    arguments: Vec<OsString>,
}

/// Run uv, every package it downloads verified (short for `exec -- uv …`)
#[derive(Debug, clap::Args)]
pub(crate) struct UvArgs {
    #[command(flatten)]
    options: Options,

    /// uv's arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARG"
    )]
    arguments: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
struct Options {
    /// The trusted index to install from [default: what the map says, or the only one]
    ///
    /// Where none is trusted, packages come from the index that pip or uv is configured for, PyPI
    /// unless something else is: nobody signs that one, and you are told.
    #[arg(long, value_name = "URL")]
    index: Option<String>,

    /// Check every file's own signed entry as well as its page
    #[arg(long)]
    strict: bool,

    /// Ask of every file what FILE asks for, too, beside your own policy (`wheelmark policy check`)
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Ask of every file what this lock file says of who has to have attested it
    ///
    /// What pip's and uv's own words name is found without it: name a lock here for a script, or a
    /// `make`, that follows one.
    #[arg(long, value_name = "FILE")]
    lock: Vec<PathBuf>,

    /// How the command is led to the proxy [default: connect for what uses a lock file, else index]
    #[arg(long, value_enum, value_name = "MODE")]
    mode: Option<ModeName>,

    /// Show what passes the proxy on standard error, in place of the installers' own bars
    ///
    /// Without it pip and uv show their own progress: what they receive comes as it is
    /// verified. Their bars are turned off here; their other lines can appear beside ours.
    /// Shows nothing where standard error is no terminal.
    #[arg(long)]
    progress: bool,

    /// Write what was verified and what was refused, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Run the command without any verification, its own settings untouched
    #[arg(long, conflicts_with_all = ["index", "strict", "policy", "lock"])]
    unsafely_disable_package_verification: bool,
}

/// How a command is led to the proxy
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ModeName {
    /// The proxy answers for the real URLs of the index, as lock files hold them
    Connect,
    /// The installer is given the proxy's URL as its index
    Index,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Connect => Self::Connect,
            ModeName::Index => Self::Index,
        }
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    run_verified(args.options, args.command, context).await
}

pub(crate) async fn run_pip(args: PipArgs, context: &Context) -> anyhow::Result<ExitCode> {
    run_verified(args.options, with_program("pip", args.arguments), context).await
}

pub(crate) async fn run_uv(args: UvArgs, context: &Context) -> anyhow::Result<ExitCode> {
    run_verified(args.options, with_program("uv", args.arguments), context).await
}

fn with_program(program: &str, arguments: Vec<OsString>) -> Vec<OsString> {
    let mut command = vec![program.into()];
    command.extend(arguments);
    command
}

async fn run_verified(
    options: Options,
    command: Vec<OsString>,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    // Before anything runs: a report that cannot be written is found out now.
    let report_to = match &options.report {
        Some(path) => Some(
            File::create(path).with_context(|| format!("could not write {}", path.display()))?,
        ),
        None => None,
    };
    if options.unsafely_disable_package_verification {
        unverified::allowed(context)?;
        return unverified::run(&command, report_to).await;
    }
    let locks = around_here(|around| locks::followed(&command, &options.lock, around))??;
    let left = around_here(|around| locks::not_followed(&command, &options.lock, around))?;
    let told = summary::identities(&locks) + &summary::not_asked(&left);
    let policy = policy_here(context, options.policy.as_deref())?;
    let configured = match &options.index {
        Some(_) => None,
        None => configured::where_none_is_trusted(&command, context).await?,
    };
    let (configured, used) = configured.map(|found| (found.index, found.used)).unzip();
    let homes = Arc::new(open_homes_or(
        configured,
        context,
        HomesOptions {
            index: options.index.as_deref(),
            freshness: Freshness::Once,
            strict: options.strict,
            readers: Readers::Person,
            policy: Some(policy.and(locks)),
        },
    )?);
    let shown = options.progress.then(progress::Shown::start);
    let ledger = Arc::new(match &shown {
        Some(shown) => Ledger::watched_by(shown.watch()),
        None => Ledger::default(),
    });
    // Of several indexes, those are asked that a project of this run leads to.
    if !homes.are_several()
        && let Err(error) = refresh(homes.first(), &ledger).await
    {
        let mut report = ledger.report(Vec::new());
        report.configured_index = used;
        report.warnings = homes.warnings();
        let now = context.clock.now();
        report.recoveries = homes.recoveries(true, now);
        write_report(report_to, &report)?;
        summary::say(&recoveries::told(&report.recoveries));
        homes.mark_told(&report.recoveries, now).await;
        return Err(error);
    }
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let entrance = Entrance::Secret(secret()?);
    let mut proxy = Proxy::bind(any_port, entrance, homes.clone(), ledger.clone()).await?;
    if asks_once(&command) {
        proxy = proxy.asked_once();
    }
    let passing = proxy.index_url();
    let room = RunRoom::create(&context.home)?;
    let choice = match options.mode {
        None => mode_of(&command),
        Some(named) => ModeChoice {
            mode: named.into(),
            why: "as --mode says".to_owned(),
        },
    };
    let (lead, proxy) = Lead::new(&choice, proxy, &homes, &room, context)?;
    let mut environment = lead.environment(&room)?;
    if options.progress {
        environment.set.extend(progress::no_other());
    }
    let uv_files = UvFiles::without_setup(&room)?;
    let (routes, named) = around_here(|around| {
        let read = |path: &Path| uv_files.text(path).or_else(|| (around.read)(path));
        let around = Surroundings {
            read: &read,
            ..*around
        };
        let named = named_projects(&command, &around);
        (open_routes(&command, &around), named)
    })?;
    environment.set.extend(uv_files.set);
    summary::mode(&choice);
    summary::say(&told);

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(proxy.serve(async {
        // A sender that is gone means the end as well.
        drop(stopped.await);
    }));
    let ahead = tokio::spawn(homes.clone().look_ahead(named));
    let begun = Instant::now();
    let ended = child::run(&command, &environment).await;
    let took = begun.elapsed();
    ahead.abort();
    drop(shown);
    drop(stop);
    serving.await?;

    let mut report = ledger.report(routes);
    report.configured_index = used;
    report.warnings = homes.warnings();
    let now = context.clock.now();
    report.recoveries = homes.recoveries(ledger.any_refused(), now);
    write_report(report_to, &report)?;
    summary::print(&report, took, homes.are_several());
    homes.mark_told(&report.recoveries, now).await;
    for file in lock_files_that_name(&passing) {
        summary::lock_file(&file);
    }
    clearing::clear(room);
    // We end in a moment, and giving back page by page takes longer than the system's way.
    std::mem::forget(homes);
    let code = ended?;
    if code == 0 && ledger.any_refused() {
        return Ok(ExitCode::from(REFUSED));
    }
    Ok(ExitCode::from(code))
}

/// What follows from where the command will run.
fn around_here<T>(of: impl FnOnce(&Surroundings<'_>) -> T) -> anyhow::Result<T> {
    let directory = std::env::current_dir()?;
    let user = etcetera::choose_base_strategy().map(|dirs| dirs.config_dir());
    Ok(of(&Surroundings {
        directory: &directory,
        user_configuration: user.as_deref().ok(),
        variable: &|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()),
        exists: &|path| path.exists(),
        // What is read from a pipe is gone for the command.
        read: &|path| {
            let file = path.metadata().ok()?.is_file();
            file.then(|| std::fs::read_to_string(path).ok()).flatten()
        },
    }))
}

/// Lock files of the project that were written during this run and so name its proxy: a URL
/// that nobody can use again.
fn lock_files_that_name(url: &str) -> Vec<PathBuf> {
    const LOCK_FILES: [&str; 4] = ["uv.lock", "pylock.toml", "poetry.lock", "pdm.lock"];
    let url = url.trim_end_matches('/');
    let Ok(directory) = std::env::current_dir() else {
        return Vec::new();
    };
    let candidates = directory
        .ancestors()
        .flat_map(|directory| LOCK_FILES.map(|name| directory.join(name)));
    candidates
        .filter(|file| std::fs::read_to_string(file).is_ok_and(|text| text.contains(url)))
        .collect()
}

fn write_report(to: Option<File>, report: &Report) -> anyhow::Result<()> {
    if let Some(mut file) = to {
        serde_json::to_writer_pretty(&mut file, report)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}

async fn refresh(reader: &Reader, ledger: &Ledger) -> anyhow::Result<()> {
    let turning = turning(format!(
        "checking the signatures of {}",
        reader.index().urls().simple()
    ));
    let refreshed = reader.refresh().await;
    turning.finish_and_clear();
    let Err(failure) = refreshed else {
        return Ok(());
    };
    ledger.refused_chain(reader.index().urls().simple(), failure.clone());
    let hint = match &*failure {
        failure if failure.is_by_other_keys() => {
            "nothing was run. Try again in a few minutes; if it stays so, do nothing that a page, a mail or a message of the index asks for: ask its people, in person or where you have always found them, for the fingerprint of its root, and only then: wheelmark trust add --replace URL --fingerprint SHA256"
        }
        RefreshFailure::Refused { .. } | RefreshFailure::EverySource { .. }
            if failure.is_refusal() =>
        {
            "the index's signed state was changed, replayed or withheld, or an update is not finished; nothing was run. Try again in a few minutes, then tell whoever runs the index"
        }
        RefreshFailure::Stored { .. } => {
            "if the stored root is damaged, begin anew: wheelmark trust remove URL, then trust add"
        }
        RefreshFailure::Trust(_) => "nothing was run",
        RefreshFailure::Fetch(_)
        | RefreshFailure::Refused { .. }
        | RefreshFailure::EverySource { .. } => {
            "check that the index can be reached; nothing was run"
        }
    };
    Err(anyhow::Error::from(failure).context(format!(
        "{} could not be verified",
        reader.index().urls().simple()
    )))
    .hint(hint)
}

/// Something that turns, on a terminal; nothing elsewhere.
fn turning(message: String) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::default_spinner());
    bar.set_message(message);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn secret() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    fill_random(&mut bytes)?;
    Ok(hex::encode(bytes))
}

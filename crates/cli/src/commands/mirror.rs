//! `wheelmark mirror`: a copy of a signed index that anybody may serve.

mod beginning;
mod report;
mod selecting;
mod shown;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use wheelmark_mirror::{Blame, Copy, CopyError, CopyFolder, CopyOptions};
use wheelmark_objects::LockError;
use wheelmark_tuf::Sha256;

use self::beginning::{demand_open, upstream};
use self::selecting::SelectionArgs;
use self::shown::Shown;
use crate::context::Context;
use crate::logging::{Hinted, WithHint as _, report as report_error};

/// The exit code when the command was not understood.
const USAGE: u8 = 2;

/// The exit code when the index or its mirrors are down, or lack what is signed.
const UNAVAILABLE: u8 = 3;

/// The exit code when what they have was refused: older than before, altered, not signed.
const REFUSED: u8 = 4;

/// Copy a signed index, so that any web server can serve the copy
///
/// The first run copies everything, later runs what has changed. Every byte is verified before
/// it has its name, and the signed timestamp comes last: whoever reads the copy finds the last
/// complete state or the next one, and never half of either, whatever happens here or upstream.
///
/// The index must be trusted (`wheelmark trust add`), or the first run is given --root or
/// --fingerprint. DIR remembers what was seen, so that an older state is refused from then on.
///
/// Exit codes: 0 complete, 1 failed here (disk, permissions, damaged state), 2 usage,
/// 3 the index is unavailable or incomplete, 4 what it serves was refused, 130 and 143 a single
/// run was ended by Ctrl-C or SIGTERM. With all but 0 DIR keeps its last complete state.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The index's simple URL, as pip and uv take it
    url: String,

    /// The directory of the copy: a web server's root. Names that begin with `.` in it are not
    /// to be served
    dir: PathBuf,

    /// At the first run: a root file that you were given
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    root: Option<PathBuf>,

    /// At the first run: the sha256 of a root's canonical signed part
    #[arg(long, value_name = "SHA256", value_parser = super::trust::fingerprint)]
    fingerprint: Option<Sha256>,

    /// Another copy of the index's tree, by its base URL, asked before the index itself; may be
    /// repeated. None of them need be trusted
    #[arg(long, value_name = "BASE")]
    from: Vec<String>,

    #[command(flatten)]
    selection: SelectionArgs,

    /// How many objects are fetched at a time
    #[arg(long, short, value_name = "N", default_value_t = wheelmark_mirror::JOBS, value_parser = jobs)]
    jobs: usize,

    /// Bytes a second that are fetched at most, such as 10MB/s
    #[arg(long, value_name = "RATE", value_parser = selecting::rate)]
    limit_rate: Option<u64>,

    /// How long what has left the index stays here, such as 12h or 7d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    grace: SignedDuration,

    /// Read and hash everything that is here, and find what nothing needs; do not rely on what
    /// DIR remembers
    #[arg(long)]
    check: bool,

    /// Go on for ever, with a run every so often, such as 5m
    #[arg(long, value_name = "TIME", value_parser = interval)]
    every: Option<SignedDuration>,

    /// Serve DIR on this address as well; implies --every 5m
    #[arg(long, value_name = "ADDR")]
    serve: Option<SocketAddr>,

    /// Serve the copy of an index that wants a token: whoever reaches the address of --serve reads
    /// it without one
    #[arg(long, requires = "serve")]
    serve_openly: bool,

    /// Print one line of JSON for each run, instead of text
    #[arg(long)]
    json: bool,
}

/// How often a copy that is served is brought up to date, unless the operator says otherwise.
const SERVED_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// More at a time helps nobody, and upstream least.
const MAX_JOBS: usize = 256;

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs @ 1..=MAX_JOBS) => Ok(jobs),
        _ => Err(format!("a number from 1 to {MAX_JOBS}")),
    }
}

/// A time such as `90s`, `5m`, `24h` or `7d`; a day has 24 hours.
pub(crate) fn duration(text: &str) -> Result<SignedDuration, String> {
    let refused = || "a time such as 90s, 5m, 24h or 7d".to_owned();
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<i64>().ok());
    let duration = match days {
        Some(days) => days.checked_mul(86_400).map(SignedDuration::from_secs),
        None => text.parse().ok(),
    };
    duration
        .filter(|duration| !duration.is_negative())
        .ok_or_else(refused)
}

/// A time between two runs.
fn interval(text: &str) -> Result<SignedDuration, String> {
    match duration(text)? {
        SignedDuration::ZERO => Err("without a pause the index would be asked all the time".into()),
        pause => Ok(pause),
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut stop = Stop::new()?;
    let selection = match args.selection.read() {
        Ok(selection) => selection,
        Err(error) => {
            report_error(&error);
            return Ok(ExitCode::from(USAGE));
        }
    };
    // The address first: if it is taken, nothing has been made yet.
    let listener = match args.serve {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address}"))
                .hint("another program may use this port: choose one with --serve ADDR")?,
        ),
        None => None,
    };
    if listener.is_some() && !args.serve_openly {
        demand_open(&args.url, context).await?;
    }
    let place = CopyFolder::open(&args.dir).await.map_err(explained)?;
    let upstream = tokio::select! {
        upstream = upstream(&args, &place, context) => upstream?,
        code = stop.received() => return Ok(ended_by(code, &args.every.or(args.serve.map(|_| SERVED_EVERY)))),
    };
    let upstream = match upstream {
        Ok(upstream) => upstream,
        Err((code, error)) => {
            report_error(&error);
            return Ok(ExitCode::from(code));
        }
    };
    let options = CopyOptions {
        selection,
        jobs: args.jobs,
        grace: args.grace,
        rate: args.limit_rate,
        check: args.check,
    };
    let copy = Copy::new(place, upstream, options, context.clock.clone())
        .await
        .map_err(explained)?;
    let every = args.every.or(listener.is_some().then_some(SERVED_EVERY));
    let tree = Arc::new(copy.tree().clone());
    let (closing, closed) = oneshot::channel::<std::convert::Infallible>();
    let server = listener.map(|listener| {
        report::serving(listener.local_addr().ok(), args.json);
        let router = wheelmark_server::read_router(tree);
        tokio::spawn(wheelmark_server::serve(listener, router, async {
            drop(closed.await);
        }))
    });
    let code = runs(copy, every, args.json, &mut stop).await;
    drop(closing);
    if let Some(server) = server {
        server.await?;
    }
    code
}

/// One run, or one every so often until a signal comes.
async fn runs(
    mut copy: Copy,
    every: Option<SignedDuration>,
    json: bool,
    stop: &mut Stop,
) -> anyhow::Result<ExitCode> {
    loop {
        let shown = Shown::start(copy.progress());
        let ended = tokio::select! {
            ended = copy.run() => ended,
            code = stop.received() => {
                drop(shown);
                report::stopped(&copy, json)?;
                return Ok(ended_by(code, &every));
            }
        };
        let reached = copy.progress().reached();
        drop(shown);
        let code = match ended {
            Ok(outcome) => {
                report::done(&outcome, &reached, &copy, json)?;
                // What was to be checked once was.
                copy.rely_on_memory();
                ExitCode::SUCCESS
            }
            Err(error) => {
                let code = match error.blame() {
                    Blame::Unavailable => UNAVAILABLE,
                    Blame::Refused => REFUSED,
                    Blame::Here => 1,
                };
                report::failed(&error, code, &copy, json)?;
                report_error(&explained(error));
                ExitCode::from(code)
            }
        };
        let Some(every) = every else {
            return Ok(code);
        };
        tokio::select! {
            () = tokio::time::sleep(every.unsigned_abs()) => {}
            _ = stop.received() => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// A signal is how a copy that goes on for ever ends; a single run is not complete by it.
fn ended_by(code: u8, every: &Option<SignedDuration>) -> ExitCode {
    match every {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::from(code),
    }
}

/// The error with what to do.
fn explained(error: CopyError) -> anyhow::Error {
    let hint = match (&error, error.blame()) {
        (error, _) if error.is_full() => {
            "the disk, or a quota, is full: make room, and run again; the copy stays as it was"
        }
        (CopyError::Lock(LockError::Held { .. }), _) => {
            "another `wheelmark` writes to this directory: wait for it, or stop it"
        }
        (CopyError::State(wheelmark_mirror::StateError::Damaged { .. }), _) => {
            "run again with --check: everything that is here is read again then"
        }
        (CopyError::State(wheelmark_mirror::StateError::OtherIndex { .. }), _) => {
            "take another directory; one holds the copy of one index"
        }
        (CopyError::SignedTwice { .. }, _) => {
            "the copy stays as it was; the index has signed one version twice: `wheelmark cross-check` \
             with the index and this directory saves the proof"
        }
        (CopyError::NewerRoot { .. } | CopyError::WentBack { .. }, _) => {
            "the copy stays as it was; the index, or whoever answers for it, shows an older state: ask \
             whoever runs it, and let no other copy be made of it until then"
        }
        (CopyError::Damaged(_), _) => "run again with --check: what is damaged is fetched again",
        (_, Blame::Here) => {
            "the copy stays as it was; it and everything in it must be writable by this user"
        }
        (_, Blame::Unavailable) => {
            "the copy stays as it was; run again when the index is well, and it goes on from here"
        }
        (_, Blame::Refused) => {
            "the copy stays as it was; if this stays so, tell whoever runs the index, with this message"
        }
    };
    anyhow::Error::from(error).context(Hinted {
        hint: hint.to_owned(),
    })
}

/// Ctrl-C and the service manager's request to end, listened for from here on.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one, and says which exit code tells of it.
    async fn received(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        for (text, seconds) in [
            ("0s", 0),
            ("90s", 90),
            ("5m", 300),
            ("24h", 86_400),
            ("7d", 604_800),
            ("1h30m", 5_400),
        ] {
            let read = duration(text);
            assert_eq!(read, Ok(SignedDuration::from_secs(seconds)), "{text}");
        }
        for bad in [
            "",
            "5",
            "m",
            "-5m",
            "-1d",
            "soon",
            "400000000000000d",
            "9223372036854775807d",
            "99999999999999999999d",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(interval("0s").is_err() && interval("0d").is_err());
        assert_eq!(interval("1s"), Ok(SignedDuration::from_secs(1)));
    }
}

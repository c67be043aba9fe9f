//! The `wheelmark` binary: arguments, configuration, wiring, clock and exit codes.
//!
//! ```text
//! arguments ─▶ commands::<name>::run ─▶ server · repository · client ─▶ exit code
//! ```
//!
//! One file for each command; the doc comment of its `Args` is its help text. This is the
//! only crate that names a concrete clock, random source or environment variable.
#![expect(
    rustdoc::bare_urls,
    reason = "the comments on commands are their help, printed as they stand"
)]

mod anchor;
mod commands;
mod configuration;
mod context;
mod data;
mod examples;
mod front;
mod homes;
mod logging;
mod policy;
mod public_root;
mod published;
mod quick;
mod releasing;
mod remote;
mod settings;
mod shipping;

use std::num::NonZero;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio::runtime::Builder;

use crate::context::Context;
use crate::settings::LogFormat;

/// A Python package index whose every answer can be verified, and the client that verifies it
///
/// Run a signed index:         wheelmark up
/// Sign one that exists:       wheelmark sign-tree SOURCE --out DIR
/// Look after it:              wheelmark index files flask
/// Renew its offline roles:    wheelmark ceremony begin --data DIR --out DIR
/// Bring it back:              wheelmark recover plan --last-good BACKUP -o DIR
/// Install from it, verified:  wheelmark exec -- pip install flask
/// Check a copy of an index:   wheelmark verify DIR
/// Say who publishes files:    wheelmark attest dist/*
/// Any TUF repository:         wheelmark tuf --metadata-dir D --metadata-url U refresh
#[derive(Debug, Parser)]
#[command(
    name = "wheelmark",
    version,
    max_term_width = 100,
    verbatim_doc_comment
)]
struct Cli {
    /// Say more on standard error (-v what is done, -vv every request)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(commands::up::Args),
    Serve(commands::serve::Args),
    Snapshotter(commands::snapshotter::Args),
    SignTree(commands::sign_tree::Args),
    Index(commands::index::Args),
    Ceremony(Box<commands::ceremony::Args>),
    Recover(Box<commands::recover::Args>),
    #[command(flatten)]
    Client(commands::ClientCommand),
    Tuf(commands::tuf::Args),
    Completions(commands::completions::CompletionsArgs),
    Man(commands::completions::ManArgs),
}

impl Command {
    /// How the log is written.
    fn log_format(&self) -> LogFormat {
        match self {
            Command::Up(args) => args.log_format(),
            Command::Serve(args) => args.log_format(),
            Command::Snapshotter(args) => args.log_format(),
            _ => LogFormat::Text,
        }
    }
}

/// All commands, with their examples.
fn command() -> clap::Command {
    examples::with_examples(Cli::command())
}

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let cli = quick::read(&words).unwrap_or_else(|| {
        let matches = command().get_matches_from(words);
        Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    });
    logging::start(cli.verbose, cli.command.log_format());
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            logging::report(&error);
            ExitCode::FAILURE
        }
    }
}

/// A server leaves one processor to the threads of the database, to those that do what takes long, and
/// to the snapshot process: on a small machine, more threads for requests mostly wake one another.
fn of_a_server() -> Builder {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut runtime = Builder::new_multi_thread();
    runtime.worker_threads(processors.saturating_sub(1).max(1));
    runtime
}

/// What stands between an installer and its index leaves a small machine to the two of them: there, one thread
/// does it all, where two would mostly wake one another. On a larger one, files are verified side by side.
fn beside_a_command() -> Builder {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    if processors <= 2 {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let context = Context::from_environment(cli.verbose)?;
    let runs_another = matches!(&cli.command, Command::Client(command) if command.runs_another());
    let mut runtime = match cli.command {
        // It does one thing after the other: more threads would only wake one another.
        Command::Snapshotter(_) => Builder::new_current_thread(),
        Command::Up(_) | Command::Serve(_) => of_a_server(),
        Command::Client(_) if runs_another => beside_a_command(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Up(args) => commands::up::run(args, &context).await,
            Command::Serve(args) => commands::serve::run(args, &context).await,
            Command::Snapshotter(args) => commands::snapshotter::run(args, &context).await,
            Command::SignTree(args) => commands::sign_tree::run(args, &context).await,
            Command::Index(args) => commands::index::run(args, &context).await,
            Command::Ceremony(args) => commands::ceremony::run(*args, &context).await,
            Command::Recover(args) => commands::recover::run(*args, &context).await,
            Command::Client(command) => command.run(&context).await,
            Command::Tuf(args) => commands::tuf::run(args, &context).await,
            Command::Completions(args) => commands::completions::completions(&args, command()),
            Command::Man(args) => commands::completions::man(&args, command()),
        }
    });
    if runs_another {
        // What had to be written and removed is. Whoever waits for the command need not wait until every
        // connection and thread is taken apart: the system does that with the process.
        std::mem::forget(runtime);
    }
    ended
}

//! The command itself: started, sent the signals that were meant for it, and waited for.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use anyhow::{Context as _, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use wheelmark_client::installer::Environment;

use crate::logging::WithHint as _;

/// What shells answer for a command that is not there, and for one that cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// What shells add to the number of the signal that ended a command.
const BY_SIGNAL: i32 = 128;

/// Runs the command to its end and returns its exit code.
pub(super) async fn run(command: &[OsString], environment: &Environment) -> anyhow::Result<u8> {
    let (program, arguments) = command
        .split_first()
        .context("there is no command to run")?;
    let mut child = Command::new(program);
    child.args(arguments);
    for name in &environment.remove {
        child.env_remove(name);
    }
    child.envs(environment.set.iter().map(|(name, value)| (name, value)));
    // The handlers first: a signal in between must not leave the child behind.
    let mut signals = Signals::new()?;
    let mut child = match child.spawn() {
        Ok(child) => child,
        Err(error) => {
            let code = match error.kind() {
                std::io::ErrorKind::NotFound => NOT_FOUND,
                _ => NOT_RUNNABLE,
            };
            let name = program.to_string_lossy();
            let failed = Err::<(), _>(anyhow!(error).context(format!("could not run {name}")))
                .hint("is it installed, and on the PATH of this shell?");
            if let Err(error) = failed {
                crate::logging::report(&error);
            }
            return Ok(code);
        }
    };
    loop {
        tokio::select! {
            status = child.wait() => return Ok(exit_code(status?)),
            number = signals.next() => forward(&child, number),
        }
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| BY_SIGNAL + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The signals that a user or a supervisor sends to end a command.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.quit.recv() => Signal::QUIT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hangup.recv() => Signal::HUP,
        }
    }
}

/// Sends the signal on. What is typed on a terminal reaches the child without us.
fn forward(child: &Child, number: Signal) {
    let typed = matches!(number, Signal::INT | Signal::QUIT) && std::io::stdin().is_terminal();
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(pid) = pid
        && !typed
        && let Err(error) = kill_process(pid, number)
    {
        tracing::warn!(%error, "a signal could not be sent on");
    }
}

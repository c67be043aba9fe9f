//! The command itself: started, sent the signals that were meant for it, and waited for.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
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
    let taken = Taken::by(environment);
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| taken.has(name)) {
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

/// The variables that the environment has a say in, in whatever spelling: Python takes `No_Proxy` for
/// `no_proxy`, and pip `PIP_proxy` or `PIP___proxy` for `PIP_PROXY`.
struct Taken(HashSet<String>);

impl Taken {
    fn by(environment: &Environment) -> Self {
        let set = environment.set.iter().map(|(name, _)| name.as_str());
        let names = set.chain(environment.remove.iter().copied());
        Self(names.map(one_spelling).collect())
    }

    /// Whether an inherited variable is among them.
    fn has(&self, name: &OsStr) -> bool {
        self.0.contains(&one_spelling(&name.to_string_lossy()))
    }
}

/// The name of a variable in the one spelling that its readers make of all.
fn one_spelling(name: &str) -> String {
    let name = name.to_lowercase().replace('-', "_");
    match name.strip_prefix("pip_") {
        Some(option) => format!("pip_{}", option.trim_start_matches("__")),
        None => name,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_taken_in_every_spelling() {
        let environment = Environment {
            set: vec![("PIP_PROXY".to_owned(), "p".into())],
            remove: vec!["NO_PROXY", "PIP_FIND_LINKS", "UV_INDEX"],
        };
        let check = |names: &[&str], taken: bool| {
            for name in names {
                let is = Taken::by(&environment).has(OsStr::new(name));
                assert_eq!(is, taken, "{name}");
            }
        };
        check(
            &["PIP_PROXY", "PIP_proxy", "PIP_--proxy", "PIP___Proxy"],
            true,
        );
        check(&["No_Proxy", "no_proxy", "NO_PROXY", "uv_index"], true);
        // A sign for kelvin is a `k` in small letters.
        check(&["PIP_find-links", "PIP_FIND_LIN\u{212a}S"], true);
        check(
            &["PIP_PROXY2", "PROXY", "PATH", "UV__INDEX", "PIP_NO_PROXY"],
            false,
        );
    }
}

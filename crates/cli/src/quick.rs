//! The arguments of the commands that run another one, read without the other commands.
//!
//! Describing all commands with their options and examples takes longer than a whole `exec` needs for its
//! settings, and whoever installs something pays for it each time. What is not understood here, help
//! included, is read by the whole command line, which says why.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::commands::{ClientCommand, exec};
use crate::{Cli, Command};

/// The command line, with the commands of [`NAMES`] alone. Its options are those of [`Cli`].
#[derive(Debug, Parser)]
#[command(name = "wheelmark")]
struct Running {
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    #[command(subcommand)]
    command: RunningCommand,
}

#[derive(Debug, Subcommand)]
enum RunningCommand {
    Exec(exec::Args),
    Pip(exec::PipArgs),
    Uv(exec::UvArgs),
}

/// What the commands are called.
const NAMES: [&str; 3] = ["exec", "pip", "uv"];

/// Reads the words of a command line, the program's own name first; `None` where it is for the whole command
/// line to read.
pub(crate) fn read(words: &[OsString]) -> Option<Cli> {
    let mut words_after = words.iter().skip(1);
    let first = words_after.find(|word| !word.as_encoded_bytes().starts_with(b"-"))?;
    NAMES.iter().find(|name| first == **name)?;
    let running = Running::try_parse_from(words).ok()?;
    let command = match running.command {
        RunningCommand::Exec(args) => ClientCommand::Exec(args),
        RunningCommand::Pip(args) => ClientCommand::Pip(args),
        RunningCommand::Uv(args) => ClientCommand::Uv(args),
    };
    Some(Cli {
        verbose: running.verbose,
        command: Command::Client(command),
    })
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    /// What either way makes of a command line.
    fn check(line: &str, expected: bool) {
        let words: Vec<OsString> = format!("wheelmark {line}")
            .split_whitespace()
            .map(OsString::from)
            .collect();
        let quick = read(&words).map(|cli| format!("{cli:?}"));
        assert_eq!(quick.is_some(), expected, "{line}");
        let whole = crate::command()
            .try_get_matches_from(&words)
            .ok()
            .and_then(|matches| Cli::from_arg_matches(&matches).ok());
        if let Some(quick) = quick {
            assert_eq!(Some(quick), whole.map(|cli| format!("{cli:?}")), "{line}");
        }
    }

    #[test]
    fn what_is_read_quickly_is_what_the_whole_command_line_reads() {
        for line in [
            "exec -- uv pip install flask",
            "exec pip install -v flask",
            "-vv exec --strict --report r.json -- make -v install",
            "exec -v --index https://a.example/simple/ --mode connect -- uv sync",
            "exec --unsafely-disable-package-verification -- true",
            "--verbose pip install --help",
            "uv pip --help",
            "pip --strict install -r requirements.txt",
            "uv pip install flask",
            "exec -- exec",
            // What begins the command may look like an option.
            "exec --no-such-option -- true",
        ] {
            check(line, true);
        }
    }

    #[test]
    fn everything_else_is_left_to_the_whole_command_line() {
        for line in [
            "",
            "--version",
            "exec",
            "exec --help",
            "uv --help",
            "exec --strict --unsafely-disable-package-verification -- true",
            "--no-such-option exec -- true",
            "help exec",
            "trust list",
            "up exec",
            "Exec -- true",
        ] {
            check(line, false);
        }
    }
}

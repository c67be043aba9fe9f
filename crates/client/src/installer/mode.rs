//! How a command is led to the proxy: by another index URL, or at the real URLs.

use std::ffi::OsString;

use super::locks::pylock_name;
use super::program::Installer;
use super::words::{self, Dialect, Word};

/// How a command is led to the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The installer is given the proxy's URL as its index.
    Index,
    /// The proxy answers for the real URLs of the index, for what reads or writes lock files
    /// that hold them.
    Connect,
}

/// A mode, and why it was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeChoice {
    /// The mode.
    pub mode: Mode,
    /// Why, to be read after the mode's name.
    pub why: String,
}

/// The mode for a command: [`Mode::Connect`] where its words say that it reads or writes a
/// lock file that holds URLs, or keeps such URLs elsewhere.
#[must_use]
pub fn mode_of(command: &[OsString]) -> ModeChoice {
    let words: Vec<String> = command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let why = match Installer::of(&words) {
        Installer::Pip(arguments) => pip(&arguments),
        Installer::Uv(arguments) => uv(&arguments),
        Installer::Poetry => Some("poetry uses poetry.lock".to_owned()),
        Installer::Pdm => Some("pdm uses pdm.lock".to_owned()),
        Installer::Unknown => None,
    };
    match why {
        Some(why) => ModeChoice {
            mode: Mode::Connect,
            why,
        },
        None => ModeChoice {
            mode: Mode::Index,
            why: "this command is not known to use a lock file".to_owned(),
        },
    }
}

fn pip(arguments: &[String]) -> Option<String> {
    let command = plain(arguments, Dialect::Pip).next()?;
    if command == "lock" {
        return Some("pip lock writes pylock.toml".to_owned());
    }
    pylock(arguments).map(|file| format!("pip {command} reads {file}"))
}

/// uv's subcommands: options before them may have values that we do not know.
const UV: [&str; 21] = [
    "add", "audit", "auth", "build", "cache", "export", "format", "help", "init", "lock", "pip",
    "publish", "python", "remove", "run", "self", "sync", "tool", "tree", "venv", "version",
];

/// uv's subcommand and the plain words behind it.
pub(super) fn uv_command(arguments: &[String]) -> impl Iterator<Item = &str> {
    plain(arguments, Dialect::Uv).skip_while(|word| !UV.contains(word))
}

fn uv(arguments: &[String]) -> Option<String> {
    let mut plain = uv_command(arguments);
    match plain.next()? {
        command @ ("sync" | "run" | "tree" | "export" | "audit") => {
            Some(format!("uv {command} reads uv.lock"))
        }
        command @ ("lock" | "add" | "remove" | "version") => {
            Some(format!("uv {command} writes uv.lock"))
        }
        "tool" => {
            let command = plain.next()?;
            matches!(command, "install" | "upgrade" | "run")
                .then(|| format!("uv tool {command} keeps the URLs that it installed from"))
        }
        "pip" => {
            let command = plain.next()?;
            let does = if command == "compile" {
                "writes"
            } else {
                "reads"
            };
            pylock(arguments).map(|file| format!("uv pip {command} {does} {file}"))
        }
        _ => None,
    }
}

fn plain(arguments: &[String], dialect: Dialect) -> impl Iterator<Item = &str> {
    let words = words::read(arguments, dialect).into_iter();
    words.filter_map(|word| match word {
        Word::Plain(word) => Some(word),
        Word::Option { .. } => None,
    })
}

/// The lock file of PEP 751 that a command names, whatever for.
fn pylock(arguments: &[String]) -> Option<&str> {
    arguments.iter().find_map(|word| {
        let value = word.split_once('=').map(|(_, value)| value);
        let attached = word.strip_prefix('-').and_then(|word| word.get(1..));
        [Some(word.as_str()), value, attached]
            .into_iter()
            .flatten()
            .find_map(pylock_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, connect: Option<&str>) {
        let command: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let choice = mode_of(&command);
        let why = (choice.mode == Mode::Connect).then_some(choice.why);
        assert_eq!(why.as_deref(), connect, "{line}");
    }

    #[test]
    fn lock_files_are_seen() {
        check("uv sync", Some("uv sync reads uv.lock"));
        check("/usr/bin/uv sync --frozen", Some("uv sync reads uv.lock"));
        check("python3 -m uv sync", Some("uv sync reads uv.lock"));
        check("uv -q --directory pip sync", Some("uv sync reads uv.lock"));
        check(
            "uv --project=x --color never lock",
            Some("uv lock writes uv.lock"),
        );
        check("uv run pytest", Some("uv run reads uv.lock"));
        check("uv run pip install x", Some("uv run reads uv.lock"));
        check("uv add flask", Some("uv add writes uv.lock"));
        check("uv remove flask", Some("uv remove writes uv.lock"));
        check("uv version --bump minor", Some("uv version writes uv.lock"));
        for (line, command) in [
            ("uv tool install ruff", "install"),
            ("uv -q tool upgrade --all", "upgrade"),
            ("uv tool run black", "run"),
            ("uvx black", "run"),
        ] {
            let why = format!("uv tool {command} keeps the URLs that it installed from");
            check(line, Some(&why));
        }
        check("uv tree", Some("uv tree reads uv.lock"));
        check(
            "uv export --format pylock.toml",
            Some("uv export reads uv.lock"),
        );
        check(
            "uv pip sync pylock.toml",
            Some("uv pip sync reads pylock.toml"),
        );
        check(
            "uv pip install -r ./a/pylock.dev.toml",
            Some("uv pip install reads pylock.dev.toml"),
        );
        check(
            "uv pip install --requirements=pylock.toml",
            Some("uv pip install reads pylock.toml"),
        );
        check(
            "uv pip compile x.in -o pylock.toml",
            Some("uv pip compile writes pylock.toml"),
        );
        check(
            "pip install -r pylock.toml",
            Some("pip install reads pylock.toml"),
        );
        check(
            "pip3.11 install -rpylock.toml",
            Some("pip install reads pylock.toml"),
        );
        check(
            "pip install -r ./pylock.toml[test]",
            Some("pip install reads pylock.toml"),
        );
        check(
            "pip install --group pylock.toml:dev",
            Some("pip install reads pylock.toml"),
        );
        check(
            "python -m pip lock flask",
            Some("pip lock writes pylock.toml"),
        );
        check("poetry install", Some("poetry uses poetry.lock"));
        check("python3.12 -m poetry lock", Some("poetry uses poetry.lock"));
        check("/opt/pdm/bin/pdm sync", Some("pdm uses pdm.lock"));
        check("python -m pdm install", Some("pdm uses pdm.lock"));
    }

    #[test]
    fn everything_else_asks_the_index() {
        for line in [
            "pip install flask",
            "pip install lock",
            "pip install -r requirements.txt",
            "pip download poetry",
            "uv pip install sync",
            "uv pip sync requirements.txt",
            "uv pip install -r requirements.txt",
            "uv pip compile requirements.in",
            "uv tool list",
            "uv venv",
            "uv",
            "pip",
            "python -m build",
            "make install",
            "sh -c uv",
        ] {
            check(line, None);
        }
    }
}

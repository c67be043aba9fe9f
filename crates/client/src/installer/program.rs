//! Which installer a command's line starts.

use std::path::Path;

/// The installer, with its arguments.
pub(super) enum Installer {
    Pip(Vec<String>),
    Uv(Vec<String>),
    Poetry,
    Pdm,
    Unknown,
}

impl Installer {
    pub(super) fn of(words: &[String]) -> Self {
        let Some((program, arguments)) = words.split_first() else {
            return Self::Unknown;
        };
        let name = Path::new(program).file_name();
        let name = name.and_then(|name| name.to_str()).unwrap_or_default();
        let name = name.strip_suffix(".exe").unwrap_or(name);
        if is(name, "pip") {
            return Self::Pip(arguments.to_vec());
        }
        if is(name, "python") || is(name, "pypy") {
            return match module(arguments) {
                Some(("pip", arguments)) => Self::Pip(arguments.to_vec()),
                Some(("uv", arguments)) => Self::Uv(arguments.to_vec()),
                Some(("poetry", _)) => Self::Poetry,
                Some(("pdm", _)) => Self::Pdm,
                _ => Self::Unknown,
            };
        }
        match name {
            "uv" => Self::Uv(arguments.to_vec()),
            "poetry" => Self::Poetry,
            "pdm" => Self::Pdm,
            // Short for `uv tool run`.
            "uvx" => {
                let subcommand = ["tool", "run"].map(str::to_owned);
                Self::Uv([&subcommand, arguments].concat())
            }
            _ => Self::Unknown,
        }
    }
}

/// Whether a program has this name, or this name and a version.
fn is(program: &str, name: &str) -> bool {
    let version = program.strip_prefix(name);
    version.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// The module that Python is told to run, and the module's arguments.
fn module(arguments: &[String]) -> Option<(&str, &[String])> {
    let mut rest = arguments;
    loop {
        let (word, after) = rest.split_first()?;
        rest = after;
        let letters = word.strip_prefix('-').filter(|word| !word.is_empty())?;
        if letters.starts_with('-') {
            continue;
        }
        // The first option with a value takes what is behind it, or the next word.
        let Some(at) = letters.find(['m', 'c', 'W', 'X']) else {
            continue;
        };
        let (option, attached) = (&letters[at..=at], &letters[at + 1..]);
        let value = if attached.is_empty() {
            let (next, after) = rest.split_first()?;
            rest = after;
            next
        } else {
            attached
        };
        match option {
            "m" => return Some((value, rest)),
            "c" => return None,
            _ => {}
        }
    }
}

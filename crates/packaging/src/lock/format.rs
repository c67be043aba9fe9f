//! Which tool writes which lock file.

use std::fmt;

/// A kind of lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockFormat {
    /// `uv.lock`, and the locks of scripts.
    Uv,
    /// `pylock.toml` and `pylock.NAME.toml` (PEP 751).
    Pylock,
    /// `poetry.lock`.
    Poetry,
    /// `pdm.lock`.
    Pdm,
    /// A requirements file of pip.
    Requirements,
}

impl LockFormat {
    /// Tells by the name of a file, as the tools themselves do.
    pub fn of_name(filename: &str) -> Option<LockFormat> {
        let between = |start: &str, end: &str| {
            let middle = filename
                .strip_prefix(start)
                .and_then(|rest| rest.strip_suffix(end));
            middle.is_some_and(|name| !name.is_empty())
        };
        match filename {
            "uv.lock" => Some(LockFormat::Uv),
            "pylock.toml" => Some(LockFormat::Pylock),
            "poetry.lock" => Some(LockFormat::Poetry),
            "pdm.lock" => Some(LockFormat::Pdm),
            _ if between("pylock.", ".toml") => Some(LockFormat::Pylock),
            // The lock of a script lies beside it.
            _ if between("", ".py.lock") => Some(LockFormat::Uv),
            _ if between("", ".txt") => Some(LockFormat::Requirements),
            _ => None,
        }
    }

    /// The versions that are understood, in words.
    pub(super) fn known_versions(self) -> &'static str {
        match self {
            LockFormat::Uv => "1",
            LockFormat::Pylock => "1.0",
            LockFormat::Poetry => "1.x and 2.x",
            LockFormat::Pdm => "4.x",
            LockFormat::Requirements => "any",
        }
    }
}

impl fmt::Display for LockFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LockFormat::Uv => "uv.lock",
            LockFormat::Pylock => "pylock.toml",
            LockFormat::Poetry => "poetry.lock",
            LockFormat::Pdm => "pdm.lock",
            LockFormat::Requirements => "requirements",
        })
    }
}

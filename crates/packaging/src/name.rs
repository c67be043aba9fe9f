//! Project names in the one spelling that everything below compares.

mod likeness;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest accepted name, in bytes.
///
/// The name is a directory name and part of the file name `N.project-<name>.json`, and common
/// file systems allow 255 bytes for each.
pub const MAX_NAME_LEN: usize = 200;

/// A project's name, valid and normalised (PEP 508 *Names*, PEP 503 *Normalized Names*).
///
/// Lower case, with runs of `-`, `_` and `.` written as one `-`. Two spellings of a project are
/// equal as `ProjectName`s, so this is the only form that may name a directory or a target.
///
/// ```
/// # use wheelmark_packaging::ProjectName;
/// let name: ProjectName = "Zope.Interface".parse()?;
/// assert_eq!(name.as_str(), "zope-interface");
/// # Ok::<(), wheelmark_packaging::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectName(String);

/// Why a string is not a project name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a project name cannot be empty")]
    Empty,
    /// Longer than [`MAX_NAME_LEN`].
    #[error("a project name of {length} bytes is too long, at most {MAX_NAME_LEN} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A character that PEP 508 does not allow, or not in this place.
    #[error(
        "`{}` is not a project name: use ASCII letters, digits, `.`, `_` and `-`, and begin and end with a letter or a digit",
        name.escape_debug()
    )]
    Invalid {
        /// What was given.
        name: String,
    },
}

impl ProjectName {
    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `raw` is a valid name written in its normalised form already.
    ///
    /// An index redirects requests for any other spelling (PEP 503).
    pub fn is_normalised(raw: &str) -> bool {
        raw.parse::<ProjectName>().is_ok_and(|name| name.0 == raw)
    }

    /// The name as it begins a normalised file name: with `_` for `-` (PEP 625, and the binary
    /// distribution format's *Escaping and Unicode*).
    pub fn escaped(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl FromStr for ProjectName {
    type Err = NameError;

    fn from_str(raw: &str) -> Result<ProjectName, NameError> {
        if raw.is_empty() {
            return Err(NameError::Empty);
        }
        if raw.len() > MAX_NAME_LEN {
            return Err(NameError::TooLong { length: raw.len() });
        }
        let separator = |byte: u8| matches!(byte, b'-' | b'_' | b'.');
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = raw.as_bytes();
        let allowed = bytes
            .iter()
            .all(|&b| b.is_ascii_alphanumeric() || separator(b));
        if !allowed || !edge(bytes.first()) || !edge(bytes.last()) {
            return Err(NameError::Invalid {
                name: raw.to_owned(),
            });
        }
        let mut name = String::with_capacity(raw.len());
        for &byte in bytes {
            if !separator(byte) {
                name.push(char::from(byte.to_ascii_lowercase()));
            } else if !name.ends_with('-') {
                name.push('-');
            }
        }
        Ok(ProjectName(name))
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ProjectName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for ProjectName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ProjectName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ProjectName, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl NameError {
    /// What to do about it: one sentence, without a full stop.
    pub fn fix(&self) -> &'static str {
        match self {
            NameError::Empty | NameError::Invalid { .. } => {
                "choose a name such as `team-tools`: letters and digits, with single `-` between"
            }
            NameError::TooLong { .. } => "choose a shorter name",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MAX_NAME_LEN, NameError, ProjectName};

    fn check(raw: &str, expect: &str) {
        let name = raw.parse::<ProjectName>().map(|name| name.0);
        assert_eq!(name.as_deref(), Ok(expect), "{raw}");
        assert_eq!(ProjectName::is_normalised(raw), raw == expect, "{raw}");
    }

    #[test]
    fn normalises_as_pep_503_says() {
        check("flask", "flask");
        check("Flask", "flask");
        check("zope.interface", "zope-interface");
        check("a_.-b", "a-b");
        check("A--__..B9", "a-b9");
        check("0", "0");
        check("ruamel.yaml.clib", "ruamel-yaml-clib");
    }

    #[test]
    fn refuses_what_is_not_a_name() {
        for raw in [
            "-a",
            "a-",
            ".a",
            "a.",
            "_",
            ".",
            "..",
            "a/b",
            "a b",
            "a\0",
            "ä",
            "a%2e",
            "K\u{212a}",
            "a\n",
        ] {
            assert!(
                matches!(raw.parse::<ProjectName>(), Err(NameError::Invalid { .. })),
                "{raw:?}"
            );
            assert!(!ProjectName::is_normalised(raw));
        }
        assert_eq!("".parse::<ProjectName>(), Err(NameError::Empty));
        let long = "a".repeat(MAX_NAME_LEN + 1);
        assert_eq!(
            long.parse::<ProjectName>(),
            Err(NameError::TooLong {
                length: MAX_NAME_LEN + 1
            })
        );
        assert!(long[1..].parse::<ProjectName>().is_ok());
    }

    proptest! {
        #[test]
        fn normalisation_is_idempotent(raw in "[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?") {
            let once: ProjectName = raw.parse()?;
            let twice: ProjectName = once.as_str().parse()?;
            prop_assert_eq!(&once, &twice);
            prop_assert!(ProjectName::is_normalised(once.as_str()));
            prop_assert_eq!(once.escaped().parse::<ProjectName>()?, once);
        }

        #[test]
        fn never_panics(raw in any::<String>()) {
            if let Ok(name) = raw.parse::<ProjectName>() {
                prop_assert!(ProjectName::is_normalised(name.as_str()));
            }
        }
    }
}

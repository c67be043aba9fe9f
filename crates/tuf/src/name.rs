//! The names that metadata is written in: roles and target paths.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::shown::Shown;

/// What stands for itself in the file name of a role, as in the reference implementation:
/// letters, digits and `_.-~`. `/` does not.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'_')
    .remove(b'.')
    .remove(b'-')
    .remove(b'~');

/// What the name of a role begins with that signs for one project.
pub(crate) const OF_PROJECT: &str = "project-";

/// The name of a role: not empty, without control characters, and otherwise whatever its
/// delegator chose.
///
/// It is untrusted text. Paths and file names are made from it by [`RoleName::file_name`]
/// and [`RoleName::versioned_file_name`], which leave no `/` in them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(String);

impl RoleName {
    /// The top-level role `root`.
    pub fn root() -> Self {
        RoleName("root".to_owned())
    }

    /// The top-level role `timestamp`.
    pub fn timestamp() -> Self {
        RoleName("timestamp".to_owned())
    }

    /// The top-level role `snapshot`.
    pub fn snapshot() -> Self {
        RoleName("snapshot".to_owned())
    }

    /// The top-level role `targets`.
    pub fn targets() -> Self {
        RoleName("targets".to_owned())
    }

    /// `PREFIX-HEX`: the bin of that number, padded to `width` digits (TAP 15).
    pub(crate) fn of_bin(prefix: &str, index: u64, width: usize) -> Self {
        RoleName(format!("{prefix}-{index:0width$x}"))
    }

    /// The name as its delegator wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is one of the four names that no delegation may use.
    pub fn is_top_level(&self) -> bool {
        matches!(self.as_str(), "root" | "timestamp" | "snapshot" | "targets")
    }

    /// Whether this is the name of a role by which a project's own people sign (PEP 480), or of one
    /// that they delegate to: `project-NAME…`. It says what the role is called, and not whether
    /// anybody delegates to it.
    pub fn is_of_project(&self) -> bool {
        self.0.starts_with(OF_PROJECT)
    }

    /// The name under which snapshot lists the role: `NAME.json`, not encoded.
    pub fn meta_name(&self) -> String {
        format!("{}.json", self.0)
    }

    /// `NAME.json` with the name percent-encoded, `/` included: a single path segment.
    pub fn file_name(&self) -> String {
        format!("{}.json", utf8_percent_encode(&self.0, ENCODED))
    }

    /// `VERSION.NAME.json` with the name percent-encoded (TUF §6.1, consistent snapshots).
    pub fn versioned_file_name(&self, version: u64) -> String {
        format!("{version}.{}", self.file_name())
    }
}

/// A role must have a name, and one that can be written down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name of a role is empty or holds a control character")]
pub struct ParseRoleNameError;

impl FromStr for RoleName {
    type Err = ParseRoleNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name.is_empty() || name.contains(char::is_control) {
            return Err(ParseRoleNameError);
        }
        Ok(RoleName(name.to_owned()))
    }
}

/// For messages: a name may be long, or not what it looks like. [`RoleName::as_str`] is the
/// name itself.
impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(&self.0).fmt(f)
    }
}

impl AsRef<str> for RoleName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The path of a target, relative to the root of the targets (TUF §4.5, `TARGETPATH`).
///
/// Segments are separated by `/`; none is empty, `.` or `..`, and there are no control
/// characters: so a path never leads out of the place it is joined to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetPath(String);

impl TargetPath {
    /// The path as it stands in metadata.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments between the slashes; at least one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The path with `prefix.` before its last segment: the name of the object under
    /// consistent snapshots (TUF §6.1, `HASH.FILENAME`).
    pub fn with_prefix(&self, prefix: &str) -> String {
        match self.0.rsplit_once('/') {
            Some((directory, file)) => format!("{directory}/{prefix}.{file}"),
            None => format!("{prefix}.{}", self.0),
        }
    }
}

/// The text is not a target path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a target path: {reason}")]
pub struct ParseTargetPathError {
    /// The text, shortened.
    pub path: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl FromStr for TargetPath {
    type Err = ParseTargetPathError;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        let refused = |reason| ParseTargetPathError {
            path: path
                .chars()
                .take(200)
                .collect::<String>()
                .escape_debug()
                .to_string(),
            reason,
        };
        if path.chars().any(char::is_control) {
            return Err(refused("it holds a control character"));
        }
        if path.starts_with('/') {
            return Err(refused("it begins with `/`"));
        }
        for segment in path.split('/') {
            match segment {
                "" => return Err(refused("a segment is empty")),
                "." | ".." => return Err(refused("a segment is `.` or `..`")),
                _ => {}
            }
        }
        Ok(TargetPath(path.to_owned()))
    }
}

impl fmt::Display for TargetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for TargetPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TargetPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn role_files_are_single_segments() {
        let check = |name: &str, file: &str| {
            let role: RoleName = name.parse().unwrap();
            assert_eq!(role.versioned_file_name(7), format!("7.{file}"));
            assert_eq!(role.file_name(), file);
        };
        check("simple-0f", "simple-0f.json");
        check("?", "%3F.json");
        check("../delegated", "..%2Fdelegated.json");
        check("a~b_c.d e%", "a~b_c.d%20e%25.json");
        check("ü", "%C3%BC.json");
        check("<>", "%3C%3E.json");
        for name in ["", "\u{1b}[2J", "a\nb", "a\u{7f}", "\u{9b}1m", "\0"] {
            assert!(name.parse::<RoleName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn target_paths_stay_inside() {
        for path in [
            "a",
            "a/b.c",
            "nonexistent artifact",
            "...",
            "a/..b/é",
            "a\\b",
            "?#%2e",
        ] {
            assert_eq!(path.parse::<TargetPath>().unwrap().as_str(), path);
        }
        for path in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", "a\nb", "\0",
        ] {
            assert!(path.parse::<TargetPath>().is_err(), "{path:?}");
        }
    }

    #[test]
    fn the_hash_goes_before_the_file_name() {
        let check = |path: &str, object: &str| {
            assert_eq!(
                path.parse::<TargetPath>().unwrap().with_prefix("0a"),
                object
            );
        };
        check("simple/flask/index.json", "simple/flask/0a.index.json");
        check("file", "0a.file");
    }
}

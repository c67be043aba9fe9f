//! Which projects a rule is for: a pattern over normalised names.

use std::fmt;
use std::str::FromStr;

use wheelmark_packaging::ProjectName;
use wheelmark_tuf::PathPattern;

/// A pattern over normalised project names: `*` stands for any characters, also none, `?` for one.
///
/// One that no normalised name can match cannot be made: a rule that never holds leaves open what it
/// was meant to close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectPattern(PathPattern);

/// A pattern that no project's name can match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no project can match `{}`: names are compared in their normalised form, in lower-case letters, digits and single `-`, with `*` and `?` for others",
    pattern.escape_debug()
)]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
}

impl ProjectPattern {
    /// The pattern that stands for one project.
    pub fn exactly(project: &ProjectName) -> Self {
        Self(PathPattern::from(project.as_str()))
    }

    /// Whether a project is one of those that it stands for.
    pub fn matches(&self, project: &ProjectName) -> bool {
        // A name holds no `/`, so it is one segment to the pattern.
        self.0.matches(project.as_str())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is plain that whatever the other one matches, this one matches, too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self == other || self.as_str() == "*"
    }
}

impl FromStr for ProjectPattern {
    type Err = PatternError;

    fn from_str(pattern: &str) -> Result<Self, PatternError> {
        // The shortest name that it covers, with a letter for each wildcard: no wildcard can stand
        // for what a normalised name does not have.
        let plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '*' | '?');
        let name = pattern.replace(['*', '?'], "a");
        if pattern.chars().all(plain) && ProjectName::is_normalised(&name) {
            Ok(Self(PathPattern::from(pattern)))
        } else {
            Err(PatternError {
                pattern: pattern.to_owned(),
            })
        }
    }
}

impl fmt::Display for ProjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

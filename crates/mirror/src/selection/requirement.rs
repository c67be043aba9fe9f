//! `NAME` or `NAME SPECIFIERS`, as in `flask` and `django>=4.2,<5`.

use std::fmt;
use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};
use wheelmark_packaging::ProjectName;

use super::SelectionError;

/// A project, or some of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The project.
    pub project: ProjectName,
    /// Which versions; none stands for all.
    pub versions: Option<VersionSpecifiers>,
}

impl Requirement {
    /// Whether a version is among those that are meant. Pre-releases count like any other.
    pub(super) fn covers(&self, version: &Version) -> bool {
        self.versions
            .as_ref()
            .is_none_or(|versions| versions.contains(version))
    }
}

impl FromStr for Requirement {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let refused = |problem: String| SelectionError::Requirement {
            text: text.to_owned(),
            problem,
        };
        let trimmed = text.trim();
        let end = trimmed
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
            .unwrap_or(trimmed.len());
        let (name, versions) = trimmed.split_at(end);
        let versions = versions.trim();
        Ok(Self {
            project: name.parse().map_err(|e| refused(format!("{e}")))?,
            versions: if versions.is_empty() {
                None
            } else {
                Some(versions.parse().map_err(|e| refused(format!("{e}")))?)
            },
        })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.versions {
            Some(versions) => write!(f, "{}{versions}", self.project),
            None => write!(f, "{}", self.project),
        }
    }
}

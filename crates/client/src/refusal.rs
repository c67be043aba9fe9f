//! Why something was not handed on, in words for each reader: an installer's error output
//! (one short ASCII phrase, one JSON body), the summary, the report.
//!
//! What failed is a [`Failure`]; of which kind that is decides what it can mean and what to do next.

mod failure;
mod kind;

use std::fmt;

use http::StatusCode;
use url::Url;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{RoleName, without_controls};

use crate::refresh::RefreshFailure;

pub use failure::Failure;
use kind::Kind;

/// The longest reason phrase; installers print it within a line of their own.
const MAX_PHRASE: usize = 200;

/// What was asked for and not handed on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A project's page.
    Page(ProjectName),
    /// A distribution file.
    File(ProjectName, String),
    /// A file's core metadata (PEP 658).
    CoreMetadata(ProjectName, String),
    /// A file's OpenPGP signature.
    Signature(ProjectName, String),
}

impl Subject {
    /// The project.
    #[must_use]
    pub fn project(&self) -> &ProjectName {
        match self {
            Self::Page(project)
            | Self::File(project, _)
            | Self::CoreMetadata(project, _)
            | Self::Signature(project, _) => project,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(project) => write!(f, "the page simple/{project}/index.json"),
            Self::File(_, file) => f.write_str(file),
            Self::CoreMetadata(_, file) => write!(f, "{file}.metadata"),
            Self::Signature(_, file) => write!(f, "{file}.asc"),
        }
    }
}

/// An error with every cause, fit for a terminal.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = next.source();
    }
    without_controls(&text)
}

/// Something that was asked for, and why it was not handed on.
#[derive(Debug)]
pub struct Refusal {
    /// What was asked for.
    pub subject: Subject,
    /// What failed.
    pub failure: Failure,
    /// The role, and its version, that signs for what was asked for, as far as the search
    /// for it came.
    pub signed_by: Option<(RoleName, u64)>,
    /// The index that it was asked of, by its simple URL.
    pub index: Option<Url>,
}

impl Refusal {
    /// Whether asking again can only end the same way while the snapshot is the same. A source
    /// that was down, or did not have it, may have it the next time.
    #[must_use]
    pub fn is_verdict(&self) -> bool {
        self.failure.is_final()
    }

    /// Whether whoever asks again is given it from another source.
    pub(crate) fn may_still_come(&self) -> bool {
        matches!(self.failure, Failure::AlteredSoFar { .. })
    }

    /// Whether it was only not to be had: nothing was found to be false.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        let kind = self.failure.kind();
        matches!(kind, Kind::Odd | Kind::Unavailable | Kind::Kept)
    }

    /// The status for an installer. Never 5xx: pip and uv would ask again and again, and
    /// lose the reason.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.failure.kind() {
            Kind::Odd | Kind::Unavailable | Kind::Kept => StatusCode::FAILED_DEPENDENCY,
            Kind::Attack
            | Kind::Root
            | Kind::Stale
            | Kind::Index
            | Kind::Confusion
            | Kind::Contradiction
            | Kind::Policy
            | Kind::TakenAway => StatusCode::CONFLICT,
        }
    }

    /// What failed, with every cause.
    #[must_use]
    pub fn what(&self) -> String {
        self.failure.with_causes()
    }

    /// One line of ASCII for the status line of an HTTP answer: the file and what failed.
    #[must_use]
    pub fn phrase(&self) -> String {
        let role = self
            .signed_by
            .as_ref()
            .map(|(role, version)| format!(" (role {role} version {version})"))
            .unwrap_or_default();
        let text = format!("wheelmark refused {}: {}{role}", self.subject, self.short());
        text.chars()
            .map(|c| if c.is_ascii_graphic() { c } else { ' ' })
            .take(MAX_PHRASE)
            .collect()
    }

    fn short(&self) -> String {
        short(&self.failure)
    }

    /// What the failure can mean.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        self.failure.meaning()
    }

    /// What to do next.
    #[must_use]
    pub fn next(&self) -> &'static str {
        self.failure.next()
    }
}

/// The failure in a few words.
fn short(failure: &Failure) -> String {
    match failure {
        Failure::Altered { .. } => "its sha256 is not the signed one".to_owned(),
        Failure::AlteredSha512 { .. } => "its sha512 is not the signed one".to_owned(),
        Failure::NotListed { .. } => "its sha256 is not the one on its page".to_owned(),
        Failure::Length { .. } => "its length is not the signed one".to_owned(),
        Failure::Refresh(failure) => match &**failure {
            RefreshFailure::Refused { path, .. } => format!("{path} failed verification"),
            RefreshFailure::EverySource { what, .. } => {
                format!("no source has {what} as it must be")
            }
            RefreshFailure::Fetch(e) => e.brief(),
            failure => failure.to_string(),
        },
        Failure::Unreachable(e) => e.brief(),
        Failure::Policy(unsatisfied) => {
            let each: Vec<String> = unsatisfied
                .iter()
                .map(|u| u.shortfall.to_string())
                .collect();
            each.join("; ")
        }
        Failure::NotItsHome { asked, home } => match home {
            Some(home) => format!("its home is {home}, not {asked}"),
            None => format!("{asked} is not its home"),
        },
        Failure::EverySource { tried } => {
            let each: Vec<_> = tried
                .iter()
                .map(|(source, failure)| format!("{source}: {}", short(failure)))
                .collect();
            each.join("; ")
        }
        failure => failure.to_string(),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.what())?;
        if let Some((role, version)) = &self.signed_by {
            write!(f, " (signed by role {role}, version {version})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::trust::TrustError;

    #[test]
    fn a_terminal_obeys_nothing_in_a_cause() {
        let source = std::io::Error::other("\u{1b}[2J\r\u{9b}1m\nhint: pip install evil");
        let path = "x".into();
        let cause = TrustError::Io {
            doing: "read",
            path,
            source,
        };
        let failure = Failure::Refresh(Arc::new(RefreshFailure::Trust(cause)));
        let text = failure.with_causes();
        assert!(text.contains("hint: pip install evil"), "{text:?}");
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

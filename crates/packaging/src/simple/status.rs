//! What state a project is in (PEP 792).

use super::Extra;

/// A project's state, with the reason that its page gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectStatus {
    /// The state.
    pub status: Status,
    /// Why, for people to read.
    pub reason: Option<String>,
    /// Members that are not known here.
    pub extra: Extra,
}

/// The states of PEP 792.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing special; what a page means that does not say.
    #[default]
    Active,
    /// No updates are expected.
    Archived,
    /// Taken for unsafe: no file of it should be installed.
    Quarantined,
    /// Obsolete, perhaps replaced.
    Deprecated,
    /// One that PEP 792 does not know.
    Other(String),
}

impl Status {
    /// Whether a project in this state takes new files.
    pub fn takes_uploads(&self) -> bool {
        !matches!(self, Self::Archived | Self::Quarantined)
    }

    /// The word that pages use.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Archived => "archived",
            Self::Quarantined => "quarantined",
            Self::Deprecated => "deprecated",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for Status {
    fn from(word: String) -> Status {
        match word.as_str() {
            "active" => Self::Active,
            "archived" => Self::Archived,
            "quarantined" => Self::Quarantined,
            "deprecated" => Self::Deprecated,
            _ => Self::Other(word),
        }
    }
}

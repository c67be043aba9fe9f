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

    /// Whether less is to be had of a project in this state than in the other. A state that PEP 792
    /// does not know gives way to a quarantine alone.
    pub fn is_heavier_than(&self, other: &Status) -> bool {
        self.weight() > other.weight()
    }

    fn weight(&self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Deprecated => 1,
            Self::Archived => 2,
            Self::Other(_) => 3,
            Self::Quarantined => 4,
        }
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

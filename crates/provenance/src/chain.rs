//! Who signs for a file: the first of the two answers to "how sure are we of it?".

use std::fmt;

use serde::{Serialize, Serializer};

/// Who signed for a file, from the weakest to the strongest answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Chain {
    /// Nobody: its index is not signed.
    Unsigned,
    /// A role whose key the index holds.
    IndexSigned,
    /// The project's own keys, bound to it by a role whose key the index holds.
    DeveloperSignedProvisional,
    /// The project's own keys, bound to it by an offline key.
    DeveloperSigned,
}

impl Chain {
    /// All answers, the weakest first.
    pub const ALL: [Self; 4] = [
        Self::Unsigned,
        Self::IndexSigned,
        Self::DeveloperSignedProvisional,
        Self::DeveloperSigned,
    ];

    /// The words for it, in reports and in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::IndexSigned => "index-signed",
            Self::DeveloperSignedProvisional => "developer-signed (provisional)",
            Self::DeveloperSigned => "developer-signed",
        }
    }
}

impl Serialize for Chain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

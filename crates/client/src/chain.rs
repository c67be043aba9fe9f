//! How a file's page was vouched for: by the index, or by the project's own developers.

use std::fmt;

use serde::Serialize;
use wheelmark_tuf::RoleName;

/// The role through which PEP 480 delegates to projects with an offline key.
const CLAIMED: &str = "claimed";

/// The role through which a project is delegated to as soon as it claims, with an online key.
const RECENTLY_CLAIMED: &str = "recently-claimed";

/// Who signed for a file, from the weakest to the strongest answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Chain {
    /// A role whose key the index holds.
    IndexSigned,
    /// The project's own keys, bound to it by a role whose key the index holds.
    #[serde(rename = "developer-signed (provisional)")]
    DeveloperSignedProvisional,
    /// The project's own keys, bound to it by an offline key.
    DeveloperSigned,
}

impl Chain {
    /// Reads the answer off the roles that the search went through, from targets downwards,
    /// the signing role last.
    pub(crate) fn of<'a>(mut roles: impl Iterator<Item = &'a RoleName>) -> Self {
        let first = roles.by_ref().find(|role| role.as_str() != "targets");
        // `claimed` may not sign for a project itself: only what it delegates to counts.
        let delegated = roles.next().is_some();
        match first.map(RoleName::as_str) {
            Some(CLAIMED) if delegated => Self::DeveloperSigned,
            Some(RECENTLY_CLAIMED) if delegated => Self::DeveloperSignedProvisional,
            _ => Self::IndexSigned,
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IndexSigned => "index-signed",
            Self::DeveloperSignedProvisional => "developer-signed (provisional)",
            Self::DeveloperSigned => "developer-signed",
        })
    }
}

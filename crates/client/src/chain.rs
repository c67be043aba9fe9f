//! How a file's page was vouched for: by the index, or by the project's own developers.

use wheelmark_provenance::Chain;
use wheelmark_tuf::RoleName;

/// The role through which PEP 480 delegates to projects with an offline key.
const CLAIMED: &str = "claimed";

/// The role through which a project is delegated to as soon as it claims, with an online key.
const RECENTLY_CLAIMED: &str = "recently-claimed";

/// Reads the answer off the roles that the search went through, from targets downwards,
/// the signing role last.
pub(crate) fn chain_of<'a>(mut roles: impl Iterator<Item = &'a RoleName>) -> Chain {
    let first = roles.by_ref().find(|role| role.as_str() != "targets");
    // `claimed` may not sign for a project itself: only what it delegates to counts.
    let delegated = roles.next().is_some();
    match first.map(RoleName::as_str) {
        Some(CLAIMED) if delegated => Chain::DeveloperSigned,
        Some(RECENTLY_CLAIMED) if delegated => Chain::DeveloperSignedProvisional,
        _ => Chain::IndexSigned,
    }
}

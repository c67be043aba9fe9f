//! How a file's page was vouched for: by the index, or by the project's own developers.

use wheelmark_provenance::Chain;
use wheelmark_tuf::RoleName;

/// The role through which PEP 480 delegates to projects with an offline key.
pub(crate) const CLAIMED: &str = "claimed";

/// The role through which a project is delegated to as soon as it claims, with an online key.
pub(crate) const RECENTLY_CLAIMED: &str = "recently-claimed";

/// Reads the answer off the roles that the search went through, from targets downwards,
/// the signing role last.
///
/// The role right below targets decides. Its shards stand for it, since it delegates to them: a role of
/// that name to which anybody else delegates is none of them.
pub(crate) fn chain_of<'a>(roles: impl Iterator<Item = &'a RoleName>) -> Chain {
    let mut roles = roles.skip_while(|role| role.as_str() == "targets");
    let Some(first) = roles.next() else {
        return Chain::IndexSigned;
    };
    // Neither it nor a shard of it may sign for a project itself: only what they delegate to counts.
    if roles.all(|role| role.shard_of(first).is_some()) {
        return Chain::IndexSigned;
    }
    match first.as_str() {
        CLAIMED => Chain::DeveloperSigned,
        RECENTLY_CLAIMED => Chain::DeveloperSignedProvisional,
        _ => Chain::IndexSigned,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn a_shard_stands_for_the_list_that_delegates_to_it_and_for_no_other() {
        let (sealed, provisional, index) = (
            Chain::DeveloperSigned,
            Chain::DeveloperSignedProvisional,
            Chain::IndexSigned,
        );
        for (way, expected) in [
            ("targets claimed project-pip", sealed),
            ("targets claimed claimed-p project-pip", sealed),
            ("targets recently-claimed project-pip", provisional),
            (
                "targets recently-claimed recently-claimed-p project-pip",
                provisional,
            ),
            // What is called like a shard of the offline key's list, and is none.
            (
                "targets recently-claimed claimed-p project-pip",
                provisional,
            ),
            ("targets claimed-p project-pip", index),
            ("targets simple claimed project-pip", index),
            ("targets simple simple-3f", index),
            // A list, or a shard of one, that signs for a project itself.
            ("targets claimed", index),
            ("targets claimed claimed-p", index),
            ("targets recently-claimed recently-claimed-pi", index),
            ("targets", index),
        ] {
            let roles: Vec<RoleName> = way.split(' ').map(|role| role.parse().unwrap()).collect();
            assert_eq!(chain_of(roles.iter()), expected, "{way}");
        }
    }
}

//! What is published of a project and who signs for it, as everybody finds it out: by following the
//! tree from its first root.
//!
//! The web process needs to know whether enough people have signed, so that it sends on what the
//! snapshot process will take, and keeps what it would refuse. Nobody else relies on the answer.

use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectPath, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{
    Cached, Handovers, KeySet, Limits, Refresh, RoleName, Sha256, Targets, TrustedSet, Verified,
    signed_digest, verify,
};

use super::error::StagingError;
use crate::tree::MAX_METADATA_OBJECT_LEN;

/// A project as it is published.
pub(super) struct Published {
    /// The version of its own role; 0 if there never was one.
    pub(super) version: u64,
    /// Whose signatures count; none where the project is not claimed.
    pub(super) claimed: Option<Claimed>,
    /// What its people have signed last, by its SHA-256.
    pub(super) signed: Option<Sha256>,
}

/// A claimed project's keys.
pub(super) struct Claimed {
    /// Those that the index, or an offline key, delegates to.
    pub(super) present: KeySet,
    /// How they came to be those.
    pub(super) handovers: Handovers,
}

/// The role of a project's own people.
pub(super) fn project_role(project: &ProjectName) -> Result<RoleName, StagingError> {
    let name = format!("project-{project}");
    name.parse().map_err(chain)
}

fn chain(why: impl std::error::Error + 'static) -> StagingError {
    StagingError::Chain {
        why: crate::problem::chain(&why),
    }
}

/// What is published of a project.
pub(super) async fn published(
    tree: &Directory,
    project: &ProjectName,
    now: Timestamp,
) -> Result<Published, StagingError> {
    let trusted = follow(tree, now).await?;
    let role = project_role(project)?;
    let listed = trusted.snapshot().role(&role);
    let version = listed.map_or(0, |listed| listed.version);
    let path = page_target(project);
    let mut lookup = trusted.lookup(&path);
    // The way to the project's own role is verified; the role itself may have ended, and its people
    // are to be able to renew it.
    let mut delegator = None;
    while let Some(need) = lookup.need() {
        if need.role == role {
            delegator = Some(need.delegator.clone());
            break;
        }
        let bytes = read(tree, &need.fetch.path).await?;
        lookup.supply(bytes.unwrap_or_default()).map_err(chain)?;
    }
    let trail = lookup.trail();
    let delegator = trail
        .iter()
        .find(|visit| Some(&visit.role) == delegator.as_ref());
    let delegations = delegator.and_then(|delegator| delegator.targets.delegations.as_ref());
    let Some(delegations) = delegations else {
        return Ok(Published {
            version,
            claimed: None,
            signed: None,
        });
    };
    let present = KeySet::delegated(delegations, &role).ok_or_else(|| StagingError::Chain {
        why: format!("the keys of {project} are no set of keys in their plain form"),
    })?;
    let object = ObjectPath::metadata(&role, version);
    let bytes = tree.read(&object, MAX_METADATA_OBJECT_LEN).await;
    let bytes = bytes.map_err(chain)?.unwrap_or_default();
    let read: Verified<Targets> =
        verify(&bytes, present.keys(), &present.role_keys()).map_err(chain)?;
    let handovers = read.handovers(&role).map_err(chain)?;
    Ok(Published {
        version,
        claimed: Some(Claimed { present, handovers }),
        signed: Some(signed_digest(&bytes).map_err(chain)?),
    })
}

async fn follow(tree: &Directory, now: Timestamp) -> Result<TrustedSet, StagingError> {
    let first = ObjectPath::metadata(&RoleName::root(), 1);
    let first = tree.read(&first, MAX_METADATA_OBJECT_LEN).await;
    let first = first.map_err(chain)?.unwrap_or_default();
    let refresh = Refresh::new(&first, Cached::default(), now, Limits::default());
    let mut refresh = refresh.map_err(chain)?;
    while let Some(need) = refresh.need() {
        let bytes = read(tree, &need.path).await?;
        (refresh, _) = refresh.supply(bytes).map_err(chain)?;
    }
    refresh.finish().map_err(chain)
}

async fn read(tree: &Directory, name: &str) -> Result<Option<Vec<u8>>, StagingError> {
    let path = ObjectPath::parse(&format!("metadata/{name}")).map_err(chain)?;
    let bytes = tree.read(&path, MAX_METADATA_OBJECT_LEN).await;
    Ok(bytes.map_err(chain)?.map(Into::into))
}

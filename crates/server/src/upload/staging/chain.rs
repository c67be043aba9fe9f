//! What is published of a project and who signs for it, as everybody finds it out: by following the
//! tree from its first root.
//!
//! The web process needs to know whether enough people have signed, so that it sends on what the
//! snapshot process will take, and keeps what it would refuse. Nobody else relies on the answer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectPath, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{
    Cached, Key, KeyId, Limits, Refresh, RoleKeys, RoleName, Sha256, TargetPath, TrustedSet,
};

use super::error::StagingError;
use crate::tree::MAX_METADATA_OBJECT_LEN;

/// A project as it is published.
pub(super) struct Published {
    /// The version of its own role; 0 if there never was one.
    pub(super) version: u64,
    /// Whose signatures count; none where the project is not claimed.
    pub(super) signers: Option<Signers>,
    /// The SHA-256 of its page, where it has one.
    pub(super) page: Option<Sha256>,
}

/// Whose signatures count.
#[derive(Clone)]
pub(super) struct Signers {
    pub(super) keys: BTreeMap<KeyId, Key>,
    pub(super) role: RoleKeys,
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
    let signers = delegator.and_then(|delegator| {
        let delegations = delegator.targets.delegations.as_ref()?;
        Some(Signers {
            keys: delegations.keys.clone(),
            role: delegations.role_keys(&role)?.clone(),
        })
    });
    let page = match &signers {
        Some(_) => page_in(tree, &role, version, &path).await?,
        None => None,
    };
    Ok(Published {
        version,
        signers,
        page,
    })
}

/// The page that a project's role lists. No signature is looked at: it says whether what waits is
/// published already, and nothing else.
async fn page_in(
    tree: &Directory,
    role: &RoleName,
    version: u64,
    path: &TargetPath,
) -> Result<Option<Sha256>, StagingError> {
    let object = ObjectPath::metadata(role, version);
    let bytes = tree.read(&object, MAX_METADATA_OBJECT_LEN).await;
    let Some(bytes) = bytes.map_err(chain)? else {
        return Ok(None);
    };
    let file: serde_json::Value = serde_json::from_slice(&bytes).map_err(chain)?;
    let listed = &file["signed"]["targets"][path.as_str()]["hashes"]["sha256"];
    Ok(listed.as_str().and_then(|digest| digest.parse().ok()))
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

//! The published state, read and verified as every client does: nobody's key is needed for that.

use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_tuf::{Cached, Limits, Refresh, RoleName, TrustedSet};

use super::CollectError;
use crate::state::{LoadError, OWN_METADATA_LIMIT};

/// Follows the tree's chain from its first root. That something has expired is no error here.
pub(super) async fn published(tree: &Directory) -> Result<TrustedSet, CollectError> {
    let first = ObjectPath::metadata(&RoleName::root(), 1);
    let root = tree.read(&first, OWN_METADATA_LIMIT).await?;
    let root = root.ok_or(LoadError::NoIndex)?;
    let mut refresh = Refresh::new(
        &root,
        Cached::default(),
        Timestamp::UNIX_EPOCH,
        Limits::default(),
    )?;
    while let Some(need) = refresh.need() {
        let path = crate::publish::recorded_path(&format!("metadata/{}", need.path));
        let path = path.map_err(|_| LoadError::NoIndex)?;
        let answer = tree.read(&path, OWN_METADATA_LIMIT).await?;
        (refresh, _) = refresh.supply(answer.map(|bytes| bytes.to_vec()))?;
    }
    Ok(refresh.finish()?)
}

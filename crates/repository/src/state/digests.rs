//! Digests of roles that other keys sign than the snapshot's, where the published snapshot has none.
//!
//! An index that was made before snapshots listed them goes on, and lists them from its next snapshot on.
//! What lies in the tree under a version is taken for what was published under it, if the role's
//! own keys have signed it: nothing else says any more which bytes those were.

use wheelmark_objects::Directory;
use wheelmark_tuf::{RoleName, Sha256, Targets, Verified};

use super::{LoadError, State, versioned};
use crate::roles;
use crate::snapshot_bytes::RoleFile;

impl State {
    /// Adds the digests that are missing to the snapshot that is patched next: those of `targets` and of
    /// what offline keys sign below it, and those of the roles of claimed projects.
    ///
    /// One of a project that cannot be read, or is not what its keys have signed, is told of and stays as
    /// it is listed: readers refuse that project, and nothing else has to stop.
    pub(super) async fn list_digests(&mut self, tree: &Directory) -> Result<(), LoadError> {
        let missing = self.snapshot.roles().filter_map(|(role, file)| {
            let is_offline = self.offline.iter().any(|(offline, _)| offline == role);
            let is_by_others = is_offline || roles::project_of_role(role).is_some();
            (is_by_others && file.sha256.is_none()).then(|| (role.clone(), file))
        });
        let missing: Vec<(RoleName, RoleFile)> = missing.collect();
        let mut found = Vec::with_capacity(missing.len());
        for (role, file) in missing {
            match self.digest_of(tree, &role, file).await {
                Ok(None) => {}
                Ok(Some(sha256)) => {
                    let sha256 = Some(sha256);
                    found.push((role, RoleFile { sha256, ..file }));
                }
                Err(error) if error.is_lasting() => tracing::error!(
                    %role,
                    error = &error as &dyn std::error::Error,
                    "what this role says cannot be bound to the snapshot; restore it from a backup or a mirror"
                ),
                Err(error) => return Err(error),
            }
        }
        if !found.is_empty() {
            tracing::info!(
                roles = found.len(),
                "the next snapshot lists the digests of these roles for the first time"
            );
            self.snapshot.set_roles(found);
        }
        Ok(())
    }

    /// The SHA-256 of a role's file as it lies in the tree; none of a role to which nobody delegates any
    /// more, as to that of a project whose claim has ended.
    async fn digest_of(
        &self,
        tree: &Directory,
        role: &RoleName,
        file: RoleFile,
    ) -> Result<Option<Sha256>, LoadError> {
        let signed_by = match *role == RoleName::targets() {
            true => Some((&self.root.keys, &self.root.roles.targets)),
            false => self.keys_of(role),
        };
        let Some((keys, role_keys)) = signed_by else {
            return Ok(None);
        };
        let (_, bytes): (Verified<Targets>, _) =
            versioned(tree, role, file, keys, role_keys).await?;
        Ok(Some(Sha256::of(&bytes)))
    }
}

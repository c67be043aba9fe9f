//! A state, gone through as far as two of them are compared by it.

use wheelmark_mirror::{Listed, Place, Unread, survey};
use wheelmark_recovery::{Signed, Signer, State, VersionedFile};
use wheelmark_tuf::{Role as _, RoleName, Sha256};

use super::source::Followed;

/// Goes through a state; each role's file is shown to `keep`. What cannot be had as it was signed is noted, and
/// given back.
pub(super) fn read(
    place: &impl Place,
    followed: &Followed,
    mut keep: impl FnMut(&RoleName, u64, &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<(State, Vec<Unread>)> {
    let Followed {
        set,
        snapshot,
        targets,
        timestamp,
    } = followed;
    let mut state = State::new(set.root(), set.snapshot());
    let mut file = |state: &mut State, role: &RoleName, version: u64, bytes: &[u8]| {
        let sha256 = Sha256::of(bytes);
        state.file(role, VersionedFile { version, sha256 });
        keep(role, version, bytes)
    };
    file(
        &mut state,
        &RoleName::snapshot(),
        set.snapshot().version(),
        snapshot,
    )?;
    file(
        &mut state,
        &RoleName::targets(),
        set.targets().version(),
        targets,
    )?;
    if let Some(timestamp) = timestamp {
        let (role, version) = (RoleName::timestamp(), set.timestamp().version());
        let sha256 = Sha256::of(timestamp);
        state.file(&role, VersionedFile { version, sha256 });
    }
    let unread = survey(place, set, |role| {
        state.visit(role.visited);
        if let Some((fetch, bytes)) = role.file {
            file(&mut state, &fetch.role, fetch.version, bytes)?;
        }
        let by = match role.visited.role().is_of_project() {
            true => Signer::Project,
            false => Signer::Index,
        };
        for (path, info) in role.reached() {
            let signed = |sha256, length| Signed { sha256, length, by };
            match Listed::of(path, info) {
                Listed::Page {
                    project,
                    sha256,
                    length,
                    ..
                } => state.page(project, signed(sha256, length)),
                Listed::Status {
                    project,
                    sha256,
                    length,
                } => state.list(project, signed(sha256, length)),
                Listed::File {
                    project,
                    filename,
                    sha256,
                    length,
                } => state.target(project, filename, signed(sha256, length)),
                Listed::Other(_) => {}
            }
        }
        anyhow::Ok(())
    })?;
    for role in &unread {
        state.unreadable(&role.role, &role.why);
    }
    Ok((state, unread))
}

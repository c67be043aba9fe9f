//! The catalogue's rows, put right once the snapshot of a recovery stands.
//!
//! Everything here follows from what is signed and from the record's own words, so that a start after a
//! kill does the same again.

use wheelmark_packaging::ProjectName;
use wheelmark_store::{Fence, IntentError, RebuiltClaim, RebuiltProject, Store};

use super::side::Side;
use crate::catalogued::{catalogued, claim_of};
use crate::intent::After;
use crate::publish::PublishError;
use crate::state::State;

/// How many projects are put right in one transaction: uploads wait for it.
const AT_ONCE: usize = 200;

/// Who uploaded a file, where nobody knows any more.
const UPLOADED_BY: &str = "recovered";

/// Lets the rows of all projects that a recovery has changed say what their pages say. Nothing, where the
/// snapshot is that of no recovery.
///
/// A page that cannot be read, and rows that cannot be written, are told of and passed over: they must not keep
/// the index from publishing.
pub(crate) async fn put_right(
    side: Side<'_>,
    store: &Store,
    fence: Fence,
    after: &After,
) -> Result<(), PublishError> {
    if !after.went_back {
        return Ok(());
    }
    let followed = side.state.followed;
    let at = (followed.journal, followed.serial());
    let version = side.state.snapshot.version();
    for gone in after.gone_projects.chunks(1) {
        for project in gone {
            told(
                store.put_right(fence, at, version, &[], gone).await,
                project,
            )?;
        }
    }
    for pages in after.pages.chunks(AT_ONCE) {
        let mut projects: Vec<RebuiltProject> = Vec::with_capacity(pages.len());
        for page in pages {
            let project = &page.project;
            let seen = match side.seen(project).await {
                Ok(seen) => seen,
                Err(error) if error.is_lasting() => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(%project, error, "the catalogue cannot be put right for this project (wheelmark index audit)");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(seen) = seen else {
                continue;
            };
            let claim = claimed(side.state, project);
            match catalogued(side.tree, seen, claim, UPLOADED_BY).await {
                Ok(made) => projects.push(made),
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(%project, error, "the catalogue cannot be put right for this project (wheelmark index audit)");
                }
            }
        }
        match store.put_right(fence, at, version, &projects, &[]).await {
            Err(error @ IntentError::Fenced { .. }) => return Err(error.into()),
            Ok(()) => {}
            // One of them is in the way of the others.
            Err(_) => {
                for one in &projects {
                    let alone = std::slice::from_ref(one);
                    told(
                        store.put_right(fence, at, version, alone, &[]).await,
                        &one.name,
                    )?;
                }
            }
        }
    }
    Ok(())
}

/// Says of what the catalogue does not take, whoever has seen to that, and goes on: the snapshot stands by now.
fn told(done: Result<(), IntentError>, project: &ProjectName) -> Result<(), PublishError> {
    match done {
        Ok(()) => Ok(()),
        Err(error @ IntentError::Fenced { .. }) => Err(error.into()),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::error!(
                %project,
                error,
                "the catalogue cannot be put right for this project; `wheelmark index rebuild` makes one anew"
            );
            Ok(())
        }
    }
}

fn claimed(state: &State, project: &ProjectName) -> Option<RebuiltClaim> {
    let (_, role) = state.delegation_of(project)?;
    Some(claim_of(&role.keys, UPLOADED_BY))
}

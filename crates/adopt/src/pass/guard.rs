//! No removals on the word of a source that is a shadow of what it was.

use std::collections::BTreeSet;

use wheelmark_packaging::ProjectName;

use super::{Pass, PassError};
use crate::known::Share;

/// Of so few files, more than half may go on an ordinary day.
const FEW_FILES: u64 = 20;

impl Pass {
    /// Stops before anything is taken away when a list is a shadow of what it was.
    pub(super) async fn demand_most_is_listed(
        &mut self,
        names: &[ProjectName],
    ) -> Result<(), PassError> {
        self.progress.lists(names.len());
        if self.choices.accept_loss {
            return Ok(());
        }
        let mut known = self.known.projects().await?;
        if !self.choices.projects.is_empty() {
            known.retain(|name| self.choices.projects.contains(name));
        }
        let listed: BTreeSet<&ProjectName> = names.iter().collect();
        let seen = known.iter().filter(|name| listed.contains(name)).count();
        demand_most(
            "projects",
            Share {
                known: known.len() as u64,
                seen: seen as u64,
            },
        )
    }

    pub(super) async fn demand_most_is_here(&mut self) -> Result<(), PassError> {
        if self.choices.accept_loss {
            return Ok(());
        }
        let [projects, files] = self.known.seen(&self.choices.projects).await?;
        demand_most("projects", projects)?;
        if files.known < FEW_FILES {
            return Ok(());
        }
        demand_most("files", files)
    }
}

/// Half of it gone is no ordinary day.
fn demand_most(what: &'static str, Share { known, seen }: Share) -> Result<(), PassError> {
    if seen * 2 < known || (known > 0 && seen == 0) {
        return Err(PassError::Lost { what, known, seen });
    }
    Ok(())
}

//! No removals on the word of a source that is a shadow of what it was.

use std::collections::BTreeSet;

use wheelmark_packaging::ProjectName;

use super::{Pass, PassError};
use crate::known::Share;

/// Of so few files, more than half may go on an ordinary day.
const FEW_FILES: u64 = 20;

impl Pass {
    /// Looks at the list of projects. Stops before anything is taken away when it is a shadow of
    /// what it was; what a list that is `short` does not list is left as it was.
    pub(super) async fn listed(
        &mut self,
        names: &[ProjectName],
        short: Option<String>,
    ) -> Result<(), PassError> {
        self.progress.lists(names.len());
        if self.choices.accept_loss {
            return Ok(());
        }
        let mut known = self.known.projects().await?;
        if !self.choices.projects.is_empty() {
            known.retain(|name| self.choices.projects.contains(name));
        }
        let all = known.len() as u64;
        let listed: BTreeSet<&ProjectName> = names.iter().collect();
        known.retain(|name| !listed.contains(name));
        let share = Share {
            known: all,
            seen: all - known.len() as u64,
        };
        demand_most("projects", share)?;
        if let Some(why) = short {
            for project in known {
                self.known.see_all(&project).await?;
                self.known.owe(&project, "").await?;
                let why = format!("{why}, and it is not on it; --accept-loss believes it all");
                self.report.unread(&project, why);
            }
            let why = format!("{why}; --accept-loss believes it all");
            self.report.skipped("the list of projects".to_owned(), why);
            self.list_is_short = true;
        }
        Ok(())
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

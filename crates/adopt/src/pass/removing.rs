//! Taking off the index: what the source has no more, and what a person withdraws.

use std::collections::BTreeSet;

use wheelmark_store::Store;

use super::{Choices, Pass, PassError, Phase};
use crate::known::{Known, State};
use crate::report::Report;

/// How many removals are asked for before the caller may publish them.
const REMOVALS_AT_A_TIME: u32 = 1_000;

impl Pass {
    /// Takes away what the source has no more.
    pub(super) async fn remove_on(&mut self) -> Result<(), PassError> {
        let wanted = &self.choices.projects;
        let unseen = self.known.unseen(wanted, REMOVALS_AT_A_TIME).await?;
        let mut removed = 0;
        for (project, filename) in &unseen {
            if self.store.remove(project, filename).await?.is_some() {
                self.asked += 1;
            }
            self.known
                .set_state(project, filename, State::Removed)
                .await?;
            removed += 1;
        }
        self.report.counts.removed += removed;
        if removed == 0 {
            // Nothing at all is no import: a mount that is missing, or a directory yet to be filled.
            if self.report.counts.listed > 0 {
                self.known.finish_import(&self.choices.projects).await?;
            }
            self.report.undecided = std::mem::take(&mut self.undecided).into_iter().collect();
            self.phase = Phase::Over;
        }
        Ok(())
    }
}

/// Takes off the index what a person named; how many changes that asks for.
pub(super) async fn withdraw(
    store: &Store,
    known: &Known,
    choices: &Choices,
    undecided: &mut BTreeSet<String>,
    report: &mut Report,
) -> Result<u64, PassError> {
    let mut asked = 0;
    for name in &choices.withdraw {
        let named = known.named(name).await?;
        // Of which project, a person has to say.
        let ambiguous = named.len() > 1;
        for (project, filename) in named.into_iter().filter(|_| !ambiguous) {
            if store.remove(&project, &filename).await?.is_some() {
                asked += 1;
            }
            known
                .set_state(&project, &filename, State::Withdrawn)
                .await?;
            report.counts.withdrawn += 1;
            undecided.remove(name);
        }
    }
    Ok(asked)
}

//! How the claims of an index stand: how many an offline key vouches for, and how many wait for that.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wheelmark_ceremony::{Claim, Standing};

use super::table::minute;
use crate::commands::ceremony::USUAL_AGE;

/// The claims of an index.
pub(super) struct Sealing {
    sealed: usize,
    pending: Vec<Claim>,
}

impl Sealing {
    /// As they are published.
    pub(super) fn of(standing: &Standing) -> Self {
        Self {
            sealed: standing.sealed().len(),
            pending: standing.pending(),
        }
    }

    /// Since when the first of them waits, if any does.
    fn since(&self) -> Option<Timestamp> {
        let pending = self.pending.iter();
        pending.filter_map(|claim| claim.marks.claimed_at).min()
    }

    /// How many have keys that have stood for as long as a ceremony asks for, unless it is told
    /// otherwise.
    fn old_enough(&self, now: Timestamp, age: SignedDuration) -> usize {
        let pending = self.pending.iter();
        let since = pending.filter_map(|claim| claim.marks.unchanged_since());
        since
            .filter(|since| now.duration_since(*since) >= age)
            .count()
    }

    /// In words, and what is next; nothing where no project is claimed.
    pub(super) fn line(&self, now: Timestamp) -> Option<String> {
        let (sealed, waiting) = (self.sealed, self.pending.len());
        let Some(since) = self.since() else {
            return match (sealed, waiting) {
                (0, 0) => None,
                (_, 0) => Some(format!("claims: {sealed} sealed")),
                (_, _) => Some(format!("claims: {sealed} sealed, {waiting} not yet")),
            };
        };
        let next = match self.old_enough(now, USUAL_AGE) {
            0 => String::new(),
            ripe => format!(
                "; {ripe} can be sealed in the next ceremony (wheelmark ceremony begin --claim-pending)"
            ),
        };
        Some(format!(
            "claims: {sealed} sealed, {waiting} not yet, the first since {}{next}",
            minute(since)
        ))
    }

    /// The same, for scripts.
    pub(super) fn to_json(&self, now: Timestamp) -> Value {
        json!({
            "sealed": self.sealed,
            "pending": self.pending.len(),
            "pending_since": self.since().map(|since| since.to_string()),
            "old_enough": self.old_enough(now, USUAL_AGE),
        })
    }
}

//! What was remembered while somebody else spoke for the index, taken back.
//!
//! Whoever has an index's online key can show a first file of a project that nobody has asked for yet,
//! with an attestation of their own: from then on theirs is the identity that is expected. They can
//! also list a file that the project did attest to with an upload time of long ago: from then on older
//! files are expected to be attested, too. Both stay when the index is repaired, and keep the project's own files out.

use jiff::Timestamp;
use wheelmark_packaging::Version;

use super::{AcceptedBy, Before, Remembered, Since};

/// Of what a [`Since`] was before, so many are kept.
const MOST_BEFORE: usize = 8;

impl Remembered {
    /// Forgets what was taken for granted from a moment on because it was seen, by the clock by which it
    /// was written down; whether anything was. What a person has said stays, whenever they said it.
    ///
    /// From then on attestations are expected from that file on from which they were at that moment. Of
    /// what an older version of this program has written, it is not known when, and it stays as long as
    /// somebody is still expected.
    pub fn forget_since(&mut self, moment: Timestamp) -> bool {
        let before = self.clone();
        let is_seen_later =
            |by: AcceptedBy, at: Timestamp| by == AcceptedBy::FirstUse && at >= moment;
        self.accepted.retain(|one| !is_seen_later(one.by, one.at));
        for one in &mut self.accepted {
            if one.account_at.is_some_and(|at| at >= moment) {
                (one.account, one.account_at) = (None, None);
            }
        }
        let nobody_is_left = self.accepted.is_empty() && !before.accepted.is_empty();
        self.since = self.since.take().and_then(|since| match since.began {
            Some(began) if began >= moment => None,
            None if nobody_is_left => None,
            _ => Some(since.back_to(moment)),
        });
        *self != before
    }
}

impl Since {
    /// Moves it back to this file, if that is older, and keeps what it was.
    pub(super) fn reach_back(
        &mut self,
        version: &Version,
        uploaded: Option<Timestamp>,
        now: Timestamp,
    ) {
        let earliest = match (self.uploaded, uploaded) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        if *version >= self.version && earliest == self.uploaded {
            return;
        }
        let is_full = self.before.len() >= MOST_BEFORE;
        match self.before.last_mut() {
            // Then more files count as older than the attested ones than did, and not fewer.
            Some(last) if is_full => last.until = now,
            _ => self.before.push(Before {
                until: now,
                version: self.version.clone(),
                uploaded: self.uploaded,
            }),
        }
        if *version < self.version {
            self.version = version.clone();
        }
        self.uploaded = earliest;
    }

    /// What it was at a moment, as far as that was kept.
    fn back_to(mut self, moment: Timestamp) -> Self {
        let later = self.before.iter().position(|one| one.until >= moment);
        if let Some(later) = later
            && let Some(then) = self.before.drain(later..).next()
        {
            (self.version, self.uploaded) = (then.version, then.uploaded);
        }
        self
    }
}

#[cfg(test)]
mod tests;

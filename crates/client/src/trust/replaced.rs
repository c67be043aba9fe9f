//! Another chain in the place of the one of before, with what stays of what was remembered.

use wheelmark_tuf::{CacheName, Effect, root_fingerprint};

use super::{
    Began, Durability, IndexRecord, RECORD, SystemIndex, TrustError, TrustStore, TrustedIndex,
    directory_name,
};
use crate::claims::SeenClaim;

/// What stays of an index that begins anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Projects of which it stays known who attests to them.
    pub identities: usize,
    /// Projects whose keys a person has compared.
    pub claims: usize,
    /// Projects whose keys were only seen: they are forgotten.
    pub forgotten: usize,
}

impl TrustStore {
    /// What is kept of an index, also where the user's trust and the system's contradict each other.
    pub(crate) fn kept(&self, simple: &url::Url) -> Result<Option<TrustedIndex>, TrustError> {
        let directory = self.indexes.join(directory_name(simple));
        if !directory.join(RECORD).exists() {
            return Ok(None);
        }
        self.load(directory)
    }

    /// Puts another chain into the place of the one that is trusted. Killed in between, it is as after
    /// trust was removed: nothing is trusted, and it stays known that the index was, by its keys.
    pub(crate) async fn replace(
        &self,
        known: &TrustedIndex,
        record: IndexRecord,
        root: &[u8],
        chain: &[Effect],
    ) -> Result<(TrustedIndex, Carried), TrustError> {
        let _lock = known.lock().await?;
        let directory = known.directory().to_owned();
        self.note_signed(&directory, known.urls().simple())?;
        let mut carried = Carried::default();
        let index = self.settle(directory, record, |trusted| {
            trusted.write("root.json", root, Durability::Synced)?;
            chain.iter().try_for_each(|effect| trusted.put(effect))?;
            carried = trusted.carry(known)?;
            Ok(())
        })?;
        Ok((index, carried))
    }
}

impl TrustedIndex {
    /// Takes over what people have said of the index's projects, and who was seen attesting to them.
    pub(super) fn carry(&self, before: &Self) -> Result<Carried, TrustError> {
        let mut carried = Carried {
            identities: self.take_over_identities(before)?,
            ..Carried::default()
        };
        let root = root_fingerprint(&self.stored_root()?).ok();
        for (project, claim) in before.seen_claims()? {
            if claim.by_hand {
                // The index begins anew, with what versions and seals it likes; the keys are what was
                // compared, and handovers lead on from where they were.
                let kept = SeenClaim {
                    sealed: false,
                    recovered: root,
                    cleared: false,
                    ..claim
                };
                self.put_claim(&project, kept)?;
                carried.claims += 1;
            } else {
                carried.forgotten += 1;
            }
        }
        Ok(carried)
    }

    /// Takes over who attests to the index's projects, and how many these are. Where it is behind a recovery
    /// of the index already, what was seen since the break-in is left out: no later refresh would do it.
    pub(super) fn take_over_identities(&self, before: &Self) -> Result<usize, TrustError> {
        let recovered = self.recovered()?;
        let mut taken = 0;
        for (project, mut remembered) in before.all_remembered()? {
            if let Some(recovered) = &recovered {
                remembered.forget_since(recovered.since);
            }
            if !remembered.is_empty() {
                self.write_remembered(&project, remembered)?;
                taken += 1;
            }
        }
        Ok(taken)
    }

    /// Goes on from the root that the system's administrator hands over now, where trust is theirs and no
    /// chain led there; whether it does. The lock is held. What is kept of timestamp and snapshot stays,
    /// and counts if the new root's keys have signed it.
    pub(crate) fn take_up_the_systems_root(&self) -> Result<bool, TrustError> {
        let Some(system) = self.system.as_ref().filter(|_| self.is_of_the_system()) else {
            return Ok(false);
        };
        let handed = &system.handed;
        if handed.root_version() <= self.state()?.root.version {
            return Ok(false);
        }
        let effect = Effect::Persist {
            file: CacheName::Root,
            bytes: handed.root().to_vec(),
        };
        self.apply(&effect)?;
        tracing::warn!(
            "{} goes on from the root of {}: the one that was trusted does not lead there",
            self.urls().simple(),
            system.file.display()
        );
        Ok(true)
    }

    /// Whether trust in it is the system's administrator's word.
    pub(super) fn is_of_the_system(&self) -> bool {
        self.record.began == Began::System
    }

    /// Whether the chain that was followed here since the system's administrator handed a root over is
    /// another one than the one that they hand over now: then theirs counts.
    pub(super) fn is_another_than(&self, system: &SystemIndex) -> Result<bool, TrustError> {
        // Where their file is from before what it began with here, it may well be the same.
        let is_older = system.handed.root_version() < self.record.first_root_version;
        if !self.is_of_the_system() || is_older {
            return Ok(false);
        }
        match self.agree_with(system) {
            Ok(()) => Ok(false),
            Err(TrustError::Conflict { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;

//! Whose signatures a project's metadata still lacks, for those who wait for them.

use std::collections::{BTreeMap, BTreeSet};

use super::chain::{all_of, listed, open};
use super::{Handover, HandoverError, Handovers, KeySet};
use crate::envelope::Envelope;
use crate::key::{Key, KeyId};
use crate::model::RoleKeys;
use crate::name::RoleName;
use crate::verify::signers;

/// Whose signatures metadata of a role lacks that its own people sign.
///
/// It says when it is worth going on, and decides nothing: whoever takes the metadata in verifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The handover that the metadata brings, if it brings one.
    pub brings: Option<Handover>,
    /// What that handover lacks. Where its signatures stand inside of what is signed, the metadata can be
    /// signed for good only once nothing is lacking here.
    pub handover: Vec<Need>,
    /// What the metadata itself lacks.
    pub metadata: Vec<Need>,
}

/// Signatures that are lacking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Whose.
    pub whose: Whose,
    /// How many more have to sign.
    pub more: u32,
    /// The keys that could and have not yet.
    pub keyids: BTreeSet<KeyId>,
}

/// Which keys have to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// A threshold of those that sign for the project now.
    Present,
    /// A threshold of those that are to sign from now on.
    Next,
    /// Every key that comes in.
    Added,
}

impl Missing {
    /// What `metadata` of `role` lacks, where `present` is delegated to, and `published` are the
    /// handovers that the published version carries.
    ///
    /// # Errors
    ///
    /// When it is no metadata of a targets role, or its handovers are malformed or not the published
    /// ones and at most one more.
    pub fn of(
        metadata: &[u8],
        role: &RoleName,
        present: &KeySet,
        published: &Handovers,
    ) -> Result<Self, HandoverError> {
        let envelope = Envelope::open(metadata)?;
        let mut opened = open(listed(&envelope.signed), role)?;
        let settled = published.iter().len();
        let is_next = opened.len() == settled || opened.len() == settled + 1;
        if !is_next || !published.begins(&opened) {
            return Err(HandoverError::Rewritten);
        }
        let now = published.reached().unwrap_or(present);
        if let Some(last) = opened.get(settled)
            && last.handover.from != *now
        {
            let number = last.handover.number;
            return Err(HandoverError::Broken { number });
        }
        if opened.len() > settled
            && let Some(last) = opened.last_mut().filter(|last| last.is_open())
            && let Some(beside) = &envelope.beside
        {
            last.take_beside(beside)?;
        }
        let mut lacks = Self {
            brings: None,
            handover: Vec::new(),
            metadata: need(
                &envelope,
                Whose::Present,
                present.keys(),
                &present.role_keys(),
            ),
        };
        let Some(last) = opened.last() else {
            return Ok(lacks);
        };
        let (from, next) = (&last.handover.from, &last.handover.to);
        let by = &mut lacks.metadata;
        if next != present {
            by.extend(need(&envelope, Whose::Next, next.keys(), &next.role_keys()));
        }
        if opened.len() > settled {
            let added = all_of(&last.handover.added());
            if from != present {
                by.extend(need(
                    &envelope,
                    Whose::Present,
                    from.keys(),
                    &from.role_keys(),
                ));
            }
            by.extend(need(&envelope, Whose::Added, next.keys(), &added));
            let (by, file) = (&mut lacks.handover, &last.envelope);
            by.extend(need(file, Whose::Present, from.keys(), &from.role_keys()));
            by.extend(need(file, Whose::Added, next.keys(), &added));
            lacks.brings = Some(last.handover.clone());
        }
        Ok(lacks)
    }

    /// What the first metadata of a project lacks: every key that is to sign for it signs the claim.
    ///
    /// # Errors
    ///
    /// When it is no metadata file.
    pub fn of_claim(metadata: &[u8], keys: &KeySet) -> Result<Self, HandoverError> {
        let envelope = Envelope::open(metadata)?;
        let all: Vec<&Key> = keys.keys().values().collect();
        Ok(Self {
            brings: None,
            handover: Vec::new(),
            metadata: need(&envelope, Whose::Added, keys.keys(), &all_of(&all)),
        })
    }

    /// Whether nothing is lacking.
    pub fn is_empty(&self) -> bool {
        self.handover.is_empty() && self.metadata.is_empty()
    }

    /// The keys of those who could sign and have not, of everything that is lacking.
    pub fn keyids(&self) -> BTreeSet<&KeyId> {
        let needs = self.handover.iter().chain(&self.metadata);
        needs.flat_map(|need| &need.keyids).collect()
    }

    /// How many more keys have to sign. Each of those who sign the metadata signs the handover, too.
    ///
    /// Every key that comes in has to; of the others, those are counted first that several sets wait
    /// for. With three sets or more it may be one more than would do.
    pub fn least(&self) -> u32 {
        let mut open: Vec<(u32, &BTreeSet<KeyId>)> = Vec::new();
        for need in self.handover.iter().chain(&self.metadata) {
            open.push((need.more, &need.keyids));
        }
        let mut signed: BTreeSet<&KeyId> = BTreeSet::new();
        while open.iter().any(|(more, _)| *more > 0) {
            let waiting = |id: &KeyId| {
                let for_it = open
                    .iter()
                    .filter(|(more, ids)| *more > 0 && ids.contains(id));
                // Where all that are left have to sign, there is no choice.
                let forced = for_it.clone().any(|(more, ids)| {
                    *more as usize >= ids.iter().filter(|id| !signed.contains(id)).count()
                });
                (forced, for_it.count())
            };
            let left = open.iter().flat_map(|(_, ids)| ids.iter());
            let left = left.filter(|id| !signed.contains(id));
            let Some(next) = left.max_by_key(|id| waiting(id)) else {
                // Nobody could: all are counted who have to.
                let more = open.iter().map(|(more, _)| *more);
                return more.fold(
                    u32::try_from(signed.len()).unwrap_or(u32::MAX),
                    u32::saturating_add,
                );
            };
            signed.insert(next);
            for (more, ids) in &mut open {
                if ids.contains(next) {
                    *more = more.saturating_sub(1);
                }
            }
        }
        u32::try_from(signed.len()).unwrap_or(u32::MAX)
    }
}

/// What a file lacks in signatures of these keys; nothing where enough have signed.
fn need(
    envelope: &Envelope,
    whose: Whose,
    keys: &BTreeMap<KeyId, Key>,
    role: &RoleKeys,
) -> Vec<Need> {
    let signed = signers(envelope, keys, role);
    let count = u32::try_from(signed.len()).unwrap_or(u32::MAX);
    let more = role.threshold.saturating_sub(count);
    let open = role.keyids.iter().filter(|id| !signed.contains(id));
    let keyids = open.cloned().collect();
    let needed = (more > 0).then_some(Need {
        whose,
        more,
        keyids,
    });
    needed.into_iter().collect()
}

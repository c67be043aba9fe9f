//! Whose signatures a project's metadata still lacks, for those who wait for them.

use std::collections::{BTreeMap, BTreeSet};

use super::chain::{all_of, listed, open};
use super::{HandoverError, Handovers, KeySet};
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
    /// What the handover lacks that the metadata brings. It is part of what is signed, so that the
    /// metadata can be signed for good only once nothing is lacking here.
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
        let opened = open(listed(&envelope.signed), role)?;
        let settled = published.iter().len();
        let mut both = opened.iter().zip(published.iter());
        let is_next = opened.len() == settled || opened.len() == settled + 1;
        if !is_next || !both.all(|(one, known)| one.handover == *known) {
            return Err(HandoverError::Rewritten);
        }
        let mut lacks = Self {
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
            handover: Vec::new(),
            metadata: need(&envelope, Whose::Added, keys.keys(), &all_of(&all)),
        })
    }

    /// Whether nothing is lacking.
    pub fn is_empty(&self) -> bool {
        self.handover.is_empty() && self.metadata.is_empty()
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

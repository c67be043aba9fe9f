//! A change of a project's keys that waits for signatures.

use serde::Serialize;
use wheelmark_store::SignedRelease;
use wheelmark_tuf::{Handover, Key};

use super::CLOCK_TOLERANCE;
use super::error::StagingError;
use super::signed::Signed;

/// A change of a project's keys.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    added: Vec<String>,
    removed: Vec<String>,
    /// How many keys had to sign, and have to from then on.
    threshold_before: u32,
    threshold: u32,
}

impl Change {
    pub(super) fn of(handover: &Handover) -> Self {
        let (from, to) = (&handover.from, &handover.to);
        Self {
            added: ids(to.beyond(from)),
            removed: ids(from.beyond(to)),
            threshold_before: from.threshold(),
            threshold: to.threshold(),
        }
    }
}

/// The ids of keys, which are sorted by them.
fn ids(keys: Vec<&Key>) -> Vec<String> {
    let keys = keys.into_iter();
    keys.map(|key| key.keyid().as_str().to_owned()).collect()
}

/// Whether a handover is one of this version, made just now, and changes the keys that are said to.
pub(super) fn demand_handing(
    release: &SignedRelease,
    signed: &Signed,
    version: u64,
) -> Result<(), StagingError> {
    let malformed = |what: &str| StagingError::Malformed {
        what: what.to_owned(),
    };
    let (handover, stated) = match (signed.brings(), &release.keys) {
        (None, None) => return Ok(()),
        (Some(handover), Some(stated)) => (handover, stated),
        _ => return Err(malformed("keys change with a handover, and only with one")),
    };
    let mut added: Vec<String> = stated.added.iter().map(|key| key.keyid.clone()).collect();
    let mut removed = stated.removed.clone();
    added.sort_unstable();
    removed.sort_unstable();
    let (from, to) = (&handover.from, &handover.to);
    if added != ids(to.beyond(from)) || removed != ids(from.beyond(to)) {
        return Err(malformed(
            "the handover changes other keys than those that are said to change",
        ));
    }
    if handover.version != version {
        return Err(malformed(
            "the handover is not one of this version of the project's role",
        ));
    }
    if handover.made_at.duration_since(release.received_at).abs() > CLOCK_TOLERANCE {
        return Err(malformed("the handover was made more than ten minutes ago"));
    }
    Ok(())
}

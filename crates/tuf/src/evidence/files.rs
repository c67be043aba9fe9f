//! The files of a sighting: each is used once, and none is left.

use super::{EvidenceError, Sighting};

/// The files of a sighting that were not used yet.
pub(super) struct Files<'a> {
    sighting: &'a Sighting,
    left: Vec<&'a (String, Vec<u8>)>,
}

impl<'a> Files<'a> {
    pub(super) fn of(sighting: &'a Sighting) -> Self {
        Files {
            sighting,
            left: sighting.files.iter().collect(),
        }
    }

    pub(super) fn take(&mut self, path: &str) -> Result<&'a [u8], EvidenceError> {
        match self.left.iter().position(|(name, _)| name == path) {
            Some(at) => Ok(&self.left.swap_remove(at).1),
            None => Err(EvidenceError::Lacking {
                source_name: self.sighting.source.clone(),
                path: path.to_owned(),
            }),
        }
    }

    pub(super) fn demand_exhausted(&self) -> Result<(), EvidenceError> {
        match self.left.first() {
            None => Ok(()),
            Some((path, _)) => Err(EvidenceError::Unused {
                source_name: self.sighting.source.clone(),
                path: path.clone(),
            }),
        }
    }
}

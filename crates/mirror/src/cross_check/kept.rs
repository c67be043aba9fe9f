//! What the trust store keeps of the last refresh, as a place of its own.

use bytes::Bytes;
use wheelmark_client::ChainFiles;
use wheelmark_objects::ObjectPath;

use super::Observation;
use crate::place::{Expected, Place, PlaceError, Standing};

pub(super) struct Kept<'a> {
    files: &'a ChainFiles,
    /// Roots come from the others: they verify by themselves.
    roots: Vec<(String, Bytes)>,
}

impl<'a> Kept<'a> {
    pub(super) fn new(files: &'a ChainFiles, others: &[Observation]) -> Self {
        let longest = others.iter().max_by_key(|other| other.roots.len());
        Self {
            files,
            roots: longest.map_or_else(Vec::new, |other| other.named_roots()),
        }
    }
}

impl Place for Kept<'_> {
    fn at_once(&self) -> usize {
        1
    }

    fn metadata(&self, name: &str, _: u64) -> Result<Option<Bytes>, PlaceError> {
        let file = match name {
            "timestamp.json" => Some(&self.files.timestamp),
            _ if name.ends_with(".root.json") => {
                let root = self.roots.iter().find(|(root, _)| root == name);
                root.map(|(_, bytes)| bytes)
            }
            _ if name.ends_with("snapshot.json") => Some(&self.files.snapshot),
            _ if name.ends_with("targets.json") => Some(&self.files.targets),
            _ => None,
        };
        Ok(file.cloned())
    }

    fn object(&self, _: &ObjectPath, _: u64) -> Result<Option<Bytes>, PlaceError> {
        Ok(None)
    }

    fn check(&self, _: &ObjectPath, _: &Expected) -> Result<Standing, PlaceError> {
        Ok(Standing::Missing)
    }

    fn are_one(&self, _: &ObjectPath, _: &ObjectPath) -> bool {
        false
    }

    fn has_plain_names(&self) -> bool {
        false
    }

    fn has_simple(&self) -> bool {
        false
    }
}

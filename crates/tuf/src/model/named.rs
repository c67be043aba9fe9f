//! As much of a target as names its object, for those who read roles that were verified before.

use serde::Deserialize;
use serde_json::Value;

use super::own_sha256;
use crate::{Sha256, Sha512};

/// The digests after which an object is named, read from what a targets role says of it. All else is
/// passed over, so that many are read quickly.
#[derive(Debug, Clone, Deserialize)]
pub struct NamedTarget {
    hashes: NamedHashes,
    #[serde(default)]
    custom: Value,
}

#[derive(Debug, Clone, Deserialize)]
struct NamedHashes {
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
}

impl NamedTarget {
    /// As [`crate::TargetInfo::sha256`].
    pub fn sha256(&self) -> Option<Sha256> {
        self.hashes.sha256.or_else(|| own_sha256(&self.custom))
    }

    /// The SHA-512, where it is listed.
    pub fn sha512(&self) -> Option<Sha512> {
        self.hashes.sha512
    }
}

//! As much of a target as names its object, for those who read roles that were verified before.

use serde::Deserialize;

use crate::{Sha256, Sha512};

/// The digests after which an object is named, read from what a targets role says of it. All else is
/// passed over, so that many are read quickly.
#[derive(Debug, Clone, Deserialize)]
pub struct NamedTarget {
    hashes: NamedHashes,
    custom: Option<NamedCustom>,
}

#[derive(Debug, Clone, Deserialize)]
struct NamedHashes {
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
}

#[derive(Debug, Clone, Deserialize)]
struct NamedCustom {
    #[serde(rename = "_wheelmark")]
    own: Option<NamedOwn>,
}

#[derive(Debug, Clone, Deserialize)]
struct NamedOwn {
    sha256: Option<Sha256>,
}

impl NamedTarget {
    /// As [`crate::TargetInfo::sha256`].
    pub fn sha256(&self) -> Option<Sha256> {
        let own = self.custom.as_ref().and_then(|custom| custom.own.as_ref());
        let beside = own.and_then(|own| own.sha256);
        self.hashes.sha256.or(beside)
    }

    /// The SHA-512, where it is listed.
    pub fn sha512(&self) -> Option<Sha512> {
        self.hashes.sha512
    }
}

//! The one place where metadata becomes trusted.
//!
//! ```text
//! bytes ──▶ strict JSON ──▶ canonical signed part ──▶ threshold of keys ──▶ typed role ──▶ Verified<T>
//! ```
//!
//! A [`Verified`] can be made only in this module. Whether what was verified is also *fresh*
//! (version, rollback, expiry) is decided by [`crate::Refresh`] and [`crate::Lookup`].

use std::collections::{BTreeMap, HashSet};
use std::ops::Deref;

use serde_json::Value;

use crate::envelope::{Envelope, EnvelopeError};
use crate::handover::{HandoverError, Handovers};
use crate::key::{Key, KeyId};
use crate::model::sealed::FromSigned;
use crate::model::{Custom, ModelError, Role, RoleKeys, Root, Targets};
use crate::name::{RoleName, TargetPath};
use crate::target::Target;

/// A value whose signatures were checked.
///
/// For a role: a threshold of the keys that its delegator named has signed exactly this.
/// For a [`Target`]: a verified role states exactly this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    value: T,
    /// What stood beside the signed part, which nobody has signed: each use says why it is believed.
    beside: Option<Value>,
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Verified<T> {
    /// Gives up the proof, to change the value: the way from a published version to the
    /// next one.
    pub fn into_inner(self) -> T {
        self.value
    }
}

/// Just made by one of the checks of this module.
fn verified<T>(value: T, beside: Option<Value>) -> Verified<T> {
    Verified { value, beside }
}

/// Why a file was not accepted for a role.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The bytes are not a metadata file.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Too few of the right keys have signed.
    #[error("signed by {valid} of the {threshold} keys that are needed")]
    Threshold {
        /// How many different keys must have signed.
        threshold: u32,
        /// How many have.
        valid: u32,
    },
    /// The role asks for no signature at all, which nothing can satisfy (TUF §4.3).
    #[error("the role has a threshold of zero")]
    ZeroThreshold,
    /// Signed as it should be, and still not metadata of this role.
    #[error("the signed part is not valid")]
    Model(#[from] ModelError),
}

/// Opens a metadata file for a role that needs `role.threshold` of `role.keyids`.
///
/// # Errors
///
/// When the file is malformed, too few of the keys have signed, or the signed part is not
/// metadata of the kind `T`. Bad signatures beside enough good ones are no error.
pub fn verify<T: Role>(
    bytes: &[u8],
    keys: &BTreeMap<KeyId, Key>,
    role: &RoleKeys,
) -> Result<Verified<T>, VerifyError> {
    let envelope = Envelope::open(bytes)?;
    check_signatures(&envelope, keys, role)?;
    let value = T::from_signed(envelope.signed)?;
    Ok(verified(value, envelope.beside))
}

/// Opens a root on the word of its own keys: for one that is trusted already because of
/// how it came here (TUF §5.2). Its expiry does not matter.
///
/// # Errors
///
/// When the file is malformed, or not signed by its own threshold.
pub fn verify_trusted_root(bytes: &[u8]) -> Result<Verified<Root>, VerifyError> {
    let mut envelope = Envelope::open(bytes)?;
    let root = Root::from_signed(envelope.signed.take())?;
    check_signatures(&envelope, &root.keys, &root.roles.root)?;
    Ok(verified(root, None))
}

/// Opens the successor of `trusted`: it needs the threshold of the old *and* of the new
/// keys (TUF §5.3.4). The version is for the caller to check.
///
/// # Errors
///
/// When the file is malformed, or either threshold is missed.
pub fn verify_next_root(trusted: &Root, bytes: &[u8]) -> Result<Verified<Root>, VerifyError> {
    let mut envelope = Envelope::open(bytes)?;
    check_signatures(&envelope, &trusted.keys, &trusted.roles.root)?;
    let root = Root::from_signed(envelope.signed.take())?;
    check_signatures(&envelope, &root.keys, &root.roles.root)?;
    Ok(verified(root, None))
}

/// Demands that a threshold of the keys has signed. Each key counts once, whatever ids it goes by; a
/// key listed under an id that is not its own does not count (TUF §4.2, `KEYID`).
pub(crate) fn check_signatures(
    envelope: &Envelope,
    keys: &BTreeMap<KeyId, Key>,
    role: &RoleKeys,
) -> Result<(), VerifyError> {
    if role.threshold == 0 {
        return Err(VerifyError::ZeroThreshold);
    }
    let valid = u32::try_from(signers(envelope, keys, role).len()).unwrap_or(u32::MAX);
    if valid < role.threshold {
        return Err(VerifyError::Threshold {
            threshold: role.threshold,
            valid,
        });
    }
    Ok(())
}

/// The ids of the keys that count and have signed, one for each key.
pub(crate) fn signers<'a>(
    envelope: &Envelope,
    keys: &BTreeMap<KeyId, Key>,
    role: &'a RoleKeys,
) -> Vec<&'a KeyId> {
    let mut signers = HashSet::new();
    let mut ids = Vec::new();
    for keyid in &role.keyids {
        let Some(key) = keys.get(keyid).filter(|key| key.keyid() == keyid) else {
            continue;
        };
        let Some(Some(signature)) = envelope.signatures.get(keyid) else {
            continue;
        };
        let signed = || key.verify(&envelope.canonical, signature).is_ok();
        if !signers.contains(&key.public()) && signed() {
            signers.insert(key.public());
            ids.push(keyid);
        }
    }
    ids
}

impl Verified<Targets> {
    /// What this role says of `path`, as said by a verified role: `role` is its name, and
    /// `via` the roles that led to it.
    pub(crate) fn target(
        &self,
        path: &TargetPath,
        role: &RoleName,
        via: &[(RoleName, u64)],
    ) -> Option<Verified<Target>> {
        let info = self.targets.get(path)?;
        let target = Target {
            path: path.clone(),
            length: info.length,
            hashes: info.hashes.clone(),
            custom: info.custom.as_ref().map(Custom::value),
            role: role.clone(),
            role_version: self.version,
            via: via.to_vec(),
        };
        Some(verified(target, None))
    }

    /// The handovers that this metadata of `role` carries, those included whose signatures stand beside
    /// what is signed: they are over the handover alone, and are verified here.
    ///
    /// # Errors
    ///
    /// As [`Handovers::read`].
    pub fn handovers(&self, role: &RoleName) -> Result<Handovers, HandoverError> {
        self.value.handovers_with(role, self.beside.as_ref())
    }
}

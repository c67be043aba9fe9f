//! What a private key can be asked for, wherever it is kept.

use std::collections::BTreeMap;
use std::fmt;

use wheelmark_tuf::{Key, KeyId, Signature, assemble};

/// One private key's seat: a file, a token, an agent, a command.
pub trait Signer: Send + Sync {
    /// The public key.
    fn key(&self) -> &Key;

    /// Signs `message`.
    ///
    /// # Errors
    ///
    /// [`SignError`] if the key cannot be used now.
    fn sign(&self, message: &[u8]) -> Result<Signature, SignError>;
}

/// Why a key did not sign.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The holder of the key failed or refused.
    #[error("the key {keyid} did not sign")]
    Failed {
        /// Which key.
        keyid: KeyId,
        /// What its holder says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What came is not a signature of the key over the message: it is not used.
    #[error("what came in place of a signature of the key {keyid} does not verify")]
    Wrong {
        /// Which key.
        keyid: KeyId,
    },
}

/// A private key where its holder keeps it, under the name that it has there.
pub struct HeldKey {
    /// Its label on a token, its comment in an agent, its name in a file or for a command.
    pub label: String,
    /// What signs with it.
    pub signer: Box<dyn Signer>,
}

impl fmt::Debug for HeldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldKey")
            .field("label", &self.label)
            .field("keyid", self.signer.key().keyid())
            .finish()
    }
}

/// Why a role's metadata was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignRoleError {
    /// Metadata without a signature is of no use.
    #[error("no key was given to sign with")]
    NoSigner,
    /// Two signers have the same key; clients refuse metadata with two signatures of one key.
    #[error("the key {keyid} was given twice")]
    Twice {
        /// Which key.
        keyid: KeyId,
    },
    /// A key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Signs the canonical form of a role's signed part with every signer and puts the metadata
/// file together. `canonical` stands in it byte for byte; the signatures are ordered by key id,
/// so that the same keys and the same bytes always give the same file.
///
/// # Errors
///
/// [`SignRoleError`]; whether the signatures suffice for the role is not checked here.
pub fn sign_role(canonical: &[u8], signers: &[&dyn Signer]) -> Result<Vec<u8>, SignRoleError> {
    let mut by_id: BTreeMap<&KeyId, &dyn Signer> = BTreeMap::new();
    for &signer in signers {
        let keyid = signer.key().keyid();
        if by_id.insert(keyid, signer).is_some() {
            return Err(SignRoleError::Twice {
                keyid: keyid.clone(),
            });
        }
    }
    if by_id.is_empty() {
        return Err(SignRoleError::NoSigner);
    }
    let signatures: Vec<Signature> = by_id
        .into_values()
        .map(|signer| signer.sign(canonical))
        .collect::<Result<_, _>>()?;
    Ok(assemble(canonical, &signatures))
}

//! The file around signed metadata: signatures beside the signed part.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::key::KeyId;
use crate::model::OWN_MEMBER;
use crate::model::fields::{self, Fields, ModelError};
use crate::{Sha256, canonical};

/// A signature, and the key that is said to have made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The id of the key.
    pub keyid: KeyId,
    /// The signature as the scheme of the key defines it.
    pub sig: Vec<u8>,
}

/// The bytes are not a metadata file.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON as we accept it.
    #[error("the file is not strict json")]
    Json(#[from] canonical::ParseError),
    /// Not an object with `signatures` and `signed`.
    #[error("the file is not signed metadata")]
    Form(#[from] ModelError),
    /// Two signatures for one key: the file is refused (TUF §4.2).
    #[error("the file holds two signatures by the key {keyid}")]
    DuplicateSignature {
        /// The key's id.
        keyid: KeyId,
    },
}

/// A metadata file, opened but not yet trusted.
pub(crate) struct Envelope {
    /// By key; `None` for a signature that is not hexadecimal: it counts for nothing, and
    /// does not spoil the others.
    pub(crate) signatures: BTreeMap<KeyId, Option<Vec<u8>>>,
    /// The bytes that the signatures are over.
    pub(crate) canonical: Vec<u8>,
    /// The same as a value.
    pub(crate) signed: Value,
    /// What stands beside both, under the name of our own member; nobody has signed it.
    pub(crate) beside: Option<Value>,
}

impl Envelope {
    pub(crate) fn open(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let mut file = Fields::of(canonical::parse(bytes)?, "file")?;
        let beside = file.take_optional(OWN_MEMBER);
        Ok(Envelope {
            beside,
            ..Self::of_fields(&mut file)?
        })
    }

    /// Takes the signatures and the signed part out of an object; what else it has stays there.
    pub(crate) fn of_fields(file: &mut Fields) -> Result<Self, EnvelopeError> {
        let signatures = read_signatures(file.array("signatures")?)?;
        let signed = file.take("signed")?;
        let canonical = canonical::encode(&signed);
        Ok(Envelope {
            signatures,
            canonical,
            signed,
            beside: None,
        })
    }
}

/// Signatures by key, each key once.
pub(crate) fn read_signatures(
    entries: Vec<Value>,
) -> Result<BTreeMap<KeyId, Option<Vec<u8>>>, EnvelopeError> {
    let mut signatures = BTreeMap::new();
    for entry in entries {
        let mut entry = Fields::of(entry, "signatures")?;
        let keyid = KeyId::from(entry.string("keyid")?);
        let sig = hex::decode(fields::string(entry.take("sig")?, "sig")?).ok();
        if signatures.insert(keyid.clone(), sig).is_some() {
            return Err(EnvelopeError::DuplicateSignature { keyid });
        }
    }
    Ok(signatures)
}

/// Signatures as files state them.
pub(crate) fn write_signatures(signatures: &[Signature]) -> Value {
    let entries = signatures.iter().map(|signature| {
        serde_json::json!({
            "keyid": signature.keyid.as_str(),
            "sig": hex::encode(&signature.sig),
        })
    });
    entries.collect::<Vec<_>>().into()
}

/// The metadata file of a signed part: `{"signatures":[…],"signed":…}`, with the canonical
/// bytes that were signed standing in it verbatim.
///
/// Only control characters in strings are escaped, because JSON does not allow them as
/// such; they have the same canonical form again when the file is read.
pub fn assemble(signed_canonical: &[u8], signatures: &[Signature]) -> Vec<u8> {
    let mut file = Vec::with_capacity(signed_canonical.len() + 256 * signatures.len() + 64);
    file.extend_from_slice(br#"{"signatures":"#);
    file.extend_from_slice(&canonical::encode(&write_signatures(signatures)));
    file.extend_from_slice(br#","signed":"#);
    for &byte in signed_canonical {
        match byte {
            // Canonical JSON has no white space: a control character is always in a string.
            0x00..0x20 => file.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => file.push(byte),
        }
    }
    file.push(b'}');
    file
}

/// The fingerprint by which a root is pinned: the SHA-256 of its canonical signed part.
/// Signatures can be added to a root without changing it.
///
/// # Errors
///
/// When the bytes are not a metadata file. Nothing else is checked: the fingerprint of a
/// file says what it is, not that it is good.
pub fn root_fingerprint(bytes: &[u8]) -> Result<Sha256, EnvelopeError> {
    Ok(Sha256::of(&Envelope::open(bytes)?.canonical))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_key_id_is_shown_short_and_plain() {
        let keyid = format!("\\u001b]0;{}", "x".repeat(100_000));
        let entry = format!(r#"{{"keyid":"{keyid}","sig":"00"}}"#);
        let file = format!(r#"{{"signatures":[{entry},{entry}],"signed":{{}}}}"#);
        let message = match Envelope::open(file.as_bytes()) {
            Err(error @ EnvelopeError::DuplicateSignature { .. }) => error.to_string(),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("accepted"),
        };
        assert!(!message.contains(char::is_control), "{message:?}");
        assert!(message.len() < 300, "{} bytes", message.len());
    }
}

//! A signature in a file of its own, which says what it is a signature of.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wheelmark_tuf::{KeyId, ParseSha256Error, RoleName, Sha256, Signature};

use crate::ceremony::{Ceremony, CeremonyId, ParseCeremonyIdError};
use crate::payload::Payload;

const FORMAT: &str = "wheelmark-ceremony-signature-1";

/// How many digits of a key's id stand in a file's name.
const SHOWN_KEYID: usize = 16;

/// One key's signature of one payload of one ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureFile {
    pub(crate) ceremony: CeremonyId,
    pub(crate) role: RoleName,
    pub(crate) version: u64,
    pub(crate) payload: Sha256,
    pub(crate) signature: Signature,
}

/// A signature does not count.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// Not the JSON of one.
    #[error("this is no signature of a ceremony")]
    Json(#[source] serde_json::Error),
    /// Of another version.
    #[error("the signature is of a form that this version does not know")]
    Format,
    /// The ceremony is named by something else.
    #[error(transparent)]
    Id(#[from] ParseCeremonyIdError),
    /// The payload is named by something else.
    #[error(transparent)]
    Payload(#[from] ParseSha256Error),
    /// The name of a role that is none.
    #[error("the signature names a role that none can have")]
    Role,
    /// It is not written in hexadecimal digits.
    #[error("the signature of the key {keyid} is not written in hexadecimal digits")]
    Digits {
        /// Whose.
        keyid: KeyId,
    },
    /// It belongs to another ceremony.
    #[error("it belongs to the ceremony {found}, and this is {expected}")]
    OtherCeremony {
        /// This ceremony.
        expected: CeremonyId,
        /// The one that it names.
        found: CeremonyId,
    },
    /// This ceremony does not sign that.
    #[error("this ceremony does not sign version {version} of {role}")]
    OtherRole {
        /// The role that it names.
        role: RoleName,
        /// The version that it names.
        version: u64,
    },
    /// It is over other bytes.
    #[error("it is over another payload of {role} than this ceremony's")]
    OtherPayload {
        /// Whose.
        role: RoleName,
    },
    /// Nobody's who signs that role.
    #[error("the key {keyid} does not sign {role}, neither now nor from this ceremony on")]
    WrongKey {
        /// Which key.
        keyid: KeyId,
        /// Which role.
        role: RoleName,
    },
    /// The signature is wrong.
    #[error("the signature of the key {keyid} over {role} does not verify")]
    Bad {
        /// Which key.
        keyid: KeyId,
        /// Which role.
        role: RoleName,
    },
    /// There is one of this key already.
    #[error("the key {keyid} has signed {role} already, and counts once")]
    Twice {
        /// Which key.
        keyid: KeyId,
        /// Which role.
        role: RoleName,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Stored {
    format: String,
    ceremony: String,
    role: String,
    version: u64,
    payload_sha256: String,
    keyid: String,
    sig: String,
}

impl SignatureFile {
    /// What `signature` is, beside its payload.
    pub fn of(ceremony: &Ceremony, payload: &Payload, signature: Signature) -> Self {
        Self {
            ceremony: ceremony.id(),
            role: payload.role().clone(),
            version: payload.version(),
            payload: *payload.sha256(),
            signature,
        }
    }

    /// Reads such a file. Whether it counts is another question: see [`crate::Tally::admit`].
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, SignatureError> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(SignatureError::Json)?;
        if stored.format != FORMAT {
            return Err(SignatureError::Format);
        }
        let keyid = KeyId::from(stored.keyid);
        let sig = hex::decode(&stored.sig).map_err(|_| SignatureError::Digits {
            keyid: keyid.clone(),
        })?;
        Ok(Self {
            ceremony: stored.ceremony.parse()?,
            role: stored.role.parse().map_err(|_| SignatureError::Role)?,
            version: stored.version,
            payload: stored.payload_sha256.parse()?,
            signature: Signature { keyid, sig },
        })
    }

    /// The file, as JSON.
    pub fn to_value(&self) -> Value {
        json!(Stored {
            format: FORMAT.to_owned(),
            ceremony: self.ceremony.to_string(),
            role: self.role.as_str().to_owned(),
            version: self.version,
            payload_sha256: self.payload.to_string(),
            keyid: self.signature.keyid.as_str().to_owned(),
            sig: hex::encode(&self.signature.sig),
        })
    }

    /// The name of the file: the payload's, and how the key's id begins.
    pub fn file_name(&self) -> String {
        let payload = self.role.versioned_file_name(self.version);
        let name = payload.strip_suffix(".json").unwrap_or(&payload);
        let keyid = self.signature.keyid.as_str();
        let keyid: String = keyid
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(SHOWN_KEYID)
            .collect();
        format!("{name}.{keyid}.sig.json")
    }

    /// Whose signature it is.
    pub fn keyid(&self) -> &KeyId {
        &self.signature.keyid
    }

    /// Which role it is for.
    pub fn role(&self) -> &RoleName {
        &self.role
    }
}

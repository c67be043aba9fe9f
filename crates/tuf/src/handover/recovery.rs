//! Other keys ask to sign for a project whose own are lost.
//!
//! Nobody of before can sign that, so it proves one thing alone: that whoever asks has the keys. Whether
//! they may have the project is for the index to say, after everybody could see the request for a while.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::KeySet;
use super::chain::all_of;
use crate::canonical;
use crate::envelope::{Envelope, EnvelopeError};
use crate::handover::HandoverError;
use crate::key::Key;
use crate::model::ModelError;
use crate::model::fields::{Fields, write_time};
use crate::name::RoleName;
use crate::shown::Shown;
use crate::verify::{VerifyError, check_signatures};

/// What `_type` says: no type of TUF's, and not that of a handover.
const TYPE: &str = "wheelmark-recovery";

/// The request that these keys sign for a project from some time on, in the place of all that did before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryRequest {
    /// Whose keys are lost.
    pub role: RoleName,
    /// When it was made, as whoever made it says; a whole second.
    pub made_at: Timestamp,
    /// Who is to sign from then on.
    pub to: KeySet,
}

/// Why such a request is not believed.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryRequestError {
    /// A field is missing, or holds something else.
    #[error("the request is malformed")]
    Form(#[from] ModelError),
    /// The file around it is malformed.
    #[error("the request is malformed")]
    Envelope(#[from] EnvelopeError),
    /// It says more than such a request does, or in another form.
    #[error("the request is not in the one form that such requests have")]
    OtherForm,
    /// It names keys that no project can have.
    #[error("nobody can sign with the keys of the request")]
    Keys(#[from] HandoverError),
    /// It is about another role.
    #[error("the request is one of {}, not of {expected}", Shown(.found))]
    OtherRole {
        /// The role that it was handed in for.
        expected: RoleName,
        /// What it says.
        found: String,
    },
    /// A key has not signed: nobody is known to have it.
    #[error("the request is not signed by every key that it names")]
    Signatures(#[source] VerifyError),
}

impl RecoveryRequest {
    /// The bytes to sign: the canonical form, which nothing else has.
    pub fn to_canonical(&self) -> Vec<u8> {
        canonical::encode(&json!({
            "_type": TYPE,
            "made-at": write_time(self.made_at),
            "role": self.role.as_str(),
            "to": self.to.to_value(),
        }))
    }

    /// Reads a signed request about `role`, as [`crate::assemble`] writes it: every key that it names has
    /// signed it.
    ///
    /// # Errors
    ///
    /// When it is malformed, in another form, about another role, or not signed by all of its keys.
    pub fn read(file: &[u8], role: &RoleName) -> Result<Self, RecoveryRequestError> {
        let envelope = Envelope::open(file)?;
        let request = Self::from_signed(envelope.signed.clone(), role)?;
        let all: Vec<&Key> = request.to.keys().values().collect();
        check_signatures(&envelope, request.to.keys(), &all_of(&all))
            .map_err(RecoveryRequestError::Signatures)?;
        Ok(request)
    }

    fn from_signed(signed: Value, role: &RoleName) -> Result<Self, RecoveryRequestError> {
        let canonical = canonical::encode(&signed);
        let mut fields = Fields::of(signed, "signed")?;
        let found = fields.string("_type")?;
        if found != TYPE {
            return Err(ModelError::Type {
                expected: TYPE,
                found,
            }
            .into());
        }
        let found = fields.string("role")?;
        if found != role.as_str() {
            let expected = role.clone();
            return Err(RecoveryRequestError::OtherRole { expected, found });
        }
        let request = Self {
            role: role.clone(),
            made_at: fields.time("made-at")?,
            to: KeySet::from_value(fields.take("to")?)?,
        };
        match request.to_canonical() == canonical {
            true => Ok(request),
            false => Err(RecoveryRequestError::OtherForm),
        }
    }
}

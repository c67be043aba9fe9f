//! Reading one JSON object field by field, and keeping what nobody asked for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::key::KeyId;
use crate::name::{ParseTargetPathError, RoleName};
use crate::shown::Shown;

/// Fields that the specification does not define. They are part of what is signed, and
/// part of a key's id (TUF §4, "undefined attribute-value pairs").
pub type Extra = BTreeMap<String, Value>;

/// The signed content is not metadata of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// A field that must be there is not.
    #[error("the field `{field}` is missing")]
    Missing {
        /// The field's name.
        field: &'static str,
    },
    /// A field holds something else than the specification says.
    #[error("the field `{field}` is not {expected}")]
    Invalid {
        /// The field's name.
        field: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// Correctly signed, but metadata of another role.
    #[error("the metadata is of type `{}`, not `{expected}`", Shown(.found))]
    Type {
        /// The type that was asked for.
        expected: &'static str,
        /// The type that the file states.
        found: String,
    },
    /// Written for another major version of the specification (TUF §4.3, `SPEC_VERSION`).
    #[error("specification version `{}` is not supported, only 1.x is", Shown(.found))]
    SpecVersion {
        /// The version that the file states.
        found: String,
    },
    /// A role lists a key twice.
    #[error("a role lists the key {keyid} twice")]
    DuplicateKeyId {
        /// The id that occurs twice.
        keyid: KeyId,
    },
    /// A role is delegated twice by one delegator.
    #[error("the role `{role}` is delegated twice")]
    DuplicateRole {
        /// The role's name.
        role: RoleName,
    },
    /// A delegation uses the name of a top-level role, whose file it would replace.
    #[error("a delegation uses the name of the top-level role `{role}`")]
    TopLevelDelegation {
        /// The role's name.
        role: RoleName,
    },
    /// Exactly one of two fields must be there (TUF §4.5, TAP 15).
    #[error("exactly one of `{one}` and `{other}` must be given")]
    ExactlyOne {
        /// One field.
        one: &'static str,
        /// The other field.
        other: &'static str,
    },
    /// A target's path is not one.
    #[error(transparent)]
    TargetPath(#[from] ParseTargetPathError),
}

/// The members of an object that have not been read yet.
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn of(value: Value, field: &'static str) -> Result<Self, ModelError> {
        match value {
            Value::Object(members) => Ok(Fields(members)),
            _ => Err(ModelError::Invalid {
                field,
                expected: "an object",
            }),
        }
    }

    /// Opens the signed part of metadata of type `expected`: checks `_type` and takes the
    /// fields that all roles share (TUF §4.3).
    pub(crate) fn of_role(
        signed: Value,
        expected: &'static str,
    ) -> Result<(Self, Header), ModelError> {
        let mut fields = Fields::of(signed, "signed")?;
        let found = fields.string("_type")?;
        if found != expected {
            return Err(ModelError::Type { expected, found });
        }
        let spec_version = fields.string("spec_version")?;
        if !is_supported(&spec_version) {
            return Err(ModelError::SpecVersion {
                found: spec_version,
            });
        }
        let header = Header {
            spec_version,
            version: fields.positive("version")?,
            expires: fields.time("expires")?,
        };
        Ok((fields, header))
    }

    pub(crate) fn take(&mut self, field: &'static str) -> Result<Value, ModelError> {
        self.0.remove(field).ok_or(ModelError::Missing { field })
    }

    pub(crate) fn take_optional(&mut self, field: &'static str) -> Option<Value> {
        self.0.remove(field)
    }

    pub(crate) fn object(&mut self, field: &'static str) -> Result<Fields, ModelError> {
        Fields::of(self.take(field)?, field)
    }

    pub(crate) fn array(&mut self, field: &'static str) -> Result<Vec<Value>, ModelError> {
        array(self.take(field)?, field)
    }

    pub(crate) fn string(&mut self, field: &'static str) -> Result<String, ModelError> {
        string(self.take(field)?, field)
    }

    pub(crate) fn bool(&mut self, field: &'static str) -> Result<bool, ModelError> {
        self.take(field)?.as_bool().ok_or(ModelError::Invalid {
            field,
            expected: "a boolean",
        })
    }

    pub(crate) fn number(&mut self, field: &'static str) -> Result<u64, ModelError> {
        let expected = "an integer that is not negative";
        self.take(field)?
            .as_u64()
            .ok_or(ModelError::Invalid { field, expected })
    }

    pub(crate) fn positive(&mut self, field: &'static str) -> Result<u64, ModelError> {
        match self.number(field)? {
            0 => Err(ModelError::Invalid {
                field,
                expected: "greater than zero",
            }),
            number => Ok(number),
        }
    }

    /// `YYYY-MM-DDTHH:MM:SSZ`, and no other way of writing a time (TUF §4.2).
    pub(crate) fn time(&mut self, field: &'static str) -> Result<Timestamp, ModelError> {
        let text = self.string(field)?;
        // Written back it must be the same text: this excludes every other notation.
        let time = text.parse().ok().filter(|&time| write_time(time) == text);
        time.ok_or(ModelError::Invalid {
            field,
            expected: "a time of the form YYYY-MM-DDTHH:MM:SSZ",
        })
    }

    /// What nobody asked for.
    pub(crate) fn rest(self) -> Extra {
        self.0.into_iter().collect()
    }
}

/// What all roles share, in the order in which it is read.
pub(crate) struct Header {
    pub(crate) spec_version: String,
    pub(crate) version: u64,
    pub(crate) expires: Timestamp,
}

impl Header {
    /// An object with the fields of the header and the extra ones, to be completed.
    pub(crate) fn object(&self, role: &'static str, extra: &Extra) -> Map<String, Value> {
        let mut object = object(extra);
        object.insert("_type".to_owned(), role.into());
        object.insert("spec_version".to_owned(), self.spec_version.as_str().into());
        object.insert("version".to_owned(), self.version.into());
        object.insert("expires".to_owned(), write_time(self.expires).into());
        object
    }
}

/// An object that holds the extra fields, to be completed.
pub(crate) fn object(extra: &Extra) -> Map<String, Value> {
    extra
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// `YYYY-MM-DDTHH:MM:SSZ`; parts of a second are dropped.
pub(crate) fn write_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Major version 1, in two or three numbers: the minor ones only add (TUF §4.3).
fn is_supported(spec_version: &str) -> bool {
    let mut parts = spec_version.split('.');
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    parts.next() == Some("1") && matches!(parts.clone().count(), 1 | 2) && parts.all(numeric)
}

pub(crate) fn array(value: Value, field: &'static str) -> Result<Vec<Value>, ModelError> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(ModelError::Invalid {
            field,
            expected: "an array",
        }),
    }
}

pub(crate) fn string(value: Value, field: &'static str) -> Result<String, ModelError> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(ModelError::Invalid {
            field,
            expected: "a string",
        }),
    }
}

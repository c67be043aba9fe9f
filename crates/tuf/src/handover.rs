//! One set of keys hands over to the next, and the keys that leave say so themselves.
//!
//! ```text
//! first keys ─handover 1─▶ next keys ─handover 2─▶ those of today
//!   from: a threshold of them signs       to: every key that comes in signs
//! ```
//!
//! TUF lets the delegator of a role name other keys for it at any time. For a project that its own
//! people sign for, the delegator is the index, and its key lies on a machine on the network. So
//! each change of a project's keys is a statement, signed by the keys before and by those that come
//! in. All of them stand in the metadata of the project's role, as `"_wheelmark":{"handovers":[…]}`:
//! a reader that remembers earlier keys follows them to the present ones, and asks nobody else.
//! Other TUF clients keep them as an unknown field, and go by the delegation alone.
//!
//! The metadata that brings a handover is signed by the same people. Where they are not at one place,
//! the signatures of the handover stand beside what is signed, in that one version: inside of it, nobody
//! could sign it before all others have signed the handover. Each later version has them inside.
//!
//! The signed part says `"_type":"wheelmark-handover"`, which is no type of TUF's: neither can be
//! taken for the other.

mod chain;
mod missing;
mod recovery;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub use self::chain::{Handovers, assemble_handing, is_plain_file};
pub use self::missing::{Missing, Need, Whose};
pub use self::recovery::{RecoveryRequest, RecoveryRequestError};
use crate::canonical;
use crate::envelope::EnvelopeError;
use crate::key::{Key, KeyId};
use crate::model::fields::{Fields, write_time};
use crate::model::root::{read_keys, write_keys};
use crate::model::{Delegations, ModelError, RoleKeys};
use crate::name::RoleName;
use crate::shown::Shown;
use crate::verify::VerifyError;

/// Most handovers of one role. Every reader of a project fetches them with each of its pages.
pub const MAX_HANDOVERS: usize = 32;

/// Longest list of handovers, in bytes of its canonical form, for the same reason.
pub const MAX_HANDOVERS_LEN: usize = 64 * 1024;

/// Most keys of one set: several people with a few machines each.
pub const MAX_SET_KEYS: usize = 16;

/// What `_type` says.
const TYPE: &str = "wheelmark-handover";

/// The keys that sign for a role, and how many of them have to.
///
/// There are 1 to [`MAX_SET_KEYS`] of them, each in its plain form under its own id, none twice in
/// two ways of writing, and the threshold is one that they can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    keys: BTreeMap<KeyId, Key>,
    threshold: u32,
}

/// The statement that one set of keys hands over to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// Whose keys change.
    pub role: RoleName,
    /// Which handover of the role it is, from 1, without gaps.
    pub number: u64,
    /// The version of the role that brings it: what leads on from there is a later one.
    pub version: u64,
    /// When it was made, as those say who made it; a whole second.
    pub made_at: Timestamp,
    /// Who signed until now.
    pub from: KeySet,
    /// Who signs from now on.
    pub to: KeySet,
}

/// Why handovers are not believed, or cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// A field is missing, or holds something else.
    #[error("a handover is malformed")]
    Form(#[from] ModelError),
    /// The file around it is malformed.
    #[error("a handover is malformed")]
    Envelope(#[from] EnvelopeError),
    /// It says more than a handover does, or in another form.
    #[error("handover {number} is not in the one form that handovers have")]
    OtherForm {
        /// Which one.
        number: u64,
    },
    /// More than a reader takes.
    #[error("there are {found} handovers, and at most {MAX_HANDOVERS} can be")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// Longer than a reader takes.
    #[error("the handovers are {len} bytes long, and at most {MAX_HANDOVERS_LEN} can be")]
    TooLong {
        /// How long they are.
        len: usize,
    },
    /// No set has so many keys.
    #[error("{count} keys are named, and 1 to {MAX_SET_KEYS} can sign for a role")]
    Keys {
        /// How many.
        count: usize,
    },
    /// Nobody can reach the threshold, or nobody has to.
    #[error("{threshold} of {count} keys cannot be asked for")]
    Threshold {
        /// How many are asked for.
        threshold: u32,
        /// How many there are.
        count: usize,
    },
    /// Not a key under its own id, in its plain form.
    #[error("{keyid} is not the id of a key that is given with it in its plain form")]
    Key {
        /// The id.
        keyid: KeyId,
    },
    /// One key in two ways of writing.
    #[error("the key {keyid} is named twice, written in two ways")]
    KeyTwice {
        /// One of its ids.
        keyid: KeyId,
    },
    /// A handover of another role.
    #[error("a handover is one of {}, not of {expected}", Shown(.found))]
    OtherRole {
        /// The role in whose metadata it stands.
        expected: RoleName,
        /// What it says.
        found: String,
    },
    /// A gap in the numbers.
    #[error("a handover has the number {found}, where {expected} is next")]
    Number {
        /// What it says.
        found: u64,
        /// What comes next.
        expected: u64,
    },
    /// Its version is not one that can have brought it.
    #[error("handover {number} is one of version {version}, which did not bring it")]
    Version {
        /// Which one.
        number: u64,
        /// What it says.
        version: u64,
    },
    /// It does not begin where the one before it ended.
    #[error("handover {number} is not from the keys that the one before it leads to")]
    Broken {
        /// Which one.
        number: u64,
    },
    /// It changes nothing.
    #[error("handover {number} leads from some keys to the same")]
    Nothing {
        /// Which one.
        number: u64,
    },
    /// Too few of those who signed until then have signed it.
    #[error("handover {number} is not signed by those who signed until then")]
    From {
        /// Which one.
        number: u64,
        /// How few.
        source: VerifyError,
    },
    /// A key that comes in has not signed: nobody is known to have it.
    #[error("handover {number} is not signed by every key that comes in")]
    To {
        /// Which one.
        number: u64,
        /// How few.
        source: VerifyError,
    },
    /// What was published is no longer there, or was changed.
    #[error("the handovers are not those that were published, and at most one more")]
    Rewritten,
}

impl KeySet {
    /// These keys, of which `threshold` have to sign.
    ///
    /// # Errors
    ///
    /// When they are none or too many, one is not in its plain form or is named twice, or the
    /// threshold is none that they can reach.
    pub fn new(keys: impl IntoIterator<Item = Key>, threshold: u32) -> Result<Self, HandoverError> {
        let keys = keys.into_iter().map(|key| (key.keyid().clone(), key));
        Self::of_map(keys.collect(), threshold)
    }

    fn of_map(keys: BTreeMap<KeyId, Key>, threshold: u32) -> Result<Self, HandoverError> {
        let count = keys.len();
        if count == 0 || count > MAX_SET_KEYS {
            return Err(HandoverError::Keys { count });
        }
        if threshold == 0 || threshold as usize > count {
            return Err(HandoverError::Threshold { threshold, count });
        }
        for (number, (id, key)) in keys.iter().enumerate() {
            let keyid = || id.clone();
            if key.keyid() != id || !key.is_plain() {
                return Err(HandoverError::Key { keyid: keyid() });
            }
            if keys.values().take(number).any(|k| k.is_same_key(key)) {
                return Err(HandoverError::KeyTwice { keyid: keyid() });
            }
        }
        Ok(Self { keys, threshold })
    }

    /// The keys that a role is delegated to; none where it is not, or to something that is no such
    /// set.
    pub fn delegated(delegations: &Delegations, role: &RoleName) -> Option<Self> {
        let named = delegations.role_keys(role)?;
        let keys = named.keyids.iter().map(|id| delegations.keys.get(id));
        let keys: Option<Vec<Key>> = keys.map(|key| key.cloned()).collect();
        Self::new(keys?, named.threshold).ok()
    }

    /// The keys, by their ids.
    pub fn keys(&self) -> &BTreeMap<KeyId, Key> {
        &self.keys
    }

    /// How many of them have to sign.
    pub fn threshold(&self) -> u32 {
        self.threshold
    }

    /// The same, as a delegation names it.
    pub fn role_keys(&self) -> RoleKeys {
        RoleKeys::new(self.keys.values(), self.threshold)
    }

    /// Those keys of this set that `other` does not name.
    pub fn beyond<'a>(&'a self, other: &KeySet) -> Vec<&'a Key> {
        let keys = self.keys.iter();
        keys.filter(|(id, _)| !other.keys.contains_key(*id))
            .map(|(_, key)| key)
            .collect()
    }

    /// Whether these ids and this threshold are those of the set.
    pub fn is(&self, ids: &BTreeSet<String>, threshold: u32) -> bool {
        let own = self.keys.keys().map(KeyId::as_str);
        self.threshold == threshold && own.eq(ids.iter().map(String::as_str))
    }

    fn from_value(value: Value) -> Result<Self, HandoverError> {
        let mut fields = Fields::of(value, "keys of a handover")?;
        let keys = read_keys(&mut fields)?;
        let named = RoleKeys::take(&mut fields)?;
        Self::of_map(keys, named.threshold)
    }

    fn to_value(&self) -> Value {
        let mut object = Map::new();
        object.insert("keys".to_owned(), write_keys(&self.keys));
        self.role_keys().write(&mut object);
        object.into()
    }
}

impl Handover {
    /// The bytes to sign: the canonical form, which nothing else has.
    pub fn to_canonical(&self) -> Vec<u8> {
        canonical::encode(&self.to_value())
    }

    fn to_value(&self) -> Value {
        json!({
            "_type": TYPE,
            "from": self.from.to_value(),
            "made-at": write_time(self.made_at),
            "number": self.number,
            "role": self.role.as_str(),
            "to": self.to.to_value(),
            "version": self.version,
        })
    }

    /// The keys that come in: each of them has to sign.
    pub fn added(&self) -> Vec<&Key> {
        self.to.beyond(&self.from)
    }

    /// Reads the signed part, which has to be in the one form that it has.
    fn from_signed(signed: Value, role: &RoleName) -> Result<Self, HandoverError> {
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
            return Err(HandoverError::OtherRole { expected, found });
        }
        let handover = Self {
            role: role.clone(),
            number: fields.positive("number")?,
            version: fields.positive("version")?,
            made_at: fields.time("made-at")?,
            from: KeySet::from_value(fields.take("from")?)?,
            to: KeySet::from_value(fields.take("to")?)?,
        };
        let number = handover.number;
        if handover.to_canonical() != canonical {
            return Err(HandoverError::OtherForm { number });
        }
        if handover.from == handover.to {
            return Err(HandoverError::Nothing { number });
        }
        Ok(handover)
    }
}

//! `root`: which keys speak for the top-level roles.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Role;
use super::fields::{self, Extra, Fields, Header, ModelError};
use crate::canonical;
use crate::key::{Key, KeyId};

/// The signed part of `root.json` (TUF §4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The version of the specification it was written for.
    pub spec_version: String,
    /// The version, from 1; each new one is exactly the old one plus one.
    pub version: u64,
    /// From when on it is expired.
    pub expires: Timestamp,
    /// Whether metadata and targets have their version or hash in their names (TUF §6.1).
    pub consistent_snapshot: bool,
    /// All keys, under the ids that the file states; see [`Key::keyid`].
    pub keys: BTreeMap<KeyId, Key>,
    /// Whose signatures each top-level role needs.
    pub roles: RootRoles,
    /// Unknown fields.
    pub extra: Extra,
}

/// The four top-level roles and what each needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootRoles {
    /// Signs the next root.
    pub root: RoleKeys,
    /// Signs the timestamp.
    pub timestamp: RoleKeys,
    /// Signs the snapshot.
    pub snapshot: RoleKeys,
    /// Signs the top-level targets.
    pub targets: RoleKeys,
    /// Unknown roles.
    pub extra: Extra,
}

/// Whose signatures a role needs, and how many of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleKeys {
    /// The ids of the keys that count, none twice.
    pub keyids: Vec<KeyId>,
    /// How many different keys must have signed; at least 1.
    pub threshold: u32,
    /// Unknown fields.
    pub extra: Extra,
}

impl RoleKeys {
    /// `threshold` of `keys`.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a Key>, threshold: u32) -> Self {
        let keyids = keys.into_iter().map(|key| key.keyid().clone()).collect();
        RoleKeys {
            keyids,
            threshold,
            extra: Extra::new(),
        }
    }

    fn from_value(value: Value) -> Result<Self, ModelError> {
        let mut fields = Fields::of(value, "role")?;
        let mut role = RoleKeys::take(&mut fields)?;
        role.extra = fields.rest();
        Ok(role)
    }

    /// Takes `keyids` and `threshold` out of a larger object; leaves `extra` empty.
    pub(crate) fn take(fields: &mut Fields) -> Result<Self, ModelError> {
        let keyids: Vec<_> = fields
            .array("keyids")?
            .into_iter()
            .map(|value| fields::string(value, "keyids").map(KeyId::from))
            .collect::<Result<_, _>>()?;
        let mut seen = HashSet::with_capacity(keyids.len());
        if let Some(twice) = keyids.iter().find(|keyid| !seen.insert(*keyid)) {
            return Err(ModelError::DuplicateKeyId {
                keyid: twice.clone(),
            });
        }
        let threshold =
            u32::try_from(fields.positive("threshold")?).map_err(|_| ModelError::Invalid {
                field: "threshold",
                expected: "a small number",
            })?;
        Ok(RoleKeys {
            keyids,
            threshold,
            extra: Extra::new(),
        })
    }

    pub(crate) fn write(&self, object: &mut Map<String, Value>) {
        let keyids: Vec<_> = self.keyids.iter().map(|keyid| keyid.as_str()).collect();
        object.insert("keyids".to_owned(), keyids.into());
        object.insert("threshold".to_owned(), self.threshold.into());
    }

    fn to_value(&self) -> Value {
        let mut object = fields::object(&self.extra);
        self.write(&mut object);
        object.into()
    }
}

/// Reads the `keys` of root and of delegations. A key that does not match its id stays
/// under the id it was listed with: verification passes over it.
pub(crate) fn read_keys(fields: &mut Fields) -> Result<BTreeMap<KeyId, Key>, ModelError> {
    let listed = fields.object("keys")?.rest();
    listed
        .into_iter()
        .map(|(id, key)| Ok((KeyId::from(id), Key::from_value(key)?)))
        .collect()
}

pub(crate) fn write_keys(keys: &BTreeMap<KeyId, Key>) -> Value {
    let keys: Map<_, _> = keys
        .iter()
        .map(|(id, key)| (id.as_str().to_owned(), key.to_value()))
        .collect();
    keys.into()
}

impl Role for Root {
    const TYPE: &'static str = "root";

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Timestamp {
        self.expires
    }

    fn to_canonical(&self) -> Vec<u8> {
        let header = Header {
            spec_version: self.spec_version.clone(),
            version: self.version,
            expires: self.expires,
        };
        let mut object = header.object(Self::TYPE, &self.extra);
        object.insert(
            "consistent_snapshot".to_owned(),
            self.consistent_snapshot.into(),
        );
        object.insert("keys".to_owned(), write_keys(&self.keys));
        let mut roles = fields::object(&self.roles.extra);
        for (name, role) in [
            ("root", &self.roles.root),
            ("timestamp", &self.roles.timestamp),
            ("snapshot", &self.roles.snapshot),
            ("targets", &self.roles.targets),
        ] {
            roles.insert(name.to_owned(), role.to_value());
        }
        object.insert("roles".to_owned(), roles.into());
        canonical::encode(&object.into())
    }
}

impl super::sealed::FromSigned for Root {
    fn from_signed(signed: Value) -> Result<Self, ModelError> {
        let (mut fields, header) = Fields::of_role(signed, Self::TYPE)?;
        // Absent means false: the field was once optional (TUF §4.3, reference client).
        let consistent_snapshot = match fields.take_optional("consistent_snapshot") {
            None => false,
            Some(value) => value.as_bool().ok_or(ModelError::Invalid {
                field: "consistent_snapshot",
                expected: "a boolean",
            })?,
        };
        let keys = read_keys(&mut fields)?;
        let mut roles = fields.object("roles")?;
        let mut role = |name| RoleKeys::from_value(roles.take(name)?);
        let (root, timestamp, snapshot, targets) = (
            role("root")?,
            role("timestamp")?,
            role("snapshot")?,
            role("targets")?,
        );
        Ok(Root {
            spec_version: header.spec_version,
            version: header.version,
            expires: header.expires,
            consistent_snapshot,
            keys,
            roles: RootRoles {
                root,
                timestamp,
                snapshot,
                targets,
                extra: roles.rest(),
            },
            extra: fields.rest(),
        })
    }
}

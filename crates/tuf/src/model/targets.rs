//! `targets` and the roles it delegates to: which files there are.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Role;
use super::delegations::Delegations;
use super::fields::{self, Extra, Fields, Header, ModelError};
use super::snapshot::{read_hashes, write_hashes};
use crate::Sha256;
use crate::canonical;
use crate::hashes::Hashes;
use crate::name::{RoleName, TargetPath};

/// The signed part of a targets role, top-level or delegated (TUF §4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// The version of the specification it was written for.
    pub spec_version: String,
    /// The version, from 1.
    pub version: u64,
    /// From when on it is expired.
    pub expires: Timestamp,
    /// The files this role speaks for.
    pub targets: BTreeMap<TargetPath, TargetInfo>,
    /// The roles it trusts with parts of its paths.
    pub delegations: Option<Delegations>,
    /// Unknown fields.
    pub extra: Extra,
}

/// What a targets role says of a file (TUF §4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetInfo {
    /// The length in bytes.
    pub length: u64,
    /// The hashes of the content.
    pub hashes: Hashes,
    /// What the publisher adds for clients, opaque here.
    pub custom: Option<Custom>,
    /// Unknown fields.
    pub extra: Extra,
}

/// What a publisher adds to a target for clients (TUF §4.5, `custom`). Kept as its text: every
/// target of a bin can have it, and a tree of values takes twenty times as much memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom(Box<str>);

impl Custom {
    /// The value.
    pub fn value(&self) -> Value {
        // It was written from a value that was read with the same limits, so it can be read.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl From<Value> for Custom {
    fn from(value: Value) -> Self {
        Custom(value.to_string().into())
    }
}

/// The member of a signed part that holds what Wheelmark adds to TUF. Other clients keep it
/// as an unknown field (TUF §4.1).
pub const OWN_MEMBER: &str = "_wheelmark";

/// In the own member of a target's `custom`: the SHA-256 after which the object is named, where it is
/// not among the hashes.
const OWN_SHA256: &str = "sha256";

/// The SHA-256 that an index of Wheelmark's states beside the hashes.
pub(crate) fn own_sha256(custom: &Value) -> Option<Sha256> {
    custom
        .get(OWN_MEMBER)?
        .get(OWN_SHA256)?
        .as_str()?
        .parse()
        .ok()
}

impl Targets {
    /// The role that this metadata says it is: `"_wheelmark":{"role":…}`, or `None`.
    ///
    /// TUF metadata does not name its role. Where two roles share a key and have the same
    /// version, whoever serves them can hand out one for the other, and a path that only the
    /// other lists then seems not to exist. A role that states its name cannot be taken for
    /// another: [`crate::Lookup`] refuses it.
    pub fn stated_role(&self) -> Option<&str> {
        self.extra.get(OWN_MEMBER)?.get("role")?.as_str()
    }

    /// States which role this metadata is, beside whatever stands in the same member.
    pub fn state_role(&mut self, role: &RoleName) {
        let own = self.extra.entry(OWN_MEMBER.to_owned()).or_default();
        if !own.is_object() {
            *own = Value::Object(Map::new());
        }
        own["role"] = role.as_str().into();
    }
}

impl TargetInfo {
    /// A file of `length` bytes with one SHA-256.
    pub fn new(length: u64, sha256: Sha256) -> Self {
        let hashes = Hashes::sha256_only(sha256);
        TargetInfo {
            length,
            hashes,
            custom: None,
            extra: Extra::new(),
        }
    }

    /// The SHA-256 after which an index of Wheelmark's names the object: the one that is listed, or
    /// else the one that it states beside the hashes.
    pub fn sha256(&self) -> Option<Sha256> {
        let listed = self.hashes.sha256();
        listed.or_else(|| own_sha256(&self.custom.as_ref()?.value()))
    }

    /// Lists other hashes of the same content. Where SHA-256 is not among them it stands beside, as
    /// a name.
    pub fn list(&mut self, hashes: Hashes, named: Sha256) {
        let own = self.custom.take().map(|custom| custom.value());
        let mut custom = own.filter(Value::is_object).unwrap_or_else(|| json!({}));
        if !custom[OWN_MEMBER].is_object() {
            custom[OWN_MEMBER] = json!({});
        }
        if let Some(own) = custom[OWN_MEMBER].as_object_mut() {
            own.remove(OWN_SHA256);
            if hashes.sha256().is_none() {
                own.insert(OWN_SHA256.to_owned(), named.to_string().into());
            }
        }
        let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
        if is_empty(&custom[OWN_MEMBER])
            && let Some(custom) = custom.as_object_mut()
        {
            custom.remove(OWN_MEMBER);
        }
        self.custom = (!is_empty(&custom)).then(|| custom.into());
        self.hashes = hashes;
    }

    fn from_value(value: Value) -> Result<Self, ModelError> {
        let mut fields = Fields::of(value, "targets")?;
        Ok(TargetInfo {
            length: fields.number("length")?,
            hashes: read_hashes(fields.take("hashes")?)?,
            custom: fields.take_optional("custom").map(Custom::from),
            extra: fields.rest(),
        })
    }

    fn to_value(&self) -> Value {
        let mut object = fields::object(&self.extra);
        object.insert("length".to_owned(), self.length.into());
        object.insert("hashes".to_owned(), write_hashes(&self.hashes));
        if let Some(custom) = &self.custom {
            object.insert("custom".to_owned(), custom.value());
        }
        object.into()
    }
}

impl Role for Targets {
    const TYPE: &'static str = "targets";

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
        let targets: Map<_, _> = self
            .targets
            .iter()
            .map(|(path, info)| (path.as_str().to_owned(), info.to_value()))
            .collect();
        object.insert("targets".to_owned(), targets.into());
        if let Some(delegations) = &self.delegations {
            object.insert("delegations".to_owned(), delegations.to_value());
        }
        canonical::encode(&object.into())
    }
}

impl super::sealed::FromSigned for Targets {
    fn from_signed(signed: Value) -> Result<Self, ModelError> {
        let (mut fields, header) = Fields::of_role(signed, Self::TYPE)?;
        let listed = fields.object("targets")?.rest();
        let targets: Result<_, ModelError> = listed
            .into_iter()
            .map(|(path, info)| Ok((path.parse()?, TargetInfo::from_value(info)?)))
            .collect();
        let delegations = fields
            .take_optional("delegations")
            .map(Delegations::from_value)
            .transpose()?;
        Ok(Targets {
            spec_version: header.spec_version,
            version: header.version,
            expires: header.expires,
            targets: targets?,
            delegations,
            extra: fields.rest(),
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::{NamedTarget, Sha512};

    #[test]
    fn an_object_keeps_its_name_whatever_is_listed() {
        let (sha256, sha512) = (Sha256::of(b"x"), Sha512::of(b"x"));
        let listed = |own: &[(Option<Sha256>, Option<Sha512>)]| {
            let mut info = TargetInfo::new(1, sha256);
            info.custom = Some(json!({ OWN_MEMBER: { "signed": "back" }, "x": 1 }).into());
            for (sha256_listed, sha512) in own {
                let hashes = Hashes::listed(*sha256_listed, *sha512).unwrap();
                info.list(hashes, sha256);
            }
            info
        };
        let (one, other) = ((Some(sha256), None), (None, Some(sha512)));
        let before = listed(&[one]);
        let alone = listed(&[one, (Some(sha256), Some(sha512)), other]);
        assert_eq!(alone.hashes.sha256(), None);
        assert_eq!(alone.sha256(), Some(sha256));
        let custom = alone.custom.as_ref().unwrap().value();
        assert_eq!(custom[OWN_MEMBER]["signed"], "back");
        assert_eq!(custom[OWN_MEMBER][OWN_SHA256], sha256.to_string());
        let named: NamedTarget = serde_json::from_value(alone.to_value()).unwrap();
        assert_eq!(
            (named.sha256(), named.sha512()),
            (Some(sha256), Some(sha512))
        );
        assert_eq!(listed(&[other, one]), before, "nothing is left of it");
        let mut bare = TargetInfo::new(1, sha256);
        bare.list(Hashes::listed(None, Some(sha512)).unwrap(), sha256);
        bare.list(Hashes::sha256_only(sha256), sha256);
        assert_eq!(bare, TargetInfo::new(1, sha256));
    }
}

//! `snapshot`: which version of every role belongs together.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Role;
use super::fields::{self, Extra, Fields, Header, ModelError};
use crate::canonical;
use crate::hashes::Hashes;
use crate::name::RoleName;

/// The signed part of `snapshot.json` (TUF §4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The version of the specification it was written for.
    pub spec_version: String,
    /// The version, from 1.
    pub version: u64,
    /// From when on it is expired.
    pub expires: Timestamp,
    /// Every targets role by [`RoleName::meta_name`]: `targets.json` and the delegated ones.
    pub meta: BTreeMap<String, MetaFile>,
    /// Unknown fields.
    pub extra: Extra,
}

/// What one role says of another's file (TUF §4.4, `METAFILES`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaFile {
    /// The version the file must have.
    pub version: u64,
    /// The length of the file in bytes, where it is stated.
    pub length: Option<u64>,
    /// The hashes of the file, where they are stated.
    pub hashes: Option<Hashes>,
    /// Unknown fields.
    pub extra: Extra,
}

impl Snapshot {
    /// What the snapshot says of `role`; `None` where it does not list it.
    pub fn role(&self, role: &RoleName) -> Option<&MetaFile> {
        self.meta.get(&role.meta_name())
    }
}

impl MetaFile {
    /// A version alone, as PEP 458 recommends for large repositories.
    pub fn version(version: u64) -> Self {
        MetaFile {
            version,
            length: None,
            hashes: None,
            extra: Extra::new(),
        }
    }

    pub(super) fn from_value(value: Value) -> Result<Self, ModelError> {
        let mut fields = Fields::of(value, "meta")?;
        let version = fields.positive("version")?;
        let length = match fields.take_optional("length") {
            None => None,
            Some(length) => Some(length.as_u64().ok_or(ModelError::Invalid {
                field: "length",
                expected: "an integer that is not negative",
            })?),
        };
        let hashes = fields
            .take_optional("hashes")
            .map(read_hashes)
            .transpose()?;
        Ok(MetaFile {
            version,
            length,
            hashes,
            extra: fields.rest(),
        })
    }

    pub(super) fn to_value(&self) -> Value {
        let mut object = fields::object(&self.extra);
        object.insert("version".to_owned(), self.version.into());
        if let Some(length) = self.length {
            object.insert("length".to_owned(), length.into());
        }
        if let Some(hashes) = &self.hashes {
            object.insert("hashes".to_owned(), write_hashes(hashes));
        }
        object.into()
    }
}

pub(super) fn read_hashes(value: Value) -> Result<Hashes, ModelError> {
    let stated = Fields::of(value, "hashes")?.rest();
    let stated: Result<BTreeMap<_, _>, ModelError> = stated
        .into_iter()
        .map(|(algorithm, digest)| Ok((algorithm, fields::string(digest, "hashes")?)))
        .collect();
    let expected = "one or more digests in lower-case hexadecimal";
    Hashes::new(stated?).ok_or(ModelError::Invalid {
        field: "hashes",
        expected,
    })
}

pub(super) fn write_hashes(hashes: &Hashes) -> Value {
    let hashes: Map<_, _> = hashes
        .iter()
        .map(|(algorithm, digest)| (algorithm.to_owned(), digest.into()))
        .collect();
    hashes.into()
}

impl Role for Snapshot {
    const TYPE: &'static str = "snapshot";

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
        let meta: Map<_, _> = self
            .meta
            .iter()
            .map(|(name, file)| (name.clone(), file.to_value()))
            .collect();
        object.insert("meta".to_owned(), meta.into());
        canonical::encode(&object.into())
    }
}

impl super::sealed::FromSigned for Snapshot {
    fn from_signed(signed: Value) -> Result<Self, ModelError> {
        let (mut fields, header) = Fields::of_role(signed, Self::TYPE)?;
        let listed = fields.object("meta")?.rest();
        let meta: Result<_, ModelError> = listed
            .into_iter()
            .map(|(name, file)| Ok((name, MetaFile::from_value(file)?)))
            .collect();
        Ok(Snapshot {
            spec_version: header.spec_version,
            version: header.version,
            expires: header.expires,
            meta: meta?,
            extra: fields.rest(),
        })
    }
}

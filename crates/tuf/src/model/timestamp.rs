//! `timestamp`: which snapshot is the latest.

use jiff::Timestamp;
use serde_json::Value;

use super::fields::{self, Extra, Fields, Header, ModelError};
use super::{MetaFile, Role};
use crate::canonical;

/// The signed part of `timestamp.json` (TUF §4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampMetadata {
    /// The version of the specification it was written for.
    pub spec_version: String,
    /// The version, from 1.
    pub version: u64,
    /// From when on it is expired.
    pub expires: Timestamp,
    /// What `meta` says of `snapshot.json`.
    pub snapshot: MetaFile,
    /// What `meta` says of other files: the specification lists none.
    pub other_meta: Extra,
    /// Unknown fields.
    pub extra: Extra,
}

impl Role for TimestampMetadata {
    const TYPE: &'static str = "timestamp";

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
        let mut meta = fields::object(&self.other_meta);
        meta.insert("snapshot.json".to_owned(), self.snapshot.to_value());
        object.insert("meta".to_owned(), meta.into());
        canonical::encode(&object.into())
    }
}

impl super::sealed::FromSigned for TimestampMetadata {
    fn from_signed(signed: Value) -> Result<Self, ModelError> {
        let (mut fields, header) = Fields::of_role(signed, Self::TYPE)?;
        let mut meta = fields.object("meta")?;
        let snapshot = MetaFile::from_value(meta.take("snapshot.json")?)?;
        Ok(TimestampMetadata {
            spec_version: header.spec_version,
            version: header.version,
            expires: header.expires,
            snapshot,
            other_meta: meta.rest(),
            extra: fields.rest(),
        })
    }
}

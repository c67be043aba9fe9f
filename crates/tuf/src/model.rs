//! The metadata model of TUF 1.0.34: what the signed part of each role says.
//!
//! The types are plain data with public fields, to be filled by whoever publishes.
//! A client gets them only inside [`crate::Verified`]. Unknown fields are kept in `extra`
//! at every level, so that writing what was read gives the same canonical bytes.

pub(crate) mod fields;
pub(crate) mod root;

mod delegations;
mod named;
mod pattern;
mod snapshot;
mod succinct;
mod targets;
mod timestamp;

pub(crate) use delegations::folder_of;
pub use delegations::{DelegatedRole, DelegatedRoles, Delegations, PathSet};
pub use fields::{Extra, ModelError};
pub use named::NamedTarget;
pub use pattern::PathPattern;
pub use root::{RoleKeys, Root, RootRoles};
pub use snapshot::{MetaFile, Snapshot};
pub use succinct::{ParseSuccinctRolesError, SuccinctRoles};
pub(crate) use targets::own_sha256;
pub use targets::{Custom, OWN_MEMBER, TargetInfo, Targets};
pub use timestamp::TimestampMetadata;

/// The version of the specification that we write.
pub const SPEC_VERSION: &str = "1.0.34";

/// The signed part of a metadata file: [`Root`], [`TimestampMetadata`], [`Snapshot`] or
/// [`Targets`].
pub trait Role: sealed::FromSigned {
    /// What `_type` says.
    const TYPE: &'static str;

    /// The version, from 1.
    fn version(&self) -> u64;

    /// The moment from which on the metadata is no longer valid: at it, it is expired.
    fn expires(&self) -> jiff::Timestamp;

    /// The canonical form of the signed part: the bytes to sign.
    fn to_canonical(&self) -> Vec<u8>;
}

pub(crate) mod sealed {
    use super::ModelError;

    /// Reading is for [`crate::verify()`] alone: nothing else makes a role out of bytes.
    pub trait FromSigned: Sized {
        fn from_signed(signed: serde_json::Value) -> Result<Self, ModelError>;
    }
}

//! What a page says of its project's OpenPGP certificates.

use serde_json::{Map, Value};

use super::file::FileError;
use super::json::{JsonError, Members};
use super::{Extra, Sha256Hex};

/// Longest armoured text of a project's certificates, in bytes. A certificate without the
/// signatures of others has 1 to 4 kB; each signed upload asks for the text, and it lies in the
/// journal of orders.
pub const MAX_CERTIFICATES_LEN: usize = 128 * 1024;

/// The OpenPGP certificates of a project, bound into its page by their digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundCertificates {
    /// The digest of their armoured text.
    pub sha256: Sha256Hex,
    /// Its length in bytes.
    pub size: u64,
    /// Whether a new file needs a signature by one of them.
    pub required: bool,
    /// Members that are not known here.
    pub extra: Extra,
}

impl BoundCertificates {
    pub(super) fn take(value: Value) -> Result<BoundCertificates, FileError> {
        let mut members = Members::of(value, "certificates")?;
        Ok(BoundCertificates {
            sha256: members.need_string("sha256")?.parse()?,
            size: members
                .take_u64("size")?
                .ok_or(JsonError::Missing { member: "size" })?,
            required: members.take_bool("required")?.unwrap_or(false),
            extra: members.rest(),
        })
    }

    pub(super) fn to_value(&self) -> Value {
        let mut members: Map<String, Value> = self.extra.clone().into_iter().collect();
        members.insert("sha256".to_owned(), self.sha256.to_string().into());
        members.insert("size".to_owned(), self.size.into());
        if self.required {
            members.insert("required".to_owned(), true.into());
        } else {
            members.remove("required");
        }
        members.into()
    }
}

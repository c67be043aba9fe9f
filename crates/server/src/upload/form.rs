//! The fields of the upload form that mean something here.

use super::error::UploadError;

/// The field of the file's OpenPGP signature.
pub(super) const SIGNATURE: &str = "gpg_signature";

/// The field of the file's attestations (PEP 740).
pub(super) const ATTESTATIONS: &str = "attestations";

/// The values that were sent. Fields that are not listed here repeat what the file's own
/// metadata says, which is what counts.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) action: Option<String>,
    pub(super) protocol_version: Option<String>,
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) filetype: Option<String>,
    pub(super) sha256: Option<String>,
    pub(super) blake2b_256: Option<String>,
    pub(super) md5: Option<String>,
}

/// What a field of the form is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A value of [`Form`], with the field's name.
    Value(&'static str),
    /// The file.
    Content,
    /// The file's OpenPGP signature.
    Signature,
    /// The file's attestations.
    Attestations,
    /// Read and forgotten.
    Other,
}

impl Field {
    pub(super) fn named(name: &str) -> Field {
        match name {
            ":action" => Field::Value(":action"),
            "protocol_version" => Field::Value("protocol_version"),
            "name" => Field::Value("name"),
            "version" => Field::Value("version"),
            "filetype" => Field::Value("filetype"),
            "sha256_digest" => Field::Value("sha256_digest"),
            "blake2_256_digest" => Field::Value("blake2_256_digest"),
            "md5_digest" => Field::Value("md5_digest"),
            "content" => Field::Content,
            ATTESTATIONS => Field::Attestations,
            SIGNATURE => Field::Signature,
            _ => Field::Other,
        }
    }
}

impl Form {
    /// Sets a value.
    ///
    /// # Errors
    ///
    /// If it was set before: which of two is meant cannot be known.
    pub(super) fn set(&mut self, field: &'static str, value: String) -> Result<(), UploadError> {
        let slot = match field {
            ":action" => &mut self.action,
            "protocol_version" => &mut self.protocol_version,
            "name" => &mut self.name,
            "version" => &mut self.version,
            "filetype" => &mut self.filetype,
            "sha256_digest" => &mut self.sha256,
            "blake2_256_digest" => &mut self.blake2b_256,
            "md5_digest" => &mut self.md5,
            _ => return Ok(()),
        };
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(UploadError::Repeated { field }),
        }
    }
}

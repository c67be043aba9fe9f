//! Core metadata: what a distribution says about itself.
//!
//! [`CoreMetadata::parse`] takes the bytes of a `METADATA` or `PKG-INFO` file apart and checks
//! what readers depend on. [`CoreMetadata::check_rules`] adds what an index asks of a new file.

mod classifiers;
mod fix;
pub(crate) mod headers;
mod rules;

use std::str::FromStr;

use pep440_rs::Version;

pub use self::classifiers::ClassifierError;
pub use self::headers::MAX_HEADERS;
pub use self::rules::{
    Dialect, MAX_LABEL_LEN, MAX_REQUIRES_PYTHON_LEN, MAX_SUMMARY_LEN, Markup, NEWEST_METADATA,
    RequirementError, RuleError,
};
use crate::{NameError, ProjectName};

/// Longest accepted metadata file, in bytes.
///
/// The description is part of it; the longest known ones (a project's whole change log) are near
/// one megabyte.
pub const MAX_METADATA_LEN: u64 = 8 * 1024 * 1024;

/// Version of the metadata format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetadataVersion {
    /// Readers refuse a major version that they do not know.
    pub major: u8,
    /// Readers accept any minor version (core metadata specification, *Metadata-Version*).
    pub minor: u8,
}

/// The parsed core metadata of one distribution file.
///
/// The fields that Wheelmark acts on have members; [`CoreMetadata::get`] and
/// [`CoreMetadata::all`] reach every field, unknown ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoreMetadata {
    /// `Metadata-Version`.
    pub metadata_version: MetadataVersion,
    /// `Name`, normalised.
    pub name: ProjectName,
    /// `Version`.
    pub version: Version,
    /// `Requires-Python`, as written: old files have ranges that PEP 440 does not allow.
    pub requires_python: Option<String>,
    /// `Summary`: one line.
    pub summary: Option<String>,
    /// `Description`, from the header or from the body.
    pub description: Option<String>,
    fields: Vec<Field>,
}

/// One header, its name in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Why bytes are not core metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Longer than [`MAX_METADATA_LEN`].
    #[error("metadata of {length} bytes is too long, at most {MAX_METADATA_LEN} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: u64,
    },
    /// More headers than [`MAX_HEADERS`].
    #[error("metadata has more than {MAX_HEADERS} fields")]
    TooManyFields,
    /// The metadata is not UTF-8 (PEP 566).
    #[error("metadata is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// Where the first bad byte is.
        offset: usize,
    },
    /// A line that is neither a header nor the continuation of one.
    #[error("line {line} of the metadata is not a field")]
    Malformed {
        /// The line's number, from 1.
        line: usize,
    },
    /// A control character in a field.
    #[error("line {line} of the metadata has a control character")]
    ControlCharacter {
        /// The line's number, from 1.
        line: usize,
    },
    /// A field that every metadata file must have is missing.
    #[error("metadata has no {field} field")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field that must be unique occurs again.
    #[error("metadata has more than one {field} field")]
    Repeated {
        /// The field.
        field: &'static str,
    },
    /// `Metadata-Version` is malformed, or its major version is unknown.
    #[error("metadata version `{}` is not supported", version.escape_debug())]
    UnsupportedVersion {
        /// What the field holds.
        version: String,
    },
    /// `Name` is not a project name.
    #[error("the metadata's name is not valid")]
    Name(#[source] NameError),
    /// `Version` does not follow PEP 440.
    #[error("the metadata's version `{}` is not allowed by PEP 440", version.escape_debug())]
    Version {
        /// What the field holds.
        version: String,
    },
}

/// Fields that may occur once (core metadata specification), as they are written.
const SINGLE: [&str; 17] = [
    "Metadata-Version",
    "Name",
    "Version",
    "Summary",
    "Description",
    "Description-Content-Type",
    "Keywords",
    "Home-page",
    "Download-URL",
    "Author",
    "Author-email",
    "Maintainer",
    "Maintainer-email",
    "License",
    "License-Expression",
    "Requires-Python",
    "Private-Version",
];

impl CoreMetadata {
    /// Parses a `METADATA` or `PKG-INFO` file.
    ///
    /// Accepts metadata 1.0 to 2.5 and any later 2.x. Field names are compared without case; a
    /// field's continuation lines are joined with line feeds, less their indentation (PEP 566,
    /// core metadata specification).
    ///
    /// # Errors
    ///
    /// If it is not UTF-8, is no header block, lacks `Metadata-Version`, `Name` or `Version`,
    /// repeats a field that must be unique, or a value cannot be read.
    pub fn parse(bytes: &[u8]) -> Result<CoreMetadata, MetadataError> {
        let length = bytes.len() as u64;
        if length > MAX_METADATA_LEN {
            return Err(MetadataError::TooLong { length });
        }
        let text = std::str::from_utf8(bytes).map_err(|error| MetadataError::NotUtf8 {
            offset: error.valid_up_to(),
        })?;
        let (fields, body) = headers::split(text)?;
        for field in SINGLE {
            if fields
                .iter()
                .filter(|have| have.name.eq_ignore_ascii_case(field))
                .nth(1)
                .is_some()
            {
                return Err(MetadataError::Repeated { field });
            }
        }
        let find = |name: &str| {
            fields
                .iter()
                .find(|field| field.name == name)
                .map(|field| field.value.as_str())
        };
        let need = |name: &str, field| find(name).ok_or(MetadataError::Missing { field });

        let metadata_version = need("metadata-version", "Metadata-Version")?.parse()?;
        let name = need("name", "Name")?.parse().map_err(MetadataError::Name)?;
        let version = need("version", "Version")?;
        let version = version.parse().map_err(|_| MetadataError::Version {
            version: version.to_owned(),
        })?;
        let description = match (find("description"), body.trim().is_empty()) {
            (Some(_), false) => {
                return Err(MetadataError::Repeated {
                    field: "Description",
                });
            }
            (Some(header), true) => Some(header.to_owned()),
            (None, false) => Some(body.to_owned()),
            (None, true) => None,
        };
        Ok(CoreMetadata {
            metadata_version,
            name,
            version,
            requires_python: find("requires-python")
                .filter(|value| !value.is_empty())
                .map(str::to_owned),
            summary: find("summary")
                .filter(|value| !value.is_empty())
                .map(str::to_owned),
            description,
            fields,
        })
    }

    /// The first value of a field, whose name is compared without case.
    pub fn get(&self, field: &str) -> Option<&str> {
        let found = self
            .fields
            .iter()
            .find(|have| have.name.eq_ignore_ascii_case(field));
        found.map(|have| have.value.as_str())
    }

    /// Every value of a field, in order; its name is compared without case.
    pub fn all<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |have| have.name.eq_ignore_ascii_case(field))
            .map(|have| have.value.as_str())
    }

    /// What `License-File` names, where the metadata's version gives that field a meaning
    /// (2.4, PEP 639).
    pub fn license_files(&self) -> impl Iterator<Item = &str> {
        let meaningful = self.metadata_version >= MetadataVersion { major: 2, minor: 4 };
        self.all("License-File").filter(move |_| meaningful)
    }

    /// Every header in order: its name in lower case, and its value.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|field| (field.name.as_str(), field.value.as_str()))
    }
}

impl FromStr for MetadataVersion {
    type Err = MetadataError;

    fn from_str(raw: &str) -> Result<MetadataVersion, MetadataError> {
        let unsupported = || MetadataError::UnsupportedVersion {
            version: raw.to_owned(),
        };
        let digits = |part: &str| {
            let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| part.parse::<u8>().ok()).flatten()
        };
        let (major, minor) = raw.split_once('.').ok_or_else(unsupported)?;
        match (digits(major), digits(minor)) {
            (Some(1), Some(minor @ 0..=2)) => Ok(MetadataVersion { major: 1, minor }),
            (Some(2), Some(minor)) => Ok(MetadataVersion { major: 2, minor }),
            _ => Err(unsupported()),
        }
    }
}

impl std::fmt::Display for MetadataVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests;

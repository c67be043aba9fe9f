//! What an index asks of the metadata of a new file, beyond being readable.

mod description;
mod dynamic;
mod import_names;
mod licence;
mod links;
mod mail;
mod requirement;

use std::str::FromStr;

use pep440_rs::VersionSpecifiers;

pub use self::description::{Dialect, Markup};
pub use self::links::MAX_LABEL_LEN;
pub use self::requirement::RequirementError;
use super::{CoreMetadata, MetadataVersion};

/// The newest version of the metadata whose rules are known here.
pub const NEWEST_METADATA: MetadataVersion = MetadataVersion { major: 2, minor: 5 };

/// Longest `Summary` of a new file, in characters. The bound that the largest public index
/// applies.
pub const MAX_SUMMARY_LEN: usize = 512;

/// Longest `Requires-Python` of a new file, in bytes.
///
/// It stands on the project's signed page, which every installer downloads whole, once for each
/// file. The longest known ones, which leave out one release after the other, have some hundred.
pub const MAX_REQUIRES_PYTHON_LEN: usize = 1024;

/// Which rule of the core metadata specification a file breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A version of the metadata that came after these rules.
    #[error(
        "metadata version {version} is newer than {NEWEST_METADATA}, the newest that is known here"
    )]
    UnknownVersion {
        /// The version that the file declares.
        version: MetadataVersion,
    },
    /// A field that the declared metadata version does not have.
    #[error("{field} needs metadata version {since}, the file declares {declared}")]
    TooNew {
        /// The field.
        field: &'static str,
        /// The version that introduced it.
        since: MetadataVersion,
        /// The version that the file declares.
        declared: MetadataVersion,
    },
    /// `License` and `License-Expression` exclude each other (PEP 639).
    #[error("License and License-Expression exclude each other")]
    TwoLicenses,
    /// `License-Expression` is not of the form of an SPDX expression (PEP 639).
    #[error("License-Expression `{}` is not an SPDX expression", expression.escape_debug())]
    LicenseExpression {
        /// What the field holds.
        expression: String,
    },
    /// `License-Expression` names a licence or an exception that is not on SPDX's list (PEP 639).
    #[error("License-Expression names `{}`, which is not on SPDX's list", identifier.escape_debug())]
    LicenseId {
        /// The word that is not on the list.
        identifier: String,
    },
    /// `License-File` leads out of the place where licences are (PEP 639).
    #[error("License-File `{}` is not a relative path with `/` and without `..`", path.escape_debug())]
    LicenseFile {
        /// What the field holds.
        path: String,
    },
    /// `Dynamic` names a field that cannot be dynamic, or none at all (PEP 643).
    #[error("Dynamic cannot name {}", field.escape_debug())]
    Dynamic {
        /// The field it names.
        field: String,
    },
    /// Something that cannot be imported (PEP 794).
    #[error("{field} `{}` is not an import name", name.escape_debug())]
    ImportName {
        /// The field.
        field: &'static str,
        /// What it holds.
        name: String,
    },
    /// A name stands in both `Import-Name` and `Import-Namespace` (PEP 794).
    #[error("`{name}` is both an Import-Name and an Import-Namespace")]
    ImportNameTwice {
        /// The name.
        name: String,
    },
    /// `Summary` is one line.
    #[error("Summary has more than one line")]
    SummaryLines,
    /// `Summary` is longer than [`MAX_SUMMARY_LEN`].
    #[error("Summary has {length} characters, at most {MAX_SUMMARY_LEN} are allowed")]
    SummaryTooLong {
        /// Its length in characters.
        length: usize,
    },
    /// `Requires-Python` is no version specifier (PEP 440).
    #[error("Requires-Python `{}` is not a version specifier", range.escape_debug())]
    RequiresPython {
        /// What the field holds.
        range: String,
    },
    /// A requirement that does not follow PEP 508.
    #[error("{field} `{}` does not follow PEP 508", requirement.escape_debug())]
    Requirement {
        /// The field.
        field: &'static str,
        /// What it holds.
        requirement: String,
        /// What is wrong with it.
        source: RequirementError,
    },
    /// A requirement of what lies at a URL.
    #[error("{field} `{}` requires what lies at a URL", requirement.escape_debug())]
    DirectRequirement {
        /// The field.
        field: &'static str,
        /// What it holds.
        requirement: String,
    },
    /// `Provides-Extra` is not a name.
    #[error("Provides-Extra `{}` is not a name", name.escape_debug())]
    Extra {
        /// What the field holds.
        name: String,
    },
    /// A link that is no address of a web page.
    #[error("{field} `{}` is not a web address", url.escape_debug())]
    Link {
        /// The field.
        field: &'static str,
        /// What should be an address.
        url: String,
    },
    /// `Project-URL` has no label, or one longer than [`MAX_LABEL_LEN`].
    #[error("Project-URL `{}` has no label of 1 to {MAX_LABEL_LEN} characters", value.escape_debug())]
    LinkLabel {
        /// What the field holds.
        value: String,
    },
    /// Two links with one label.
    #[error("two Project-URL fields have the label `{}`", label.escape_debug())]
    LinkTwice {
        /// The label.
        label: String,
    },
    /// An address of an author or a maintainer is none.
    #[error("{field}: `{}` {why}", address.escape_debug())]
    MailAddress {
        /// The field.
        field: &'static str,
        /// What should be an address.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A description in a form that cannot be shown.
    #[error("Description-Content-Type `{}` {why}", value.escape_debug())]
    DescriptionType {
        /// What the field holds.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// `Requires-Python` is longer than [`MAX_REQUIRES_PYTHON_LEN`].
    #[error("Requires-Python has {length} bytes, at most {MAX_REQUIRES_PYTHON_LEN} are allowed")]
    RequiresPythonTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// `Requires-Python` is one line of text.
    #[error("Requires-Python has a line break or another control character")]
    RequiresPythonControl,
}

/// Fields that no tool wrote before the version that introduced them. Older fields are not
/// listed: tools wrote `License-File`, for one, years before it existed.
const INTRODUCED: [(&str, MetadataVersion); 5] = [
    (
        "Description-Content-Type",
        MetadataVersion { major: 2, minor: 1 },
    ),
    ("Dynamic", MetadataVersion { major: 2, minor: 2 }),
    ("License-Expression", MetadataVersion { major: 2, minor: 4 }),
    ("Import-Name", MetadataVersion { major: 2, minor: 5 }),
    ("Import-Namespace", MetadataVersion { major: 2, minor: 5 }),
];

impl CoreMetadata {
    /// Checks what the core metadata specification asks of each field (with PEP 508, 639, 643 and
    /// 794), and that `Requires-Python`, which goes on to the project's page, is a short line.
    ///
    /// # Errors
    ///
    /// [`RuleError`], about the first rule that is broken.
    pub fn check_rules(&self) -> Result<(), RuleError> {
        if self.metadata_version > NEWEST_METADATA {
            return Err(RuleError::UnknownVersion {
                version: self.metadata_version,
            });
        }
        for (field, since) in INTRODUCED {
            if self.metadata_version < since && self.get(field).is_some() {
                return Err(RuleError::TooNew {
                    field,
                    since,
                    declared: self.metadata_version,
                });
            }
        }
        self.check_summary()?;
        self.check_requires_python()?;
        self.markup()?;
        self.check_licence()?;
        self.check_dynamic()?;
        self.check_requirements()?;
        self.check_links()?;
        self.check_mail_addresses()?;
        self.check_import_names()
    }

    fn check_summary(&self) -> Result<(), RuleError> {
        let Some(summary) = &self.summary else {
            return Ok(());
        };
        if summary.contains('\n') {
            return Err(RuleError::SummaryLines);
        }
        let length = summary.chars().count();
        if length > MAX_SUMMARY_LEN {
            return Err(RuleError::SummaryTooLong { length });
        }
        Ok(())
    }

    fn check_requires_python(&self) -> Result<(), RuleError> {
        let Some(range) = &self.requires_python else {
            return Ok(());
        };
        if range.len() > MAX_REQUIRES_PYTHON_LEN {
            return Err(RuleError::RequiresPythonTooLong {
                length: range.len(),
            });
        }
        if range.chars().any(char::is_control) {
            return Err(RuleError::RequiresPythonControl);
        }
        // A comma at the end is common, and harmless.
        let clauses = range.trim_end().trim_end_matches(',');
        match VersionSpecifiers::from_str(clauses) {
            Ok(_) => Ok(()),
            Err(_) => Err(RuleError::RequiresPython {
                range: range.clone(),
            }),
        }
    }
}

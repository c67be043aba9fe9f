//! What an index asks of the metadata of a new file, beyond being readable.

use std::collections::BTreeSet;

use super::{CoreMetadata, MetadataVersion};

/// Longest `Requires-Python` of a new file, in bytes.
///
/// It stands on the project's signed page, which every installer downloads whole, once for each
/// file. The longest known ones, which leave out one release after the other, have some hundred.
pub const MAX_REQUIRES_PYTHON_LEN: usize = 1024;

/// Which rule of the core metadata specification a file breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
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
    /// `License-File` leads out of the place where licences are (PEP 639).
    #[error("License-File `{}` is not a relative path with `/` and without `..`", path.escape_debug())]
    LicenseFile {
        /// What the field holds.
        path: String,
    },
    /// `Dynamic` names a field that cannot be dynamic (PEP 643).
    #[error("Dynamic cannot name {field}")]
    Dynamic {
        /// The field it names.
        field: String,
    },
    /// A wheel's metadata must be final (PEP 643 allows `Dynamic` there only as history).
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
const INTRODUCED: [(&str, MetadataVersion); 4] = [
    ("Dynamic", MetadataVersion { major: 2, minor: 2 }),
    ("License-Expression", MetadataVersion { major: 2, minor: 4 }),
    ("Import-Name", MetadataVersion { major: 2, minor: 5 }),
    ("Import-Namespace", MetadataVersion { major: 2, minor: 5 }),
];

impl CoreMetadata {
    /// Checks the rules of PEP 639, PEP 643 and PEP 794, that the summary is one line, and that
    /// `Requires-Python`, which goes on to the project's page, is a short one.
    pub fn check_rules(&self) -> Result<(), RuleError> {
        for (field, since) in INTRODUCED {
            if self.metadata_version < since && self.get(field).is_some() {
                return Err(RuleError::TooNew {
                    field,
                    since,
                    declared: self.metadata_version,
                });
            }
        }
        if self
            .summary
            .as_ref()
            .is_some_and(|summary| summary.contains('\n'))
        {
            return Err(RuleError::SummaryLines);
        }
        self.check_requires_python()?;
        self.check_licence()?;
        for field in self.all("Dynamic") {
            if ["metadata-version", "name", "version"]
                .iter()
                .any(|fixed| field.eq_ignore_ascii_case(fixed))
            {
                return Err(RuleError::Dynamic {
                    field: field.to_owned(),
                });
            }
        }
        self.check_import_names()
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
        Ok(())
    }

    fn check_licence(&self) -> Result<(), RuleError> {
        let since = MetadataVersion { major: 2, minor: 4 };
        if let Some(expression) = self.get("License-Expression") {
            if self.get("License").is_some() {
                return Err(RuleError::TwoLicenses);
            }
            if !is_spdx_shaped(expression) {
                return Err(RuleError::LicenseExpression {
                    expression: expression.to_owned(),
                });
            }
        }
        if self.metadata_version >= since {
            for path in self.all("License-File") {
                if !is_plain_relative(path) {
                    return Err(RuleError::LicenseFile {
                        path: path.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    fn check_import_names(&self) -> Result<(), RuleError> {
        let mut names = BTreeSet::new();
        // An empty Import-Name says that the project has nothing to import.
        for value in self.all("Import-Name").filter(|value| !value.is_empty()) {
            names.insert(import_name("Import-Name", value)?);
        }
        for value in self.all("Import-Namespace") {
            let name = import_name("Import-Namespace", value)?;
            if names.contains(name) {
                return Err(RuleError::ImportNameTwice {
                    name: name.to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// The dotted name, without a `; private` behind it.
fn import_name<'a>(field: &'static str, value: &'a str) -> Result<&'a str, RuleError> {
    let invalid = || RuleError::ImportName {
        field,
        name: value.to_owned(),
    };
    let name = match value.split_once(';') {
        Some((name, mark)) if mark.trim() == "private" => name.trim(),
        Some(_) => return Err(invalid()),
        None => value.trim(),
    };
    let identifier = |part: &str| {
        let mut characters = part.chars();
        characters
            .next()
            .is_some_and(|c| c == '_' || c.is_alphabetic())
            && characters.all(|c| c == '_' || c.is_alphanumeric())
    };
    if name.split('.').all(identifier) {
        Ok(name)
    } else {
        Err(invalid())
    }
}

fn is_plain_relative(path: &str) -> bool {
    !path.contains(['\\', '*'])
        && path
            .split('/')
            .all(|segment| !matches!(segment, "" | "." | ".."))
}

/// Whether the text has the shape of an SPDX licence expression: identifiers joined with `AND`,
/// `OR` and `WITH`, and balanced parentheses. The identifiers themselves are not looked up.
fn is_spdx_shaped(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ");
    let mut depth = 0_usize;
    let mut operand_next = true;
    let mut after_with = false;
    for word in spaced.split_ascii_whitespace() {
        let operator = matches!(word.to_ascii_uppercase().as_str(), "AND" | "OR" | "WITH");
        match word {
            "(" if operand_next && !after_with => depth += 1,
            ")" if !operand_next && depth > 0 => depth -= 1,
            _ if operator && !operand_next => {
                operand_next = true;
                after_with = word.eq_ignore_ascii_case("WITH");
            }
            _ if operand_next && !operator && is_spdx_identifier(word) => {
                operand_next = false;
                after_with = false;
            }
            _ => return false,
        }
    }
    depth == 0 && !operand_next
}

fn is_spdx_identifier(word: &str) -> bool {
    let name = word.strip_suffix('+').unwrap_or(word);
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

//! `License`, `License-Expression` and `License-File` (PEP 639).

use spdx::identifiers::{EXCEPTIONS, LICENSES};

use super::RuleError;
use crate::{CoreMetadata, MetadataVersion};

impl CoreMetadata {
    pub(super) fn check_licence(&self) -> Result<(), RuleError> {
        let since = MetadataVersion { major: 2, minor: 4 };
        if let Some(expression) = self.get("License-Expression") {
            if self.get("License").is_some() {
                return Err(RuleError::TwoLicenses);
            }
            check_expression(expression)?;
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
}

fn is_plain_relative(path: &str) -> bool {
    !path.contains(['\\', '*'])
        && path
            .split('/')
            .all(|segment| !matches!(segment, "" | "." | ".."))
}

/// Checks an SPDX licence expression: identifiers from SPDX's list, joined with `AND`, `OR` and
/// `WITH`, and balanced parentheses. Case does not count (PEP 639).
fn check_expression(expression: &str) -> Result<(), RuleError> {
    let malformed = || RuleError::LicenseExpression {
        expression: expression.to_owned(),
    };
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
            _ if operand_next && !operator && is_identifier(word) => {
                let known = if after_with {
                    is_exception(word)
                } else {
                    is_licence(word)
                };
                if !known {
                    return Err(RuleError::LicenseId {
                        identifier: word.to_owned(),
                    });
                }
                operand_next = false;
                after_with = false;
            }
            _ => return Err(malformed()),
        }
    }
    if depth == 0 && !operand_next {
        Ok(())
    } else {
        Err(malformed())
    }
}

fn is_identifier(word: &str) -> bool {
    let name = word.strip_suffix('+').unwrap_or(word);
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

fn is_licence(word: &str) -> bool {
    const OWN: &str = "LicenseRef-";
    let own = word
        .get(..OWN.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(OWN));
    let name = word.strip_suffix('+').unwrap_or(word);
    // `+` says "or any later version" of a licence that has versions, which one's own has not.
    (own && word.len() > OWN.len() && !word.ends_with('+'))
        || LICENSES
            .iter()
            .any(|licence| licence.name.eq_ignore_ascii_case(name))
        || LICENSES
            .iter()
            .any(|licence| licence.name.eq_ignore_ascii_case(word))
}

fn is_exception(word: &str) -> bool {
    EXCEPTIONS
        .iter()
        .any(|exception| exception.name.eq_ignore_ascii_case(word))
}

//! What an uploader can do about metadata that is refused.

use super::{ClassifierError, MetadataError, RuleError};

impl MetadataError {
    /// What to do about it: one sentence, without a full stop.
    pub fn fix(&self) -> &'static str {
        match self {
            MetadataError::TooLong { .. } => "shorten the description",
            MetadataError::TooManyFields => "have fewer requirements, classifiers and links",
            MetadataError::NotUtf8 { .. } => {
                "save the project's description and settings as UTF-8 and build again"
            }
            MetadataError::Malformed { .. }
            | MetadataError::ControlCharacter { .. }
            | MetadataError::Missing { .. } => {
                "build the file again with a current tool, such as `python -m build`"
            }
            MetadataError::Repeated { .. } => "state it once",
            MetadataError::UnsupportedVersion { .. } => {
                "build with a tool that writes metadata version 1.0, 1.1, 1.2 or 2.x"
            }
            MetadataError::Name(error) => error.fix(),
            MetadataError::Version { .. } => {
                "write the version as PEP 440 wants it, such as 1.2.3, 1.2rc1 or 1.2.post1"
            }
        }
    }
}

impl ClassifierError {
    /// What to do about it: one sentence, without a full stop.
    pub fn fix(&self) -> &'static str {
        match self {
            ClassifierError::Unknown { .. } => {
                "take it from the list on pypi.org/classifiers, or begin your own with `Private :: `"
            }
            ClassifierError::Deprecated { .. } => "use what replaces it, or leave it out",
        }
    }
}

impl RuleError {
    /// What to do about it: one sentence, without a full stop.
    pub fn fix(&self) -> &'static str {
        match self {
            RuleError::UnknownVersion { .. } => {
                "build with a tool that writes metadata version 2.5 or older"
            }
            RuleError::TooNew { .. } => {
                "build again with a current build backend, which declares the right version"
            }
            RuleError::TwoLicenses => {
                "keep License-Expression (`license = \"MIT\"` in pyproject.toml) and remove the other"
            }
            RuleError::LicenseExpression { .. } => {
                "write an SPDX expression such as `MIT` or `Apache-2.0 OR MIT`, or `LicenseRef-…` for a licence of your own"
            }
            RuleError::LicenseId { .. } => {
                "take the identifier from spdx.org/licenses, or write `LicenseRef-…` for a licence of your own"
            }
            RuleError::LicenseFile { .. } => {
                "name the file by its path from the project's root, such as `LICENSES/MIT.txt`"
            }
            RuleError::Dynamic { .. } => {
                "name fields of the core metadata other than Name, Version and Metadata-Version (PEP 643)"
            }
            RuleError::ImportName { .. } => {
                "write a dotted Python name, such as `package.module`, with `; private` behind it if it is (PEP 794)"
            }
            RuleError::ImportNameTwice { .. } => "state it as one of the two",
            RuleError::SummaryLines => {
                "make the summary one line, and put the rest into the description"
            }
            RuleError::SummaryTooLong { .. } => {
                "shorten the summary, and put the rest into the description"
            }
            RuleError::RequiresPythonTooLong { .. } | RuleError::RequiresPythonControl => {
                "write a short range on one line, such as `>=3.10`"
            }
            RuleError::RequiresPython { .. } => {
                "write a range as PEP 440 wants it, such as `>=3.10` or `>=3.10,!=3.12.0`"
            }
            RuleError::Requirement { .. } => {
                "write it as PEP 508 wants it, such as `name[extra]>=1.2; python_version < \"3.12\"`"
            }
            RuleError::DirectRequirement { .. } => {
                "require a project of an index by name and version: what lies behind a URL is not signed and can change"
            }
            RuleError::Extra { .. } => {
                "use letters, digits, `.`, `_` and `-`, and begin and end with a letter or a digit"
            }
            RuleError::Link { .. } => "write a whole address that begins with https:// or http://",
            RuleError::LinkLabel { .. } => {
                "write `Label, https://…` with a label of 1 to 32 characters"
            }
            RuleError::LinkTwice { .. } => "give each link a label of its own",
            RuleError::MailAddress { .. } => {
                "write `name@example.org` or `Name <name@example.org>`, with commas between several, or leave the field out"
            }
            RuleError::DescriptionType { .. } => {
                "state text/markdown, text/x-rst or text/plain, with charset=UTF-8 and variant=GFM or CommonMark if at all"
            }
        }
    }
}

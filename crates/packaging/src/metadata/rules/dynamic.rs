//! `Dynamic`: fields that a wheel built from the source can have otherwise (PEP 643).

use super::RuleError;
use crate::CoreMetadata;

/// Every field that can be dynamic, in lower case (core metadata 2.5).
const FIELDS: [&str; 30] = [
    "author",
    "author-email",
    "classifier",
    "description",
    "description-content-type",
    "download-url",
    "dynamic",
    "home-page",
    "import-name",
    "import-namespace",
    "keywords",
    "license",
    "license-expression",
    "license-file",
    "maintainer",
    "maintainer-email",
    "obsoletes",
    "obsoletes-dist",
    "platform",
    "project-url",
    "provides",
    "provides-dist",
    "provides-extra",
    "requires",
    "requires-dist",
    "requires-external",
    "requires-python",
    "summary",
    "supported-platform",
    "private-version",
];

impl CoreMetadata {
    pub(super) fn check_dynamic(&self) -> Result<(), RuleError> {
        for field in self.all("Dynamic") {
            if !FIELDS.iter().any(|known| field.eq_ignore_ascii_case(known)) {
                return Err(RuleError::Dynamic {
                    field: field.to_owned(),
                });
            }
        }
        Ok(())
    }
}

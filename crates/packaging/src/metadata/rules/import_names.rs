//! `Import-Name` and `Import-Namespace` (PEP 794).

use std::collections::BTreeSet;

use super::RuleError;
use crate::CoreMetadata;

impl CoreMetadata {
    pub(super) fn check_import_names(&self) -> Result<(), RuleError> {
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

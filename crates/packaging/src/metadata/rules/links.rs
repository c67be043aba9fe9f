//! Links: they are shown to people, who follow them.

use std::collections::BTreeSet;

use url::Url;

use super::RuleError;
use crate::CoreMetadata;

/// Longest label of a `Project-URL`, in characters (core metadata specification).
pub const MAX_LABEL_LEN: usize = 32;

impl CoreMetadata {
    pub(super) fn check_links(&self) -> Result<(), RuleError> {
        for field in ["Home-page", "Download-URL"] {
            // Tools of old wrote UNKNOWN for what they did not know.
            let given = |url: &&str| !matches!(*url, "" | "UNKNOWN");
            if let Some(url) = self.get(field).filter(given) {
                check_link(field, url)?;
            }
        }
        let mut labels = BTreeSet::new();
        for value in self.all("Project-URL") {
            let (label, url) = value.split_once(',').unwrap_or(("", value));
            let label = label.trim();
            if label.is_empty() || label.chars().count() > MAX_LABEL_LEN {
                return Err(RuleError::LinkLabel {
                    value: value.to_owned(),
                });
            }
            check_link("Project-URL", url.trim())?;
            if !labels.insert(label) {
                return Err(RuleError::LinkTwice {
                    label: label.to_owned(),
                });
            }
        }
        Ok(())
    }
}

fn check_link(field: &'static str, url: &str) -> Result<(), RuleError> {
    let web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    match Url::parse(url) {
        Ok(parsed) if web(&parsed) && !url.contains(char::is_whitespace) => Ok(()),
        _ => Err(RuleError::Link {
            field,
            url: url.to_owned(),
        }),
    }
}

//! `Description-Content-Type`: what a description is written in, so that it can be shown.

use super::RuleError;
use crate::CoreMetadata;

const TYPES: [&str; 3] = ["text/markdown", "text/x-rst", "text/plain"];
const VARIANTS: [&str; 2] = ["GFM", "CommonMark"];

impl CoreMetadata {
    pub(super) fn check_description_type(&self) -> Result<(), RuleError> {
        let value = self.get("Description-Content-Type");
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok(());
        };
        let refused = |why| {
            Err(RuleError::DescriptionType {
                value: value.to_owned(),
                why,
            })
        };
        let mut parts = value.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        if !TYPES.contains(&kind.as_str()) {
            return refused("is not text/markdown, text/x-rst or text/plain");
        }
        for parameter in parts.filter(|part| !part.is_empty()) {
            let Some((name, value)) = parameter.split_once('=') else {
                return refused("has a parameter without a value");
            };
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "charset" if !value.eq_ignore_ascii_case("UTF-8") => {
                    return refused("has another charset than UTF-8");
                }
                "variant" if kind == "text/markdown" && !VARIANTS.contains(&value) => {
                    return refused("has another variant than GFM or CommonMark");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

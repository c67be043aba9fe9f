//! `Description-Content-Type`: what a description is written in, so that it can be shown.

use super::RuleError;
use crate::CoreMetadata;

/// What a description is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markup {
    /// `text/markdown`.
    Markdown(Dialect),
    /// `text/x-rst`, and what a description is that does not say (core metadata specification).
    ReStructuredText,
    /// `text/plain`.
    Plain,
}

/// A variant of Markdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `variant=GFM`, and what holds where there is none.
    #[default]
    GitHub,
    /// `variant=CommonMark`.
    CommonMark,
}

impl CoreMetadata {
    /// What the description is written in.
    ///
    /// # Errors
    ///
    /// [`RuleError::DescriptionType`], if it is something else.
    pub fn markup(&self) -> Result<Markup, RuleError> {
        let value = self.get("Description-Content-Type");
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok(Markup::ReStructuredText);
        };
        let refused = |why| {
            Err(RuleError::DescriptionType {
                value: value.to_owned(),
                why,
            })
        };
        let mut parts = value.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut markup = match kind.as_str() {
            "text/markdown" => Markup::Markdown(Dialect::default()),
            "text/x-rst" => Markup::ReStructuredText,
            "text/plain" => Markup::Plain,
            _ => return refused("is not text/markdown, text/x-rst or text/plain"),
        };
        for parameter in parts.filter(|part| !part.is_empty()) {
            let Some((name, value)) = parameter.split_once('=') else {
                return refused("has a parameter without a value");
            };
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "charset" if !value.eq_ignore_ascii_case("UTF-8") => {
                    return refused("has another charset than UTF-8");
                }
                "variant" if kind == "text/markdown" => {
                    markup = Markup::Markdown(match value {
                        "GFM" => Dialect::GitHub,
                        "CommonMark" => Dialect::CommonMark,
                        _ => return refused("has another variant than GFM or CommonMark"),
                    });
                }
                _ => {}
            }
        }
        Ok(markup)
    }
}

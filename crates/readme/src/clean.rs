//! What is safe, decided on the tree that a browser would make of it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};

use crate::policy::{ELEMENTS, EVERYWHERE, ID_PREFIX, REL, SCHEMES};

static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let attributes: HashMap<&str, HashSet<&str>> = ELEMENTS
        .iter()
        .map(|(name, attributes)| (*name, attributes.iter().copied().collect()))
        .collect();
    let mut builder = Builder::empty();
    builder
        .tags(ELEMENTS.iter().map(|(name, _)| *name).collect())
        .clean_content_tags(HashSet::from(["script", "style"]))
        .tag_attributes(attributes)
        .generic_attributes(EVERYWHERE.iter().copied().collect())
        .url_schemes(SCHEMES.iter().copied().collect())
        .url_relative(UrlRelative::Custom(Box::new(within)))
        .link_rel(Some(REL))
        .id_prefix(Some(ID_PREFIX))
        .strip_comments(true)
        .attribute_filter(attribute);
    builder
});

pub(crate) fn clean(html: &str) -> String {
    CLEANER.clean(html).to_string()
}

/// A link without a scheme leads to a place in the description, or nowhere: what it was meant to
/// start from is not known.
fn within(url: &str) -> Option<Cow<'_, str>> {
    let id = url.strip_prefix('#')?;
    Some(Cow::Owned(format!("#{ID_PREFIX}{id}")))
}

/// Values that are allowed.
fn attribute<'v>(element: &str, attribute: &str, value: &'v str) -> Option<Cow<'v, str>> {
    let is_number = |value: &str, most: u32| value.parse::<u32>().is_ok_and(|n| n <= most);
    let allowed = match (element, attribute) {
        // The language of a block of code.
        ("code", "class") => value.strip_prefix("language-").is_some_and(|language| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"+-_#.".contains(&b);
            (1..=32).contains(&language.len()) && language.bytes().all(plain)
        }),
        (_, "align") => matches!(value, "left" | "center" | "right" | "justify"),
        (_, "colspan" | "rowspan") => is_number(value, 1000),
        (_, "start") => is_number(value, 1_000_000_000),
        (_, "id") => value.len() <= 128 && !value.contains(char::is_whitespace),
        _ => true,
    };
    allowed.then_some(Cow::Borrowed(value))
}

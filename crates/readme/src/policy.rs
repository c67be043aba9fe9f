//! Which elements and attributes a description may have.

/// Attributes that every element may have.
pub(crate) const EVERYWHERE: &[&str] = &["id"];

/// Elements, and the attributes that each may have beside [`EVERYWHERE`].
///
/// It is what the largest public index shows, less what loads something (`img`, `picture`), what
/// belongs to forms (`input`), and classes, by which a description could look like a part of the page.
pub(crate) const ELEMENTS: &[(&str, &[&str])] = &[
    ("a", &["href", "title"]),
    ("abbr", &["title"]),
    ("acronym", &["title"]),
    ("aside", &[]),
    ("b", &[]),
    ("blockquote", &[]),
    ("br", &[]),
    ("caption", &[]),
    ("cite", &[]),
    ("code", &["class"]),
    ("dd", &[]),
    ("del", &[]),
    ("details", &["open"]),
    ("div", &["align"]),
    ("dl", &[]),
    ("dt", &[]),
    ("em", &[]),
    ("figcaption", &[]),
    ("figure", &[]),
    ("h1", &["align"]),
    ("h2", &["align"]),
    ("h3", &["align"]),
    ("h4", &["align"]),
    ("h5", &["align"]),
    ("h6", &["align"]),
    ("hr", &[]),
    ("i", &[]),
    ("kbd", &[]),
    ("li", &[]),
    ("nav", &[]),
    ("ol", &["start"]),
    ("p", &["align"]),
    ("pre", &[]),
    ("s", &[]),
    ("section", &[]),
    ("span", &[]),
    ("strong", &[]),
    ("sub", &[]),
    ("summary", &[]),
    ("sup", &[]),
    ("table", &[]),
    ("tbody", &[]),
    ("td", &["align", "colspan", "rowspan"]),
    ("tfoot", &[]),
    ("th", &["align", "colspan", "rowspan"]),
    ("thead", &[]),
    ("tr", &[]),
    ("tt", &[]),
    ("ul", &[]),
    ("var", &[]),
];

/// Where links may lead.
pub(crate) const SCHEMES: &[&str] = &["http", "https", "mailto"];

/// How the ids of a description begin, so that they are none of the page's own.
pub(crate) const ID_PREFIX: &str = "readme-";

/// What a link says about where it leads.
pub(crate) const REL: &str = "nofollow noopener noreferrer";

/// The element of this name, and its attributes, if a description may have it.
pub(crate) fn element(name: &[u8]) -> Option<(&'static str, &'static [&'static str])> {
    let found = ELEMENTS.binary_search_by(|(known, _)| known.as_bytes().cmp(name));
    found.ok().map(|at| ELEMENTS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found() {
        assert!(ELEMENTS.is_sorted_by_key(|(name, _)| name));
        assert_eq!(element(b"ol"), Some(("ol", &["start"][..])));
        for none in [
            "script", "img", "input", "form", "iframe", "style", "svg", "object", "",
        ] {
            assert_eq!(element(none.as_bytes()), None, "{none}");
        }
    }
}

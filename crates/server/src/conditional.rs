//! Entity tags and the conditions that use them (RFC 9110 §8.8.3, §13).

use http::HeaderMap;
use http::header::{HeaderValue, IF_NONE_MATCH, IF_RANGE};

/// A strong entity tag, with its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag(HeaderValue);

impl EntityTag {
    /// A tag of characters that need no escape: letters, digits, `.` and `-`.
    pub(crate) fn new(opaque: &str) -> Option<EntityTag> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        if !opaque.bytes().all(plain) {
            return None;
        }
        HeaderValue::try_from(format!("\"{opaque}\""))
            .ok()
            .map(EntityTag)
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Whether the request holds this form already: the answer is 304.
    pub(crate) fn is_held(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .map(|tag| tag.strip_prefix("W/").unwrap_or(tag))
            .any(|tag| tag == "*" || tag.as_bytes() == self.0.as_bytes())
    }

    /// Whether a range may be answered in part: `If-Range` is missing, or names this very tag.
    /// A date is taken as not matching, which costs a whole answer at worst.
    pub(crate) fn allows_range(&self, headers: &HeaderMap) -> bool {
        headers
            .get(IF_RANGE)
            .is_none_or(|value| value.as_bytes() == self.0.as_bytes())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn a_held_form_is_recognised() {
        let tag = EntityTag::new("abc.gz").unwrap();
        let check = |header: &'static str, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static(header));
            assert_eq!(tag.is_held(&headers), expected, "{header}");
        };
        check("\"abc.gz\"", true);
        check("W/\"abc.gz\"", true);
        check("\"x\", \"abc.gz\" ", true);
        check("*", true);
        check("abc.gz", false);
        check("\"abc\"", false);
        check("", false);
        assert!(!tag.is_held(&HeaderMap::new()));
    }

    #[test]
    fn a_range_needs_the_same_form() {
        let tag = EntityTag::new("abc").unwrap();
        let mut headers = HeaderMap::new();
        assert!(tag.allows_range(&headers));
        for (header, expected) in [
            ("\"abc\"", true),
            ("W/\"abc\"", false),
            ("\"abd\"", false),
            ("Sat, 21 Nov 2026 00:00:00 GMT", false),
        ] {
            headers.insert(IF_RANGE, HeaderValue::from_static(header));
            assert_eq!(tag.allows_range(&headers), expected, "{header}");
        }
    }

    #[test]
    fn a_tag_cannot_break_its_quotes() {
        assert_eq!(EntityTag::new("a\"b"), None);
        assert_eq!(EntityTag::new("a\r\n"), None);
    }
}

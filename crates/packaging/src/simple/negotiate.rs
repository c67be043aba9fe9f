//! Which form of a page a request gets (PEP 691, *Version + Format Selection*).

/// A form that a page can be served in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/vnd.pypi.simple.v1+json`.
    Json,
    /// `application/vnd.pypi.simple.v1+html`.
    Html,
    /// `text/html`: the same bytes as [`Format::Html`], for whoever does not know that name.
    LegacyHtml,
}

impl Format {
    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/vnd.pypi.simple.v1+json",
            Self::Html => "application/vnd.pypi.simple.v1+html",
            Self::LegacyHtml => "text/html; charset=utf-8",
        }
    }

    /// Whether the page is to be rendered as HTML.
    pub fn is_html(self) -> bool {
        self != Self::Json
    }
}

/// Longest `Accept` header that is read, in bytes; a longer one counts as none.
pub const MAX_ACCEPT_LEN: usize = 4096;

/// Chooses the form for a request's `Accept` header.
///
/// The highest weight wins; among equals the one that the header names more exactly, and then
/// JSON before HTML. Who accepts anything at all (`*/*`, or no header), and who accepts nothing
/// that there is, gets `text/html`, never an error: PEP 691 allows that, and it is what the
/// oldest clients expect.
pub fn negotiate(accept: Option<&str>) -> Format {
    let accept = accept
        .filter(|accept| accept.len() <= MAX_ACCEPT_LEN)
        .unwrap_or("*/*");
    let ranges: Vec<Range<'_>> = accept.split(',').filter_map(Range::parse).collect();
    let candidates = [Format::LegacyHtml, Format::Html, Format::Json].map(|format| {
        // The most exact range that covers a form decides its weight (RFC 9110 §12.5.1).
        let best = ranges
            .iter()
            .filter_map(|range| Some((range.exactness(format)?, range.weight)))
            .max();
        best.map(|(exactness, weight)| {
            (
                weight,
                exactness,
                exactness > Exactness::Anything && format == Format::Json,
                format,
            )
        })
    });
    candidates
        .into_iter()
        .flatten()
        .filter(|(weight, ..)| *weight > 0)
        // On a tie `max_by_key` keeps the last; reversed, that is `text/html`.
        .rev()
        .max_by_key(|&(weight, exactness, json, _)| (weight, exactness, json))
        .map_or(Format::LegacyHtml, |(.., format)| format)
}

/// How exactly a media range names a form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Exactness {
    Anything,
    Type,
    Exact,
}

/// One element of the header.
struct Range<'a> {
    media: &'a str,
    /// In thousandths.
    weight: u16,
}

impl Range<'_> {
    fn parse(element: &str) -> Option<Range<'_>> {
        let mut parts = element.split(';').map(str::trim);
        let media = parts.next().filter(|media| !media.is_empty())?;
        let weight = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(Some(1000), |(_, value)| weight(value.trim()))?;
        Some(Range { media, weight })
    }

    fn exactness(&self, format: Format) -> Option<Exactness> {
        let is = |name: &str| self.media.eq_ignore_ascii_case(name);
        let (names, kind): (&[&str], _) = match format {
            Format::Json => (
                &[
                    "application/vnd.pypi.simple.v1+json",
                    "application/vnd.pypi.simple.latest+json",
                ],
                "application/*",
            ),
            Format::Html => (
                &[
                    "application/vnd.pypi.simple.v1+html",
                    "application/vnd.pypi.simple.latest+html",
                ],
                "application/*",
            ),
            Format::LegacyHtml => (&["text/html"], "text/*"),
        };
        if names.iter().any(|name| is(name)) {
            Some(Exactness::Exact)
        } else if is(kind) {
            Some(Exactness::Type)
        } else if is("*/*") || is("*") {
            Some(Exactness::Anything)
        } else {
            None
        }
    }
}

/// A weight in thousandths (RFC 9110 §12.4.2); `None` if it is malformed.
fn weight(raw: &str) -> Option<u16> {
    let (whole, fraction) = raw.split_once('.').unwrap_or((raw, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Format, negotiate};

    const JSON: &str = "application/vnd.pypi.simple.v1+json";

    fn check(accept: &str, expect: Format) {
        assert_eq!(negotiate(Some(accept)), expect, "{accept}");
    }

    #[test]
    fn installers_get_json() {
        check(
            "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
            Format::Json,
        );
        check(
            "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01",
            Format::Json,
        );
        check(JSON, Format::Json);
        check("application/vnd.pypi.simple.latest+json", Format::Json);
        check("APPLICATION/VND.PyPI.simple.V1+JSON;Q=0.5", Format::Json);
        check(
            "text/html, application/vnd.pypi.simple.v1+json",
            Format::Json,
        );
    }

    #[test]
    fn browsers_and_the_oldest_get_html() {
        assert_eq!(negotiate(None), Format::LegacyHtml);
        check(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            Format::LegacyHtml,
        );
        check("*/*", Format::LegacyHtml);
        check("*", Format::LegacyHtml);
        check("text/*", Format::LegacyHtml);
        check("application/vnd.pypi.simple.v1+html", Format::Html);
    }

    #[test]
    fn weights_decide() {
        check(
            "application/vnd.pypi.simple.v1+json;q=0.1, text/html;q=0.2",
            Format::LegacyHtml,
        );
        check(
            "application/vnd.pypi.simple.v1+json;q=0.2, application/vnd.pypi.simple.v1+html;q=0.201",
            Format::Html,
        );
        check(
            "*/*;q=0.1, application/vnd.pypi.simple.v1+json;q=0.1",
            Format::Json,
        );
        check(
            "application/vnd.pypi.simple.v1+json;q=0, */*",
            Format::LegacyHtml,
        );
        check("text/html;q=0, */*", Format::Html);
        check(
            "text/html;q=0, application/vnd.pypi.simple.v1+html;q=0, */*",
            Format::Json,
        );
        check("application/*", Format::Json);
    }

    #[test]
    fn nothing_that_there_is_gets_html() {
        check("", Format::LegacyHtml);
        check("application/json", Format::LegacyHtml);
        check("application/vnd.pypi.simple.v2+json", Format::LegacyHtml);
        check(
            "application/vnd.pypi.simple.v1+json;q=0",
            Format::LegacyHtml,
        );
        check(
            "application/vnd.pypi.simple.v1+json;q=1.5",
            Format::LegacyHtml,
        );
        check(
            "application/vnd.pypi.simple.v1+json;q=x",
            Format::LegacyHtml,
        );
        check(";;;,,,=q", Format::LegacyHtml);
        check(
            &format!("{}{JSON}", "a/b,".repeat(2000)),
            Format::LegacyHtml,
        );
    }

    proptest! {
        #[test]
        fn never_panics(accept in any::<String>()) {
            negotiate(Some(&accept));
        }
    }
}

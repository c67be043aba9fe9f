//! Byte ranges (RFC 9110 §14).

use http::HeaderMap;
use http::header::RANGE;

/// Which bytes to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Portion {
    /// All of them: no range was asked for, or one that may be ignored.
    Whole,
    /// `len` bytes from `start`.
    Part {
        /// The first byte.
        start: u64,
        /// How many, at least one.
        len: u64,
    },
    /// The range begins behind the end.
    Unsatisfiable,
}

impl Portion {
    /// Reads the request's `Range` against an object of `len` bytes. Several ranges at once,
    /// other units and malformed ones are ignored, as the RFC allows.
    pub(crate) fn of(headers: &HeaderMap, len: u64) -> Portion {
        let mut values = headers.get_all(RANGE).iter();
        match (
            values.next().and_then(|value| value.to_str().ok()),
            values.next(),
        ) {
            (Some(value), None) => Portion::parse(value, len).unwrap_or(Portion::Whole),
            _ => Portion::Whole,
        }
    }

    fn parse(value: &str, len: u64) -> Option<Portion> {
        let (unit, range) = value.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = range.trim().split_once('-')?;
        if first.is_empty() {
            // The last so many bytes.
            let suffix = number(last)?.min(len);
            return Some(if suffix == 0 {
                Portion::Unsatisfiable
            } else {
                Portion::Part {
                    start: len - suffix,
                    len: suffix,
                }
            });
        }
        let start = number(first)?;
        let last = if last.is_empty() {
            u64::MAX
        } else {
            number(last)?
        };
        if last < start {
            return None;
        }
        Some(if start >= len {
            Portion::Unsatisfiable
        } else {
            Portion::Part {
                start,
                len: last.min(len - 1) - start + 1,
            }
        })
    }
}

/// Digits only; a number too large for us is behind every end.
fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_against_the_length() {
        let check = |range: &str, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, range.parse().unwrap());
            assert_eq!(Portion::of(&headers, 100), expected, "{range}");
        };
        let part = |start, len| Portion::Part { start, len };
        check("bytes=0-0", part(0, 1));
        check("bytes=0-99", part(0, 100));
        check("bytes=10-", part(10, 90));
        check("bytes=10-1000", part(10, 90));
        check("bytes=99-", part(99, 1));
        check("bytes=-1", part(99, 1));
        check("bytes=-1000", part(0, 100));
        check("Bytes = 5-6", part(5, 2));
        check("bytes=0-99999999999999999999999", part(0, 100));
        check("bytes=100-", Portion::Unsatisfiable);
        check("bytes=100-200", Portion::Unsatisfiable);
        check("bytes=99999999999999999999999-", Portion::Unsatisfiable);
        check("bytes=-0", Portion::Unsatisfiable);
        for ignored in [
            "bytes=0-1,3-4",
            "bytes=5-4",
            "bytes=+1-2",
            "bytes=-",
            "bytes=a-b",
            "lines=1-2",
            "bytes",
        ] {
            check(ignored, Portion::Whole);
        }
        assert_eq!(Portion::of(&HeaderMap::new(), 100), Portion::Whole);
    }

    #[test]
    fn an_empty_object_has_no_part() {
        let mut headers = HeaderMap::new();
        for range in ["bytes=0-", "bytes=0-0", "bytes=-5"] {
            headers.insert(RANGE, range.parse().unwrap());
            assert_eq!(Portion::of(&headers, 0), Portion::Unsatisfiable, "{range}");
        }
    }
}

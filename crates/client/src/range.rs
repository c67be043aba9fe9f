//! Byte ranges as installers ask for them (RFC 9110 §14).

/// A non-empty range of bytes; `end` is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    start: u64,
    end: u64,
}

impl ByteRange {
    /// The range from `start` to before `end`; `None` when it would be empty.
    #[must_use]
    pub fn new(start: u64, end: u64) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// The first byte.
    #[must_use]
    pub fn start(self) -> u64 {
        self.start
    }

    /// The byte after the last one.
    #[must_use]
    pub fn end(self) -> u64 {
        self.end
    }

    /// How many bytes.
    #[must_use]
    pub fn length(self) -> u64 {
        self.end - self.start
    }

    /// The value of a `Range` request header.
    pub(crate) fn request_header(self) -> String {
        format!("bytes={}-{}", self.start, self.end - 1)
    }

    /// The value of a `Content-Range` header for an object of `size` bytes.
    pub(crate) fn content_header(self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.start, self.end - 1)
    }
}

/// What a `Range` header asks of an object of a known size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeRequest {
    /// All of it: no header, one that is not understood, or several ranges.
    Whole,
    /// One range, cut to the object.
    Part(ByteRange),
    /// A range outside the object: 416.
    Unsatisfiable,
}

impl RangeRequest {
    /// Reads a `Range` header's value against an object of `size` bytes. What does not parse
    /// is ignored, as RFC 9110 §14.2 has it.
    #[must_use]
    pub fn parse(header: Option<&str>, size: u64) -> Self {
        let Some((first, last)) = header
            .and_then(|value| value.trim().strip_prefix("bytes="))
            .filter(|set| !set.contains(','))
            .and_then(|set| set.trim().split_once('-'))
        else {
            return Self::Whole;
        };
        let range = match (number(first), number(last)) {
            (Some(start), Some(last)) if start <= last => {
                ByteRange::new(start, last.saturating_add(1).min(size))
            }
            (Some(start), None) if last.is_empty() => ByteRange::new(start, size),
            (None, Some(suffix)) if first.is_empty() => {
                ByteRange::new(size.saturating_sub(suffix), size)
            }
            _ => return Self::Whole,
        };
        range.map_or(Self::Unsatisfiable, Self::Part)
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_as_installers_send_them() {
        let part = |start, end| RangeRequest::Part(ByteRange::new(start, end).unwrap());
        let check = |header: &str, expected| {
            assert_eq!(RangeRequest::parse(Some(header), 100), expected, "{header}");
        };
        check("bytes=0-9", part(0, 10));
        check("bytes=90-", part(90, 100));
        check("bytes=-10", part(90, 100));
        check("bytes=-1000", part(0, 100));
        check("bytes=90-1000", part(90, 100));
        check("bytes=100-", RangeRequest::Unsatisfiable);
        check("bytes=-0", RangeRequest::Unsatisfiable);
        check("bytes=9-0", RangeRequest::Whole);
        check("bytes=0-1,5-6", RangeRequest::Whole);
        check("lines=0-1", RangeRequest::Whole);
        check("bytes=+1-5", RangeRequest::Whole);
        check("bytes=-", RangeRequest::Whole);
        assert_eq!(RangeRequest::parse(None, 100), RangeRequest::Whole);
        assert_eq!(
            RangeRequest::parse(Some("bytes=0-"), 0),
            RangeRequest::Unsatisfiable
        );
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_object(header in "bytes=[0-9]{0,20}-[0-9]{0,20}", size in 0u64..10_000) {
            if let RangeRequest::Part(range) = RangeRequest::parse(Some(&header), size) {
                prop_assert!(range.start() < range.end() && range.end() <= size);
            }
        }
    }
}

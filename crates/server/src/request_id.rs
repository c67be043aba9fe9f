//! A name for each request, by which its lines in the log, its answer and the person who got the
//! answer speak of the same thing.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Where the id stands in requests and answers.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over from a proxy, in bytes: a UUID has 36.
const MAX_LEN: usize = 64;

tokio::task_local! {
    /// The id of the request that this task answers.
    static CURRENT: RequestId;
}

/// The id of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    pub(crate) fn as_str(&self) -> &str {
        // It was made of such characters, or checked for them.
        self.0.to_str().unwrap_or_default()
    }

    /// That of the request that is being answered here; none outside of one.
    pub(crate) fn current() -> Option<RequestId> {
        CURRENT.try_with(RequestId::clone).ok()
    }

    /// Runs `answering` as the answer to this request.
    pub(crate) async fn scope<T>(self, answering: impl Future<Output = T>) -> T {
        CURRENT.scope(self, answering).await
    }

    /// The id that the request brings along, if it is of a form that a log can hold.
    pub(crate) fn brought(headers: &HeaderMap) -> Option<RequestId> {
        let value = headers.get(X_REQUEST_ID)?;
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let bytes = value.as_bytes();
        let fits = !bytes.is_empty() && bytes.len() <= MAX_LEN && bytes.iter().all(plain);
        fits.then(|| RequestId(value.clone()))
    }
}

/// Gives out ids: a part that tells runs of the server apart, and a count.
#[derive(Debug)]
pub(crate) struct RequestIds {
    run: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// `run` should differ from one start to the next.
    pub(crate) fn new(run: u64) -> RequestIds {
        RequestIds {
            run,
            next: AtomicU64::new(1),
        }
    }

    pub(crate) fn next(&self) -> RequestId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let mut id = String::with_capacity(32);
        // Writing to a string does not fail.
        let written = write!(id, "{:016x}-{count:x}", self.run);
        debug_assert!(written.is_ok());
        RequestId(HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        let ids = RequestIds::new(0xfeed);
        assert_eq!(ids.next().as_str(), "000000000000feed-1");
        assert_eq!(ids.next().as_str(), "000000000000feed-2");
    }

    #[test]
    fn only_a_plain_id_is_taken_over() {
        let check = |value: &'static str, taken: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_static(value));
            let brought = RequestId::brought(&headers);
            assert_eq!(
                brought.as_ref().map(RequestId::as_str),
                taken.then_some(value),
                "{value}"
            );
        };
        check("4f1c-22_a.b", true);
        check("", false);
        check("a b", false);
        check("a\tlevel=error", false);
        check(
            "0123456789012345678901234567890123456789012345678901234567890123",
            true,
        );
        check(
            "01234567890123456789012345678901234567890123456789012345678901234",
            false,
        );
    }

    #[tokio::test]
    async fn the_id_is_known_inside_and_not_outside() {
        let id = RequestIds::new(1).next();
        assert_eq!(RequestId::current(), None);
        let inside = id.clone().scope(async { RequestId::current() }).await;
        assert_eq!(inside, Some(id));
        assert_eq!(RequestId::current(), None);
    }
}

//! HTTP towards an index or a mirror that nobody has to trust.
//!
//! Whatever the other side does, a request ends: too many bytes, silence, and a redirect to
//! another host are errors of their own. A slow line is none: slowness is an error only where
//! another source is left to be asked. Sizes count decoded bytes, so that a small compressed
//! answer cannot become a large one.

mod asking;
mod clients;
mod in_vain;
mod patience;
mod posting;
mod probe;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, HeaderValue, LOCATION, RANGE,
};
use reqwest::{RequestBuilder, StatusCode};
use url::{Host, Url};
use wheelmark_tuf::Shown;

use crate::credentials::{Credentials, SignIn};
use crate::range::ByteRange;

pub use asking::{Arriving, Asked};
use clients::{Clients, Coding};
use in_vain::InVain;
pub use patience::{
    CONNECT_TIMEOUT, GRACE, Patience, SILENCE, SILENCE_WINDOW, SLOWEST_RATE, START_ALLOWANCE,
};
pub(crate) use patience::{Haste, Watch};
pub use posting::Answered;

/// Redirects followed within one host.
const MAX_REDIRECTS: usize = 5;
/// The most room that is made for a piece before it has come; what is promised may never come.
const ROOM: usize = 1 << 20;

/// Of a page of memory; a disk's blocks are no larger.
pub const PAGE_LEN: usize = 4096;

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// Why bytes could not be fetched. Nothing here is a verdict on the bytes.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No HTTP client could be made (the system's certificates, for example).
    #[error("no HTTP client could be made")]
    Client(#[source] reqwest::Error),
    /// No connection.
    #[error("could not connect to {url}")]
    Connect {
        /// What was asked for.
        url: Url,
        /// What the HTTP client says.
        #[source]
        source: reqwest::Error,
    },
    /// Fewer than [`SILENCE`] bytes within [`SILENCE_WINDOW`], or no connection within
    /// [`CONNECT_TIMEOUT`].
    #[error("{url} was silent for {} s", .waited.as_secs_f64())]
    Silent {
        /// What was asked for.
        url: Url,
        /// For how long nothing, or next to nothing, came.
        waited: Duration,
    },
    /// The connection broke or the answer was not HTTP.
    #[error("the answer of {url} broke off")]
    Broken {
        /// What was asked for.
        url: Url,
        /// What the HTTP client says.
        #[source]
        source: reqwest::Error,
    },
    /// Slower than [`SLOWEST_RATE`], while another source is left to be asked.
    #[error("{url} is slower than {slowest} bytes a second: {received} bytes in {} s", .within.as_secs_f64())]
    TooSlow {
        /// What was asked for.
        url: Url,
        /// The rate below which another source is asked.
        slowest: u64,
        /// What came.
        received: u64,
        /// Within this time.
        within: Duration,
    },
    /// More bytes than the limit.
    #[error("{url} is longer than the {limit} bytes allowed for it")]
    TooLarge {
        /// What was asked for.
        url: Url,
        /// The limit, in decoded bytes.
        limit: u64,
    },
    /// A status that is neither success nor "not here".
    #[error("{url} answered {status}")]
    Status {
        /// What was asked for.
        url: Url,
        /// The answer's status.
        status: StatusCode,
    },
    /// The index is not open to everybody.
    #[error("{url} {}", refused_sign_in(*.sign_in))]
    Unauthorised {
        /// What was asked for.
        url: Url,
        /// Whether a credential was sent.
        sign_in: SignIn,
    },
    /// A redirect that leaves the host, or too many.
    #[error("{url} redirects to {}, which is not followed", Shown(.location))]
    Redirected {
        /// What was asked for.
        url: Url,
        /// Where the answer points.
        location: String,
    },
    /// An answer that does not begin where it was asked to.
    #[error("{url} answered another range than the one asked for")]
    OtherRange {
        /// What was asked for.
        url: Url,
    },
}

fn refused_sign_in(sign_in: SignIn) -> &'static str {
    match sign_in {
        SignIn::Sent => "does not take the token that is kept for it",
        SignIn::Withheld => {
            "asks for a token, and the one that netrc has for it is not sent over plain http"
        }
        SignIn::Unknown => "asks for a token, and none is kept for it",
    }
}

impl FetchError {
    /// Whether the other side is there and does not answer as an index does.
    pub(crate) fn is_odd(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. } | Self::Redirected { .. } | Self::OtherRange { .. }
        )
    }

    /// Whether it was given up only because another source was left: with more time it might
    /// have come.
    pub(crate) fn is_impatience(&self) -> bool {
        matches!(
            self,
            Self::TooSlow { .. } | Self::Silent { .. } | Self::OtherRange { .. }
        )
    }

    /// A few words with the host instead of the URL, for a status line.
    pub(crate) fn brief(&self) -> String {
        let host = |url: &Url| url.host_str().unwrap_or("the index").to_owned();
        match self {
            Self::Client(_) => self.to_string(),
            Self::Connect { url, .. } => format!("could not connect to {}", host(url)),
            Self::Silent { url, .. } => format!("{} was silent", host(url)),
            Self::Broken { url, .. } => format!("the answer of {} broke off", host(url)),
            Self::TooSlow { url, .. } => format!("{} is too slow", host(url)),
            Self::TooLarge { limit, .. } => format!("longer than the {limit} bytes allowed"),
            Self::Status { url, status } => format!("{} answered {status}", host(url)),
            Self::Unauthorised { url, sign_in } => match sign_in {
                SignIn::Sent => format!("{} does not take the token", host(url)),
                SignIn::Withheld | SignIn::Unknown => format!("{} asks for a token", host(url)),
            },
            Self::Redirected { url, .. } => format!("{} redirects elsewhere", host(url)),
            Self::OtherRange { url } => format!("{} answered another range", host(url)),
        }
    }
}

/// The HTTP clients of one run; connections are shared by all that clone it.
#[derive(Clone, Debug)]
pub struct Remote {
    clients: Clients,
    patience: Patience,
    in_vain: InVain,
    credentials: Arc<Credentials>,
}

impl Remote {
    /// Makes a remote; its clients are made when they are needed. `user_agent` is sent with
    /// every request. The usual proxy variables of the environment apply, but never to loopback
    /// addresses.
    ///
    /// # Errors
    ///
    /// [`FetchError::Client`] when `user_agent` cannot be sent. A TLS set-up that fails is
    /// found out by the first request that needs it.
    pub fn new(user_agent: &str) -> Result<Self, FetchError> {
        Self::with_patience(user_agent, Patience::default())
    }

    /// The same with other times than the usual ones.
    ///
    /// # Errors
    ///
    /// As [`Remote::new`].
    pub fn with_patience(user_agent: &str, patience: Patience) -> Result<Self, FetchError> {
        Ok(Self {
            clients: Clients::new(user_agent, patience.connect)?,
            patience,
            in_vain: InVain::default(),
            credentials: Arc::default(),
        })
    }

    /// The same, with what private indexes are to be told.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self {
            credentials: Arc::new(credentials),
            ..self
        }
    }

    /// A request with the credential for its URL, if there is one; and whether there is.
    fn signed_in(&self, url: &Url, request: RequestBuilder) -> (RequestBuilder, SignIn) {
        let (header, sign_in) = self.credentials.header_for(url);
        match header {
            Some(header) => (request.header(AUTHORIZATION, header), sign_in),
            None => (request, sign_in),
        }
    }

    /// How long is waited for what.
    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Fetches a whole object of at most `limit` decoded bytes from the only place that has
    /// it, however slow that is; `None` when it is not there (404, 403 and 410: object stores
    /// answer 403 for what does not exist).
    ///
    /// # Errors
    ///
    /// Every other end is a [`FetchError`].
    pub async fn get(&self, url: &Url, limit: u64) -> Result<Option<Bytes>, FetchError> {
        self.fetch(url, limit, Haste::NoOtherSource).await
    }

    /// The same, where there may be another source.
    pub(crate) async fn fetch(
        &self,
        url: &Url,
        limit: u64,
        haste: Haste,
    ) -> Result<Option<Bytes>, FetchError> {
        let Some(mut download) = self.open_decoded(url, haste).await? else {
            return Ok(None);
        };
        // One byte more than allowed is enough to know that it is too much.
        let wanted = usize::try_from(limit.saturating_add(1)).unwrap_or(usize::MAX);
        let body = download.take(wanted).await?;
        if body.len() as u64 > limit {
            return Err(FetchError::TooLarge {
                url: url.clone(),
                limit,
            });
        }
        Ok(Some(body))
    }

    /// Begins a download without content coding; `None` when the object is not there. With a
    /// range, the download is positioned at its start even where the other side ignores it.
    pub(crate) async fn open(
        &self,
        url: &Url,
        range: Option<ByteRange>,
        haste: Haste,
    ) -> Result<Option<Download>, FetchError> {
        let client = self.clients.of(url, Coding::AsItIs)?;
        let mut request = client.get(url.clone()).header(ACCEPT_ENCODING, IDENTITY);
        if let Some(range) = range {
            request = request.header(RANGE, range.request_header());
        }
        let Some(mut download) = self.send(url, request, haste).await? else {
            return Ok(None);
        };
        let response = &download.response;
        let partial = response.status() == StatusCode::PARTIAL_CONTENT;
        let start = range.map_or(0, |range| range.start());
        let other = if partial {
            content_range_start(response) != Some(start)
        } else {
            // Another source may have it without all that comes before.
            start > 0 && haste == Haste::AnotherSource
        };
        if other {
            return Err(FetchError::OtherRange { url: url.clone() });
        }
        if !partial && start > 0 {
            download.skip(start).await?;
        }
        Ok(Some(download))
    }

    /// Begins a download of text; what it yields is decoded. `None` when it is not there.
    pub(crate) async fn open_decoded(
        &self,
        url: &Url,
        haste: Haste,
    ) -> Result<Option<Download>, FetchError> {
        let client = self.clients.of(url, Coding::Decoded)?;
        let mut request = client.get(url.clone());
        if is_loopback(url) {
            // There is no line to spare, and decoding costs more than it saves.
            request = request.header(ACCEPT_ENCODING, IDENTITY);
        }
        self.send(url, request, haste).await
    }

    /// Sends a request and waits for the answer's head.
    async fn send(
        &self,
        url: &Url,
        request: RequestBuilder,
        haste: Haste,
    ) -> Result<Option<Download>, FetchError> {
        self.in_vain.recall(url)?;
        let watch = self.watch(haste);
        let (request, sign_in) = self.signed_in(url, request);
        let sent = match tokio::time::timeout_at(watch.deadline(), request.send()).await {
            Ok(sent) => answer(url, sent, sign_in, &self.patience),
            Err(_) => Err(watch.verdict(url)),
        };
        let response = sent.inspect_err(|error| self.in_vain.note(error, haste))?;
        Ok(response.map(|response| Download {
            url: url.clone(),
            response,
            ahead: Bytes::new(),
            watch,
            watching: true,
            in_vain: self.in_vain.clone(),
        }))
    }

    fn watch(&self, haste: Haste) -> Watch {
        Watch::begin(self.patience, haste)
    }
}

/// An answer whose body is read piece by piece.
#[derive(Debug)]
pub(crate) struct Download {
    url: Url,
    response: reqwest::Response,
    ahead: Bytes,
    watch: Watch,
    /// Whether the watch runs since the question: the first bytes have no time of their own.
    watching: bool,
    in_vain: InVain,
}

impl Download {
    /// The next `len` bytes; fewer only where the body ends.
    pub(crate) async fn take(&mut self, len: usize) -> Result<Bytes, FetchError> {
        if self.ahead.len() >= len {
            return Ok(self.ahead.split_to(len));
        }
        // Only while we wait does the other side's time run.
        if !std::mem::take(&mut self.watching) {
            self.watch = self.watch.again();
        }
        let mut taken = room_for(len.min(ROOM));
        while taken.len() < len {
            if self.ahead.is_empty() {
                let waiting = tokio::time::timeout_at(self.watch.deadline(), self.response.chunk());
                match waiting.await {
                    Err(_) => {
                        let error = self.watch.verdict(&self.url);
                        self.in_vain.note(&error, self.watch.haste());
                        return Err(error);
                    }
                    Ok(Err(e)) => return Err(failed(&self.url, e, self.watch.patience())),
                    Ok(Ok(None)) => break,
                    Ok(Ok(Some(part))) => {
                        self.watch.heard(part.len() as u64);
                        self.ahead = part;
                    }
                }
            }
            let wanted = self.ahead.len().min(len - taken.len());
            taken.extend_from_slice(&self.ahead.split_to(wanted));
        }
        Ok(taken.freeze())
    }

    async fn skip(&mut self, mut len: u64) -> Result<(), FetchError> {
        const PIECE: u64 = 1 << 20;
        while len > 0 {
            let wanted = len.min(PIECE);
            let skipped = self.take(wanted as usize).await?.len() as u64;
            if skipped < wanted {
                return Ok(());
            }
            len -= skipped;
        }
        Ok(())
    }
}

/// Room for so many bytes. Large room begins with a page, so that a disk can take the bytes from
/// there.
fn room_for(len: usize) -> BytesMut {
    if len < ROOM {
        return BytesMut::with_capacity(len);
    }
    let mut room = BytesMut::with_capacity(len + PAGE_LEN);
    let ahead = room.as_ptr().align_offset(PAGE_LEN).min(PAGE_LEN);
    room.resize(ahead, 0);
    room.split_off(ahead)
}

fn answer(
    url: &Url,
    sent: Result<reqwest::Response, reqwest::Error>,
    sign_in: SignIn,
    patience: &Patience,
) -> Result<Option<reqwest::Response>, FetchError> {
    let response = sent.map_err(|e| failed(url, e, patience))?;
    let status = response.status();
    match status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(Some(response)),
        StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE => Ok(None),
        StatusCode::UNAUTHORIZED => Err(FetchError::Unauthorised {
            url: url.clone(),
            sign_in,
        }),
        _ if status.is_redirection() => {
            let location = response
                .headers()
                .get(LOCATION)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .unwrap_or_default();
            Err(FetchError::Redirected {
                url: url.clone(),
                location,
            })
        }
        _ => Err(FetchError::Status {
            url: url.clone(),
            status,
        }),
    }
}

fn failed(url: &Url, error: reqwest::Error, patience: &Patience) -> FetchError {
    let url = url.clone();
    let source = error.without_url();
    if source.is_timeout() {
        let waited = patience.connect;
        FetchError::Silent { url, waited }
    } else if source.is_connect() {
        FetchError::Connect { url, source }
    } else {
        FetchError::Broken { url, source }
    }
}

fn content_range_start(response: &reqwest::Response) -> Option<u64> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (start, _) = value.strip_prefix("bytes ")?.split_once('-')?;
    start.trim().parse().ok()
}

/// Whether a redirect stays with the host that was asked, and not on a weaker scheme.
fn same_place(asked: &Url, next: &Url) -> bool {
    asked.host() == next.host()
        && (next.scheme() == asked.scheme()
            && next.port_or_known_default() == asked.port_or_known_default()
            || asked.scheme() == "http" && next.scheme() == "https")
}

/// Whether a URL's host is this machine: `localhost` or a loopback address.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_redirect_stays_with_its_host() {
        let check = |asked: &str, next: &str, expected: bool| {
            let (asked, next) = (asked.parse().unwrap(), next.parse().unwrap());
            assert_eq!(same_place(&asked, &next), expected, "{asked} → {next}");
        };
        check("https://a.example/x", "https://a.example/y", true);
        check("http://a.example/x", "https://a.example/x", true);
        check("https://a.example/x", "http://a.example/x", false);
        check("https://a.example/x", "https://b.example/x", false);
        check("https://a.example/x", "https://a.example:8443/x", false);
        check(
            "https://a.example/",
            "https://a.example.evil.example/",
            false,
        );
    }

    #[test]
    fn where_a_redirect_leads_is_shown_short_and_plain() {
        let error = FetchError::Redirected {
            url: "https://a.example/".parse().unwrap(),
            location: format!("\u{1b}]0;{}", "x".repeat(100_000)),
        };
        let message = error.to_string();
        assert!(!message.contains(char::is_control), "{message:?}");
        assert!(message.len() < 300, "{} bytes", message.len());
    }

    #[test]
    fn loopback_is_recognised() {
        for url in [
            "http://localhost/",
            "http://127.0.0.1:1/",
            "http://127.9.9.9/",
            "http://[::1]/",
        ] {
            assert!(is_loopback(&url.parse().unwrap()), "{url}");
        }
        for url in [
            "http://localhost.example/",
            "http://10.0.0.1/",
            "http://[::2]/",
        ] {
            assert!(!is_loopback(&url.parse().unwrap()), "{url}");
        }
    }
}

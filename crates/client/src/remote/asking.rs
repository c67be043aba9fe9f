//! Asking an index that is not ours: its pages, with what the answer says about them, and its
//! files as they come.

use bytes::Bytes;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use reqwest::header::{ETAG, HeaderName, HeaderValue, LAST_MODIFIED};
use url::Url;

use super::{Coding, Download, FetchError, Haste, IDENTITY, Remote};
use crate::range::ByteRange;

/// A document, with what its server says about it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Where it was in the end, behind redirects within the host.
    pub url: Url,
    /// `Content-Type`, as it was sent.
    pub content_type: Option<String>,
    /// The document, decoded.
    pub body: Bytes,
}

/// A file that is on its way, as it is stored there.
#[derive(Debug)]
pub struct Arriving {
    download: Download,
    /// `Last-Modified`, as it was sent.
    pub last_modified: Option<String>,
    /// `Content-Length` and `ETag`, as they were sent: with the time, what tells that a file has
    /// not changed where nothing better does.
    pub known_by: Option<String>,
}

impl Remote {
    /// Asks for a document of at most `limit` decoded bytes, in the forms that `accept` names;
    /// `None` when it is not there (404, 403 and 410).
    ///
    /// # Errors
    ///
    /// As [`Remote::get`].
    pub async fn ask(
        &self,
        url: &Url,
        accept: &'static str,
        limit: u64,
    ) -> Result<Option<Asked>, FetchError> {
        let client = self.clients.of(url, Coding::Decoded)?;
        let request = client
            .get(url.clone())
            .header(ACCEPT, HeaderValue::from_static(accept));
        let sent = self.send(url, request, Haste::NoOtherSource).await?;
        let Some(mut download) = sent else {
            return Ok(None);
        };
        let (headers, found) = (download.response.headers(), download.response.url());
        let (content_type, found) = (text(headers, CONTENT_TYPE), found.clone());
        let wanted = usize::try_from(limit.saturating_add(1)).unwrap_or(usize::MAX);
        let body = download.take(wanted).await?;
        if body.len() as u64 > limit {
            return Err(FetchError::TooLarge {
                url: url.clone(),
                limit,
            });
        }
        Ok(Some(Asked {
            url: found,
            content_type,
            body,
        }))
    }

    /// Begins to fetch a file, without any content coding, from its byte `from` on; `None` when it
    /// is not there.
    ///
    /// # Errors
    ///
    /// As [`Remote::get`].
    pub async fn fetch_file(&self, url: &Url, from: u64) -> Result<Option<Arriving>, FetchError> {
        let range = ByteRange::new(from, u64::MAX).filter(|_| from > 0);
        let download = self.open(url, range, Haste::NoOtherSource).await?;
        Ok(download.map(|download| Arriving {
            last_modified: text(download.response.headers(), LAST_MODIFIED),
            known_by: known_by(download.response.headers()),
            download,
        }))
    }

    /// How long a server says that a file is; `None` when it is not there or it says nothing of it.
    ///
    /// # Errors
    ///
    /// As [`Remote::get`].
    pub(crate) async fn length_of(&self, url: &Url) -> Result<Option<u64>, FetchError> {
        let client = self.clients.of(url, Coding::AsItIs)?;
        let request = client.head(url.clone()).header(ACCEPT_ENCODING, IDENTITY);
        let sent = self.send(url, request, Haste::NoOtherSource).await?;
        let length = sent.and_then(|download| text(download.response.headers(), CONTENT_LENGTH));
        Ok(length.and_then(|length| length.parse().ok()))
    }

    /// What a server says about a file without sending it, as [`Arriving::known_by`]; `None` when
    /// it is not there or says nothing that would tell.
    ///
    /// # Errors
    ///
    /// As [`Remote::get`].
    pub async fn look_at_file(&self, url: &Url) -> Result<Option<String>, FetchError> {
        let client = self.clients.of(url, Coding::AsItIs)?;
        let request = client.head(url.clone()).header(ACCEPT_ENCODING, IDENTITY);
        let sent = self.send(url, request, Haste::NoOtherSource).await?;
        Ok(sent.and_then(|download| known_by(download.response.headers())))
    }
}

impl Arriving {
    /// The next bytes, at most `len` of them; none at the end.
    ///
    /// # Errors
    ///
    /// As [`Remote::get`].
    pub async fn next(&mut self, len: usize) -> Result<Bytes, FetchError> {
        self.download.take(len).await
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn known_by(headers: &HeaderMap) -> Option<String> {
    let said = [CONTENT_LENGTH, ETAG, LAST_MODIFIED].map(|name| text(headers, name));
    // A length alone tells nothing.
    if said[1].is_none() && said[2].is_none() {
        return None;
    }
    Some(said.map(Option::unwrap_or_default).join(" "))
}

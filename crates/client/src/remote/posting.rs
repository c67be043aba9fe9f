//! Sending something to an index.

use bytes::Bytes;
use reqwest::RequestBuilder;
use reqwest::header::CONTENT_TYPE;
use reqwest::multipart::Form;
use url::Url;

use super::clients::Coding;
use super::{FetchError, Remote};

/// Longest answer that is read, in bytes: a few names, or a problem that people are to read.
const MAX_ANSWER_LEN: usize = 1024 * 1024;

const JSON: &str = "application/json";

/// What an index said to something that it was sent.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// What it said, decoded.
    pub body: Bytes,
}

impl Remote {
    /// Sends a form, with the credential that is known for the URL. An answer of any status is one.
    ///
    /// # Errors
    ///
    /// [`FetchError`] where there was no whole answer: then nobody knows what became of it.
    pub async fn post(&self, url: &Url, form: Form) -> Result<Answered, FetchError> {
        let client = self.clients.of(url, Coding::Decoded)?;
        let request = client.post(url.clone()).multipart(form);
        self.answered(url, request, MAX_ANSWER_LEN).await
    }

    /// The same with a JSON document.
    ///
    /// # Errors
    ///
    /// As [`Remote::post`].
    pub async fn post_json(&self, url: &Url, document: Vec<u8>) -> Result<Answered, FetchError> {
        let client = self.clients.of(url, Coding::Decoded)?;
        let request = client.post(url.clone()).header(CONTENT_TYPE, JSON);
        self.answered(url, request.body(document), MAX_ANSWER_LEN)
            .await
    }

    /// Asks for something of at most `limit` bytes that only those may see who are known there. An
    /// answer of any status is one.
    ///
    /// # Errors
    ///
    /// As [`Remote::post`].
    pub async fn look_up(&self, url: &Url, limit: usize) -> Result<Answered, FetchError> {
        let client = self.clients.of(url, Coding::Decoded)?;
        self.answered(url, client.get(url.clone()), limit).await
    }

    /// Takes something away.
    ///
    /// # Errors
    ///
    /// As [`Remote::post`].
    pub async fn delete(&self, url: &Url) -> Result<Answered, FetchError> {
        let client = self.clients.of(url, Coding::Decoded)?;
        let request = client.delete(url.clone());
        self.answered(url, request, MAX_ANSWER_LEN).await
    }

    async fn answered(
        &self,
        url: &Url,
        request: RequestBuilder,
        limit: usize,
    ) -> Result<Answered, FetchError> {
        let (request, _) = self.signed_in(url, request);
        let mut response = request.send().await.map_err(|source| {
            let (url, source) = (url.clone(), source.without_url());
            match source.is_connect() {
                true => FetchError::Connect { url, source },
                false => FetchError::Broken { url, source },
            }
        })?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        loop {
            let piece = response
                .chunk()
                .await
                .map_err(|source| FetchError::Broken {
                    url: url.clone(),
                    source: source.without_url(),
                })?;
            let Some(piece) = piece else { break };
            body.extend_from_slice(&piece);
            if body.len() > limit {
                return Err(FetchError::TooLarge {
                    url: url.clone(),
                    limit: limit as u64,
                });
            }
        }
        let body = Bytes::from(body);
        Ok(Answered { status, body })
    }
}

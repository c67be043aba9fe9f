//! Questions about an object that nobody wants to have: is it there, how long is it, what is its
//! digest?

use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH};
use url::Url;
use wheelmark_tuf::{Sha256, Sha256Hasher, Sha512Hasher};

use super::{Coding, FetchError, Haste, IDENTITY, Remote, answer};

/// How much is taken in at once.
const PIECE: usize = 256 * 1024;

impl Remote {
    /// The length that the other side states for an object, without having it sent; `None` when
    /// the object is not there. A side that is there and states none is `Some(None)`.
    ///
    /// # Errors
    ///
    /// [`FetchError`] as for [`Remote::get`].
    pub async fn stated_length(&self, url: &Url) -> Result<Option<Option<u64>>, FetchError> {
        let client = self.clients.of(url, Coding::AsItIs)?;
        let request = client.head(url.clone()).header(ACCEPT_ENCODING, IDENTITY);
        self.in_vain.recall(url)?;
        let watch = self.watch(Haste::NoOtherSource);
        let (request, sign_in) = self.signed_in(url, request);
        let sent = match tokio::time::timeout_at(watch.deadline(), request.send()).await {
            Ok(sent) => answer(url, sent, sign_in, &self.patience)?,
            Err(_) => return Err(watch.verdict(url)),
        };
        Ok(sent.map(|response| {
            // Of a body that was not sent, only the header knows.
            let stated = response.headers().get(CONTENT_LENGTH)?;
            stated.to_str().ok()?.parse().ok()
        }))
    }

    /// The digest and the length of an object of at most `limit` bytes, which is read and not
    /// kept; `None` when it is not there.
    ///
    /// # Errors
    ///
    /// [`FetchError`] as for [`Remote::get`].
    pub async fn digest(&self, url: &Url, limit: u64) -> Result<Option<(Sha256, u64)>, FetchError> {
        self.digest_beside(url, limit, None).await
    }

    /// The same, while `sha512` takes in what is read as well.
    ///
    /// # Errors
    ///
    /// As for [`Remote::digest`].
    pub async fn digest_beside(
        &self,
        url: &Url,
        limit: u64,
        mut sha512: Option<&mut Sha512Hasher>,
    ) -> Result<Option<(Sha256, u64)>, FetchError> {
        let opened = self.open(url, None, Haste::NoOtherSource).await?;
        let Some(mut download) = opened else {
            return Ok(None);
        };
        let mut hasher = Sha256Hasher::new();
        let mut length = 0_u64;
        loop {
            let piece = download.take(PIECE).await?;
            length += piece.len() as u64;
            if length > limit {
                let url = url.clone();
                return Err(FetchError::TooLarge { url, limit });
            }
            hasher.update(&piece);
            if let Some(sha512) = &mut sha512 {
                sha512.update(&piece);
            }
            if piece.len() < PIECE {
                return Ok(Some((hasher.finish(), length)));
            }
        }
    }
}

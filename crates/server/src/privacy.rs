//! Reading, where it is not open to everybody.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, HeaderValue, VARY};
use tokio::time::Instant;
use wheelmark_store::{Access, Store, StoreError};

use crate::auth::{AuthError, Door};
use crate::client_address::From;
use crate::problem::chain;

/// How long what was found out is good for: so long it takes at most until a change counts.
pub const ACCESS_KEPT: Duration = Duration::from_secs(1);

/// What is answered without a token, whatever the setting: it shows nothing of what is published.
/// Uploads ask for a token of their own accord, and the figures are here only if whoever runs the
/// index shows them to everybody. The rest, also what is added some day, is closed where reading is.
const OPEN: [&str; 6] = [
    "/", "/healthz", "/readyz", "/metrics", "/legacy", "/legacy/",
];

/// Why somebody may not read.
#[derive(Debug)]
pub(crate) struct MayNotRead(pub(crate) AuthError);

/// Knows who may read.
pub(crate) struct Privacy {
    store: Store,
    known: Mutex<Option<(Access, Instant)>>,
}

impl Privacy {
    pub(crate) fn new(store: Store) -> Privacy {
        Privacy {
            store,
            known: Mutex::new(None),
        }
    }

    /// The setting, at most [`ACCESS_KEPT`] old, or older while it is being read again and while
    /// the database does not answer. Where nothing was ever read, nobody reads.
    async fn access(&self) -> Result<Access, StoreError> {
        let known = match self.look() {
            Look::Fresh(access) => return Ok(access),
            Look::Old(access) => Some(access),
            Look::Unknown => None,
        };
        match (self.store.access().await, known) {
            (Ok(access), _) => {
                *self.lock() = Some((access, Instant::now()));
                Ok(access)
            }
            (Err(error), Some(access)) => {
                tracing::error!(error = chain(&error), "who may read is not known anew");
                Ok(access)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// What is known. One of those who find it old reads it again; the others go by it meanwhile.
    fn look(&self) -> Look {
        let mut known = self.lock();
        match known.as_mut() {
            None => Look::Unknown,
            Some((access, since)) if since.elapsed() < ACCESS_KEPT => Look::Fresh(*access),
            Some((access, since)) => {
                *since = Instant::now();
                Look::Old(*access)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Access, Instant)>> {
        // It is replaced whole, so a panic elsewhere leaves it sound.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of the setting.
enum Look {
    Fresh(Access),
    Old(Access),
    Unknown,
}

/// What guards reading.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) privacy: Arc<Privacy>,
    pub(crate) door: Arc<Door>,
}

/// Lets a request through if it may see what it asks for.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match guard.privacy.access().await {
        Ok(Access::Public) => next.run(request).await,
        Ok(Access::Private) => {
            let from = From::of(request.extensions());
            match guard.door.bearer(request.headers(), from).await {
                Ok(_) => keep_private(next.run(request).await),
                Err(error) => keep_private(MayNotRead(error).into_response()),
            }
        }
        Err(error) => MayNotRead(AuthError::Store(error)).into_response(),
    }
}

/// No cache that several people share keeps it: it would hand it to people without a token
/// (RFC 9111 §3.5).
fn keep_private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let said = headers
        .get(CACHE_CONTROL)
        .and_then(|said| said.to_str().ok());
    let rest = said.unwrap_or_default().replace("public", "");
    let rest = rest.trim_matches([' ', ',']);
    let private = if rest.is_empty() {
        "private".to_owned()
    } else {
        format!("private, {rest}")
    };
    if let Ok(private) = HeaderValue::try_from(private) {
        headers.insert(CACHE_CONTROL, private);
    }
    headers.append(VARY, HeaderValue::from_static("Authorization"));
    response
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn no_shared_cache_keeps_what_is_private() {
        let check = |said: Option<&'static str>, expected: &str| {
            let mut response = Response::new(axum::body::Body::empty());
            if let Some(said) = said {
                let said = HeaderValue::from_static(said);
                response.headers_mut().insert(CACHE_CONTROL, said);
            }
            let response = keep_private(response);
            assert_eq!(
                response.headers()[CACHE_CONTROL].to_str().unwrap(),
                expected
            );
            assert_eq!(response.headers()[VARY], "Authorization");
        };
        check(None, "private");
        check(Some("no-cache"), "private, no-cache");
        check(Some("public"), "private");
        check(
            Some("public, max-age=31536000, immutable"),
            "private, max-age=31536000, immutable",
        );
    }
}

//! Reading, where it is not open to everybody.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, HeaderValue};
use tokio::time::Instant;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{Access, Bearer, Store, StoreError, UserName};

use crate::auth::{AuthError, Door};
use crate::client_address::From;
use crate::problem::chain;

/// How long what was found out is good for: so long it takes at most until a change counts.
pub const ACCESS_KEPT: Duration = Duration::from_secs(1);

/// How long what was found out counts while the database fails: an index that is open stays so
/// over a hiccup, and one that was closed meanwhile is closed then.
pub const ACCESS_KEPT_AT_MOST: Duration = Duration::from_secs(10);

/// What is answered without a token, whatever the setting: it shows nothing of what is published.
/// Uploads ask for a token of their own accord, and whoever has an identity token has none of ours
/// yet. The rest, also what is added some day, is closed
/// where reading is; so are the figures, which tell how much happens here.
const OPEN: [&str; 9] = [
    "/",
    "/healthz",
    "/readyz",
    "/legacy",
    "/legacy/",
    "/_/oidc/audience",
    "/_/oidc/mint-token",
    "/_/oidc/burn-token",
    "/.well-known/pytp",
];

/// Why somebody may not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MayNotRead {
    /// Nobody knows who it is.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// It is the token of a job of a CI service.
    #[error(
        "{user} is a publisher: its token is for uploading, and shows the pages of its own projects alone"
    )]
    UploadsOnly {
        /// Whose it is.
        user: UserName,
    },
}

/// Knows who may read.
pub(crate) struct Privacy {
    store: Store,
    /// What was read last, and when.
    known: Arc<Mutex<Option<(Access, Instant)>>>,
    /// Held by the one who reads it again.
    reading: Arc<tokio::sync::Mutex<()>>,
}

impl Privacy {
    pub(crate) fn new(store: Store) -> Privacy {
        Privacy {
            store,
            known: Arc::default(),
            reading: Arc::default(),
        }
    }

    /// The setting, at most [`ACCESS_KEPT`] old, or [`ACCESS_KEPT_AT_MOST`] while the database
    /// fails. Who finds it older waits until it is read again, which one does for all.
    async fn access(&self) -> Result<Access, StoreError> {
        if let Some(access) = self.known_since(ACCESS_KEPT) {
            return Ok(access);
        }
        let reading = Arc::clone(&self.reading).lock_owned().await;
        if let Some(access) = self.known_since(ACCESS_KEPT) {
            return Ok(access);
        }
        let (store, known) = (self.store.clone(), Arc::clone(&self.known));
        // Whoever asks and leaves stops nothing that others wait for.
        let task = tokio::spawn(async move {
            let _reading = reading;
            let access = store.access().await?;
            *lock(&known) = Some((access, Instant::now()));
            Ok(access)
        });
        let read = task.await.unwrap_or(Err(StoreError::Invalid {
            what: "access",
            value: "nothing, for the task that reads it stopped".to_owned(),
        }));
        match (read, self.known_since(ACCESS_KEPT_AT_MOST)) {
            (Err(error), Some(access)) => {
                tracing::error!(error = chain(&error), "who may read is not known anew");
                Ok(access)
            }
            (read, _) => read,
        }
    }

    /// The setting, if it was read so short a time ago.
    fn known_since(&self, at_most: Duration) -> Option<Access> {
        let (access, read_at) = (*lock(&self.known))?;
        (read_at.elapsed() < at_most).then_some(access)
    }
}

fn lock(
    known: &Mutex<Option<(Access, Instant)>>,
) -> std::sync::MutexGuard<'_, Option<(Access, Instant)>> {
    // It is replaced whole, so a panic elsewhere leaves it sound.
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What guards reading.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) privacy: Arc<Privacy>,
    pub(crate) door: Arc<Door>,
}

/// That reading is open to everybody, as was found out at most [`ACCESS_KEPT`] ago. There is no
/// other way to one than [`Guard::open_to_all`].
pub(crate) struct OpenToAll(());

impl Guard {
    /// Whether everybody may read, if that is known without asking the database. None says nothing:
    /// the request has to go through [`guard`].
    pub(crate) fn open_to_all(&self) -> Option<OpenToAll> {
        match self.privacy.known_since(ACCESS_KEPT)? {
            Access::Public => Some(OpenToAll(())),
            Access::Private => None,
        }
    }
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
                Ok(bearer) if !may_see(&bearer, request.uri().path()) => {
                    let user = bearer.user().clone();
                    keep_private(MayNotRead::UploadsOnly { user }.into_response())
                }
                Ok(_) => keep_private(next.run(request).await),
                Err(error) => keep_private(MayNotRead::Auth(error).into_response()),
            }
        }
        Err(error) => MayNotRead::Auth(error.into()).into_response(),
    }
}

/// Whether somebody with a token may see what is there. A job of a CI service runs what strangers wrote,
/// and needs to know of its own projects which files are there already, as `uv publish --check-url`
/// asks; nothing else.
fn may_see(bearer: &Bearer, path: &str) -> bool {
    if !bearer.is_publisher() {
        return true;
    }
    let page = path.strip_prefix("/simple/");
    let page = page.map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let project = page.and_then(|name| name.parse::<ProjectName>().ok());
    project.is_some_and(|project| bearer.scope().projects().contains(&project))
}

/// No cache that several people share keeps it: it would hand it to people without a token
/// (RFC 9111 §5.2.2.7).
///
/// It must not vary by `Authorization` as well: pip keeps, with what it caches, the request's value
/// of each header that the answer varies by, and the token would lie in its cache.
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
    response
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use http::header::VARY;

    use super::*;

    use wheelmark_store::Actor;

    /// A database that says so, who read it a while ago, and where it is.
    async fn asked_a_while_ago(first: Access) -> (tempfile::TempDir, Store, Privacy) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("catalogue.sqlite")).await;
        let store = store.unwrap();
        set(&store, first).await;
        let privacy = Privacy::new(store.clone());
        assert_eq!(privacy.access().await.unwrap(), first);
        tokio::time::sleep(ACCESS_KEPT).await;
        (folder, store, privacy)
    }

    async fn set(store: &Store, access: Access) {
        let by = Actor::Operator {
            account: "root".to_owned(),
        };
        let at = "2026-11-20T10:00:00Z".parse().unwrap();
        store.set_access(access, &by, at).await.unwrap();
    }

    #[tokio::test]
    async fn a_change_counts_for_all_who_ask_at_once() {
        let (_folder, store, privacy) = asked_a_while_ago(Access::Public).await;
        set(&store, Access::Private).await;
        let all = (0..50).map(|_| privacy.access());
        for access in futures::future::join_all(all).await {
            assert_eq!(access.unwrap(), Access::Private);
        }
    }

    #[tokio::test]
    async fn whoever_asks_and_leaves_holds_no_door_open() {
        let (_folder, store, privacy) = asked_a_while_ago(Access::Public).await;
        set(&store, Access::Private).await;
        {
            let asking = std::pin::pin!(privacy.access());
            assert!(futures::poll!(asking).is_pending());
        }
        assert_eq!(privacy.access().await.unwrap(), Access::Private);
    }

    #[tokio::test]
    async fn what_was_known_counts_for_a_short_while_without_the_database() {
        let (_folder, store, privacy) = asked_a_while_ago(Access::Public).await;
        store.close().await;
        assert_eq!(privacy.access().await.unwrap(), Access::Public);
        let minute_ago = Instant::now().checked_sub(Duration::from_mins(1));
        *lock(&privacy.known) = Some((Access::Public, minute_ago.unwrap()));
        assert!(privacy.access().await.is_err());
    }

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
            assert!(!response.headers().contains_key(VARY));
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

//! The short way to an answer: for what is in memory, where everybody may read it.
//!
//! What installers ask for, over and over, is the same pages and files, and an answer out of memory
//! costs less than to find the way to it. So such a request is answered before any routing, by the
//! functions that the routes end in, and without waiting for anything. Whatever is not as simple as
//! that (another method, a query, a token that has to be looked up, an object that has to be read
//! or compressed, an error) is none of this module's business and goes the whole way.
//!
//! The short way leads past the guard of private reading, and asks it first: it takes the guard's
//! word, an [`OpenToAll`], to get to the objects.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use futures::future::Either;
use http::{HeaderMap, Method, Request};
use tower_service::Service;

use crate::app::Reading;
use crate::observe::{Observing, observe_at_once};
use crate::privacy::{Guard, OpenToAll};
use crate::router::set_no_sniffing;
use crate::{simple, tree};

/// An index over HTTP.
#[derive(Clone)]
pub struct Index {
    at_once: Arc<AtOnce>,
    router: Router,
}

struct AtOnce {
    guard: Guard,
    observing: Observing,
    reading: Reading,
}

impl Index {
    /// `router` answers what has no short way.
    pub(crate) fn new(
        guard: Guard,
        observing: Observing,
        reading: Reading,
        router: Router,
    ) -> Index {
        let at_once = AtOnce {
            guard,
            observing,
            reading,
        };
        Index {
            at_once: Arc::new(at_once),
            router,
        }
    }
}

impl AtOnce {
    /// The answer, if there is one on the short way.
    fn answer<B>(&self, request: &Request<B>) -> Option<Response> {
        if request.method() != Method::GET || request.uri().query().is_some() {
            return None;
        }
        let open = self.guard.open_to_all()?;
        observe_at_once(&self.observing, request, || {
            let mut response = self.find(open, request.uri().path(), request.headers())?;
            set_no_sniffing(&mut response);
            Some(response)
        })
    }

    fn find(&self, _: OpenToAll, path: &str, headers: &HeaderMap) -> Option<Response> {
        let (family, rest) = path.strip_prefix('/')?.split_once('/')?;
        match family {
            "simple" => simple::project_before(&self.reading, rest.strip_suffix('/')?, headers),
            "packages" | "targets" | "metadata" | "keys" => {
                tree::object_before(&self.reading, path, headers)
            }
            _ => None,
        }
    }
}

impl<B> Service<Request<B>> for Index
where
    Router: Service<
            Request<B>,
            Response = Response,
            Error = Infallible,
            Future = RouteFuture<Infallible>,
        >,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, RouteFuture<Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // So it is with every router.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.at_once.answer(&request) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(self.router.call(request)),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use std::time::Duration;

    use axum::body::{Body, to_bytes};
    use bytes::Bytes;
    use http::StatusCode;
    use http::header::{HeaderName, HeaderValue};
    use wheelmark_objects::{Directory, ObjectPath};
    use wheelmark_store::{Access, Actor, Store};
    use wheelmark_tuf::{Clock, RoleName, Sha256};

    use super::*;
    use crate::app::App;
    use crate::privacy::ACCESS_KEPT;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> jiff::Timestamp {
            "2026-11-20T10:00:00Z".parse().unwrap()
        }
    }

    const WHEEL: &str = "flask-1.0-py3-none-any.whl";
    const PAGE: &[u8] =
        br#"{"meta":{"api-version":"1.4"},"name":"flask","versions":[],"files":[]}"#;

    /// An index with one page, one file and what belongs to them.
    async fn index() -> (tempfile::TempDir, App, Index) {
        let folder = tempfile::tempdir().unwrap();
        let tree = Directory::open(&folder.path().join("tree")).await.unwrap();
        let store = Store::open(&folder.path().join("catalogue.sqlite")).await;
        let flask = "flask".parse().unwrap();
        let digest = Sha256::of(b"x");
        let long = Bytes::from(vec![b' '; 1000]);
        for (path, bytes) in [
            (ObjectPath::timestamp(), long.clone()),
            (ObjectPath::metadata(&RoleName::snapshot(), 1), long.clone()),
            (ObjectPath::simple_json(&flask), Bytes::from_static(PAGE)),
            (ObjectPath::page(&flask, &digest), long.clone()),
            (ObjectPath::plain_file(&flask, WHEEL).unwrap(), long.clone()),
            (
                ObjectPath::plain_file_metadata(&flask, WHEEL).unwrap(),
                long.clone(),
            ),
            (ObjectPath::plain_certificates(&flask), long),
        ] {
            tree.create(&path, bytes).await.unwrap();
        }
        let app = App::new(Arc::new(tree), store.unwrap(), Arc::new(Still));
        let index = crate::index(app.clone());
        (folder, app, index)
    }

    fn paths() -> Vec<String> {
        let page = format!("/targets/simple/flask/{}.index.json", Sha256::of(b"x"));
        let paths = [
            "/simple/flask/",
            "/packages/flask/flask-1.0-py3-none-any.whl",
            "/packages/flask/flask-1.0-py3-none-any.whl.metadata",
            "/metadata/timestamp.json",
            "/metadata/1.snapshot.json",
            "/keys/flask.asc",
            &page,
        ];
        paths.map(str::to_owned).into()
    }

    fn request(method: Method, path: &str, headers: &[(HeaderName, &str)]) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        for (name, value) in headers {
            let value = HeaderValue::try_from(*value).unwrap();
            request.headers_mut().insert(name, value);
        }
        request
    }

    fn get(path: &str) -> Request<Body> {
        request(Method::GET, path, &[])
    }

    async fn told(response: Response) -> (u16, HeaderMap, Bytes) {
        let (head, body) = response.into_parts();
        let mut headers = head.headers;
        // Each request has its own.
        assert!(headers.remove("x-request-id").is_some());
        if head.status == StatusCode::NOT_MODIFIED {
            // axum states the length of nothing, which is not that of the object (RFC 9110 §8.6).
            headers.remove("content-length");
        }
        (
            head.status.as_u16(),
            headers,
            to_bytes(body, 10_000).await.unwrap(),
        )
    }

    #[tokio::test]
    async fn both_ways_lead_to_the_same_answer() {
        use http::header::{ACCEPT, ACCEPT_ENCODING, IF_NONE_MATCH, IF_RANGE, RANGE};
        let (_folder, _app, index) = index().await;
        let asked: [&[(HeaderName, &str)]; 8] = [
            &[],
            &[(ACCEPT, "application/vnd.pypi.simple.v1+json")],
            &[(ACCEPT, "text/html")],
            &[(ACCEPT_ENCODING, "gzip")],
            &[(ACCEPT_ENCODING, "zstd, gzip;q=0.5")],
            &[(IF_NONE_MATCH, "*")],
            &[(RANGE, "bytes=10-19")],
            &[(RANGE, "bytes=10-19"), (IF_RANGE, "\"another\"")],
        ];
        for path in paths() {
            for headers in asked {
                let ask = || request(Method::GET, &path, headers);
                let long = index.router.clone().call(ask()).await.unwrap();
                let short = index.at_once.answer(&ask());
                let short = short.unwrap_or_else(|| panic!("{path} {headers:?}"));
                assert_eq!(told(short).await, told(long).await, "{path} {headers:?}");
            }
        }
    }

    #[tokio::test]
    async fn only_what_is_in_memory_and_on_the_disk_is_answered() {
        let (_folder, app, mut index) = index().await;
        index.call(get("/simple/absent/")).await.unwrap();
        for path in paths() {
            let answer = |index: &Index| index.at_once.answer(&get(&path));
            assert!(answer(&index).is_none(), "{path}: nobody has read it");
            index.call(get(&path)).await.unwrap();
            assert!(answer(&index).is_some(), "{path}");
            let compressed = [(http::header::ACCEPT_ENCODING, "zstd")];
            let compressed = request(Method::GET, &path, &compressed);
            let made = index.at_once.answer(&compressed).is_some();
            assert_eq!(
                made,
                path.ends_with(".whl"),
                "{path}: nobody has compressed it"
            );
            for method in [Method::HEAD, Method::POST, Method::DELETE] {
                let other = request(method.clone(), &path, &[]);
                assert!(index.at_once.answer(&other).is_none(), "{method} {path}");
            }
            let query = get(&format!("{path}?format=x"));
            assert!(index.at_once.answer(&query).is_none(), "{path}");
            let object = match path.as_str() {
                "/simple/flask/" => "simple/flask/index.json",
                path => path.trim_start_matches('/'),
            };
            let object = ObjectPath::parse(object).unwrap();
            std::fs::remove_file(app.tree.local_path(&object)).unwrap();
            assert!(answer(&index).is_none(), "{path}: it is gone");
        }
        for path in [
            "/",
            "/simple/",
            "/simple/flask",
            "/simple/Flask/",
            "/healthz",
        ] {
            index.call(get(path)).await.unwrap();
            assert!(index.at_once.answer(&get(path)).is_none(), "{path}");
        }
    }

    #[tokio::test]
    async fn the_guard_of_private_reading_is_asked_first() {
        let (_folder, app, mut index) = index().await;
        let read = async |index: &mut Index| {
            let mut statuses = Vec::new();
            for path in paths() {
                statuses.push(index.call(get(&path)).await.unwrap().status().as_u16());
            }
            statuses
        };
        let count = |index: &Index| {
            let paths = paths();
            let answers = paths
                .iter()
                .filter_map(|path| index.at_once.answer(&get(path)));
            answers.count()
        };
        assert_eq!(count(&index), 0, "nobody knows yet who may read");
        assert_eq!(read(&mut index).await, [200; 7]);
        assert_eq!(count(&index), 7);
        let by = Actor::Operator {
            account: "root".to_owned(),
        };
        let at = Still.now();
        app.store
            .set_access(Access::Private, &by, at)
            .await
            .unwrap();
        tokio::time::sleep(ACCESS_KEPT + Duration::from_millis(10)).await;
        assert_eq!(count(&index), 0, "what was known is too old");
        assert_eq!(read(&mut index).await, [401; 7]);
        assert_eq!(count(&index), 0, "it is known that not everybody may");
        assert_eq!(read(&mut index).await, [401; 7]);
    }
}

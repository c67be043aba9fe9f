//! What happens around every request: it gets an id and the address that it is from, it is
//! counted, and a line in the log says how it ended.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode};
use tracing::{Instrument as _, Span};

use crate::address::{ClientAddress, Peer, TrustedProxies};
use crate::metrics::{Metrics, Route};
use crate::request_id::{RequestId, RequestIds, X_REQUEST_ID};

/// What is needed around a request.
#[derive(Clone)]
pub(crate) struct Observing {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ids: Arc<RequestIds>,
    pub(crate) proxies: Arc<TrustedProxies>,
}

impl Observing {
    fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<ClientAddress> {
        peer.map(|peer| self.proxies.client(peer, headers))
    }

    /// The request's id. Only a proxy's is taken over: anybody else could make one up to confuse the
    /// log.
    fn id(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> RequestId {
        let brought = peer
            .filter(|peer| self.proxies.trusts(*peer))
            .and_then(|_| RequestId::brought(headers));
        brought.unwrap_or_else(|| self.ids.next())
    }
}

fn peer<B>(request: &http::Request<B>) -> Option<IpAddr> {
    request.extensions().get::<Peer>().map(|peer| peer.0.ip())
}

/// At the level of errors, so that whatever line is logged has the id.
fn span(id: &RequestId) -> Span {
    tracing::error_span!("request", id = id.as_str())
}

/// Answers a request, observed.
pub(crate) async fn observe(
    State(observing): State<Observing>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let peer = peer(&request);
    let client = observing.client(peer, request.headers());
    if let Some(client) = client {
        request.extensions_mut().insert(client);
    }
    let id = observing.id(peer, request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = Route::of(method == Method::POST, &path);
    let counting = Counting {
        metrics: &observing.metrics,
        route,
        answered: false,
    };
    let span = span(&id);
    let answering = id.clone().scope(next.run(request));
    let mut response = answering.instrument(span.clone()).await;
    let (status, took) = (response.status(), began.elapsed());
    counting.answered(status, took);
    response.headers_mut().insert(X_REQUEST_ID, id.header());
    let _entered = span.enter();
    log(&method, &path, route, status, client, took);
    response
}

/// The same around an answer that is there at once, if there is one. Where there is none, nothing
/// has happened.
pub(crate) fn observe_at_once<B>(
    observing: &Observing,
    request: &http::Request<B>,
    answer: impl FnOnce() -> Option<Response>,
) -> Option<Response> {
    let began = Instant::now();
    let mut response = answer()?;
    let (method, path) = (request.method(), request.uri().path());
    let route = Route::of(method == Method::POST, path);
    let (peer, headers) = (peer(request), request.headers());
    let id = observing.id(peer, headers);
    let (status, took) = (response.status(), began.elapsed());
    observing.metrics.answered(route, status, took);
    response.headers_mut().insert(X_REQUEST_ID, id.header());
    // The span is for this one line, and to make it takes longer than to answer.
    if tracing::enabled!(tracing::Level::INFO) {
        let client = observing.client(peer, headers);
        span(&id).in_scope(|| log(method, path, route, status, client, took));
    }
    Some(response)
}

fn log(
    method: &Method,
    path: &str,
    route: Route,
    status: StatusCode,
    client: Option<ClientAddress>,
    took: Duration,
) {
    let client = client.map(tracing::field::display);
    let status = status.as_u16();
    let milliseconds = took.as_millis();
    if route == Route::Watch {
        tracing::debug!(%method, path, status, client, milliseconds, "answered");
    } else {
        tracing::info!(%method, path, status, client, milliseconds, "answered");
    }
}

/// A request that is counted, even if its client leaves before there is an answer.
struct Counting<'a> {
    metrics: &'a Metrics,
    route: Route,
    answered: bool,
}

impl Counting<'_> {
    fn answered(mut self, status: StatusCode, took: Duration) {
        self.answered = true;
        self.metrics.answered(self.route, status, took);
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.metrics.abandoned(self.route);
        }
    }
}

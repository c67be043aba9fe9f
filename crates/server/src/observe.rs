//! What happens around every request: it gets an id and the address that it is from, it is
//! counted, and a line in the log says how it ended.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{Method, StatusCode};
use tracing::Instrument as _;

use crate::address::{Peer, TrustedProxies};
use crate::metrics::{Metrics, Route};
use crate::request_id::{RequestId, RequestIds, X_REQUEST_ID};

/// What is needed around a request.
#[derive(Clone)]
pub(crate) struct Observing {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ids: Arc<RequestIds>,
    pub(crate) proxies: Arc<TrustedProxies>,
}

/// Answers a request, observed.
pub(crate) async fn observe(
    State(observing): State<Observing>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let Observing {
        metrics,
        ids,
        proxies,
    } = observing;
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let client = peer.map(|peer| proxies.client(peer, request.headers()));
    if let Some(client) = client {
        request.extensions_mut().insert(client);
    }
    // Only a proxy's id is taken over: anybody else could make one up to confuse the log.
    let brought = peer
        .filter(|peer| proxies.trusts(*peer))
        .and_then(|_| RequestId::brought(request.headers()));
    let id = brought.unwrap_or_else(|| ids.next());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = Route::of(method == Method::POST, &path);
    let counting = Counting {
        metrics: &metrics,
        route,
        answered: false,
    };
    // At the level of errors, so that whatever line is logged has the id.
    let span = tracing::error_span!("request", id = id.as_str());
    let answering = id.clone().scope(next.run(request));
    let mut response = answering.instrument(span.clone()).await;
    let (status, took) = (response.status(), began.elapsed());
    counting.answered(status, took);
    response.headers_mut().insert(X_REQUEST_ID, id.header());
    let _entered = span.enter();
    let client = client.map(tracing::field::display);
    let status = status.as_u16();
    let milliseconds = took.as_millis();
    if route == Route::Watch {
        tracing::debug!(%method, path, status, client, milliseconds, "answered");
    } else {
        tracing::info!(%method, path, status, client, milliseconds, "answered");
    }
    response
}

/// A request that is counted, even if its client leaves before there is an answer.
struct Counting<'a> {
    metrics: &'a Metrics,
    route: Route,
    answered: bool,
}

impl Counting<'_> {
    fn answered(mut self, status: StatusCode, took: std::time::Duration) {
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

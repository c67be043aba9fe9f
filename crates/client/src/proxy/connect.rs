//! The real URLs of the trusted indexes, answered from what was verified.
//!
//! Lock files hold URLs, and installers go there whatever index they are pointed at. So the
//! proxy answers for those URLs itself:
//!
//! ```text
//! GET http://index/…      what was verified
//! CONNECT index:443       TLS ends here, by a certificate of this run; inside, the same
//! CONNECT other:443       403; or bytes passed on, unverified and reported, where `tunnel` says so
//! ```

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::uri::{Authority as HostPort, Scheme};
use http::{Method, Request, Response, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::answer::{self, Body, full};
use super::places::Places;
use super::tunnel::{self, Tunnel, Upstream};
use super::{Desk, HEAD_TIMEOUT};
use crate::authority::{Authority, AuthorityError};
use crate::homes::Homes;

/// How long a client may take to agree on TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a proxy needs to answer for the real URLs of its indexes.
pub struct Connect {
    places: Places,
    tunnels: Vec<Tunnel>,
    upstream: Upstream,
    authority: RwLock<Arc<Authority>>,
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("places", &self.places)
            .field("tunnels", &self.tunnels)
            .field("authority", &self.authority())
            .finish_non_exhaustive()
    }
}

impl Connect {
    /// Answers for the real URLs of these indexes, with an authority made now; the hosts in
    /// `tunnels` can be reached besides, unverified.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`] when the certificates cannot be made.
    pub fn new(
        homes: &Homes,
        tunnels: Vec<Tunnel>,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let places = Places::of(homes);
        let authority = Authority::new(&places.secure_hosts(), now)?;
        Ok(Self {
            places,
            tunnels,
            upstream: Upstream::of_environment(),
            authority: RwLock::new(Arc::new(authority)),
        })
    }

    /// The authority that answers now.
    #[must_use]
    pub fn authority(&self) -> Arc<Authority> {
        let authority = self.authority.read();
        authority.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next authority, for the same hosts. A long-running process makes it when
    /// [`Authority::is_due`], writes a bundle that holds both, and lets it answer when the
    /// first is about to end: see [`Connect::renew`].
    ///
    /// # Errors
    ///
    /// [`AuthorityError`].
    pub fn next_authority(&self, now: Timestamp) -> Result<Authority, AuthorityError> {
        Authority::new(&self.places.secure_hosts(), now)
    }

    /// Lets another authority answer from the next connection on.
    pub fn renew(&self, authority: Authority) {
        let mut current = self
            .authority
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(authority);
    }
}

/// What becomes of a connection after its CONNECT was answered.
#[derive(Default)]
pub(super) struct Onward(Mutex<Option<(OnUpgrade, Next)>>);

enum Next {
    /// TLS ends here.
    Intercept(Arc<ServerConfig>, HostPort),
    /// Bytes are passed on.
    Pass(tunnel::Stream),
}

impl Onward {
    fn set(&self, request: &mut Request<Incoming>, next: Next) {
        let upgrade = hyper::upgrade::on(request);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrade, next));
    }

    /// Goes on with the connection, until it ends.
    pub(super) async fn go(&self, desk: Arc<Desk>) {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((upgrade, next)) = next else { return };
        match (upgrade.await, next) {
            (Ok(client), Next::Intercept(server, authority)) => {
                intercept(client, server, authority, desk).await;
            }
            (Ok(client), Next::Pass(server)) => {
                tunnel::relay(TokioIo::new(client), server, tunnel::IDLE).await;
            }
            (Err(error), _) => tracing::debug!(%error, "a connection ended early"),
        }
    }
}

async fn intercept(
    client: Upgraded,
    server: Arc<ServerConfig>,
    authority: HostPort,
    desk: Arc<Desk>,
) {
    let accepting = TlsAcceptor::from(server).accept(TokioIo::new(client));
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::info!(%authority, %error, "TLS could not be agreed on");
            return;
        }
        Err(_) => return,
    };
    let service = service_fn(move |request| {
        let (desk, authority) = (desk.clone(), authority.clone());
        async move { Ok::<_, Infallible>(desk.answer_inside(&authority, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

impl Desk {
    /// Answers CONNECT: with what follows, or with a refusal.
    pub(super) async fn connect(
        &self,
        mut request: Request<Incoming>,
        onward: &Onward,
    ) -> Response<Body> {
        let Some(authority) = request.uri().authority().cloned() else {
            return answer::wrong_host();
        };
        let Some(connect) = &self.connect else {
            return self.refused_host(&authority);
        };
        let host = connect.places.host("https", &authority);
        if let Some(server) = host.and_then(|host| connect.authority().server(&host)) {
            onward.set(&mut request, Next::Intercept(server, authority));
            return Response::new(full(""));
        }
        let listed = |tunnel: &&Tunnel| tunnel.leads_to(&authority);
        let Some(tunnel) = connect.tunnels.iter().find(listed) else {
            return self.refused_host(&authority);
        };
        // Before anything is reached: what was tried counts.
        self.ledger.tunnelled(tunnel.as_str());
        match tunnel::open(&authority, &connect.upstream).await {
            Ok(server) => {
                onward.set(&mut request, Next::Pass(server));
                Response::new(full(""))
            }
            Err(error) => {
                tracing::info!(%authority, %error, "a tunnel could not be opened");
                answer::no_tunnel(authority.as_str(), &error)
            }
        }
    }

    /// Answers a request that came by TLS, for the host that it was made for.
    async fn answer_inside(
        &self,
        authority: &HostPort,
        request: Request<Incoming>,
    ) -> Response<Body> {
        tracing::debug!(%authority, method = %request.method(), uri = %request.uri(), "asked inside");
        if !is_for(authority, &request) {
            return answer::misdirected(authority.as_str());
        }
        self.at("https", authority, &request).await
    }

    /// Answers a request for a real URL of an index.
    pub(super) async fn at(
        &self,
        scheme: &str,
        authority: &HostPort,
        request: &Request<Incoming>,
    ) -> Response<Body> {
        let located = self.connect.as_ref().and_then(|connect| {
            connect
                .places
                .locate(scheme, authority, request.uri().path())
        });
        match located {
            Some((place, route)) => self.routed(request, route, Some(place)).await,
            None => self.refused_host(authority),
        }
    }
}

/// Whether a request inside a connection is for the host that the connection was made to.
fn is_for(authority: &HostPort, request: &Request<Incoming>) -> bool {
    let same = |other: &HostPort| {
        let port = |of: &HostPort| of.port_u16().unwrap_or(443);
        other.host().eq_ignore_ascii_case(authority.host())
            && port(other) == port(authority)
            && !other.as_str().contains('@')
    };
    let secure = request
        .uri()
        .scheme()
        .is_none_or(|scheme| *scheme == Scheme::HTTPS);
    let in_uri = request.uri().authority().is_none_or(same);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| host.parse::<HostPort>().ok());
    *request.method() != Method::CONNECT
        && secure
        && in_uri
        && hosts.next().is_none()
        && host.is_some_and(|host| same(&host))
}

//! What an unmodified installer talks to: an index on loopback whose every byte was verified.
//!
//! ```text
//! GET /<entrance>/simple/<project>/             JSON or HTML, file URLs of our own
//! GET /<entrance>/packages/<project>/<file>     GET, HEAD, Range
//! GET /<entrance>/packages/<project>/<file>.metadata
//! GET /<entrance>/packages/<project>/<file>.asc
//! CONNECT, http://elsewhere/                    403: only the index can be reached
//! ```
//!
//! With [`Connect`] the real URLs of the trusted indexes are answered, too.
//!
//! The entrance is a secret of one run, or in a daemon the identity of its indexes and map.
//! What has no entrance in its path, CONNECT and other hosts' URLs, needs the secret of a run as
//! the proxy's password; a daemon answers there to everybody on this machine.
//!
//! The same address serves as the installer's HTTP proxy, so that an index named in a
//! requirements file is refused and not silently used.

mod answer;
mod connect;
mod entrance;
mod files;
mod pages;
pub(crate) mod places;
mod route;
mod standin;
mod tunnel;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Request, Response, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::homes::Homes;
use crate::ledger::Ledger;

use answer::Body;
use connect::Onward;
use places::Place;
use route::Route;

pub use connect::Connect;
pub use entrance::Entrance;
pub use tunnel::{Tunnel, TunnelError};

/// How long a client may take to send the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait after the system refused to accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// An address that others can reach.
    #[error("{address} can be reached from other machines, and the proxy is for this one only")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The address is taken, or not to be had.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

/// A proxy that has its address and waits to serve.
#[derive(Debug)]
pub struct Proxy {
    listener: TcpListener,
    desk: Arc<Desk>,
}

impl Proxy {
    /// Takes a loopback address; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// [`ProxyError`].
    pub async fn bind(
        address: SocketAddr,
        entrance: Entrance,
        homes: Arc<Homes>,
        ledger: Arc<Ledger>,
    ) -> Result<Self, ProxyError> {
        if !address.ip().is_loopback() {
            return Err(ProxyError::NotLoopback { address });
        }
        let failed = |source| ProxyError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let desk = Arc::new(Desk {
            address,
            entrance,
            homes,
            ledger,
            connect: None,
            asked_once: false,
        });
        Ok(Self { listener, desk })
    }

    /// Answers for the real URLs of the indexes as well.
    #[must_use]
    pub fn with_connect(mut self, connect: Arc<Connect>) -> Self {
        self.desk = Arc::new(Desk {
            connect: Some(connect),
            ..(*self.desk).clone()
        });
        self
    }

    /// Tells installers to keep nothing: for a run of one command that asks for everything
    /// once, and whose caches end with it.
    #[must_use]
    pub fn asked_once(mut self) -> Self {
        self.desk = Arc::new(Desk {
            asked_once: true,
            ..(*self.desk).clone()
        });
        self
    }

    /// The URL that installers take as their index; it holds the entrance.
    #[must_use]
    pub fn index_url(&self) -> String {
        self.desk.index_url()
    }

    /// The URL that installers take as their HTTP proxy; where the entrance is a secret, it
    /// stands there as a password.
    #[must_use]
    pub fn proxy_url(&self) -> String {
        self.desk.entrance.proxy_url(self.desk.address)
    }

    /// Serves until `stop` is ready; connections that are open then are closed.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve_connection(stream, self.desk.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, desk: Arc<Desk>) {
    let onward = Arc::new(Onward::default());
    let service = {
        let (desk, onward) = (desk.clone(), onward.clone());
        service_fn(move |request| {
            let (desk, onward) = (desk.clone(), onward.clone());
            async move { Ok::<_, Infallible>(desk.answer(request, &onward).await) }
        })
    };
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    match served {
        Ok(()) => onward.go(desk).await,
        Err(error) => tracing::debug!(%error, "a connection ended early"),
    }
}

/// What every request is answered from.
#[derive(Clone, Debug)]
struct Desk {
    address: SocketAddr,
    entrance: Entrance,
    homes: Arc<Homes>,
    ledger: Arc<Ledger>,
    connect: Option<Arc<Connect>>,
    asked_once: bool,
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>, onward: &Onward) -> Response<Body> {
        if tracing::enabled!(tracing::Level::DEBUG) {
            let uri = self.entrance.hidden_in(&request.uri().to_string());
            tracing::debug!(method = %request.method(), uri, "asked");
        }
        let elsewhere = self.elsewhere(&request);
        let is_connect = request.method() == Method::CONNECT;
        // What another user of this machine asks for is no part of the run, nor of its report.
        if (is_connect || elsewhere.is_some()) && !self.entrance.admits(request.headers()) {
            return answer::password_wanted();
        }
        if is_connect {
            return self.connect(request, onward).await;
        }
        if let Some(authority) = elsewhere {
            return match request.uri().scheme_str() {
                Some("http") => self.at("http", authority, &request).await,
                _ => self.refused_host(authority),
            };
        }
        if !self.names_us(&request) {
            return answer::wrong_host();
        }
        let route = Route::of(request.uri().path(), &self.entrance);
        self.routed(&request, route, None).await
    }

    /// Answers for a page or a file; at a real URL of an index, `place` says at which one's.
    async fn routed(
        &self,
        request: &Request<Incoming>,
        route: Route,
        place: Option<&Place>,
    ) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return answer::method_not_allowed();
        }
        let asked = Asked {
            head: request.method() == Method::HEAD,
            headers: request.headers(),
            place,
        };
        match route {
            Route::Page(project) => self.page(&project, &asked).await,
            Route::Spelling(project) => {
                let simple = match place {
                    Some(place) => place.simple.path().to_owned(),
                    None => format!("/{}/simple/", self.entrance.segment()),
                };
                answer::spelling(&project, &simple)
            }
            Route::File(project, file) => self.file(&project, &file, &asked).await,
            Route::CoreMetadata(project, file) => self.core_metadata(&project, &file, &asked).await,
            Route::Signature(project, file) => self.signature(&project, &file, &asked).await,
            Route::Nowhere => answer::not_found(),
            Route::Outside => match self.entrance {
                Entrance::Secret(_) => answer::not_found(),
                Entrance::Identity(_) => answer::outside(&self.homes.names(), &self.index_url()),
            },
        }
    }

    /// Refuses a host that is not the index's.
    fn refused_host(&self, host: &Authority) -> Response<Body> {
        let index = self.homes.usual().index().urls().simple();
        self.ledger.refused_host(host.as_str(), index);
        answer::elsewhere(host.as_str(), &self.homes.names(), index)
    }

    fn index_url(&self) -> String {
        format!(
            "http://{}/{}/simple/",
            self.address,
            self.entrance.segment()
        )
    }

    /// Where the request wants to go, if that is not here.
    fn elsewhere<'a>(&self, request: &'a Request<Incoming>) -> Option<&'a Authority> {
        let uri = request.uri();
        let plain = uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTP);
        uri.authority()
            .filter(|authority| !(plain && self.is_own(authority)))
    }

    /// Whether the request was meant for us: a web page that had its own host name point to
    /// this machine was not.
    fn names_us(&self, request: &Request<Incoming>) -> bool {
        if request.uri().authority().is_some() {
            return true;
        }
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        let authority = host.and_then(|host| host.parse::<Authority>().ok());
        hosts.next().is_none() && authority.is_some_and(|authority| self.is_own(&authority))
    }

    fn is_own(&self, authority: &Authority) -> bool {
        const HTTP: u16 = 80;
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let ours = host.eq_ignore_ascii_case("localhost")
            || bare
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip == self.address.ip());
        ours && authority.port_u16().unwrap_or(HTTP) == self.address.port()
            && !authority.as_str().contains('@')
    }
}

/// What a request says besides its path.
struct Asked<'a> {
    head: bool,
    headers: &'a HeaderMap,
    /// The index whose real URL was asked for.
    place: Option<&'a Place>,
}

impl Asked<'_> {
    /// The index that was asked, where one was named.
    fn index(&self) -> Option<usize> {
        self.place.map(|place| place.index)
    }

    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the client holds what this entity tag names (RFC 9110 §13.1.2).
    fn holds(&self, etag: &str) -> bool {
        self.headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == etag || tag == "*")
    }
}

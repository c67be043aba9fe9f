//! Hosts that may be reached although nobody verifies what they say, because the
//! configuration names them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Uri;
use http::uri::Authority;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel as UpstreamTunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower_service::Service as _;

use crate::remote::CONNECT_TIMEOUT;

/// How long a tunnel may carry nothing, in either direction, before it is closed: longer than
/// servers keep a connection open that nobody uses.
pub(super) const IDLE: Duration = Duration::from_secs(600);

/// The port of https.
const HTTPS: u16 = 443;

/// A host that can be reached unverified: `host`, which means port 443, or `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    written: String,
    host: String,
    port: u16,
}

/// A text that names no host to tunnel to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a host, or a host and a port", text.escape_debug())]
pub struct TunnelError {
    text: String,
}

impl std::str::FromStr for Tunnel {
    type Err = TunnelError;

    fn from_str(text: &str) -> Result<Self, TunnelError> {
        let error = || TunnelError {
            text: text.to_owned(),
        };
        let authority: Authority = text.trim().parse().map_err(|_| error())?;
        // A pattern would open more than anybody reads out of it.
        if authority.host().is_empty() || authority.as_str().contains(['@', '*', '%']) {
            return Err(error());
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => HTTPS,
            _ => authority.port_u16().ok_or_else(error)?,
        };
        Ok(Self {
            written: authority.to_string(),
            host: authority.host().to_ascii_lowercase(),
            port,
        })
    }
}

impl Tunnel {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    pub(super) fn leads_to(&self, authority: &Authority) -> bool {
        authority.host().eq_ignore_ascii_case(&self.host)
            && authority.port_u16() == Some(self.port)
            && !authority.as_str().contains('@')
    }
}

/// The proxy that this process itself has to use, from the usual variables, as the client
/// that fetches from the index uses it.
pub(super) struct Upstream(Matcher);

impl Upstream {
    pub(super) fn of_environment() -> Self {
        Self(Matcher::from_env())
    }
}

/// A connection to a tunnel's other end.
pub(super) type Stream = TcpStream;

/// Why a tunnel could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("it could not be connected to")]
    Connect(#[from] std::io::Error),
    #[error("the proxy of this machine did not let it through: {0}")]
    Proxy(String),
    #[error("it did not answer in time")]
    Silent,
}

/// Connects to a tunnel's other end, through this machine's own proxy if it has one.
pub(super) async fn open(authority: &Authority, upstream: &Upstream) -> Result<Stream, OpenError> {
    let opening = async {
        let port = authority.port_u16().unwrap_or(HTTPS);
        let host = authority.host();
        let through = Uri::try_from(format!("https://{authority}/"))
            .ok()
            .and_then(|uri| Some((upstream.0.intercept(&uri)?, uri)));
        let Some((proxy, uri)) = through.filter(|_| !is_loopback(host)) else {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            return Ok(TcpStream::connect((bare, port)).await?);
        };
        let mut tunnel = UpstreamTunnel::new(proxy.uri().clone(), HttpConnector::new());
        if let Some(password) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(password.clone());
        }
        let opened = tunnel.call(uri).await;
        let opened = opened.map_err(|error| OpenError::Proxy(error.to_string()))?;
        Ok(TokioIo::into_inner(opened))
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
        Ok(opened) => opened,
        Err(_) => Err(OpenError::Silent),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Passes bytes both ways until both sides have ended, one broke off, or nothing came from
/// either for `idle` (at most twice that).
pub(super) async fn relay(
    client: impl AsyncRead + AsyncWrite,
    server: impl AsyncRead + AsyncWrite,
    idle: Duration,
) {
    let (client_reads, client_writes) = tokio::io::split(client);
    let (server_reads, server_writes) = tokio::io::split(server);
    let passed = AtomicU64::new(0);
    let both = async {
        tokio::try_join!(
            one_way(client_reads, server_writes, &passed),
            one_way(server_reads, client_writes, &passed),
        )
    };
    tokio::select! {
        ended = both => if let Err(error) = ended {
            tracing::debug!(%error, "a tunnel broke off");
        },
        () = silence(&passed, idle) => tracing::debug!("a tunnel was silent for too long"),
    }
}

/// One direction; its end is passed on as one, while the other direction goes on.
async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    passed: &AtomicU64,
) -> std::io::Result<()> {
    const PIECE: usize = 16 * 1024;
    let mut piece = vec![0; PIECE];
    loop {
        let read = from.read(&mut piece).await?;
        passed.fetch_add(1, Ordering::Relaxed);
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..read]).await?;
        passed.fetch_add(1, Ordering::Relaxed);
    }
}

async fn silence(passed: &AtomicU64, idle: Duration) {
    let mut before = passed.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(idle).await;
        let now = passed.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}

#[cfg(test)]
mod tests;

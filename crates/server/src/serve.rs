//! Connections: accepted, bounded, and brought to an end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::client_address::ClientAddress;
use crate::pace::{Pace, PacedStream};

/// Most connections at a time. An installer opens some hundred; more wait to be accepted.
pub const MAX_CONNECTIONS: usize = 4096;

/// How long requests that are under way may go on after the shutdown began.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

/// How long the head of a request may take to arrive.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait before accepting again when the system has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves HTTP/1.1 until `shutdown` is ready; then accepts nothing more, lets requests under way
/// end, and returns after [`SHUTDOWN_GRACE`] at the latest.
///
/// HTTP/1.1 alone, because uploaders show the reason phrase, which later versions do not have.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) {
    let mut shutdown = pin!(shutdown);
    let (closing, closed) = watch::channel(());
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Those that ended are collected, so that the set does not grow.
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (router, closed) = (router.clone(), closed.clone());
                connections.spawn(async move {
                    let address = ClientAddress(peer.ip());
                    connection(stream, address, router, closed, Pace::default()).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    closing.send_replace(());
    let ending = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, ending).await.is_err() {
        tracing::warn!("requests that did not end were cut off");
    }
}

async fn connection(
    stream: TcpStream,
    address: ClientAddress,
    router: Router,
    mut closed: watch::Receiver<()>,
    pace: Pace,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays with small delays");
    }
    let stream = TokioIo::new(PacedStream::new(stream, pace));
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(address);
        router.call(request)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(stream, service)
    );
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        // It changes once; that the sender has gone would mean the same.
        _ = closed.changed() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use axum::routing::get;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn who_does_not_read_the_answer_does_not_keep_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let router = Router::new().route("/", get(|| async { vec![0_u8; 64 << 20] }));
        let (_closing, closed) = watch::channel(());
        let pace = Pace::new(Duration::from_millis(200), 1024);
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let address = ClientAddress(std::net::Ipv4Addr::LOCALHOST.into());
        let ending = connection(stream, address, router, closed, pace);
        tokio::time::timeout(Duration::from_secs(20), ending)
            .await
            .unwrap();
    }
}

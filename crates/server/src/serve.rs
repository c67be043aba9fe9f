//! Connections: accepted, bounded, and brought to an end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service;

use crate::address::Peer;
use crate::connections::{Connection, Connections, CountedStream};
use crate::metrics::{Cut, Metrics};
use crate::pace::{Pace, PacedStream};
use crate::tls::Tls;

/// Most connections at a time. An installer opens some hundred; when all places are taken, those
/// that ask for nothing give theirs to the next.
pub const MAX_CONNECTIONS: usize = 4096;

/// How long requests that are under way may go on after the shutdown began.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

/// How long the head of a request may take to arrive, and a connection may stay open without one:
/// installers ask for the next file within it.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long agreeing on TLS may take: a few round trips.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait before accepting again when the system has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long one that was asked to leave may take to do so, before the next one is asked.
const SHED_PAUSE: Duration = Duration::from_millis(20);

/// What answers requests.
pub trait Answers:
    Service<
        Request<Incoming>,
        Response = Response,
        Error = Infallible,
        Future: Future<Output = Result<Response, Infallible>> + Send,
    > + Clone
    + Send
    + 'static
{
}

impl<S> Answers for S
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
}

/// How connections are served.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Most connections at a time.
    pub connections: usize,
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
    /// TLS, if the server speaks it itself.
    pub tls: Option<Tls>,
}

impl Default for Serving {
    fn default() -> Self {
        Serving {
            connections: MAX_CONNECTIONS,
            metrics: Arc::default(),
            tls: None,
        }
    }
}

/// Serves HTTP/1.1 until `shutdown` is ready; then accepts nothing more, lets requests under way
/// end, and returns after [`SHUTDOWN_GRACE`] at the latest.
///
/// HTTP/1.1 alone, because uploaders show the reason phrase, which later versions do not have.
pub async fn serve(
    listener: TcpListener,
    answers: impl Answers,
    shutdown: impl Future<Output = ()> + Send,
) {
    serve_as(listener, answers, Serving::default(), shutdown).await;
}

/// As [`serve`], in another manner.
pub async fn serve_as(
    listener: TcpListener,
    answers: impl Answers,
    serving: Serving,
    shutdown: impl Future<Output = ()> + Send,
) {
    let mut shutdown = pin!(shutdown);
    let (closing, closed) = watch::channel(());
    let places = Arc::new(Semaphore::new(serving.connections));
    let open = Arc::new(Connections::new(Arc::clone(&serving.metrics)));
    let mut running = JoinSet::new();
    loop {
        // Those that ended are collected, so that the set does not grow.
        while running.try_join_next().is_some() {}
        let accepted = async {
            let (stream, peer) = listener.accept().await?;
            Ok::<_, std::io::Error>((stream, peer, place(&places, &open).await))
        };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let (answers, closed) = (answers.clone(), closed.clone());
                let (tls, metrics) = (serving.tls.clone(), Arc::clone(&serving.metrics));
                let open = open.open();
                running.spawn(async move {
                    let ended = tcp(stream, peer, tls, answers, closed, &open.connection);
                    if let Err(cut) = ended.await {
                        metrics.cut(cut);
                    }
                    drop((open, place));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Most likely there is no descriptor left: somebody has to give one back.
                open.shed();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    closing.send_replace(());
    let ending = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, ending).await.is_err() {
        tracing::warn!("requests that did not end were cut off");
    }
}

/// A place for one more connection; if there is none, somebody who asks for nothing has to go.
async fn place(places: &Arc<Semaphore>, open: &Connections) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Some(place);
        }
        open.shed();
        let waiting = Arc::clone(places).acquire_owned();
        if let Ok(place) = tokio::time::timeout(SHED_PAUSE, waiting).await {
            return place.ok();
        }
    }
}

async fn tcp(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Tls>,
    answers: impl Answers,
    closed: watch::Receiver<()>,
    connection: &Arc<Connection>,
) -> Result<(), Cut> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays with small delays");
    }
    let stream = CountedStream::new(stream, Arc::clone(connection));
    let stream = PacedStream::new(stream, Pace::default());
    let Some(tls) = tls else {
        return http(stream, peer, answers, closed, connection).await;
    };
    let agreeing = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream));
    let stream = tokio::select! {
        agreed = agreeing => match agreed {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, %peer, "no TLS could be agreed upon");
                return Err(Cut::Handshake);
            }
            Err(_) => return Err(Cut::SlowHandshake),
        },
        () = connection.is_asked_to_leave() => return Err(Cut::Shed),
    };
    http(stream, peer, answers, closed, connection).await
}

async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: SocketAddr,
    answers: impl Answers,
    mut closed: watch::Receiver<()>,
    connection: &Arc<Connection>,
) -> Result<(), Cut> {
    let answer = service_fn(move |mut request: Request<Incoming>| {
        let answering = connection.answering();
        request.extensions_mut().insert(Peer(peer));
        let answered = answers.clone().call(request);
        async move {
            let answered: Result<Response, Infallible> = answered.await;
            drop(answering);
            answered
        }
    });
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), answer)
    );
    let ended = tokio::select! {
        ended = &mut serving => Some(ended),
        () = connection.is_asked_to_leave() => return Err(Cut::Shed),
        // It changes once; that the sender has gone would mean the same.
        _ = closed.changed() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    ended.map_err(|error| {
        tracing::debug!(%error, "a connection broke");
        if error.is_timeout() {
            Cut::SlowHead
        } else {
            Cut::Broken
        }
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use axum::routing::get;
    use axum::{Extension, Router};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    #[tokio::test]
    async fn who_does_not_read_the_answer_does_not_keep_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let router = Router::new().route("/", get(|| async { vec![0_u8; 64 << 20] }));
        let (_closing, closed) = watch::channel(());
        let pace = Pace::new(Duration::from_millis(200), 1024);
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let open = Arc::new(Connections::new(Arc::default())).open();
        let stream = PacedStream::new(stream, pace);
        let ending = http(stream, peer, router, closed, &open.connection);
        let ended = tokio::time::timeout(Duration::from_secs(20), ending).await;
        assert_eq!(ended.unwrap(), Err(Cut::Broken));
    }

    #[tokio::test]
    async fn who_asks_for_nothing_gives_way_to_who_asks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = |Extension(Peer(peer)): Extension<Peer>| async move { peer.ip().to_string() };
        let router = Router::new().route("/", get(peer));
        let serving = Serving {
            connections: 8,
            ..Serving::default()
        };
        let server = tokio::spawn(serve_as(listener, router, serving, std::future::pending()));
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let answer = ask(address).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.ends_with("127.0.0.1"), "{answer}");
        server.abort();
    }

    async fn ask(address: SocketAddr) -> String {
        let asking = async {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(ASK).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = tokio::time::timeout(Duration::from_secs(20), asking).await;
        answer.unwrap()
    }
}

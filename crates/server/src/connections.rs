//! The connections that are open, and which of them goes when there are too many.
//!
//! A place that is held by somebody who asks for nothing is given to the next who comes: so
//! thousands of silent connections keep nobody out. A connection whose request is being answered,
//! or to which bytes flow, is never the first to go.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::metrics::Metrics;

/// How long a connection may ask for nothing before its place can be taken. Those who mean to ask
/// do so within the time of some packets.
const LEAST_IDLE: Duration = Duration::from_secs(1);

/// The connections that are open.
#[derive(Debug)]
pub(crate) struct Connections {
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    began: Instant,
    numbers: AtomicU64,
    metrics: Arc<Metrics>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Connection {
    began: Instant,
    /// When bytes last went out or a request came in, in milliseconds since `began`.
    last: AtomicU64,
    /// How many of its requests are being answered.
    answering: AtomicU64,
    /// Whether it was asked to go.
    leaving: AtomicBool,
    leave: Notify,
    metrics: Arc<Metrics>,
}

/// Keeps a connection among the open ones.
#[derive(Debug)]
pub(crate) struct Open {
    connections: Arc<Connections>,
    number: u64,
    pub(crate) connection: Arc<Connection>,
}

impl Connections {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Connections {
        Connections {
            open: Mutex::default(),
            began: Instant::now(),
            numbers: AtomicU64::new(0),
            metrics,
        }
    }

    /// Takes a connection in.
    pub(crate) fn open(self: &Arc<Self>) -> Open {
        let connection = Arc::new(Connection {
            began: self.began,
            last: AtomicU64::new(milliseconds(self.began)),
            answering: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            leave: Notify::new(),
            metrics: Arc::clone(&self.metrics),
        });
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, Arc::clone(&connection));
        self.metrics.accepted();
        Open {
            connections: Arc::clone(self),
            number,
            connection,
        }
    }

    /// Asks the one that has been of no use for the longest to go; says whether there was one.
    pub(crate) fn shed(&self) -> bool {
        let latest = milliseconds(self.began).saturating_sub(millis(LEAST_IDLE));
        let open = self.lock();
        let idle = open
            .values()
            .filter(|connection| connection.is_idle())
            .map(|connection| (connection.last.load(Ordering::Relaxed), connection))
            .filter(|(last, _)| *last <= latest)
            .min_by_key(|(last, _)| *last);
        match idle {
            Some((_, connection)) => {
                connection.leaving.store(true, Ordering::Relaxed);
                connection.leave.notify_one();
                true
            }
            None => false,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        // A connection is inserted or removed whole, so a panic elsewhere leaves the map sound.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.number);
        self.connections.metrics.closed();
    }
}

impl Connection {
    /// Says that a request is being answered, until the value is dropped.
    pub(crate) fn answering(self: &Arc<Self>) -> Answering {
        self.answering.fetch_add(1, Ordering::Relaxed);
        self.touch();
        Answering(Arc::clone(self))
    }

    /// Ready when its place is needed.
    pub(crate) async fn is_asked_to_leave(&self) {
        self.leave.notified().await;
    }

    fn is_idle(&self) -> bool {
        self.answering.load(Ordering::Relaxed) == 0 && !self.leaving.load(Ordering::Relaxed)
    }

    fn touch(&self) {
        self.last.store(milliseconds(self.began), Ordering::Relaxed);
    }
}

/// A request of a connection that is being answered.
#[derive(Debug)]
pub(crate) struct Answering(Arc<Connection>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.touch();
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

fn milliseconds(since: Instant) -> u64 {
    millis(since.elapsed())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A stream whose bytes are counted, and whose connection is of use while they go out.
#[derive(Debug)]
pub(crate) struct CountedStream<S> {
    stream: S,
    connection: Arc<Connection>,
}

impl<S> CountedStream<S> {
    pub(crate) fn new(stream: S, connection: Arc<Connection>) -> CountedStream<S> {
        CountedStream { stream, connection }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.connection.metrics.sent(*bytes as u64);
            self.connection.touch();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let bytes = buffer.filled().len() - before;
        self.connection.metrics.received(bytes as u64);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_back(open: &Open, by: u64) {
        open.connection.last.fetch_sub(by, Ordering::Relaxed);
    }

    #[test]
    fn the_longest_idle_goes_and_nobody_else() {
        let mut connections = Connections::new(Arc::default());
        let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(3600)) else {
            return;
        };
        connections.began = long_ago;
        let connections = Arc::new(connections);
        let (fresh, idle, older, busy) = (
            connections.open(),
            connections.open(),
            connections.open(),
            connections.open(),
        );
        set_back(&idle, 5_000);
        set_back(&older, 10_000);
        let answering = busy.connection.answering();
        set_back(&busy, 20_000);
        let left = |open: &Open| open.connection.leaving.load(Ordering::Relaxed);
        assert!(connections.shed());
        assert!(left(&older) && !left(&idle));
        assert!(connections.shed());
        assert!(left(&idle));
        assert!(!connections.shed());
        assert!(!left(&fresh) && !left(&busy));
        drop(answering);
        assert!(!connections.shed(), "it was of use just now");
        set_back(&busy, 5_000);
        assert!(connections.shed());
        assert!(left(&busy));
        drop((fresh, idle, older, busy));
        assert!(connections.lock().is_empty());
    }
}

//! The body of an upload, handed to the form parser piece by piece.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};

/// Most bytes that the parser may hold without anything to show for them: the headers of one
/// part, or what stands before the first.
pub const MAX_HEADERS_LEN: usize = 64 * 1024;

/// A handle on the body. The parser has one, and the one who answers another, to read on after
/// the parser has given up.
#[derive(Clone)]
pub(super) struct Source(Arc<Mutex<State>>);

struct State {
    body: BodyDataStream,
    /// Bytes given to the parser.
    arrived: u64,
    /// Bytes given to the parser since it last returned something.
    unparsed: usize,
    /// The parser takes all that is ready before it looks at any of it; so after each piece
    /// nothing is ready, once.
    rest: bool,
    read: bool,
}

/// Why the parser got no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] axum::Error),
    /// Headers without end.
    #[error("the headers of a part have more than {MAX_HEADERS_LEN} bytes")]
    HeadersTooLong,
}

impl Source {
    pub(super) fn new(body: Body) -> Source {
        Source(Arc::new(Mutex::new(State {
            body: body.into_data_stream(),
            arrived: 0,
            unparsed: 0,
            rest: false,
            read: false,
        })))
    }

    /// Says that the parser has returned something.
    pub(super) fn parsed(&self) {
        self.lock().unparsed = 0;
    }

    /// How many bytes the parser was given, all together.
    pub(super) fn arrived(&self) -> u64 {
        self.lock().arrived
    }

    /// Whether anything was asked of the connection.
    pub(super) fn was_read(&self) -> bool {
        self.lock().read
    }

    /// Reads on and throws away, up to `bytes` or until `time` is over.
    pub(super) async fn drain(&self, bytes: u64, time: Duration) {
        let reading = async {
            let mut left = bytes;
            while let Some(Ok(piece)) = std::future::poll_fn(|cx| self.poll_body(cx)).await {
                match left.checked_sub(piece.len() as u64) {
                    Some(rest) => left = rest,
                    None => break,
                }
            }
        };
        // Over time or not, what follows is the same.
        tokio::time::timeout(time, reading).await.ok();
    }

    fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        let mut state = self.lock();
        state.read = true;
        state.body.poll_next_unpin(cx)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic happens between two changes of the state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Source {
    type Item = Result<Bytes, SourceError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        {
            let mut state = self.lock();
            if std::mem::take(&mut state.rest) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if state.unparsed > MAX_HEADERS_LEN {
                return Poll::Ready(Some(Err(SourceError::HeadersTooLong)));
            }
        }
        let piece = match self.poll_body(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => {
                return Poll::Ready(Some(Err(SourceError::Broken(error))));
            }
            Poll::Ready(Some(Ok(piece))) => piece,
        };
        let mut state = self.lock();
        state.arrived += piece.len() as u64;
        state.unparsed += piece.len();
        state.rest = true;
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use futures::stream;

    use super::*;

    fn source(pieces: usize, len: usize) -> Source {
        let pieces = std::iter::repeat_n(
            Ok::<_, std::convert::Infallible>(Bytes::from(vec![0; len])),
            pieces,
        );
        Source::new(Body::from_stream(stream::iter(pieces)))
    }

    #[tokio::test]
    async fn after_each_piece_nothing_is_ready_once() {
        let mut source = source(3, 10);
        let mut seen = Vec::new();
        std::future::poll_fn(|cx| {
            loop {
                match source.poll_next_unpin(cx) {
                    Poll::Ready(Some(piece)) => seen.push(Some(piece.unwrap().len())),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => seen.push(None),
                }
            }
        })
        .await;
        assert_eq!(seen, [Some(10), None, Some(10), None, Some(10), None]);
    }

    #[tokio::test]
    async fn a_parser_without_results_gets_no_more() {
        let mut silent = source(100, MAX_HEADERS_LEN / 2);
        let mut given = 0;
        let error = loop {
            match silent.next().await.unwrap() {
                Ok(piece) => given += piece.len(),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, SourceError::HeadersTooLong), "{error:?}");
        assert!(given <= 2 * MAX_HEADERS_LEN, "{given}");

        let mut busy = source(100, MAX_HEADERS_LEN / 2);
        let mut pieces = 0;
        while let Some(piece) = busy.next().await {
            piece.unwrap();
            busy.parsed();
            pieces += 1;
        }
        assert_eq!(pieces, 100);
    }

    #[tokio::test]
    async fn what_is_left_can_be_read_on() {
        let mut parser = source(10, 10);
        let handle = parser.clone();
        assert!(!handle.was_read());
        parser.next().await.unwrap().unwrap();
        assert!(handle.was_read());
        drop(parser);
        handle.drain(1000, Duration::from_secs(5)).await;
        assert!(handle.clone().next().await.is_none());
    }
}

//! A connection whose other end has to take what is sent to it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::Pace;

/// Writes to it fail once the other end is too slow in taking them. Reads pass as they are: who
/// reads knows whether anything is to come.
#[derive(Debug)]
pub(crate) struct PacedStream<S> {
    stream: S,
    pace: Pace,
    waiting: Option<Waiting>,
}

/// A write that the other end has not made room for yet.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

impl<S> PacedStream<S> {
    pub(crate) fn new(stream: S, pace: Pace) -> PacedStream<S> {
        PacedStream {
            stream,
            pace,
            waiting: None,
        }
    }

    fn paced(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            let waited = self.waiting.take().map(|waiting| waiting.since.elapsed());
            let bytes = *written.as_ref().unwrap_or(&0) as u64;
            self.pace.moved(bytes, waited.unwrap_or_default());
            return Poll::Ready(written);
        }
        let credit = self.pace.credit();
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            since: Instant::now(),
            end: Box::pin(tokio::time::sleep(credit)),
        });
        ready!(waiting.end.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the other end does not take what is sent to it",
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.paced(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.paced(cx, written)
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
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// Writes all, or fails in the end.
    async fn write(stream: &mut PacedStream<DuplexStream>, bytes: &[u8]) -> io::Result<()> {
        let writing = stream.write_all(bytes);
        let written = tokio::time::timeout(Duration::from_secs(20), writing).await;
        written.unwrap()
    }

    #[tokio::test]
    async fn a_reader_that_stops_is_given_up() {
        let (ours, mut theirs) = duplex(16);
        let pace = Pace::new(Duration::from_millis(200), 1000);
        let mut ours = PacedStream::new(ours, pace);
        let error = write(&mut ours, &[0; 17]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        theirs.read_exact(&mut [0; 16]).await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_that_trickles_is_given_up() {
        let (ours, mut theirs) = duplex(16);
        let pace = Pace::new(Duration::from_millis(200), 1000);
        let mut ours = PacedStream::new(ours, pace);
        let reading = tokio::spawn(async move {
            while theirs.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let error = write(&mut ours, &[0; 10_000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(ours);
        reading.await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_that_keeps_up_gets_everything() {
        let (ours, mut theirs) = duplex(1000);
        let pace = Pace::new(Duration::from_secs(1), 1000);
        let mut ours = PacedStream::new(ours, pace);
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            let mut piece = [0; 1000];
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                match theirs.read(&mut piece).await.unwrap() {
                    0 => return all,
                    len => all.extend_from_slice(&piece[..len]),
                }
            }
        });
        ours.write_all(&[7; 20_000]).await.unwrap();
        drop(ours);
        assert_eq!(reading.await.unwrap(), [7; 20_000]);
    }
}

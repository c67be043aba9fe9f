//! A web server for a directory, as a mirror would run it, with the faults that a test wants.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// What the server does wrong. A word that ends with `$` is one that the path ends with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Answers every range with the whole object.
    IgnoresRanges,
    /// Answers paths that contain the word with this status.
    Answers(&'static str, StatusCode),
    /// Sends paths that contain the word elsewhere.
    Redirects(&'static str, String),
    /// Answers paths that contain the word with far too much.
    Floods(&'static str),
    /// Changes one byte of what it has under paths that contain the word.
    Alters(&'static str, At),
    /// Answers paths that contain the word with another file.
    Says(&'static str, Bytes),
    /// Sends so many bytes of paths that contain the word, and breaks the connection.
    Breaks(&'static str, usize),
    /// The same, and the first byte is another one.
    AltersAndBreaks(&'static str, usize),
    /// Answers paths that contain the word after this time, and sends nothing then.
    WaitsInVain(&'static str, Duration),
    /// Sends so many bytes of paths that contain the word, and then nothing more.
    Silent(&'static str, usize),
    /// Sends paths that contain the word at so many bytes a second.
    Slow(&'static str, usize),
}

/// Which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The one in the middle.
    Middle,
    /// The one with this number, from 0.
    Byte(usize),
}

/// A server on a free port of this machine, until it is dropped.
#[derive(Debug)]
pub struct Web {
    /// Its address, without a slash at the end.
    pub base: String,
    state: Arc<State>,
    task: AbortHandle,
}

#[derive(Debug)]
struct State {
    directory: PathBuf,
    asked: Mutex<Vec<String>>,
    faults: Mutex<Vec<Fault>>,
}

impl Web {
    /// Serves the files of a directory under their paths.
    pub async fn serve(directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            directory: directory.to_owned(),
            asked: Mutex::default(),
            faults: Mutex::default(),
        });
        let task = tokio::spawn(accept(listener, state.clone())).abort_handle();
        Self { base, state, task }
    }

    /// The address of the simple API.
    pub fn simple(&self) -> String {
        format!("{}/simple/", self.base)
    }

    /// From now on this is what it does wrong, alone.
    pub fn set_fault(&self, fault: Fault) {
        self.set_faults([fault]);
    }

    /// Of several, the first that concerns a path counts.
    pub fn set_faults(&self, faults: impl Into<Vec<Fault>>) {
        *self.state.faults.lock().unwrap() = faults.into();
    }

    /// The paths asked for since the last call.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.asked.lock().unwrap())
    }

    /// Ends it, and with it every connection.
    pub fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = state.clone();
        connections.spawn(async move {
            let service = service_fn(|request| {
                let (answer, wait) = (state.answer(&request), state.wait(request.uri().path()));
                async move {
                    tokio::time::sleep(wait).await;
                    Ok::<_, Infallible>(answer)
                }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A client may hang up whenever it has seen enough.
            drop(connection.await);
        });
    }
}

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn pieces(of: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static) -> Body {
    StreamBody::new(of.map_ok(Frame::data)).boxed_unsync()
}

impl Fault {
    fn concerns(&self, path: &str) -> bool {
        match self {
            Self::None | Self::IgnoresRanges => false,
            Self::Answers(word, _)
            | Self::Redirects(word, _)
            | Self::Floods(word)
            | Self::Alters(word, _)
            | Self::Says(word, _)
            | Self::Breaks(word, _)
            | Self::AltersAndBreaks(word, _)
            | Self::WaitsInVain(word, _)
            | Self::Silent(word, _)
            | Self::Slow(word, _) => match word.strip_suffix('$') {
                Some(end) => path.ends_with(end),
                None => path.contains(word),
            },
        }
    }

    /// The answer's body, sent as this fault has it.
    fn send(&self, bytes: Bytes) -> Body {
        match *self {
            Self::Breaks(_, after) | Self::AltersAndBreaks(_, after) => {
                let sent = bytes.slice(..after.min(bytes.len()));
                let end = Err(std::io::Error::other("the line is cut"));
                // What is sent is to arrive before the connection ends: the server drops what it has not handed to
                // the system by then. That is little; but beside other tests a reader of megabytes is slow.
                let arrives = Duration::from_millis(if sent.len() < 65_536 { 50 } else { 1_000 });
                let cut = stream::once(async move {
                    tokio::time::sleep(arrives).await;
                    end
                });
                pieces(stream::iter([Ok(sent)]).chain(cut))
            }
            Self::WaitsInVain(..) => pieces(stream::pending()),
            Self::Silent(_, after) => {
                let sent = bytes.slice(..after.min(bytes.len()));
                pieces(stream::iter([Ok(sent)]).chain(stream::pending()))
            }
            Self::Slow(_, rate) => {
                const STEP: Duration = Duration::from_millis(50);
                let step = (rate / 20).max(1);
                let parts: Vec<Bytes> = bytes.chunks(step).map(Bytes::copy_from_slice).collect();
                pieces(stream::iter(parts).then(|part| async {
                    tokio::time::sleep(STEP).await;
                    Ok(part)
                }))
            }
            _ => whole(bytes),
        }
    }
}

impl State {
    /// How long a request waits for its answer.
    fn wait(&self, path: &str) -> Duration {
        let faults = self.faults.lock().unwrap();
        match faults.iter().find(|fault| fault.concerns(path)) {
            Some(Fault::WaitsInVain(_, wait)) => *wait,
            _ => Duration::ZERO,
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let range = request.headers().get(header::RANGE);
        let range = range.map(|value| value.to_str().unwrap().to_owned());
        let noted = match &range {
            Some(range) => format!("{path} {range}"),
            None => path.clone(),
        };
        self.asked.lock().unwrap().push(noted);
        let faults = self.faults.lock().unwrap().clone();
        let ignores_ranges = faults.contains(&Fault::IgnoresRanges);
        let mut concerns = faults.into_iter().filter(|fault| fault.concerns(&path));
        let fault = concerns.next().unwrap_or_default();
        let status = |status| {
            let mut response = Response::new(whole(""));
            *response.status_mut() = status;
            response
        };
        match &fault {
            Fault::Answers(_, code) => return status(*code),
            Fault::Redirects(_, to) => {
                let mut response = status(StatusCode::FOUND);
                let to = format!("{to}{path}").parse().unwrap();
                response.headers_mut().insert(header::LOCATION, to);
                return response;
            }
            Fault::Floods(_) => return Response::new(whole(vec![b' '; 20 << 20])),
            Fault::Says(_, bytes) => return Response::new(whole(bytes.clone())),
            _ => {}
        }
        let decoded = percent_encoding::percent_decode_str(&path)
            .decode_utf8()
            .unwrap();
        let file = self.directory.join(decoded.trim_start_matches('/'));
        let Ok(mut bytes) = std::fs::read(file) else {
            return status(StatusCode::NOT_FOUND);
        };
        if let Fault::Alters(_, at) = fault {
            let at = match at {
                At::Middle => bytes.len() / 2,
                At::Byte(at) => at,
            };
            bytes[at] ^= 1;
        }
        if let Fault::AltersAndBreaks(..) = fault {
            bytes[0] ^= 1;
        }
        let bytes = Bytes::from(bytes);
        let Some(range) = range.filter(|_| !ignores_ranges) else {
            return Response::new(fault.send(bytes));
        };
        let (start, end) = range
            .strip_prefix("bytes=")
            .unwrap()
            .split_once('-')
            .unwrap();
        let start: usize = start.parse().unwrap();
        let end = end
            .parse()
            .map_or(bytes.len(), |last: usize| last + 1)
            .min(bytes.len());
        let mut response = Response::new(fault.send(bytes.slice(start..end)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let value = format!("bytes {start}-{}/{}", end - 1, bytes.len());
        let value = value.parse().unwrap();
        response.headers_mut().insert(header::CONTENT_RANGE, value);
        response
    }
}

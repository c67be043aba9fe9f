//! A web server for a directory, as a mirror would run it, with the faults that a test wants.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// What the server does wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
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
}

pub(crate) struct Web {
    pub(crate) base: String,
    state: Arc<State>,
    task: AbortHandle,
}

struct State {
    directory: PathBuf,
    asked: Mutex<Vec<String>>,
    fault: Mutex<Fault>,
}

impl Web {
    pub(crate) async fn serve(directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            directory: directory.to_owned(),
            asked: Mutex::default(),
            fault: Mutex::default(),
        });
        let task = tokio::spawn(accept(listener, state.clone())).abort_handle();
        Self { base, state, task }
    }

    pub(crate) fn simple(&self) -> String {
        format!("{}/simple/", self.base)
    }

    pub(crate) fn set_fault(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = fault;
    }

    /// The paths asked for since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.asked.lock().unwrap())
    }

    pub(crate) fn stop(&self) {
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
                let answer = state.answer(&request);
                async { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A client may hang up whenever it has seen enough.
            drop(connection.await);
        });
    }
}

impl State {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let range = request.headers().get(header::RANGE);
        let range = range.map(|value| value.to_str().unwrap().to_owned());
        let noted = match &range {
            Some(range) => format!("{path} {range}"),
            None => path.clone(),
        };
        self.asked.lock().unwrap().push(noted);
        let fault = self.fault.lock().unwrap().clone();
        let status = |status| {
            let mut response = Response::new(Full::default());
            *response.status_mut() = status;
            response
        };
        match &fault {
            Fault::Answers(word, code) if path.contains(word) => return status(*code),
            Fault::Redirects(word, to) if path.contains(word) => {
                let mut response = status(StatusCode::FOUND);
                let to = format!("{to}{path}").parse().unwrap();
                response.headers_mut().insert(header::LOCATION, to);
                return response;
            }
            Fault::Floods(word) if path.contains(word) => {
                return Response::new(Full::from(vec![b' '; 20 << 20]));
            }
            _ => {}
        }
        let decoded = percent_encoding::percent_decode_str(&path)
            .decode_utf8()
            .unwrap();
        let file = self.directory.join(decoded.trim_start_matches('/'));
        let Ok(bytes) = std::fs::read(file) else {
            return status(StatusCode::NOT_FOUND);
        };
        let bytes = Bytes::from(bytes);
        let Some(range) = range.filter(|_| fault != Fault::IgnoresRanges) else {
            return Response::new(Full::from(bytes));
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
        let mut response = Response::new(Full::from(bytes.slice(start..end)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let value = format!("bytes {start}-{}/{}", end - 1, bytes.len());
        let value = value.parse().unwrap();
        response.headers_mut().insert(header::CONTENT_RANGE, value);
        response
    }
}

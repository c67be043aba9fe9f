//! What lies between a client and an index: a web server that answers as it is told.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Absent,
    Status(StatusCode),
    Whole(Bytes),
    /// Bytes without end.
    Endless,
    /// The connection breaks after this many bytes.
    Reset(Bytes, usize),
}

/// What answers requests, by path.
pub(crate) type Route = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

pub(crate) struct Door {
    pub(crate) base: String,
    route: Arc<Mutex<Route>>,
    /// Whether a root was asked for: a refresh begins with that.
    refresh_began: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Door {
    pub(crate) async fn open(route: Route) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let route = Arc::new(Mutex::new(route));
        let refresh_began = Arc::new(AtomicBool::new(false));
        let serving = accept(listener, route.clone(), refresh_began.clone());
        let task = tokio::spawn(serving).abort_handle();
        Self {
            base,
            route,
            refresh_began,
            task,
        }
    }

    /// Whether a refresh began since the last call.
    pub(crate) fn refresh_began(&self) -> bool {
        self.refresh_began.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn lead_to(&self, route: Route) {
        *self.route.lock().unwrap() = route;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, route: Arc<Mutex<Route>>, refresh_began: Arc<AtomicBool>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        // Answers are written in pieces, and the other side waits for each.
        stream.set_nodelay(true).unwrap();
        let route = route.clone();
        let refresh_began = refresh_began.clone();
        connections.spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                if request.uri().path().ends_with(".root.json") {
                    refresh_began.store(true, Ordering::SeqCst);
                }
                let response = respond(&route, &request);
                async { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A client hangs up when it has seen enough.
            drop(connection.await);
        });
        while connections.try_join_next().is_some() {}
    }
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

fn respond(route: &Mutex<Route>, request: &Request<Incoming>) -> Response<Body> {
    let route = route.lock().unwrap().clone();
    let path = percent_encoding::percent_decode_str(request.uri().path())
        .decode_utf8_lossy()
        .into_owned();
    let whole = |bytes: Bytes| {
        Full::new(bytes)
            .map_err(|never| match never {})
            .boxed_unsync()
    };
    let with_status = |status| {
        let mut response = Response::new(whole(Bytes::new()));
        *response.status_mut() = status;
        response
    };
    match route(path.trim_start_matches('/')) {
        Answer::Absent => with_status(StatusCode::NOT_FOUND),
        Answer::Status(status) => with_status(status),
        Answer::Whole(bytes) => Response::new(whole(bytes)),
        Answer::Endless => {
            let block = Bytes::from(vec![b' '; 1 << 16]);
            let blocks = stream::repeat_with(move || Ok(Frame::data(block.clone())));
            Response::new(StreamBody::new(blocks).boxed_unsync())
        }
        Answer::Reset(bytes, after) => {
            let length = bytes.len();
            let sent = stream::iter([
                Ok(Frame::data(bytes.slice(..after.min(length)))),
                Err(io::Error::other("reset")),
            ]);
            // Without this pause the server would give up before the first piece is out.
            let sent = sent.then(|piece| async {
                tokio::task::yield_now().await;
                piece
            });
            let mut response = Response::new(StreamBody::new(sent).boxed_unsync());
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, (length + 1).into());
            response
        }
    }
}

//! Figures about the running index, in the text format of Prometheus.
//!
//! What can be counted here has a fixed number of places: route classes, status codes, causes,
//! roles by kind. Nothing that a request says becomes a label.

mod expiry;
mod histogram;
mod page;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

pub(crate) use self::expiry::Expiries;
use self::histogram::Histogram;
pub(crate) use self::page::metrics;

/// What a path asks for, roughly: few enough to be a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Home,
    List,
    Page,
    Document,
    Metadata,
    Target,
    File,
    Upload,
    Watch,
    Other,
}

impl Route {
    const ALL: [Route; 10] = [
        Route::Home,
        Route::List,
        Route::Page,
        Route::Document,
        Route::Metadata,
        Route::Target,
        Route::File,
        Route::Upload,
        Route::Watch,
        Route::Other,
    ];

    /// The class of a request's path.
    pub(crate) fn of(is_post: bool, path: &str) -> Route {
        match path {
            "/" | "/legacy" | "/legacy/" if is_post => Route::Upload,
            "/" => Route::Home,
            "/simple" | "/simple/" => Route::List,
            "/healthz" | "/readyz" | "/metrics" => Route::Watch,
            _ => match path.split('/').nth(1) {
                Some("simple" | "src") => Route::Page,
                Some("pypi") => Route::Document,
                Some("metadata") => Route::Metadata,
                Some("targets") => Route::Target,
                Some("packages") => Route::File,
                _ => Route::Other,
            },
        }
    }

    fn label(self) -> &'static str {
        match self {
            Route::Home => "home",
            Route::List => "list",
            Route::Page => "page",
            Route::Document => "document",
            Route::Metadata => "metadata",
            Route::Target => "target",
            Route::File => "file",
            Route::Upload => "upload",
            Route::Watch => "watch",
            Route::Other => "other",
        }
    }
}

/// The status that stands for "the client went away before the answer", as in the logs of nginx.
pub(crate) const CLIENT_GONE: u16 = 499;

/// Status codes are counted from 100 to 599.
const FIRST_STATUS: u16 = 100;
const STATUSES: usize = 500;

/// How a connection came to its end, apart from being closed in peace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// No request came in time.
    SlowHead,
    /// TLS was not agreed upon in time.
    SlowHandshake,
    /// TLS was not agreed upon.
    Handshake,
    /// It asked for nothing, and its place was needed.
    Shed,
    /// Anything else.
    Broken,
}

impl Cut {
    const ALL: [Cut; 5] = [
        Cut::SlowHead,
        Cut::SlowHandshake,
        Cut::Handshake,
        Cut::Shed,
        Cut::Broken,
    ];

    fn label(self) -> &'static str {
        match self {
            Cut::SlowHead => "slow-head",
            Cut::SlowHandshake => "slow-handshake",
            Cut::Handshake => "handshake",
            Cut::Shed => "shed",
            Cut::Broken => "broken",
        }
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    requests: Vec<[AtomicU64; STATUSES]>,
    durations: Vec<Histogram>,
    cut: [AtomicU64; Cut::ALL.len()],
    accepted: AtomicU64,
    open: AtomicI64,
    received: AtomicU64,
    sent: AtomicU64,
    snapshots: Histogram,
    certificate_expires: AtomicI64,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            requests: Route::ALL
                .map(|_| [const { AtomicU64::new(0) }; STATUSES])
                .into(),
            durations: Route::ALL.map(|_| Histogram::default()).into(),
            cut: Default::default(),
            accepted: AtomicU64::new(0),
            open: AtomicI64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            snapshots: Histogram::default(),
            certificate_expires: AtomicI64::new(i64::MAX),
        }
    }
}

impl Metrics {
    /// Counts a snapshot that took so long to publish, from the first look at the journal to its
    /// names.
    pub fn snapshot_took(&self, duration: Duration) {
        self.snapshots.observe(duration);
    }

    /// Notes when the certificate of the server expires, in seconds since 1970.
    pub fn certificate_expires(&self, at: i64) {
        self.certificate_expires.store(at, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, route: Route, status: StatusCode, took: Duration) {
        self.count(route, status.as_u16());
        if let Some(durations) = self.durations.get(route as usize) {
            durations.observe(took);
        }
    }

    pub(crate) fn abandoned(&self, route: Route) {
        self.count(route, CLIENT_GONE);
    }

    fn count(&self, route: Route, status: u16) {
        let counted = self.requests.get(route as usize).and_then(|statuses| {
            let index = status.checked_sub(FIRST_STATUS)?;
            statuses.get(usize::from(index))
        });
        if let Some(counted) = counted {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn cut(&self, cut: Cut) {
        self.cut[cut as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_fall_into_few_classes() {
        let check = |post, path, label| assert_eq!(Route::of(post, path).label(), label, "{path}");
        check(false, "/", "home");
        check(true, "/", "upload");
        check(true, "/legacy/", "upload");
        check(false, "/simple/", "list");
        check(false, "/simple/flask/", "page");
        check(false, "/src/flask/", "page");
        check(false, "/pypi/flask/json", "document");
        check(false, "/metadata/timestamp.json", "metadata");
        check(false, "/targets/a", "target");
        check(false, "/packages/flask/x", "file");
        check(false, "/healthz", "watch");
        check(false, "/wp-login.php", "other");
        check(false, "", "other");
    }

    #[test]
    fn every_class_has_its_own_place() {
        for (place, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, place);
        }
        for (place, cut) in Cut::ALL.into_iter().enumerate() {
            assert_eq!(cut as usize, place);
        }
    }
}

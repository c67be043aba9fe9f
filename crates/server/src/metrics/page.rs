//! `/metrics`: the figures, as text that Prometheus reads.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use wheelmark_objects::ObjectPath;

use super::histogram::line;
use super::{CLIENT_GONE, Cut, FIRST_STATUS, Metrics, Route};
use crate::app::Measured;
use crate::problem::chain;

/// Of the text format, <https://prometheus.io/docs/instrumenting/exposition_formats/>.
const TEXT_FORMAT: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The figures of this moment.
pub(crate) async fn metrics(State(measured): State<Measured>) -> Response {
    let mut text = String::with_capacity(16 * 1024);
    line(
        &mut text,
        format_args!(
            "# HELP wheelmark_info The version that runs.\n# TYPE wheelmark_info gauge\n\
             wheelmark_info{{version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        ),
    );
    measured.metrics.write(&mut text);
    published(&measured, &mut text).await;
    journal(&measured, &mut text).await;
    let headers = [
        (CONTENT_TYPE, TEXT_FORMAT),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, text).into_response()
}

/// What the tree says: the age of the snapshot, and when its roles expire.
async fn published(measured: &Measured, text: &mut String) {
    let published = match measured.expiries.published().await {
        Ok(published) => published,
        Err(error) => {
            tracing::error!(
                error = chain(&error),
                "the published tree cannot be measured"
            );
            return;
        }
    };
    head(
        text,
        "wheelmark_snapshot_version",
        "gauge",
        "The version of the published snapshot.",
    );
    let version = published.snapshot_version;
    line(text, format_args!("wheelmark_snapshot_version {version}"));
    if let Some(age) = timestamp_age(measured).await {
        head(
            text,
            "wheelmark_snapshot_age_seconds",
            "gauge",
            "How long ago the timestamp was published.",
        );
        line(text, format_args!("wheelmark_snapshot_age_seconds {age}"));
    }
    head(
        text,
        "wheelmark_expiry_seconds",
        "gauge",
        "How long until the next role of this kind expires; clients refuse it then.",
    );
    let now = measured.clock.now();
    for (kind, expires) in published.next {
        let left = expires.duration_since(now).as_secs();
        line(
            text,
            format_args!("wheelmark_expiry_seconds{{role=\"{kind}\"}} {left}"),
        );
    }
    let certificate = measured.metrics.certificate_expires.load(Ordering::Relaxed);
    if certificate != i64::MAX {
        head(
            text,
            "wheelmark_certificate_expiry_seconds",
            "gauge",
            "How long until the certificate of this server expires.",
        );
        let left = certificate.saturating_sub(now.as_second());
        line(
            text,
            format_args!("wheelmark_certificate_expiry_seconds {left}"),
        );
    }
}

/// In whole seconds, by the clock of the machine, which wrote the file, too.
async fn timestamp_age(measured: &Measured) -> Option<u64> {
    let path = measured.tree.local_path(&ObjectPath::timestamp());
    let written = tokio::fs::metadata(path).await.ok()?.modified().ok()?;
    let now = SystemTime::from(measured.clock.now());
    Some(now.duration_since(written).unwrap_or_default().as_secs())
}

async fn journal(measured: &Measured, text: &mut String) {
    let pending = measured.store.journal_pending().await;
    head(
        text,
        "wheelmark_database_up",
        "gauge",
        "Whether the database answers.",
    );
    let up = u8::from(pending.is_ok());
    line(text, format_args!("wheelmark_database_up {up}"));
    match pending {
        Ok(pending) => {
            head(
                text,
                "wheelmark_journal_pending",
                "gauge",
                "Changes that wait for a snapshot.",
            );
            line(text, format_args!("wheelmark_journal_pending {pending}"));
        }
        Err(error) => tracing::error!(error = chain(&error), "the journal cannot be measured"),
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    line(
        text,
        format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"),
    );
}

/// What a status means for an upload.
fn outcome(status: u16) -> &'static str {
    match status {
        200..=299 => "published",
        401 | 403 => "denied",
        408 => "too-slow",
        429 => "rate-limited",
        CLIENT_GONE => "broken-off",
        503 => "not-published-yet",
        507 => "no-room",
        400..=498 => "refused",
        _ => "failed",
    }
}

impl Metrics {
    /// The number of answers of a class, by status, without those that never came.
    fn counted(&self, route: Route) -> impl Iterator<Item = (u16, u64)> {
        let statuses = self.requests.get(route as usize).into_iter().flatten();
        (FIRST_STATUS..)
            .zip(statuses)
            .map(|(status, count)| (status, count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
    }

    fn write(&self, text: &mut String) {
        let name = "wheelmark_http_requests_total";
        head(
            text,
            name,
            "counter",
            "Answers; 499 where the client left before.",
        );
        for route in Route::ALL {
            let class = route.label();
            for (status, count) in self.counted(route) {
                line(
                    text,
                    format_args!("{name}{{route=\"{class}\",status=\"{status}\"}} {count}"),
                );
            }
        }
        let name = "wheelmark_http_answer_seconds";
        head(
            text,
            name,
            "histogram",
            "How long until the head of the answer.",
        );
        for route in Route::ALL {
            if let Some(durations) = self.durations.get(route as usize).filter(|d| !d.is_empty()) {
                durations.write(text, name, &format!("route=\"{}\"", route.label()));
            }
        }
        self.write_uploads(text);
        self.write_connections(text);
        let name = "wheelmark_snapshot_seconds";
        head(
            text,
            name,
            "histogram",
            "How long publishing a snapshot took, where this process does it.",
        );
        self.snapshots.write(text, name, "");
    }

    fn write_uploads(&self, text: &mut String) {
        let name = "wheelmark_uploads_total";
        head(text, name, "counter", "Uploads by what became of them.");
        let mut outcomes = std::collections::BTreeMap::<_, u64>::new();
        for (status, count) in self.counted(Route::Upload) {
            *outcomes.entry(outcome(status)).or_default() += count;
        }
        for (outcome, count) in outcomes {
            line(
                text,
                format_args!("{name}{{outcome=\"{outcome}\"}} {count}"),
            );
        }
        let name = "wheelmark_rate_limited_total";
        head(
            text,
            name,
            "counter",
            "Requests refused because there were too many.",
        );
        let limited = StatusCode::TOO_MANY_REQUESTS.as_u16();
        let limited: u64 = Route::ALL
            .into_iter()
            .flat_map(|route| self.counted(route))
            .filter(|(status, _)| *status == limited)
            .map(|(_, count)| count)
            .sum();
        line(text, format_args!("{name} {limited}"));
    }

    fn write_connections(&self, text: &mut String) {
        let name = "wheelmark_connections_open";
        head(text, name, "gauge", "Connections that are open now.");
        line(
            text,
            format_args!("{name} {}", self.open.load(Ordering::Relaxed)),
        );
        for (name, count, help) in [
            (
                "wheelmark_connections_accepted_total",
                &self.accepted,
                "Connections that were accepted.",
            ),
            (
                "wheelmark_received_bytes_total",
                &self.received,
                "Bytes that came in, as they were on the line.",
            ),
            (
                "wheelmark_sent_bytes_total",
                &self.sent,
                "Bytes that went out, as they were on the line.",
            ),
        ] {
            head(text, name, "counter", help);
            line(
                text,
                format_args!("{name} {}", count.load(Ordering::Relaxed)),
            );
        }
        let name = "wheelmark_connections_cut_total";
        head(
            text,
            name,
            "counter",
            "Connections that did not end in peace, by cause.",
        );
        for (cut, count) in Cut::ALL.into_iter().zip(&self.cut) {
            let (cause, count) = (cut.label(), count.load(Ordering::Relaxed));
            line(text, format_args!("{name}{{cause=\"{cause}\"}} {count}"));
        }
    }
}

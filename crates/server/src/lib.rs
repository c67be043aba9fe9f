//! The index over HTTP: what installers read, and how a file is uploaded.
//!
//! ```text
//!   GET /simple/… /pypi/…      page ─────┐
//!   GET /metadata/… /targets/… object ───┼─▶ the published tree, as it is
//!   GET /packages/…            file ─────┘
//!   GET /healthz /readyz /metrics     is it well, and what does it do?
//!
//!   POST /legacy/  form ─▶ receive ─▶ check ─▶ place ─▶ admit ─▶ wait
//!                  (streamed,  (digests, (objects,  (one       (the snapshot process
//!                   hashed)     archive)  create-only) journal row) publishes)
//!   POST /_/oidc/mint-token  an identity token of a CI service ─▶ an upload token, for a while
//! ```
//!
//! Reading serves the bytes of the tree and signs nothing; HTML is rendered from the JSON page.
//! Uploading ends with a row in the journal: another process takes it up, checks it again and
//! signs. Architecture invariant: this crate reaches neither a key nor the engine that uses one.
//!
//! Every error is told twice, because each uploader shows only one of them: in the reason phrase
//! of HTTP/1.1 and in a body of `application/problem+json` (RFC 9457). Both say which rule was
//! broken and what to do about it.

mod address;
mod app;
mod at_once;
mod auth;
mod bulletin;
mod client_address;
mod conditional;
mod connections;
mod documents;
mod encoding;
mod files;
mod health;
mod home;
mod integrity;
mod legacy_json;
mod metrics;
mod observe;
mod openapi;
mod pace;
mod privacy;
mod problem;
mod range;
mod rate;
mod read_error;
mod request_id;
mod router;
mod serials;
mod serve;
mod shelf;
mod simple;
mod sources;
mod tls;
mod tree;
mod trusted;
mod upload;

pub use address::{ClientAddress, Network, NetworkError, TrustedProxies};
pub use app::{App, Leeway, Limits, MAX_FILE_LEN, PUBLISH_TIMEOUT, RECOVERY_DELAY};
pub use at_once::Index;
pub use auth::{FAILED_ATTEMPTS, REFUSALS_NOTED, UPLOADS, USERS_REFUSALS_NOTED};
pub use health::LEAST_LEFT;
pub use metrics::Metrics;
pub use pace::{MIN_SPEED, PATIENCE};
pub use privacy::{ACCESS_KEPT, ACCESS_KEPT_AT_MOST};
pub use rate::{MAX_COUNTED, Rate};
pub use router::{index, metrics_router, read_router};
pub use serve::{
    Answers, HANDSHAKE_TIMEOUT, HEAD_TIMEOUT, MAX_CONNECTIONS, SHUTDOWN_GRACE, Serving, serve,
    serve_as,
};
pub use shelf::{SHELF_BYTES, SHELVED_LEN};
pub use tls::{Tls, TlsError};
pub use trusted::{
    FETCH_TIME, Issuer, IssuerError, IssuerKind, Issuers, KEYS_REFRESHED, LEEWAY, MAX_BODY,
    MAX_DISCOVERY_LEN, MAX_JWKS_LEN, MAX_KEYS, Secrets, TOKEN_LIFE, TrustedPublisher,
    TrustedPublisherError, TrustedPublishing,
};
pub use upload::{
    CHUNK_LEN, CHUNKS_ABOVE, DRAIN_BYTES, DRAIN_TIME, MAX_FIELDS, MAX_FORM_LEN, MAX_HEADERS_LEN,
    MAX_STAGED_FILES, MAX_STAGED_LEN, MAX_STAGED_PER_USER, MAX_STAGED_RELEASES, MAX_VALUE_LEN,
    STAGED_FOR, TakeBackError, take_back_cut_off,
};

//! Which path is answered by what.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef as _, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use http::Uri;
use http::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use wheelmark_objects::Directory;

use crate::app::{App, Publishing, Reading, Services};
use crate::at_once::Index;
use crate::observe::observe;
use crate::read_error::ReadError;
use crate::{
    bulletin, health, home, integrity, legacy_json, metrics, openapi, privacy, simple, sources,
    tree, trusted, upload,
};

/// The index as a service. Where releases wait for signatures, those that have all go on, in a task of
/// the runtime that this is called in.
pub fn index(app: App) -> Index {
    let observing = app.observing();
    let metrics_are_public = app.metrics_are_public;
    let services = Services::new(app);
    let (guard, reading) = (services.guard(), Reading::from_ref(&services));
    let publishing = Publishing::from_ref(&services);
    if publishing.staging.is_some() {
        tokio::spawn(upload::resume(publishing));
    }
    let mut router = Router::new()
        .route("/", get(home::home).post(upload::upload))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/openapi.json", get(openapi::openapi))
        .route("/bulletin", get(bulletin::text))
        .route("/bulletin.json", get(bulletin::json))
        .route("/simple", get(simple::list_without_slash))
        .route("/simple/", get(simple::list))
        .route("/simple/{project}", get(simple::project_without_slash))
        .route("/simple/{project}/", get(simple::project))
        .route("/src/{project}", get(sources::project_without_slash))
        .route("/src/{project}/", get(sources::project))
        .route("/pypi/{project}/json", get(legacy_json::project))
        .route("/pypi/{project}/{version}/json", get(legacy_json::release))
        .route("/metadata/{*object}", get(tree::object))
        .route("/targets/{*object}", get(tree::object))
        .route("/packages/{*object}", get(tree::object))
        .route(
            "/integrity/{project}/{version}/{file}/provenance",
            get(integrity::provenance),
        )
        .route("/keys/{*object}", get(tree::object))
        .route("/_/oidc/audience", get(trusted::audience))
        .route("/_/oidc/mint-token", post(trusted::mint))
        .route("/_/oidc/burn-token", post(trusted::burn))
        .route("/_/projects/{project}/release", post(upload::release))
        .route(
            "/_/projects/{project}/recovery",
            get(upload::recovery_delay)
                .post(upload::ask_recovery)
                .delete(upload::end_recovery),
        )
        .route(
            "/_/projects/{project}/staged",
            get(upload::staged).post(upload::stage),
        )
        .route(
            "/_/projects/{project}/staged/{id}",
            get(upload::staged_one).delete(upload::withdraw_staged),
        )
        .route(
            "/_/projects/{project}/staged/{id}/files/{file}",
            get(upload::staged_file),
        )
        .route(
            "/_/projects/{project}/staged/{id}/signatures",
            post(upload::sign_staged),
        )
        .route("/.well-known/pytp", get(trusted::discover))
        .route("/legacy", post(upload::upload))
        .route("/legacy/", post(upload::upload));
    if metrics_are_public {
        router = router.route("/metrics", get(metrics::metrics));
    }
    let router = router
        .fallback(absent)
        .method_not_allowed_fallback(method)
        .layer(from_fn_with_state(guard.clone(), privacy::guard))
        .layer(from_fn(no_sniffing))
        .layer(from_fn_with_state(observing.clone(), observe))
        .with_state(services);
    Index::new(guard, observing, reading, router)
}

/// The figures and the health of an index, for a port that only its operator reaches.
pub fn metrics_router(app: App) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .fallback(absent)
        .method_not_allowed_fallback(method)
        .layer(from_fn(no_sniffing))
        .with_state(Services::new(app))
}

/// A tree for reading: what a copy of an index serves. Nothing can be uploaded.
pub fn read_router(tree: Arc<Directory>) -> Router {
    Router::new()
        .route("/bulletin", get(bulletin::text))
        .route("/bulletin.json", get(bulletin::json))
        .route("/simple", get(simple::list_without_slash))
        .route("/simple/", get(simple::plain_list))
        .route("/simple/{project}", get(simple::project_without_slash))
        .route("/simple/{project}/", get(simple::project))
        .route("/src/{project}", get(sources::project_without_slash))
        .route("/src/{project}/", get(sources::project))
        .route("/metadata/{*object}", get(tree::object))
        .route("/targets/{*object}", get(tree::object))
        .route("/packages/{*object}", get(tree::object))
        .route(
            "/integrity/{project}/{version}/{file}/provenance",
            get(integrity::provenance),
        )
        .route("/keys/{*object}", get(tree::object))
        .fallback(absent)
        .method_not_allowed_fallback(method)
        .layer(from_fn(no_sniffing))
        .with_state(Reading::new(tree))
}

async fn absent(uri: Uri) -> ReadError {
    ReadError::Absent {
        path: uri.path().to_owned(),
    }
}

async fn method() -> ReadError {
    ReadError::Method
}

async fn no_sniffing(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    set_no_sniffing(&mut response);
    response
}

/// An uploaded file must never be taken for a page, whatever is in it.
pub(crate) fn set_no_sniffing(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

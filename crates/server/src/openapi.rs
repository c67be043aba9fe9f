//! `/openapi.json`: what is answered here, for machines. Written by hand: most paths are those of
//! standards, and few change.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

use crate::tree::{JSON, NO_CACHE};

/// The document (OpenAPI 3.1).
const DOCUMENT: &str = include_str!("openapi.json");

/// Serves the document.
pub(crate) async fn openapi() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(JSON)),
        (CACHE_CONTROL, HeaderValue::from_static(NO_CACHE)),
    ];
    (headers, DOCUMENT).into_response()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let described = document["paths"].as_object().unwrap();
        let router = include_str!("router.rs");
        let index = router.split("pub fn read_router").next().unwrap();
        let mut routes = 0;
        for route in index.split(".route(\"").skip(1) {
            let path = route.split('"').next().unwrap();
            // Without its last slash it is a redirect, or the same once more.
            let path = path.replace("{*object}", "{object}");
            let known =
                described.contains_key(&path) || described.contains_key(&format!("{path}/"));
            assert!(known, "{path}");
            routes += 1;
        }
        assert!(routes > 10);
        for path in described.keys() {
            let path = path.replace("{object}", "{*object}");
            assert!(index.contains(&format!("\"{path}\"")), "{path}");
        }
    }
}

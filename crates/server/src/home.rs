//! The page at `/`, for the person who opened the index in a browser.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderValue};

use crate::app::Place;

/// Longest `Host` that is repeated: a name of 253 bytes (RFC 1035) and a port.
const MAX_HOST_LEN: usize = 260;

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

/// How to install from here and publish here.
pub(crate) async fn home(State(place): State<Place>, headers: HeaderMap) -> Response {
    let base = base_url(&place, &headers);
    let page = (
        [
            (CONTENT_SECURITY_POLICY, POLICY),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ],
        Html(render(&base)),
    );
    page.into_response()
}

/// The URL that people were told, or that the request was sent to, as far as it can be known.
/// Anything that is not a host and a port is not repeated.
pub(crate) fn base_url(place: &Place, headers: &HeaderMap) -> String {
    if let Some(url) = &place.external_url {
        return url.to_string();
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .filter(|host| !host.is_empty() && host.len() <= MAX_HOST_LEN)
        .filter(|host| host.bytes().all(plain));
    format!("{}://{}", place.scheme, host.unwrap_or("THIS-INDEX"))
}

fn render(base: &str) -> String {
    let base = escape(base);
    format!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Wheelmark: a signed package index</title>\n\
         <style>body{{max-width:44rem;margin:2rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif}}\
         pre{{padding:.7rem;overflow:auto;border:1px solid #8888;border-radius:.3rem}}\
         :root{{color-scheme:light dark}}</style>\n\
         </head>\n\
         <body>\n\
         <h1>A signed package index</h1>\n\
         <p><a href=\"simple/\">All projects</a></p>\n\
         <h2>Install</h2>\n\
         <p>With every download verified, once this index is trusted:</p>\n\
         <pre>wheelmark exec --index {base}/simple/ -- pip install PROJECT</pre>\n\
         <p>Without verification, with pip or uv alone:</p>\n\
         <pre>pip install --index-url {base}/simple/ PROJECT\n\
         uv pip install --default-index {base}/simple/ PROJECT</pre>\n\
         <h2>Publish</h2>\n\
         <p>The user name is <code>__token__</code>, the password an upload token.</p>\n\
         <pre>twine upload --repository-url {base}/legacy/ -u __token__ dist/*\n\
         uv publish --publish-url {base}/legacy/ -u __token__ dist/*</pre>\n\
         </body>\n\
         </html>\n"
    )
}

/// Text that means itself in HTML, in an element or in a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_is_repeated() {
        let mut place = Place {
            external_url: None,
            scheme: "http",
        };
        let check = |host: &str, expected: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            assert_eq!(base_url(&place, &headers), expected);
        };
        check("index.example:8080", "http://index.example:8080");
        check("[::1]:80", "http://[::1]:80");
        check("<script>alert(1)</script>", "http://THIS-INDEX");
        check("a b", "http://THIS-INDEX");
        check(&"a".repeat(300), "http://THIS-INDEX");
        assert_eq!(base_url(&place, &HeaderMap::new()), "http://THIS-INDEX");
        place.scheme = "https";
        assert_eq!(base_url(&place, &HeaderMap::new()), "https://THIS-INDEX");
        place.external_url = Some("https://pypi.example/team".into());
        assert_eq!(
            base_url(&place, &HeaderMap::new()),
            "https://pypi.example/team"
        );
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            escape("<a href=\"x\" id='y'>&</a>"),
            "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;&lt;/a&gt;"
        );
        assert!(!render("<b>").contains("<b>"));
    }
}

//! Who uploads: a token, by HTTP basic authentication (RFC 7617).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use wheelmark_store::{Store, StoreError, TokenId};

/// The user name that goes with every token.
const TOKEN_USER: &str = "__token__";

/// Why an upload is not allowed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// No credentials were sent.
    #[error("uploading needs a token")]
    Missing,
    /// The `Authorization` header is not of the basic scheme.
    #[error("the Authorization header is not HTTP basic authentication")]
    Malformed,
    /// A user name other than `__token__`.
    #[error("the user name is not {TOKEN_USER}")]
    User,
    /// The token is not one of this index.
    #[error("this index does not know the token")]
    Unknown,
    /// The token could not be looked up.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The token that the request presents.
pub(crate) async fn authorise(store: &Store, headers: &HeaderMap) -> Result<TokenId, AuthError> {
    let header = headers.get(AUTHORIZATION).ok_or(AuthError::Missing)?;
    let (user, token) = basic(header.as_bytes()).ok_or(AuthError::Malformed)?;
    if user != TOKEN_USER {
        return Err(AuthError::User);
    }
    store.check_token(&token).await?.ok_or(AuthError::Unknown)
}

fn basic(header: &[u8]) -> Option<(String, String)> {
    let header = std::str::from_utf8(header).ok()?;
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(credentials.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_rfc_7617_has_them() {
        let check = |header: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(user, token)| (user.to_owned(), token.to_owned()));
            assert_eq!(basic(header.as_bytes()), expected, "{header}");
        };
        check(
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            Some(("Aladdin", "open sesame")),
        );
        check("basic  YTpiOmM=", Some(("a", "b:c")));
        check("BASIC Og==", Some(("", "")));
        check("Bearer YTpi", None);
        check("Basic", None);
        check("Basic !!!", None);
        check("Basic YQ==", None);
        check("Basic //8=", None);
    }
}

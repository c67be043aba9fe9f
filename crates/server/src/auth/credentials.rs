//! What a request presents: basic authentication (RFC 7617), or a bearer token (RFC 6750).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Credentials, believed by nobody yet. People send a token as the name, too.
pub(super) struct Presented {
    /// The user name of basic authentication.
    pub(super) name: Option<Zeroizing<String>>,
    pub(super) token: Zeroizing<String>,
}

impl Presented {
    /// Reads an `Authorization` header; none if it is neither of the two.
    pub(super) fn read(header: &[u8]) -> Option<Presented> {
        let header = std::str::from_utf8(header).ok()?;
        let (scheme, rest) = header.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            let token = Zeroizing::new(rest.trim().to_owned());
            return Some(Presented { name: None, token });
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = Zeroizing::new(STANDARD.decode(rest.trim()).ok()?);
        let decoded = std::str::from_utf8(&decoded).ok()?;
        let (name, token) = decoded.split_once(':')?;
        Some(Presented {
            name: Some(Zeroizing::new(name.to_owned())),
            token: Zeroizing::new(token.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_the_two_rfcs_have_them() {
        let check = |header: &str, expected: Option<(Option<&str>, &str)>| {
            let read = Presented::read(header.as_bytes());
            let read = read.as_ref().map(|read| {
                (
                    read.name.as_deref().map(String::as_str),
                    read.token.as_str(),
                )
            });
            assert_eq!(read, expected, "{header}");
        };
        check(
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            Some((Some("Aladdin"), "open sesame")),
        );
        check("basic  YTpiOmM=", Some((Some("a"), "b:c")));
        check("BASIC Og==", Some((Some(""), "")));
        check("Bearer YTpi", Some((None, "YTpi")));
        check("bearer  x ", Some((None, "x")));
        check("Digest YTpi", None);
        check("Basic", None);
        check("Bearer", None);
        check("Basic !!!", None);
        check("Basic YQ==", None);
        check("Basic //8=", None);
        assert!(Presented::read(b"Basic \xff").is_none());
        check("", None);
    }
}

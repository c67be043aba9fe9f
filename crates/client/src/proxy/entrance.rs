//! Who may use the proxy.

use std::net::SocketAddr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::HeaderMap;
use http::header::PROXY_AUTHORIZATION;
use subtle::ConstantTimeEq as _;
use wheelmark_tuf::Sha256;

use crate::homes::Homes;

/// The name that goes with the password of a run's proxy.
const USER: &str = "wheelmark";

/// What a request's path must begin with.
#[derive(Clone)]
pub enum Entrance {
    /// A secret of this run, so that no other user of this machine and no web page can use
    /// the proxy.
    Secret(String),
    /// Who the indexes are, for a daemon whose URL stands in configuration files: installers
    /// keep what they got under the URL it came from, so that another index, or the same one
    /// after trust in it began anew, must not be served at the same URL.
    Identity(String),
}

impl Entrance {
    /// The entrance to indexes at an address of their own: it depends on the simple URL of
    /// each, on the root that trust in each began with, and on the map.
    #[must_use]
    pub fn of_homes(homes: &Homes) -> Self {
        const DIGITS: usize = 16;
        let mut digest = Sha256::of(homes.identity().as_bytes()).to_string();
        digest.truncate(DIGITS);
        Self::Identity(digest)
    }

    /// The first segment of every path.
    pub(super) fn segment(&self) -> &str {
        match self {
            Self::Secret(segment) | Self::Identity(segment) => segment,
        }
    }

    /// Whether what is served through it serves one run alone, with caches that end with it.
    pub(super) fn is_of_one_run(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    /// The URL of the HTTP proxy at this address, with the password that it wants.
    pub(super) fn proxy_url(&self, address: SocketAddr) -> String {
        match self {
            Self::Secret(secret) => format!("http://{USER}:{secret}@{address}"),
            Self::Identity(_) => format!("http://{address}"),
        }
    }

    /// Whether a request may use the HTTP proxy: it has to bring the secret, if there is one,
    /// as the password of Basic authentication (RFC 7617).
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let Self::Secret(secret) = self else {
            return true;
        };
        let mut given = headers.get_all(PROXY_AUTHORIZATION).iter();
        let (Some(given), None) = (given.next(), given.next()) else {
            return false;
        };
        let given = given.to_str().ok().and_then(|given| given.split_once(' '));
        let Some((scheme, given)) = given else {
            return false;
        };
        let wanted = BASE64_STANDARD.encode(format!("{USER}:{secret}"));
        scheme.eq_ignore_ascii_case("basic")
            && bool::from(given.trim().as_bytes().ct_eq(wanted.as_bytes()))
    }

    /// A text, for the log, without the secret.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        match self {
            Self::Secret(secret) => text.replace(secret, "…"),
            Self::Identity(_) => text.to_owned(),
        }
    }
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret"),
            Self::Identity(identity) => write!(f, "Identity({identity})"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn only_the_secret_admits() {
        let secret = Entrance::Secret("s3cret".to_owned());
        let open = Entrance::Identity("s3cret".to_owned());
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        let check = |given: &[&str], admitted: bool| {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(PROXY_AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(secret.admits(&headers), admitted, "{given:?}");
            assert!(open.admits(&headers));
        };
        let right = basic("wheelmark:s3cret");
        check(&[&right], true);
        check(&[&right.replace("Basic", "basic")], true);
        check(&[], false);
        check(&[""], false);
        check(&[&right, &right], false);
        check(&[&right.replace("Basic", "Bearer")], false);
        check(&[&right.replace("Basic ", "")], false);
        for wrong in [
            "wheelmark:",
            "wheelmark:s3cre",
            "wheelmark:s3crets",
            "me:s3cret",
            "s3cret",
            "",
        ] {
            check(&[&basic(wrong)], false);
        }
        let address = "127.0.0.1:1".parse().unwrap();
        assert_eq!(
            secret.proxy_url(address),
            "http://wheelmark:s3cret@127.0.0.1:1"
        );
        assert_eq!(open.proxy_url(address), "http://127.0.0.1:1");
        assert_eq!(secret.hidden_in("/s3cret/simple/"), "/…/simple/");
    }
}

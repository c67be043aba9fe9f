//! Where a request comes from: the other end of the connection, or, behind a proxy that is
//! allowed to say so, the client that the proxy speaks for.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::HeaderMap;
use http::header::HeaderName;

/// The list that proxies append to, the nearest one last.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Most addresses of a list that are looked at: chains of proxies are short.
const MAX_HOPS: usize = 16;

/// Whom a request is from, as far as that can be known. Every request has it in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The other end of the connection that a request came on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// A network: an address and how many of its first bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The part before `/` is no address.
    #[error("`{}` is not an IP address", text.escape_debug())]
    Address {
        /// What stands there.
        text: String,
    },
    /// The part behind `/` is no length.
    #[error("`/{}` is not a prefix length of at most {longest}", text.escape_debug())]
    Prefix {
        /// What stands there.
        text: String,
        /// The longest one of this kind of address.
        longest: u8,
    },
}

impl Network {
    /// Whether an address lies in the network. An IPv4 address that came in as IPv6 counts as
    /// what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let differ = match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = u32::from(own) ^ u32::from(other);
                differ
                    .checked_shr(32 - u32::from(self.prefix))
                    .map(u128::from)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = u128::from(own) ^ u128::from(other);
                differ.checked_shr(128 - u32::from(self.prefix))
            }
            _ => return false,
        };
        // A prefix of nothing shifts everything out.
        differ.unwrap_or(0) == 0
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let parsed: Result<IpAddr, _> = address.trim().parse();
        let address = parsed.map_err(|_| NetworkError::Address {
            text: address.to_owned(),
        })?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(prefix) => {
                let parsed: Option<u8> = prefix.trim().parse().ok();
                let fits = parsed.filter(|prefix| *prefix <= longest);
                fits.ok_or_else(|| NetworkError::Prefix {
                    text: prefix.to_owned(),
                    longest,
                })?
            }
        };
        Ok(Network { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The proxies whose word counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(pub Vec<Network>);

impl TrustedProxies {
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whom a request is from that came from `peer`. `X-Forwarded-For` is read from its end, and
    /// only as long as each address is that of a trusted proxy: what stands before the first
    /// other one can be anybody's word. Other headers of this kind are not read, since a proxy
    /// that does not know one passes it on as the client sent it.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let mut client = peer.to_canonical();
        let lists: Vec<&str> = headers
            .get_all(X_FORWARDED_FOR)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let mut hops = lists.iter().rev().flat_map(|list| list.rsplit(','));
        for _ in 0..MAX_HOPS {
            if !self.trusts(client) {
                break;
            }
            match hops.next().map(|hop| hop.trim().parse::<IpAddr>()) {
                Some(Ok(hop)) => client = hop.to_canonical(),
                Some(Err(_)) | None => break,
            }
        }
        ClientAddress(client)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses() {
        let check = |network: &str, address: &str, expected: bool| {
            let network: Network = network.parse().unwrap();
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(network.contains(address), expected, "{network} {address}");
        };
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "127.0.0.2", false);
        check("10.0.0.0/8", "10.255.1.2", true);
        check("10.0.0.0/8", "11.0.0.0", false);
        check("10.0.0.0/8", "::ffff:10.1.1.1", true);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "::1", false);
        check("::/0", "2001:db8::1", true);
        check("2001:db8::/33", "2001:db8:7fff::1", true);
        check("2001:db8::/33", "2001:db8:8000::1", false);
        check("::1", "::1", true);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "proxy.example",
            "10.0.0.0/33",
            "::1/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_word_of_trusted_proxies_counts() {
        let proxies = TrustedProxies(vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
        let check = |peer: &str, lists: &[&'static str], expected: &str| {
            let mut headers = HeaderMap::new();
            for list in lists {
                headers.append(X_FORWARDED_FOR, list.parse().unwrap());
            }
            let client = proxies.client(peer.parse().unwrap(), &headers);
            assert_eq!(client.to_string(), expected, "{peer} {lists:?}");
        };
        check("203.0.113.1", &[], "203.0.113.1");
        check("203.0.113.1", &["198.51.100.7"], "203.0.113.1");
        check("10.0.0.1", &["198.51.100.7"], "198.51.100.7");
        check("::1", &["6.6.6.6, 198.51.100.7, 10.0.0.2"], "198.51.100.7");
        check(
            "::1",
            &["6.6.6.6", "198.51.100.7", "10.0.0.2"],
            "198.51.100.7",
        );
        check("10.0.0.1", &["10.0.0.2,10.0.0.3"], "10.0.0.2");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["unknown, 10.0.0.2"], "10.0.0.2");
        check("::ffff:10.0.0.1", &["2001:db8::5"], "2001:db8::5");
    }
}

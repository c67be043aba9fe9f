//! From where a request comes.

use std::net::IpAddr;

use crate::address::ClientAddress;

/// The address of a request, if it is known: a router without a listener knows none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct From(pub(crate) Option<IpAddr>);

impl From {
    pub(crate) fn of(extensions: &http::Extensions) -> From {
        From(extensions.get::<ClientAddress>().map(|address| address.0))
    }
}

//! From where a request comes.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::request::Parts;

/// The address of whoever sent a request, as an extension of the request: the other end of the
/// connection, unless something in front of the index, which is believed, said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The address of a request, if it is known: a router without a listener knows none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct From(pub(crate) Option<IpAddr>);

impl From {
    pub(crate) fn of(extensions: &http::Extensions) -> From {
        From(extensions.get::<ClientAddress>().map(|address| address.0))
    }
}

impl<S: Sync> FromRequestParts<S> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<From, Self::Rejection> {
        Ok(From::of(&parts.extensions))
    }
}

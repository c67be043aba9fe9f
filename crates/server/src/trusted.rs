//! Trusted publishing: an identity token of a CI service, exchanged for an upload token that is good
//! for a quarter of an hour and for the projects that trust where it comes from.
//!
//! ```text
//!   POST /_/oidc/mint-token {"token": …}
//!     read ──▶ whose word is it? ──▶ a project trusts somebody there? ──▶ the issuer's keys
//!                 (unverified)             (or nobody is asked)             (bounded, kept)
//!     verify ──▶ claims ──▶ publishers of that place, each held against them ──▶ exchange
//!   (signature,  (unforgeable                                                   (one transaction:
//!    times, aud)  from here on)                                                  never twice)
//! ```
//!
//! The formats are those of PyPI, which twine and uv speak; `/.well-known/pytp` is the discovery of
//! the draft of PEP 807. What a stranger can make this do is bounded: a body of
//! [`MAX_BODY`](mint::MAX_BODY) bytes, one signature, and for an issuer that a project trusts one look
//! at its keys a minute, of bounded size and time.

mod claims;
mod discovery;
mod identity_token;
mod issuers;
mod keys;
mod mint;
mod publisher;
mod refusal;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use wheelmark_store::Store;
use wheelmark_tuf::Clock;

use crate::app::Place;
use crate::auth::Door;
use keys::Keys;

pub(crate) use discovery::{audience, discover};
pub use identity_token::LEEWAY;
pub use issuers::{Issuer, IssuerError, IssuerKind, Issuers};
pub use keys::{FETCH_TIME, KEYS_REFRESHED, MAX_DISCOVERY_LEN, MAX_JWKS_LEN, MAX_KEYS};
pub use mint::{MAX_BODY, TOKEN_LIFE};
pub(crate) use mint::{burn, mint};
pub use publisher::{TrustedPublisher, TrustedPublisherError};

/// Where the bytes of a new token come from.
pub trait Secrets: Send + Sync {
    /// Fills all of `bytes` with what nobody can guess.
    ///
    /// # Errors
    ///
    /// When the system has none.
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()>;
}

/// How identity tokens are exchanged.
#[derive(Clone)]
pub struct TrustedPublishing {
    /// Whose identity tokens are looked at.
    pub issuers: Issuers,
    /// Whom an identity token has to be made for: a name that no other index has, or its tokens
    /// would be good here.
    pub audience: String,
    /// Where the bytes of upload tokens come from.
    pub secrets: Arc<dyn Secrets>,
    /// How long an issuer may take to say which keys it has: [`FETCH_TIME`].
    pub patience: Duration,
}

/// Exchanging tokens, as the handlers need it.
#[derive(Clone)]
pub(crate) struct Exchanging {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) door: Arc<Door>,
    pub(crate) place: Place,
    /// Where it is set up at all.
    pub(crate) how: Option<Arc<How>>,
}

/// How it is set up, and what is known of the issuers' keys.
pub(crate) struct How {
    publishing: TrustedPublishing,
    keys: Keys,
}

impl How {
    pub(crate) fn new(publishing: TrustedPublishing) -> How {
        How {
            keys: Keys::new(publishing.patience),
            publishing,
        }
    }
}

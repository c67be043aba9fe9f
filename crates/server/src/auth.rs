//! Who sends a request: somebody with a token of this index, or nobody.
//!
//! What fails is counted, by the address it came from and by the name it was tried under, and
//! answered 429 when it is too much. Whoever has a good token is let in all the same: tokens have
//! 256 random bits, so that no number of attempts finds one, and a limit that locked people out
//! would be a gift to whoever wants to. It keeps the work, the log and the audit log small.

mod credentials;
mod notebook;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::SignedDuration;
use wheelmark_store::{
    Bearer, Checked, Ended, LAST_USED_STEP, Scope, Store, StoreError, TOKEN_PREFIX, TokenId,
    UserName,
};
use wheelmark_tuf::Clock;

use crate::client_address::From;
use crate::problem::chain;
use crate::rate::{Rate, Rates};
use credentials::Presented;
use notebook::Notebook;

pub use notebook::{REFUSALS_NOTED, USERS_REFUSALS_NOTED};

/// The user name that goes with every token.
const TOKEN_USER: &str = "__token__";

/// How many attempts may fail that come from one address, or are made under one name: a person who
/// tries the wrong file of tokens, or a machine that runs a few jobs with an old one.
pub const FAILED_ATTEMPTS: Rate = Rate {
    burst: 30,
    every: SignedDuration::from_secs(6),
};

/// How many files a user may upload. The largest releases have a few hundred files, and a machine
/// that uploads one after the other needs about a second for each; what is stopped is a script that
/// runs wild. Tokens of scope admin are not counted: they are in the hands of who runs the index.
pub const UPLOADS: Rate = Rate {
    burst: 1000,
    every: SignedDuration::from_secs(1),
};

/// How often it is tried to note that a token was used.
const USES: Rate = Rate {
    burst: 1,
    every: LAST_USED_STEP,
};

/// Why a request is not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// No credentials were sent, or a name without a password.
    #[error("no token was sent")]
    Missing,
    /// The `Authorization` header is neither of the basic nor of the bearer scheme.
    #[error("the Authorization header is neither HTTP basic authentication nor a bearer token")]
    Malformed,
    /// A user name that does not go with the token.
    #[error("the user name is neither {TOKEN_USER} nor that of the token's user")]
    User,
    /// The token is not one of this index.
    #[error("this index does not know the token")]
    Unknown,
    /// A token where the user name belongs.
    #[error("the token was sent as the user name")]
    TokenAsName,
    /// The token was one of this index.
    #[error(transparent)]
    Ended(Ended),
    /// Too much has failed from there, or under this name.
    #[error("too many attempts with wrong credentials; the next is looked at in {} s", whole_seconds(*.wait))]
    TooManyAttempts {
        /// After what time it can be tried again.
        wait: SignedDuration,
    },
    /// Too many files of one user.
    #[error("{user} has uploaded too many files in a short time; the next is taken in {} s", whole_seconds(*.wait))]
    TooManyUploads {
        /// Who.
        user: UserName,
        /// After what time it can be tried again.
        wait: SignedDuration,
    },
    /// The token could not be looked up.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A duration in seconds, at least one.
pub(crate) fn whole_seconds(wait: SignedDuration) -> u64 {
    u64::try_from(wait.as_millis().max(0)).map_or(u64::MAX, |ms| ms.div_ceil(1000).max(1))
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Address(IpAddr),
    User(UserName),
    Token(TokenId),
}

/// Lets requests in.
pub(crate) struct Door {
    store: Store,
    clock: Arc<dyn Clock>,
    failures: Rates<Counted>,
    uploads: Rates<UserName>,
    uses: Rates<TokenId>,
    notebook: Notebook,
}

impl Door {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, failures: Rate, uploads: Rate) -> Door {
        Door {
            notebook: Notebook::new(store.clone(), clock.clone()),
            store,
            clock,
            failures: Rates::new(failures),
            uploads: Rates::new(uploads),
            uses: Rates::new(USES),
        }
    }

    /// Who sends a request.
    pub(crate) async fn bearer(
        &self,
        headers: &HeaderMap,
        from: From,
    ) -> Result<Bearer, AuthError> {
        let header = headers.get(AUTHORIZATION).ok_or(AuthError::Missing)?;
        let presented = Presented::read(header.as_bytes()).ok_or(AuthError::Malformed)?;
        let name = presented.name.as_deref().map(String::as_str);
        let name = name.filter(|name| *name != TOKEN_USER);
        // Installers that are to ask a keyring try the name alone first: nobody guesses.
        if presented.token.is_empty() && !name.is_some_and(|name| name.starts_with(TOKEN_PREFIX)) {
            return Err(AuthError::Missing);
        }
        let now = self.clock.now();
        let failure = match self.store.check_token(&presented.token, now).await? {
            Checked::Good(bearer) => match name {
                Some(name) if name != bearer.user().as_str() => wrong_name(name),
                _ => {
                    self.note_use(&bearer);
                    return Ok(bearer);
                }
            },
            Checked::Ended(ended) => AuthError::Ended(ended),
            Checked::Unknown => match name.map(wrong_name) {
                Some(AuthError::TokenAsName) => AuthError::TokenAsName,
                _ => AuthError::Unknown,
            },
        };
        // What is no user's name may be anything: a token, a password, a line made up for the log.
        let name = name.map(str::parse::<UserName>).transpose().ok().flatten();
        Err(self.failed(failure, name, from).await)
    }

    /// Notes that a token was used, while its request goes on, and at most once in each
    /// [`LAST_USED_STEP`], also where that fails.
    fn note_use(&self, bearer: &Bearer) {
        let now = self.clock.now();
        if !bearer.use_is_news(now) || self.uses.count(bearer.id(), now).is_err() {
            return;
        }
        let (store, bearer) = (self.store.clone(), bearer.clone());
        tokio::spawn(async move {
            if let Err(error) = store.note_use(&bearer, now).await {
                let (token, error) = (bearer.id(), chain(&error));
                tracing::warn!(%token, error, "the use of a token could not be noted");
            }
        });
    }

    /// Counts a failure, and writes it down unless it is one too many.
    async fn failed(&self, failure: AuthError, name: Option<UserName>, from: From) -> AuthError {
        let by_address = from.0.map(|address| Counted::Address(network(address)));
        let by_name = match &failure {
            AuthError::Ended(ended) => Some(Counted::Token(ended.id().clone())),
            _ => name.clone().map(Counted::User),
        };
        let now = self.clock.now();
        let counts = [by_address, by_name].into_iter().flatten();
        // Each of them counts, also where the other is over.
        let waits: Vec<SignedDuration> = counts
            .filter_map(|counted| self.failures.count(&counted, now).err())
            .collect();
        if let Some(wait) = waits.into_iter().max() {
            self.notebook.skip_failure();
            return AuthError::TooManyAttempts { wait };
        }
        self.notebook.failure(&failure, name, from).await;
        failure
    }

    /// Counts an identity token that was not exchanged, and writes it down; or says after what time
    /// the next one is looked at.
    pub(crate) async fn exchange_refused(
        &self,
        why: &str,
        from: From,
    ) -> Result<(), SignedDuration> {
        let now = self.clock.now();
        let counted = from.0.map(|address| Counted::Address(network(address)));
        if let Some(Err(wait)) = counted.map(|counted| self.failures.count(&counted, now)) {
            self.notebook.skip_failure();
            return Err(wait);
        }
        self.notebook.refused_exchange(why, from).await;
        Ok(())
    }

    /// Counts an upload of a user.
    pub(crate) fn count_upload(&self, bearer: &Bearer) -> Result<(), AuthError> {
        if *bearer.scope() == Scope::Admin {
            return Ok(());
        }
        let counted = self.uploads.count(bearer.user(), self.clock.now());
        counted.map_err(|wait| AuthError::TooManyUploads {
            user: bearer.user().clone(),
            wait,
        })
    }

    /// What was refused to somebody who is known is written down.
    pub(crate) fn notebook(&self) -> &Notebook {
        &self.notebook
    }
}

/// What is wrong about a name that does not go with its token.
fn wrong_name(name: &str) -> AuthError {
    if name.starts_with(TOKEN_PREFIX) {
        AuthError::TokenAsName
    } else {
        AuthError::User
    }
}

/// What one subscriber has: an address of IPv4, the /64 of one of IPv6 (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn one_subscriber_is_counted_once() {
        let check = |address: &str, expected: &str| {
            let counted = network(address.parse().unwrap());
            assert_eq!(counted.to_string(), expected, "{address}");
        };
        check("192.0.2.7", "192.0.2.7");
        check("::ffff:192.0.2.7", "192.0.2.7");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
        check("2001:db8:1:2:ffff::", "2001:db8:1:2::");
    }

    #[test]
    fn a_wait_is_never_told_too_short() {
        for (ms, seconds) in [(-5, 1), (0, 1), (1, 1), (1000, 1), (1001, 2), (6000, 6)] {
            let told = whole_seconds(SignedDuration::from_millis(ms));
            assert_eq!(told, seconds, "{ms}");
        }
    }
}

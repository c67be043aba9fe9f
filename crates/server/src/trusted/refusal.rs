//! What whoever presents an identity token is told, as PyPI tells it and the draft of PEP 807 has it.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use jiff::SignedDuration;
use serde_json::json;

use super::claims::Unlike;
use super::identity_token::TokenError;
use super::keys::KeysError;
use crate::auth::whole_seconds;
use crate::problem::chain;
use wheelmark_store::{ExchangeError, Passed, StoreError};

/// The longest description that is told, in bytes.
const MAX_DESCRIPTION: usize = 2_000;

/// Why an identity token is not exchanged.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The body is not what it has to be.
    #[error("the request has to be a JSON object with a text `token`, of at most {limit} bytes")]
    Payload {
        /// Most bytes allowed.
        limit: usize,
    },
    /// Nobody's tokens are exchanged here.
    #[error("this index exchanges no identity tokens")]
    NotEnabled,
    /// Nobody that is known made the token.
    #[error("this index takes no identity tokens of `{}`", issuer.escape_debug())]
    Issuer {
        /// Who it says made it.
        issuer: String,
    },
    /// The token is not good.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The key that it is verified with is not to be had.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// No project trusts where it comes from.
    #[error("no project of this index trusts {shown}")]
    Nobody {
        /// Where it comes from.
        shown: String,
    },
    /// There are publishers of that place, and none of them is meant.
    #[error("{}", unlike(first, *others))]
    Unlike {
        /// The first of them, and why not.
        first: (String, Unlike),
        /// How many others.
        others: usize,
    },
    /// It does not say where it comes from.
    #[error(transparent)]
    Origin(Unlike),
    /// It was not exchanged.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// Too many were refused that came from there.
    #[error("too many identity tokens were refused that came from your address; the next is looked at in {} s", whole_seconds(*.wait))]
    TooMany {
        /// After what time it can be tried again.
        wait: SignedDuration,
    },
    /// There are no secrets to be had.
    #[error("the index has no randomness for a token")]
    Secrets(#[source] std::io::Error),
}

fn unlike((publisher, why): &(String, Unlike), others: usize) -> String {
    let others = match others {
        0 => String::new(),
        1 => "; another publisher of that place does not fit either".to_owned(),
        more => format!("; {more} other publishers of that place do not fit either"),
    };
    format!("it is not of {publisher}: {why}{others}")
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Exchange(error.into())
    }
}

impl Refusal {
    /// Whether the reason lies with the index.
    pub(super) fn is_of_the_index(&self) -> bool {
        matches!(
            self,
            Self::Exchange(ExchangeError::Store(_)) | Self::Secrets(_)
        )
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Payload { .. } => "invalid-payload",
            Self::NotEnabled => "not-enabled",
            Self::Issuer { .. } | Self::Token(_) | Self::Keys(_) | Self::Origin(_) => {
                "invalid-token"
            }
            Self::Nobody { .. } | Self::Unlike { .. } => "invalid-publisher",
            Self::Exchange(ExchangeError::Replayed) => "invalid-reuse-token",
            Self::Exchange(ExchangeError::Passed(passed)) => {
                let taken = |why: &Passed| matches!(why, Passed::Taken { .. });
                if passed.iter().all(taken) {
                    "invalid-pending-publisher"
                } else {
                    "invalid-publisher"
                }
            }
            Self::Exchange(ExchangeError::Disabled { .. }) => "invalid-publisher",
            Self::TooMany { .. } => "too-many-requests",
            Self::Exchange(ExchangeError::Store(_)) | Self::Secrets(_) => "index-failed",
        }
    }

    fn description(&self) -> String {
        let valid = |what: &str| format!("valid token, but {what}");
        let text = match self {
            Self::Nobody { .. } => valid(&format!(
                "{self}; whoever runs the index adds it: wheelmark index publisher add PROJECT PUBLISHER"
            )),
            Self::Unlike { .. } => valid(&self.to_string()),
            Self::Exchange(ExchangeError::Replayed) => {
                valid("it was exchanged before, and is good once")
            }
            Self::Exchange(ExchangeError::Passed(passed)) => {
                let why: Vec<String> = passed.iter().map(Passed::to_string).collect();
                valid(&format!(
                    "{}; whoever runs the index can list the publisher anew",
                    why.join("; ")
                ))
            }
            Self::Exchange(ExchangeError::Disabled { .. }) => valid(&self.to_string()),
            Self::Token(_) | Self::Keys(_) | Self::Origin(_) => {
                format!("malformed or invalid token: {}", chain(self))
            }
            Self::Exchange(ExchangeError::Store(_)) | Self::Secrets(_) => {
                "the log of the index says why".to_owned()
            }
            Self::Payload { .. }
            | Self::NotEnabled
            | Self::Issuer { .. }
            | Self::TooMany { .. } => self.to_string(),
        };
        text[..text.floor_char_boundary(MAX_DESCRIPTION)].to_owned()
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            of if of.is_of_the_index() => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if self.is_of_the_index() {
            tracing::error!(
                error = chain(&self),
                "an identity token could not be exchanged"
            );
        }
        let document = json!({
            "message": "Token request failed",
            "errors": [{"code": self.code(), "description": self.description()}],
        });
        let mut response = (self.status(), json_answer(&document)).into_response();
        if let Self::TooMany { wait } = self {
            let seconds = HeaderValue::from(whole_seconds(wait));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

/// A document that no cache keeps.
pub(super) fn json_answer(document: &serde_json::Value) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, document.to_string()).into_response()
}

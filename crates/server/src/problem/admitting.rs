//! What it is to HTTP that somebody is not let in, and what they can do about it.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use wheelmark_store::{Denied, Ended};

use super::uploading::writing_the_journal;
use super::{Problem, chain};
use crate::auth::{AuthError, whole_seconds};
use crate::privacy::MayNotRead;

/// How to upload with a token.
const TO_UPLOAD: &str = "use __token__ as the user name and an upload token as the password";

/// How to get a token that uploads.
const NEW_TO_UPLOAD: &str = "whoever runs the index makes a new one: wheelmark index token create --user NAME --scope upload";

/// How to get a token that reads, and does no more.
const NEW_TO_READ: &str =
    "whoever runs the index makes a new one: wheelmark index token create --user NAME --scope read";

/// How to send a token.
const IN_ITS_PLACE: &str =
    "use __token__ as the user name and the token as the password; no log keeps what was sent";

/// How to read with a token.
const TO_READ: &str = "use __token__ as the user name and a token of this index as the password: in \
                       the installer's netrc, keyring or index settings, or with `wheelmark login URL`";

/// An upload that was not let in.
pub(super) fn uploading(error: &AuthError) -> Problem {
    let unauthorised = |title, detail: String| {
        Problem::new(StatusCode::UNAUTHORIZED, title, detail)
            .authenticate()
            .hint(TO_UPLOAD)
    };
    match error {
        AuthError::Missing => unauthorised("Token missing", "uploading needs a token".to_owned()),
        AuthError::Malformed => unauthorised("Malformed credentials", chain(error)),
        AuthError::User => unauthorised("Wrong user name", chain(error)),
        AuthError::TokenAsName => token_as_name(error),
        AuthError::Unknown => Problem::new(StatusCode::FORBIDDEN, "Unknown token", chain(error))
            .hint("check the password: it is a token that this index has given out"),
        AuthError::Ended(ended) => ended_token(StatusCode::FORBIDDEN, ended, NEW_TO_UPLOAD),
        AuthError::TooManyAttempts { .. } | AuthError::TooManyUploads { .. } => too_many(error),
        AuthError::Store(store) => writing_the_journal(store),
    }
}

/// Somebody with a good token whose upload is not theirs to make.
pub(super) fn denied(error: &Denied) -> Problem {
    let forbidden = |title| Problem::new(StatusCode::FORBIDDEN, title, chain(error));
    match error {
        Denied::Ended(ended) => ended_token(StatusCode::FORBIDDEN, ended, NEW_TO_UPLOAD),
        Denied::Unknown => forbidden("Unknown token").hint(NEW_TO_UPLOAD),
        Denied::ReadOnly => forbidden("Token cannot upload").hint(NEW_TO_UPLOAD),
        Denied::OtherProject { user, project, .. } => {
            forbidden("Token of another project").hint(format!(
                "use this project's token; whoever runs the index makes one: wheelmark index token \
                 create --user {user} --scope upload --project {project}"
            ))
        }
        Denied::NotOneOf { project, .. } => forbidden("Token of another project").hint(format!(
            "whoever runs the index can add the publisher to it: wheelmark index publisher add {project} PUBLISHER"
        )),
        Denied::NotMember { user, project } => forbidden("Not your project").hint(format!(
            "choose another name, or ask an owner; whoever runs the index can add you: \
             wheelmark index project maintainer add {project} {user}"
        )),
    }
}

impl From<MayNotRead> for Problem {
    fn from(why: MayNotRead) -> Problem {
        let error = match why {
            MayNotRead::Auth(error) => error,
            MayNotRead::UploadsOnly { .. } => {
                return Problem::new(StatusCode::FORBIDDEN, "Token for uploading", chain(&why))
                    .hint(TO_READ);
            }
        };
        let unauthorised = |title, detail: String| {
            Problem::new(StatusCode::UNAUTHORIZED, title, detail)
                .authenticate()
                .hint(TO_READ)
        };
        match &error {
            AuthError::Missing => unauthorised(
                "Token missing",
                "reading this index needs a token".to_owned(),
            ),
            AuthError::Malformed => unauthorised("Malformed credentials", chain(&error)),
            AuthError::User => unauthorised("Wrong user name", chain(&error)),
            AuthError::TokenAsName => token_as_name(&error),
            AuthError::Unknown => unauthorised("Unknown token", chain(&error)),
            AuthError::Ended(ended) => {
                ended_token(StatusCode::UNAUTHORIZED, ended, NEW_TO_READ).authenticate()
            }
            AuthError::TooManyAttempts { .. } | AuthError::TooManyUploads { .. } => {
                too_many(&error)
            }
            AuthError::Store(store) => writing_the_journal(store),
        }
    }
}

impl IntoResponse for MayNotRead {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

fn token_as_name(error: &AuthError) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "Token sent as the user name",
        chain(error),
    )
    .authenticate()
    .hint(IN_ITS_PLACE)
}

fn ended_token(status: StatusCode, ended: &Ended, new: &'static str) -> Problem {
    let problem = |title| Problem::new(status, title, chain(ended));
    match ended {
        Ended::Expired { .. } => problem("Token expired").hint(new),
        Ended::Revoked { .. } => problem("Token revoked").hint(new),
        Ended::Disabled { .. } => problem("User disabled").hint("ask whoever runs the index"),
    }
}

fn too_many(error: &AuthError) -> Problem {
    let (title, wait) = match error {
        AuthError::TooManyAttempts { wait } => ("Too many attempts", *wait),
        AuthError::TooManyUploads { wait, .. } => ("Too many uploads", *wait),
        _ => return Problem::internal("letting somebody in", error),
    };
    Problem::new(StatusCode::TOO_MANY_REQUESTS, title, chain(error))
        .hint("wait as long as it says, then try again with a token that this index knows")
        .retry_after(whole_seconds(wait))
}

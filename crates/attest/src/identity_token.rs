//! Identity tokens: who somebody is, in the word of an issuer (OpenID Connect).
//!
//! Whether a token holds is the authority's to judge. What is read of it here tells a person what is
//! wrong before it is sent, and whom it names.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::service::{Patience, Service, ServiceError};

/// Longest token, in bytes; those of CI services have some 2,000.
pub const MAX_TOKEN_LEN: usize = 32 * 1024;

/// Why something is no identity token, or not the right one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a JSON web token (RFC 7519) with the claims that an identity token has.
    #[error("it is not an identity token (a JSON web token with issuer and subject)")]
    Malformed,
    /// It is for somebody else.
    #[error("it is made for `{}`, and the authority wants one for `{wanted}`", found.escape_debug())]
    Audience {
        /// What the authority wants.
        wanted: String,
        /// For whom it is.
        found: String,
    },
    /// Its time is over.
    #[error("it ended at {at}, and now it is {now}")]
    Ended {
        /// When.
        at: Timestamp,
        /// What this machine's clock says.
        now: Timestamp,
    },
}

/// A token, and what it says. Its text is overwritten when it goes, and shown nowhere.
pub struct IdentityToken {
    text: Zeroizing<String>,
    issuer: String,
    subject: String,
    email: Option<String>,
    visibility: Option<String>,
    audience: Vec<String>,
    ends: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    #[serde(default)]
    aud: Value,
    exp: Option<i64>,
    email: Option<String>,
    /// GitHub's, and GitLab's.
    #[serde(alias = "project_visibility")]
    repository_visibility: Option<String>,
}

impl IdentityToken {
    /// Reads a token, without the white space around it.
    pub fn parse(text: &str) -> Result<IdentityToken, TokenError> {
        let text = Zeroizing::new(text.trim().to_owned());
        if text.len() > MAX_TOKEN_LEN || !text.is_ascii() {
            return Err(TokenError::Malformed);
        }
        let mut parts = text.split('.');
        let (Some(_), Some(claims), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed);
        };
        let claims = URL_SAFE_NO_PAD.decode(claims);
        let claims = Zeroizing::new(claims.map_err(|_| TokenError::Malformed)?);
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| TokenError::Malformed)?;
        let audience = match claims.aud {
            Value::String(one) => vec![one],
            Value::Array(list) => list
                .iter()
                .filter_map(|one| Some(one.as_str()?.to_owned()))
                .collect(),
            _ => Vec::new(),
        };
        Ok(IdentityToken {
            text,
            issuer: claims.iss,
            subject: claims.sub,
            email: claims.email,
            visibility: claims.repository_visibility,
            audience,
            ends: claims.exp.and_then(|end| Timestamp::from_second(end).ok()),
        })
    }

    /// Whether it is worth showing to an authority that takes tokens for `audience`.
    pub fn check(&self, audience: &str, now: Timestamp) -> Result<(), TokenError> {
        if !self.audience.iter().any(|one| one == audience) {
            return Err(TokenError::Audience {
                wanted: audience.to_owned(),
                found: self.audience.join(", ").chars().take(100).collect(),
            });
        }
        match self.ends {
            Some(at) if at <= now => Err(TokenError::Ended { at, now }),
            _ => Ok(()),
        }
    }

    /// Who vouches, in its own words.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom it names, in the issuer's words.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The address of a person or an account, if it names one.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// Whether it is of a job whose repository not everybody may see.
    pub fn is_of_a_private_repository(&self) -> bool {
        self.visibility
            .as_deref()
            .is_some_and(|seen| seen != "public")
    }

    /// Whether another token names the same.
    pub fn names_the_same(&self, other: &IdentityToken) -> bool {
        (&self.issuer, &self.subject, &self.email) == (&other.issuer, &other.subject, &other.email)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityToken")
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// What GitHub answers a job that asks for a token.
#[derive(Deserialize)]
struct JobToken {
    value: Zeroizing<String>,
}

/// Asks GitHub Actions for the identity token of the job that this is: at the address and with the
/// secret that a job with the permission `id-token: write` has in its environment.
///
/// # Errors
///
/// When the service does not answer, or not with a token.
pub async fn job_token(
    url: Url,
    secret: &str,
    audience: &str,
    user_agent: &str,
    patience: Patience,
) -> Result<Zeroizing<String>, ServiceError> {
    let service = Service::new(url, user_agent, patience)?;
    let malformed = |source| ServiceError::Malformed {
        place: service.place(),
        source,
    };
    let bearer = Zeroizing::new(format!("Bearer {secret}"));
    let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| ServiceError::Useless {
        place: service.place(),
        reason: "cannot be asked for: the secret of the job is no secret",
    })?;
    bearer.set_sensitive(true);
    let answer = service.get_with(("audience", audience), bearer).await?;
    if !answer.status.is_success() {
        return Err(service.refused(&answer));
    }
    let token: JobToken = serde_json::from_slice(&answer.body).map_err(malformed)?;
    Ok(token.value)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_says_whom_it_names_and_is_not_shown() {
        let text = token(
            &json!({"iss": "https://i.example", "sub": "job 7", "aud": "sigstore", "exp": 100}),
        );
        let read = IdentityToken::parse(&format!(" {text}\n")).unwrap();
        assert_eq!(
            (read.issuer(), read.subject()),
            ("https://i.example", "job 7")
        );
        assert_eq!(read.email(), None);
        assert_eq!(read.text(), text);
        let shown = format!("{read:?}");
        assert!(
            shown.contains("job 7") && !shown.contains(&text[4..]),
            "{shown}"
        );
    }

    #[test]
    fn one_for_somebody_else_or_of_another_time_is_told() {
        let read = |aud: Value| {
            let claims = json!({"iss": "i", "sub": "s", "aud": aud, "exp": 100});
            IdentityToken::parse(&token(&claims)).unwrap()
        };
        assert_eq!(read(json!("sigstore")).check("sigstore", at(99)), Ok(()));
        assert_eq!(
            read(json!(["a", "sigstore"])).check("sigstore", at(99)),
            Ok(())
        );
        for aud in [json!("pypi"), json!(["pypi"]), json!(null), json!(7)] {
            let refused = read(aud).check("sigstore", at(99));
            assert!(
                matches!(refused, Err(TokenError::Audience { .. })),
                "{refused:?}"
            );
        }
        let refused = read(json!("sigstore")).check("sigstore", at(100));
        assert_eq!(
            refused,
            Err(TokenError::Ended {
                at: at(100),
                now: at(100)
            })
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        let good = token(&json!({"iss": "i", "sub": "s"}));
        assert!(IdentityToken::parse(&good).is_ok());
        for wrong in [
            String::new(),
            "wmk_token".to_owned(),
            format!("{good}.more"),
            token(&json!({"iss": "i"})),
            token(&json!([])),
            "a.!.b".to_owned(),
            format!("{good}é"),
            format!("{good}{}", "x".repeat(MAX_TOKEN_LEN)),
        ] {
            assert!(matches!(
                IdentityToken::parse(&wrong),
                Err(TokenError::Malformed)
            ));
        }
    }
}

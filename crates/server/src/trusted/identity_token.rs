//! Identity tokens: JSON web tokens (RFC 7519) that an issuer signs.
//!
//! One algorithm, chosen here and not by the token (RFC 8725 §3.1); the times and the audience are
//! compared here, with the time of the request.

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};
use wheelmark_tuf::Sha256;

use super::keys::MAX_KID_LEN;

/// How far the issuer's clock may be from ours.
pub const LEEWAY: SignedDuration = SignedDuration::from_secs(30);

/// Why an identity token is not good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    /// It is not a token that RS256 signs.
    #[error("it is not a JSON web token that is signed with RS256")]
    Malformed,
    /// It does not say which key signed it.
    #[error("it does not say which key of its issuer signed it (kid)")]
    NoKey,
    /// The signature does not hold.
    #[error("its signature does not hold")]
    Signature,
    /// A claim is missing, or of another type.
    #[error("it has no claim `{claim}` of the right type")]
    Claim {
        /// Which.
        claim: &'static str,
    },
    /// It is for somebody else.
    #[error("it is made for `{}`, and this index is `{expected}`", found.escape_debug())]
    Audience {
        /// Who we are.
        expected: String,
        /// For whom it is.
        found: String,
    },
    /// Its time is over.
    #[error("it expired at {at}")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Its time has not come.
    #[error("it is of a time that has not come: {at}")]
    TooEarly {
        /// When.
        at: Timestamp,
    },
}

/// A token as it was presented: believed by nobody.
#[derive(Debug)]
pub(super) struct Presented<'a> {
    text: &'a str,
    /// Who it says made it.
    pub(super) issuer: String,
    /// The key that it says signed it.
    pub(super) kid: String,
}

#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

impl<'a> Presented<'a> {
    /// Reads as much as is needed to know whose keys to verify it with.
    pub(super) fn read(text: &'a str) -> Result<Presented<'a>, TokenError> {
        let header = jsonwebtoken::decode_header(text).map_err(|_| TokenError::Malformed)?;
        // What its header says has to be understood (RFC 7515 §4.1.11): we understand nothing of
        // that kind.
        if header.alg != Algorithm::RS256 || header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let kid = header
            .kid
            .filter(|kid| (1..=MAX_KID_LEN).contains(&kid.len()));
        // Nothing is decided by this: it names the keys, and with them all is verified.
        let issuer: Issuer = jsonwebtoken::dangerous::insecure_decode_claims(text)
            .map_err(|_| TokenError::Claim { claim: "iss" })?;
        Ok(Presented {
            text,
            issuer: issuer.iss,
            kid: kid.ok_or(TokenError::NoKey)?,
        })
    }

    /// Verifies the token with the issuer's key.
    pub(super) fn verify(
        &self,
        key: &DecodingKey,
        audience: &str,
        now: Timestamp,
    ) -> Result<Claims, TokenError> {
        let mut validation = Validation::new(Algorithm::RS256);
        // The signature and the algorithm are the library's; these are below.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(self.text, key, &validation);
        let claims = decoded.map_err(|_| TokenError::Signature)?.claims;

        let text = |claim| claims.get(claim).and_then(Value::as_str);
        if text("iss") != Some(self.issuer.as_str()) {
            return Err(TokenError::Claim { claim: "iss" });
        }
        // One: whoever else it is made for could present it here.
        let found = match claims.get("aud") {
            Some(Value::String(one)) => Some(one.as_str()),
            Some(Value::Array(list)) => match list.as_slice() {
                [Value::String(one)] => Some(one.as_str()),
                _ => None,
            },
            _ => None,
        };
        let found = found.ok_or(TokenError::Claim { claim: "aud" })?;
        if found != audience {
            return Err(TokenError::Audience {
                expected: audience.to_owned(),
                found: found.chars().take(100).collect(),
            });
        }
        let time = |claim| match claims.get(claim) {
            None => Ok(None),
            Some(value) => value
                .as_i64()
                .and_then(|seconds| Timestamp::from_second(seconds).ok())
                .map(Some)
                .ok_or(TokenError::Claim { claim }),
        };
        let expires_at = time("exp")?.ok_or(TokenError::Claim { claim: "exp" })?;
        let issued_at = time("iat")?.ok_or(TokenError::Claim { claim: "iat" })?;
        if now.duration_since(expires_at) >= LEEWAY {
            return Err(TokenError::Expired { at: expires_at });
        }
        for at in [Some(issued_at), time("nbf")?].into_iter().flatten() {
            if at.duration_since(now) > LEEWAY {
                return Err(TokenError::TooEarly { at });
            }
        }
        let digest = match claims.get("jti") {
            Some(Value::String(jti)) if !jti.is_empty() => {
                Sha256::of(format!("jti {jti}").as_bytes())
            }
            Some(_) => return Err(TokenError::Claim { claim: "jti" }),
            // Some issuers give none. What is signed, then: another text of the same signature
            // must not be another token.
            None => {
                let signed = self.text.rsplit_once('.').map_or("", |(signed, _)| signed);
                Sha256::of(format!("signed {signed}").as_bytes())
            }
        };
        // As long as it would be taken, and a moment more.
        let until = expires_at.saturating_add(LEEWAY * 2);
        Ok(Claims {
            until: until.unwrap_or(expires_at),
            claims,
            digest,
        })
    }
}

/// The claims of a token that was verified. Only [`Presented::verify`] makes one.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    claims: Map<String, Value>,
    digest: Sha256,
    until: Timestamp,
}

impl Claims {
    /// What tells the token from all others of its issuer.
    pub(super) fn digest(&self) -> Sha256 {
        self.digest
    }

    /// When it cannot be presented any more.
    pub(super) fn until(&self) -> Timestamp {
        self.until
    }

    /// A claim.
    pub(super) fn get(&self, claim: &str) -> Option<&Value> {
        self.claims.get(claim)
    }

    /// A claim that is a text, and not an empty one.
    pub(super) fn text(&self, claim: &str) -> Option<&str> {
        let text = self.claims.get(claim)?.as_str()?;
        (!text.is_empty()).then_some(text)
    }

    /// For the tests of what is decided by claims.
    #[cfg(test)]
    pub(super) fn made_up(claims: Value) -> Claims {
        let Value::Object(claims) = claims else {
            panic!("claims are an object");
        };
        Claims {
            claims,
            digest: Sha256::of(b""),
            until: Timestamp::UNIX_EPOCH,
        }
    }
}

//! The messages of the SSH agent protocol that signing needs, read strictly.
//!
//! They are those of `draft-ietf-sshm-ssh-agent`; keys and signatures in them have the forms of
//! RFC 4253 §6.6 (strings), RFC 5656 §3.1 (ECDSA) and RFC 8709 (Ed25519). An agent is another
//! program, so its answers are bounded, and every byte of them has to be accounted for.

use crate::der::{self, P256_SCALAR_LEN};
use crate::public_key::{Algorithm, PublicKey};

/// The longest message, in bytes: `AGENT_MAX_LEN` of OpenSSH.
pub(super) const MAX_MESSAGE_LEN: usize = 256 * 1024;

/// The most keys that an agent may have: `MAX_AGENT_IDENTITIES` of OpenSSH.
const MAX_IDENTITIES: u32 = 2048;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

const ED25519: &str = "ssh-ed25519";
const P256: &str = "ecdsa-sha2-nistp256";
const P256_CURVE: &[u8] = b"nistp256";

/// An answer is none that an agent gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It says no, which the protocol gives no reason for.
    #[error(
        "it refuses: it may be locked, whoever it asked may have said no, or an Ed25519 key on a card cannot take so long a message (one on P-256 can)"
    )]
    Refused,
    /// Another message than the one that was asked for.
    #[error("it answers with a message of the type {found}, not {expected}")]
    Type {
        /// What was asked for.
        expected: u8,
        /// What came.
        found: u8,
    },
    /// The message ends too early, or goes on behind its end.
    #[error("its answer is cut short, or longer than it says")]
    Length,
    /// More keys than an agent has.
    #[error("it claims to have {claimed} keys; {MAX_IDENTITIES} are the most that are looked at")]
    TooMany {
        /// How many it claims.
        claimed: u32,
    },
    /// A signature of another kind than the key.
    #[error("its signature is of another kind than the key")]
    OtherKind,
    /// Numbers that no signature consists of.
    #[error("the numbers of its signature are out of range")]
    Numbers,
}

/// Why a key in an agent cannot sign metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A FIDO2 token.
    #[error(
        "a FIDO2 key (`sk`) signs its own counter and flags together with a digest, never the bytes that it is given, so nothing that verifies metadata accepts it"
    )]
    Fido,
    /// A certificate.
    #[error("a certificate is no key: name the key that it was issued for")]
    Certificate,
    /// RSA.
    #[error(
        "agents sign with RSA in the form of PKCS #1 v1.5, and metadata is signed with RSA-PSS"
    )]
    Rsa,
    /// Any other kind.
    #[error("keys of the kind `{}` sign no metadata; Ed25519 and ECDSA on P-256 do", kind.escape_debug())]
    Kind {
        /// Its kind.
        kind: String,
    },
    /// A key that cannot be read.
    #[error("its public key is damaged")]
    Damaged,
}

/// One entry of an agent's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) blob: Vec<u8>,
    pub(super) comment: String,
}

/// Asks for the list of keys.
pub(super) fn list_request() -> Vec<u8> {
    vec![REQUEST_IDENTITIES]
}

/// Asks for a signature; none if the message does not fit.
pub(super) fn sign_request(blob: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let mut request = vec![SIGN_REQUEST];
    for string in [blob, message] {
        request.extend_from_slice(&u32::try_from(string.len()).ok()?.to_be_bytes());
        request.extend_from_slice(string);
    }
    // No flags: they choose among the digests of RSA.
    request.extend_from_slice(&[0; 4]);
    (request.len() <= MAX_MESSAGE_LEN).then_some(request)
}

/// Reads the list of keys.
pub(super) fn listed(answer: &[u8]) -> Result<Vec<Listed>, WireError> {
    let mut rest = of_type(answer, IDENTITIES_ANSWER)?;
    let claimed = rest.number()?;
    if claimed > MAX_IDENTITIES {
        return Err(WireError::TooMany { claimed });
    }
    let mut list = Vec::new();
    for _ in 0..claimed {
        let blob = rest.string()?.to_vec();
        let comment = String::from_utf8_lossy(rest.string()?).into_owned();
        list.push(Listed { blob, comment });
    }
    rest.end()?;
    Ok(list)
}

/// Reads a public key.
pub(super) fn public_key(blob: &[u8]) -> Result<PublicKey, Unusable> {
    let mut rest = Rest(blob);
    let kind = rest.string().map_err(|_| Unusable::Damaged)?;
    let kind = std::str::from_utf8(kind).map_err(|_| Unusable::Damaged)?;
    if kind.contains("-cert-v0") {
        return Err(Unusable::Certificate);
    }
    if kind.starts_with("sk-") || kind.starts_with("webauthn-sk-") {
        return Err(Unusable::Fido);
    }
    let damaged = |_| Unusable::Damaged;
    match kind {
        ED25519 => {
            let public = rest.string().map_err(damaged)?;
            rest.end().map_err(damaged)?;
            let public = public.try_into().map_err(|_| Unusable::Damaged)?;
            Ok(PublicKey::ed25519(public))
        }
        P256 => {
            let curve = rest.string().map_err(damaged)?;
            let point: &[u8] = rest.string().map_err(damaged)?;
            rest.end().map_err(damaged)?;
            let point: &[u8; 65] = point.try_into().map_err(|_| Unusable::Damaged)?;
            match curve == P256_CURVE {
                true => PublicKey::p256(point).map_err(|_| Unusable::Damaged),
                false => Err(Unusable::Damaged),
            }
        }
        "ssh-rsa" => Err(Unusable::Rsa),
        other => Err(Unusable::Kind {
            kind: other.chars().take(60).collect(),
        }),
    }
}

/// Reads a signature, into the form that metadata has it in.
pub(super) fn signature(answer: &[u8], algorithm: Algorithm) -> Result<Vec<u8>, WireError> {
    let mut rest = of_type(answer, SIGN_RESPONSE)?;
    let signature = rest.string()?;
    rest.end()?;
    let mut rest = Rest(signature);
    let kind = rest.string()?;
    let body = rest.string()?;
    rest.end()?;
    match algorithm {
        Algorithm::Ed25519 if kind == ED25519.as_bytes() => Ok(body.to_vec()),
        Algorithm::EcdsaP256 if kind == P256.as_bytes() => {
            let mut numbers = Rest(body);
            let (r, s) = (numbers.string()?, numbers.string()?);
            numbers.end()?;
            // One byte more than the number: a zero that says that it is positive.
            if r.len() > P256_SCALAR_LEN + 1 || s.len() > P256_SCALAR_LEN + 1 {
                return Err(WireError::Numbers);
            }
            der::ecdsa_signature(r, s).ok_or(WireError::Numbers)
        }
        _ => Err(WireError::OtherKind),
    }
}

fn of_type(answer: &[u8], expected: u8) -> Result<Rest<'_>, WireError> {
    match answer.split_first() {
        None => Err(WireError::Length),
        Some((&found, rest)) if found == expected => Ok(Rest(rest)),
        Some((&FAILURE, _)) => Err(WireError::Refused),
        Some((&found, _)) => Err(WireError::Type { expected, found }),
    }
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn number(&mut self) -> Result<u32, WireError> {
        let (number, rest) = self.0.split_first_chunk().ok_or(WireError::Length)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*number))
    }

    fn string(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.number()?).map_err(|_| WireError::Length)?;
        let (string, rest) = self.0.split_at_checked(length).ok_or(WireError::Length)?;
        self.0 = rest;
        Ok(string)
    }

    fn end(self) -> Result<(), WireError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(WireError::Length),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;

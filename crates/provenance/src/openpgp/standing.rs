//! What a certificate is good for, as far as it can be seen now.

use jiff::Timestamp;
use sequoia_openpgp::cert::Cert;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::RevocationStatus;

use super::certificates::Certificates;
use super::fingerprint::Fingerprint;
use super::verify::{read, time_of};

/// What a certificate is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can sign.
    Signs {
        /// Until when, if there is an end to it.
        until: Option<Timestamp>,
    },
    /// It is in order, and no key in it can sign now: those that could have expired, are revoked,
    /// or there was none.
    NoSigningKey,
    /// It has expired.
    Expired {
        /// When it did.
        at: Timestamp,
    },
    /// Its owner has revoked it.
    Revoked,
    /// sequoia does not accept it, or not any more.
    Unusable {
        /// In sequoia's words.
        reason: String,
    },
}

/// The standing of each certificate as of `now`, in their order.
pub fn standing(certificates: &Certificates, now: Timestamp) -> Vec<Standing> {
    let read = read(certificates);
    certificates
        .iter()
        .map(|certificate| {
            let same = read.iter().find(|cert| {
                let fingerprint = Fingerprint::from_bytes(cert.fingerprint().as_bytes());
                fingerprint == *certificate.fingerprint()
            });
            match same {
                Some(cert) => of(cert, now),
                None => Standing::Unusable {
                    reason: "it cannot be read".to_owned(),
                },
            }
        })
        .collect()
}

fn of(cert: &Cert, now: Timestamp) -> Standing {
    let policy = StandardPolicy::new();
    let valid = match cert.with_policy(&policy, time_of(now)) {
        Ok(valid) => valid,
        Err(error) => {
            let reason = format!("{error:#}");
            return Standing::Unusable { reason };
        }
    };
    if let RevocationStatus::Revoked(_) = valid.revocation_status() {
        return Standing::Revoked;
    }
    let ends = valid.primary_key().key_expiration_time();
    let ends = ends.and_then(|at| Timestamp::try_from(at).ok());
    if let Err(error) = valid.alive() {
        return match ends.filter(|at| *at <= now) {
            Some(at) => Standing::Expired { at },
            None => Standing::Unusable {
                reason: format!("{error:#}"),
            },
        };
    }
    let signing = valid.keys().alive().revoked(false).for_signing();
    let ends_of_keys = signing.map(|key| {
        let of_key = key.key_expiration_time();
        let of_key = of_key.and_then(|at| Timestamp::try_from(at).ok());
        [of_key, ends].into_iter().flatten().min()
    });
    // The key that can the longest; none is without end.
    match ends_of_keys.reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))) {
        Some(until) => Standing::Signs { until },
        None => Standing::NoSigningKey,
    }
}

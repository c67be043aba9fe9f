//! How people are told of certificates.

use jiff::Timestamp;
use serde_json::{Value, json};
use wheelmark_provenance::openpgp::{Certificates, VERIFIES};

use super::Known;
use crate::commands::up::print_line;

/// What is said wherever certificates are shown by a program that verifies nothing.
pub(super) const NOT_VERIFIED: &str = "this program was built without OpenPGP verification: certificates and signatures are kept and served, and no signature is looked at";

/// Prints the certificates of a project.
pub(super) fn list(known: &Known, as_json: bool, now: Timestamp) -> anyhow::Result<()> {
    let standings = standings(&known.certificates, now);
    let certificates = known.certificates.iter().zip(&standings);
    if as_json {
        let certificates = certificates.map(|(certificate, standing)| {
            json!({
                "fingerprint": certificate.fingerprint().to_string(),
                "user_ids": certificate.user_ids().collect::<Vec<_>>(),
                "standing": standing.word,
                "until": standing.at.map(|at| at.to_string()),
                "detail": standing.detail,
            })
        });
        let object = json!({
            "project": known.project.as_str(),
            "certificates": certificates.collect::<Vec<Value>>(),
            "required": known.required,
            "verified": VERIFIES,
        });
        return print_line(&object.to_string());
    }
    let mut lines = Vec::new();
    for (certificate, standing) in certificates {
        lines.push(format!(
            "{}  {}",
            certificate.fingerprint(),
            standing.text()
        ));
        lines.extend(certificate.user_ids().map(|id| format!("    {id}")));
    }
    if lines.is_empty() {
        lines.push(format!("{} has no certificates", known.project));
    } else if known.required {
        lines.push("uploads without a signature are refused".to_owned());
    } else {
        lines.push("uploads without a signature are taken".to_owned());
    }
    if !VERIFIES {
        lines.push(NOT_VERIFIED.to_owned());
    }
    print_line(&lines.join("\n"))
}

/// Tells of certificates by which nothing can be signed.
pub(super) fn warn_of(certificates: &Certificates, now: Timestamp) {
    let standings = standings(certificates, now);
    for (certificate, standing) in certificates.iter().zip(standings) {
        if !matches!(standing.word, "signs" | "unknown") {
            tracing::warn!(
                "nothing can be signed by {}: {}",
                certificate.fingerprint(),
                standing.text()
            );
        }
    }
}

/// What a certificate is good for.
struct Shown {
    word: &'static str,
    at: Option<Timestamp>,
    detail: Option<String>,
}

impl Shown {
    fn text(&self) -> String {
        let date = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
        match (self.word, self.at, &self.detail) {
            ("signs", Some(at), _) => format!("signs until {}", date(at)),
            ("signs", None, _) => "signs, without end".to_owned(),
            ("expired", Some(at), _) => format!("expired on {}", date(at)),
            ("no-signing-key", ..) => "has no key that can sign now".to_owned(),
            ("unknown", ..) => "not looked at".to_owned(),
            (word, _, Some(detail)) => format!("{word}: {detail}"),
            (word, _, None) => word.to_owned(),
        }
    }
}

#[cfg(feature = "openpgp")]
fn standings(certificates: &Certificates, now: Timestamp) -> Vec<Shown> {
    use wheelmark_provenance::openpgp::{Standing, standing};
    let standings = standing(certificates, now).into_iter();
    standings
        .map(|standing| {
            let (word, at, detail) = match standing {
                Standing::Signs { until } => ("signs", until, None),
                Standing::NoSigningKey => ("no-signing-key", None, None),
                Standing::Expired { at } => ("expired", Some(at), None),
                Standing::Revoked => ("revoked", None, None),
                Standing::Unusable { reason } => ("unusable", None, Some(reason)),
            };
            Shown { word, at, detail }
        })
        .collect()
}

/// Without sequoia nobody knows.
#[cfg(not(feature = "openpgp"))]
fn standings(certificates: &Certificates, _: Timestamp) -> Vec<Shown> {
    let unknown = certificates.iter().map(|_| Shown {
        word: "unknown",
        at: None,
        detail: None,
    });
    unknown.collect()
}

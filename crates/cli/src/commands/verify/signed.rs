//! A file and an OpenPGP signature over it, without any index.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde_json::json;
use wheelmark_packaging::{DetachedSignature, MAX_SIGNATURE_LEN};
use wheelmark_provenance::openpgp::{Certificates, VERIFIES, Verdict};
use wheelmark_tuf::without_controls;

use super::Outcome;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::policy::certificates_in;

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "OpenPGP")]
pub(super) struct SignedArgs {
    /// Check FILE against this detached signature, in ASCII armour
    #[arg(
        long,
        value_name = "FILE",
        requires = "certificate",
        conflicts_with_all = [
            "provenance", "index", "root", "fingerprint", "strict", "files", "from_scratch",
            "everything", "environments",
        ]
    )]
    signature: Option<PathBuf>,

    /// A file with the certificates of which one has to have made it; may be several
    #[arg(long, value_name = "FILE", requires = "signature")]
    certificate: Vec<PathBuf>,
}

impl SignedArgs {
    pub(super) fn is_asked_for(&self) -> bool {
        self.signature.is_some()
    }
}

/// Checks one file. What fails is the usage; what is refused is an outcome.
pub(super) fn verify(
    targets: &[String],
    args: &SignedArgs,
    context: &Context,
) -> anyhow::Result<Outcome> {
    let ([target], Some(signature)) = (targets, &args.signature) else {
        return Err(anyhow!(
            "--signature is about one file, and {} are named",
            targets.len()
        ));
    };
    if !VERIFIES {
        return Err(anyhow!(
            "this build of wheelmark verifies no OpenPGP signatures"
        ))
        .hint("use one that was built with the feature `openpgp`, or `sqv`");
    }
    let mut certificates = Certificates::default();
    for file in &args.certificate {
        let read = certificates_in(file);
        certificates.add(read.with_context(|| format!("could not use {}", file.display()))?);
    }
    let mut bytes = Vec::new();
    let limit = MAX_SIGNATURE_LEN as u64 + 1;
    File::open(signature)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .with_context(|| format!("could not read {}", signature.display()))?;
    let file = File::open(target).with_context(|| format!("could not read {target}"))?;
    let verdict = match DetachedSignature::parse(&bytes) {
        Err(error) => Err(error.to_string()),
        Ok(signature) => judge(&signature, &certificates, file, context)
            .with_context(|| format!("could not read {target}"))?,
    };
    Ok(told(target, verdict))
}

/// Who signed it, or why nobody did.
struct Signed {
    certificate: String,
    key: String,
    made_at: jiff::Timestamp,
}

#[cfg(feature = "openpgp")]
fn judge(
    signature: &DetachedSignature,
    certificates: &Certificates,
    file: File,
    context: &Context,
) -> std::io::Result<Result<Signed, String>> {
    let now = context.clock.now();
    let verdict = wheelmark_provenance::openpgp::verify(signature, certificates, file, now)?;
    Ok(of(verdict))
}

/// Never asked: see [`verify`].
#[cfg(not(feature = "openpgp"))]
fn judge(
    _: &DetachedSignature,
    _: &Certificates,
    _: File,
    _: &Context,
) -> std::io::Result<Result<Signed, String>> {
    let reason = "nothing here verifies it".to_owned();
    Ok(of(Verdict::Refused(
        wheelmark_provenance::openpgp::Flaw::Unreliable { reason },
    )))
}

fn of(verdict: Verdict) -> Result<Signed, String> {
    match verdict {
        Verdict::Good {
            certificate,
            key,
            made_at,
        } => Ok(Signed {
            certificate: certificate.to_string(),
            key: key.to_string(),
            made_at,
        }),
        Verdict::Refused(flaw) => Err(flaw.to_string()),
    }
}

fn told(target: &str, verdict: Result<Signed, String>) -> Outcome {
    let name = Path::new(target).file_name().unwrap_or_default();
    let name = without_controls(&name.to_string_lossy());
    match verdict {
        Ok(signed) => Outcome {
            holds: true,
            text: format!(
                "{name}: signed by the OpenPGP certificate {}, key {}, on {}\n",
                signed.certificate,
                signed.key,
                signed.made_at.strftime("%Y-%m-%d %H:%M UTC")
            ),
            json: json!({
                "target": target,
                "kind": "signature",
                "holds": true,
                "certificate": signed.certificate,
                "key": signed.key,
                "made_at": signed.made_at.to_string(),
            }),
        },
        Err(why) => {
            let why = without_controls(&why);
            Outcome {
                holds: false,
                text: format!("{name}: REFUSED: {why}\n"),
                json: json!({
                    "target": target,
                    "kind": "signature",
                    "holds": false,
                    "why": why,
                }),
            }
        }
    }
}

//! One Sigstore, and what is done with it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use url::Url;
use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::Sha256Hex;
use wheelmark_provenance::{Attestation, Attested, Refusal, TrustedRoots, Verified, verify};
use wheelmark_tuf::Clock;

use crate::certificate::{CertificateError, certify};
use crate::envelope::{covered, statement};
use crate::identity_token::IdentityToken;
use crate::key::{Key, KeyError};
use crate::log::{RecordError, Signed, record};
use crate::service::{Patience, Service, ServiceError};

/// How far the log's clock may be ahead of ours: so long is waited until what it recorded is no
/// longer of the future, as readers refuse it.
pub const CLOCK_PATIENCE: SignedDuration = SignedDuration::from_secs(10);

/// How long is waited until the clock is looked at again.
const LOOK: Duration = Duration::from_millis(100);

/// How often it is looked at: a clock that stands still is not waited for.
const LOOKS: usize = 150;

/// Why there is no attestation.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// No signature.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Not recorded, as far as is known.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Recorded, and it does not hold: nobody would believe it.
    #[error("what was made does not hold, and is not kept")]
    Refused(#[source] Refusal),
}

/// The services of one Sigstore: the authority (Fulcio) and the transparency log (Rekor).
#[derive(Clone, Debug)]
pub struct Instance {
    authority: Service,
    log: Service,
}

/// A key, and the certificate that says whose it is.
pub struct Certified {
    key: Key,
    /// In DER.
    certificate: Vec<u8>,
    log: Service,
}

/// An attestation that was just made and verified.
#[derive(Clone, Debug)]
pub struct Made {
    /// To be kept beside its file.
    pub attestation: Attestation,
    /// What it proves.
    pub attested: Verified<Attested>,
}

impl Instance {
    /// Names the services by their addresses. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// When one of them is neither https nor on this machine.
    pub fn new(
        authority: Url,
        log: Url,
        user_agent: &str,
        patience: Patience,
    ) -> Result<Instance, ServiceError> {
        Ok(Instance {
            authority: Service::new(authority, user_agent, patience)?,
            log: Service::new(log, user_agent, patience)?,
        })
    }

    /// The authority, as people know it.
    pub fn authority(&self) -> String {
        self.authority.place()
    }

    /// The log, as people know it.
    pub fn log(&self) -> String {
        self.log.place()
    }

    /// Makes a key, and has the authority certify it for whomever the token names.
    ///
    /// # Errors
    ///
    /// When the authority refuses the token, or gives no answer that could be used.
    pub async fn certify(&self, token: &IdentityToken) -> Result<Certified, CertificateError> {
        let key = Key::new()?;
        let certificate = certify(&self.authority, token, &key).await?;
        Ok(Certified {
            key,
            certificate,
            log: self.log.clone(),
        })
    }
}

impl Certified {
    /// Attests that a file was published: signs, has it recorded, and verifies the outcome against
    /// `roots` as any reader does.
    ///
    /// What is recorded stays, whatever comes of it.
    ///
    /// # Errors
    ///
    /// When the log gives no answer that could be used, or what was made does not hold.
    pub async fn attest(
        &self,
        file: &DistributionFilename,
        sha256: &Sha256Hex,
        roots: &TrustedRoots,
        clock: &dyn Clock,
    ) -> Result<Made, AttestError> {
        let statement = statement(file, sha256);
        let signature = self.key.sign(&covered(&statement))?;
        let signed = Signed {
            statement: &statement,
            signature: &signature,
            certificate: &self.certificate,
        };
        let attestation = record(&self.log, &signed).await?;
        let attested = verified(file, sha256, &attestation, roots, clock).await?;
        Ok(Made {
            attestation,
            attested,
        })
    }
}

/// Verifies, and waits a little for a clock that is behind the log's.
async fn verified(
    file: &DistributionFilename,
    sha256: &Sha256Hex,
    attestation: &Attestation,
    roots: &TrustedRoots,
    clock: &dyn Clock,
) -> Result<Verified<Attested>, AttestError> {
    for _ in 1..LOOKS {
        let now = clock.now();
        match verify(file, sha256, attestation, roots, now) {
            Err(Refusal::FromTheFuture { integrated, .. }) if is_soon(integrated, now) => {
                tokio::time::sleep(LOOK).await;
            }
            other => return other.map_err(AttestError::Refused),
        }
    }
    verify(file, sha256, attestation, roots, clock.now()).map_err(AttestError::Refused)
}

fn is_soon(integrated: Timestamp, now: Timestamp) -> bool {
    integrated.duration_since(now) <= CLOCK_PATIENCE
}

//! Attestations that come with a file (PEP 740): all of them hold, each by somebody whom its project
//! trusts, or the file is not taken.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::task::spawn_blocking;
use wheelmark_packaging::simple::Sha256Hex;
use wheelmark_packaging::{DistributionFilename, ProjectName};
use wheelmark_provenance::{Attestation, AttestationBundle, Provenance, Publisher, verify_upload};
use wheelmark_tuf::Sha256;

use super::error::UploadError;
use crate::app::Publishing;
use crate::trusted::TrustedPublisher;

/// Somebody whom the project trusts, as certificates name them.
#[derive(Clone)]
struct Trusted {
    publisher: Publisher,
    /// As it is compared. Whoever shows identity tokens shows the environment in them; certificates
    /// of earlier years do not have it (PyPI does not compare it, either).
    compared: Publisher,
    /// The number of the account, where it is known.
    account: Option<String>,
}

/// Verifies what came with a file; what is returned is its provenance, as it is kept.
///
/// Who may attest is whom the project lists: the publishers whose tokens upload to it, and those that
/// only attest. Whoever uploads the file can be somebody else.
pub(super) async fn judge(
    publishing: &Publishing,
    project: &ProjectName,
    filename: &DistributionFilename,
    sha256: Sha256,
    sent: Option<&[u8]>,
) -> Result<Option<Bytes>, UploadError> {
    let Some(sent) = sent else {
        return Ok(None);
    };
    if publishing.roots.is_empty() {
        return Err(UploadError::Unsupported {
            what: "attestations",
        });
    }
    let attestations = Attestation::parse_list(sent).map_err(UploadError::Attestations)?;
    let listed = publishing.store.publishers(Some(project)).await?;
    let trusted = listed.into_iter().filter_map(|row| {
        let publisher = TrustedPublisher::from_json(&row.identity)?.attests_as(&row.issuer)?;
        let is_pending = row.pending.is_some();
        Some(Trusted {
            compared: match row.may_upload {
                true => publisher.without_environment(),
                false => publisher.clone(),
            },
            publisher,
            account: row.account,
        })
        .filter(|_| !is_pending)
    });
    let trusted: Vec<Trusted> = trusted.collect();
    if trusted.is_empty() {
        return Err(UploadError::NobodyAttests {
            project: project.clone(),
        });
    }
    let (roots, now) = (publishing.roots.clone(), publishing.clock.now());
    let filename = filename.clone();
    let verifying = spawn_blocking(move || {
        let digest = Sha256Hex::from(sha256.0);
        let allowed: Vec<Publisher> = trusted.iter().map(|one| one.compared.clone()).collect();
        let verified = verify_upload(&filename, &digest, &attestations, &allowed, &roots, now)
            .map_err(|refusal| UploadError::AttestationsRefused(Box::new(refusal)))?;
        let mut bundles: BTreeMap<Publisher, Vec<Attestation>> = BTreeMap::new();
        for (attested, attestation) in verified.into_iter().zip(attestations) {
            let identity = attested.identity();
            let owner = identity.claims().owner_id.as_deref();
            let mut matching = trusted
                .iter()
                .filter(|one| identity.matches(&one.compared).is_ok());
            // A name that changed hands is not whom the project trusts.
            let is_same = |one: &&Trusted| match (one.account.as_deref(), owner) {
                (Some(account), Some(owner)) => account == owner,
                _ => true,
            };
            let one = matching.find(is_same);
            let one = one.ok_or_else(|| UploadError::AttestationAccount {
                identity: identity.to_string(),
                account: owner.unwrap_or_default().to_owned(),
            })?;
            // What an index states of an attestation has to be what its certificate says.
            let stated = match identity.matches(&one.publisher) {
                Ok(()) => one.publisher.clone(),
                Err(_) => one.publisher.without_environment(),
            };
            bundles.entry(stated).or_default().push(attestation);
        }
        let bundles = bundles
            .into_iter()
            .map(|(publisher, attestations)| AttestationBundle {
                publisher,
                attestations,
            });
        let provenance = Provenance::of_bundles(bundles.collect());
        Ok(Some(Bytes::from(provenance.to_json())))
    });
    verifying.await.unwrap_or(Err(UploadError::Stopped))
}

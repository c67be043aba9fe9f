//! Whether the OpenPGP signature that comes with a file is one of its project's.

use wheelmark_packaging::{DetachedSignature, ProjectName};
use wheelmark_provenance::openpgp::VERIFIES;

use super::error::UploadError;
use super::sink::Content;
use crate::app::Publishing;

/// Holds a file and its signature against the certificates that its project registered. Most have
/// none, and then nothing is asked.
///
/// Where this program was built without OpenPGP, a signature is taken as it is; a project that
/// wants signatures verified gets no file then, rather than one that nobody has looked at.
pub(super) async fn judge(
    publishing: &Publishing,
    project: &ProjectName,
    content: &Content,
    signature: Option<&DetachedSignature>,
) -> Result<(), UploadError> {
    let Some(known) = publishing.store.project_certificates(project).await? else {
        return Ok(());
    };
    let Some(signature) = signature else {
        return if known.required {
            let project = project.clone();
            Err(UploadError::SignatureRequired { project })
        } else {
            Ok(())
        };
    };
    if !VERIFIES && known.required {
        let project = project.clone();
        return Err(UploadError::CannotVerify { project });
    }
    verified(publishing, project, &known.armored, content, signature).await
}

#[cfg(feature = "openpgp")]
async fn verified(
    publishing: &Publishing,
    project: &ProjectName,
    certificates: &str,
    content: &Content,
    signature: &DetachedSignature,
) -> Result<(), UploadError> {
    use wheelmark_provenance::openpgp::{Certificates, Verdict, verify};

    use super::sink::Body;

    let invalid = || wheelmark_store::StoreError::Invalid {
        what: "certificates of a project",
        value: project.to_string(),
    };
    let certificates = Certificates::from_armor(certificates).ok_or_else(invalid)?;
    let file: Box<dyn std::io::Read + Send + Sync> = match &content.body {
        Body::Memory(bytes) => Box::new(std::io::Cursor::new(bytes.clone())),
        Body::File(file) => Box::new(file.reopen().map_err(UploadError::Incoming)?),
    };
    let (signature, now) = (signature.clone(), publishing.clock.now());
    let verifying =
        tokio::task::spawn_blocking(move || verify(&signature, &certificates, file, now));
    match verifying.await {
        Ok(Ok(Verdict::Good {
            certificate,
            key,
            made_at,
        })) => {
            tracing::info!(%project, %certificate, %key, %made_at, "verified an OpenPGP signature");
            Ok(())
        }
        Ok(Ok(Verdict::Refused(flaw))) => Err(UploadError::SignatureRefused {
            project: project.clone(),
            flaw,
        }),
        Ok(Err(error)) => Err(UploadError::Incoming(error)),
        Err(_) => Err(UploadError::Stopped),
    }
}

/// Without sequoia nobody looks at it.
#[cfg(not(feature = "openpgp"))]
async fn verified(
    _: &Publishing,
    project: &ProjectName,
    _: &str,
    _: &Content,
    _: &DetachedSignature,
) -> Result<(), UploadError> {
    tracing::debug!(%project, "an OpenPGP signature is kept and not verified");
    Ok(())
}

//! Files of claimed projects that nobody has signed, as twine and uv send them: they wait for
//! somebody who signs for the project.

use wheelmark_packaging::{DistributionFilename, ProjectName};
use wheelmark_store::AuditAction;
use wheelmark_tuf::Sha256;

use super::folder::{Kind, Staged, StagedFile};
use super::{StagingError, note};
use crate::app::Publishing;
use crate::upload::error::UploadError;
use crate::upload::sink::Content;
use crate::upload::uploader::Uploader;

/// Takes in a file that nobody has signed; it has passed every check of an upload.
pub(in crate::upload) async fn take_unsigned(
    publishing: &Publishing,
    project: &ProjectName,
    filename: &DistributionFilename,
    content: Content,
    uploader: &Uploader,
) -> Result<(), UploadError> {
    let folder = publishing.folder()?;
    let now = publishing.clock.now();
    let file = StagedFile {
        filename: filename.to_string(),
        sha256: content.sha256,
        size: content.len,
    };
    let known = folder.all(now).await?;
    let known = known.iter().filter(|staged| staged.project == *project);
    let known = known.filter(|staged| staged.kind == Kind::File);
    let mut known = known.flat_map(|staged| &staged.files);
    if let Some(other) = known.find(|other| other.filename == file.filename) {
        if other.sha256 == file.sha256 {
            return Ok(());
        }
        return Err(StagingError::OtherWaits {
            filename: file.filename,
            sha256: other.sha256,
        }
        .into());
    }
    let name = format!("{project}/{}/{}", file.filename, file.sha256);
    let staged = Staged {
        id: Sha256::of(name.as_bytes()),
        kind: Kind::File,
        project: project.clone(),
        received_at: now,
        user: uploader.bearer.user().to_string(),
        token: uploader.bearer.id().to_string(),
        claim: None,
        keys: None,
        files: vec![file],
        parts_len: 0,
    };
    if folder.add(&staged, None, vec![content], now).await? {
        note(publishing, uploader, &staged, AuditAction::FileStaged, &[]).await?;
        tracing::info!(%project, %filename, "a file waits for somebody who signs for its project");
    }
    Ok(())
}

//! What the catalogue says of a project whose page is signed: for a catalogue that is made anew, and for
//! one that is put right.

use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectError, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{
    BoundCertificates, MAX_CERTIFICATES_LEN, PageFile, ProjectPage, Sha256Hex, Signed, Yanked,
};
use wheelmark_store::{FileSignature, NewFile, ProjectCertificates, RebuiltClaim, RebuiltProject};
use wheelmark_tuf::{KeyId, OWN_MEMBER, RoleKeys, Sha256};

/// A signed page cannot be put into a catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CataloguedError {
    /// An entry lacks something that every index writes.
    #[error("the page of {project} has no {what} of {filename}")]
    Lacks {
        /// The project.
        project: ProjectName,
        /// What is not there.
        what: &'static str,
        /// The file.
        filename: String,
    },
    /// The certificates are gone, or others than the page binds.
    #[error("{path} is missing, or not as it was signed")]
    Certificates {
        /// Their object path.
        path: String,
    },
    /// The tree could not be read.
    #[error("the tree could not be read")]
    Objects(#[from] ObjectError),
}

/// The rows of a project, as its signed page has them; `page` is what everybody sees of it, with what the
/// index takes away. `uploaded_by` is said of files where nobody knows any more who that was.
///
/// # Errors
///
/// [`CataloguedError`].
pub async fn catalogued(
    tree: &Directory,
    page: ProjectPage,
    claim: Option<RebuiltClaim>,
    uploaded_by: &str,
) -> Result<RebuiltProject, CataloguedError> {
    let project = page.name;
    let mut files = Vec::new();
    for file in page.files.iter().chain(&page.wheelmark.withheld) {
        files.push((of_entry(&project, file, uploaded_by)?, false));
    }
    for removed in page.wheelmark.removed.values() {
        files.push((of_entry(&project, &removed.entry, uploaded_by)?, true));
    }
    let first = files.iter().map(|(file, _)| file.uploaded_at).min();
    let certificates = match &page.wheelmark.certificates {
        Some(bound) => Some(certificates(tree, &project, bound).await?),
        None => None,
    };
    Ok(RebuiltProject {
        created_at: first.unwrap_or(Timestamp::UNIX_EPOCH),
        status: page.project_status.unwrap_or_default(),
        certificates,
        files,
        claim,
        name: project,
    })
}

/// What a delegation to a project's own role says of its keys; `unknown` is said of keys whose user does
/// not stand there.
pub fn claim_of(keys: &RoleKeys, unknown: &str) -> RebuiltClaim {
    let own = keys.extra.get(OWN_MEMBER);
    let user_of = |id: &KeyId| {
        let maintainers = own.and_then(|own| own.get("maintainers"));
        let user = maintainers.and_then(|maintainers| maintainers.get(id.as_str())?.as_str());
        user.unwrap_or(unknown).to_owned()
    };
    let claimed_at = own.and_then(|own| own.get("claimed-at")?.as_str()?.parse().ok());
    RebuiltClaim {
        claimed_at: claimed_at.unwrap_or(Timestamp::UNIX_EPOCH),
        keys: keys
            .keyids
            .iter()
            .map(|id| (id.as_str().to_owned(), user_of(id)))
            .collect(),
    }
}

fn of_entry(
    project: &ProjectName,
    entry: &PageFile,
    uploaded_by: &str,
) -> Result<NewFile, CataloguedError> {
    let filename = entry.filename.as_str();
    let lacks = |what| CataloguedError::Lacks {
        project: project.clone(),
        what,
        filename: filename.to_owned(),
    };
    let marks = entry.wheelmark.as_ref();
    let digest = |hex: Sha256Hex| Sha256(hex.into());
    let core_metadata = entry.core_metadata.as_ref();
    let signature = marks.and_then(|marks| marks.gpg_sig);
    Ok(NewFile {
        project: project.clone(),
        filename: filename.to_owned(),
        sha256: digest(entry.sha256().ok_or_else(|| lacks("sha256"))?),
        size: entry.size.ok_or_else(|| lacks("size"))?,
        uploaded_at: entry.upload_time.unwrap_or(Timestamp::UNIX_EPOCH),
        requires_python: entry.requires_python.clone(),
        core_metadata_sha256: core_metadata.and_then(|hashes| hashes.sha256()).map(digest),
        chunks_sha256: marks.and_then(|marks| marks.chunks_sha256).map(digest),
        gpg_signature: signature.map(|signature| FileSignature {
            sha256: digest(signature.sha256),
            length: signature.length,
        }),
        provenance_sha256: marks.and_then(|marks| marks.provenance_sha256).map(digest),
        uploaded_by: uploaded_by.to_owned(),
        back_signed: marks.is_some_and(|marks| marks.signed == Signed::Back),
        yanked: match &entry.yanked {
            Yanked::No => None,
            Yanked::Yes => Some(String::new()),
            Yanked::Because(reason) => Some(reason.clone()),
        },
    })
}

async fn certificates(
    tree: &Directory,
    project: &ProjectName,
    bound: &BoundCertificates,
) -> Result<ProjectCertificates, CataloguedError> {
    let sha256 = Sha256(bound.sha256.into());
    let path = ObjectPath::certificates(project, &sha256);
    let lost = || CataloguedError::Certificates {
        path: path.as_str().to_owned(),
    };
    let bytes = tree.read(&path, MAX_CERTIFICATES_LEN as u64).await?;
    let bytes = bytes.filter(|bytes| Sha256::of(bytes) == sha256);
    let bytes = bytes.ok_or_else(lost)?;
    Ok(ProjectCertificates {
        armored: String::from_utf8(bytes.to_vec()).map_err(|_| lost())?,
        required: bound.required,
    })
}

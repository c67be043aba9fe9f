//! Why an upload ends without a published file.

use std::fmt;
use std::io;
use std::time::Duration;

use wheelmark_objects::{ObjectError, PathError};
use wheelmark_packaging::simple::Status;
use wheelmark_packaging::{
    ClassifierError, FilenameError, InspectError, NameError, ProjectName, SignatureError, Version,
};
use wheelmark_provenance::openpgp::Flaw;
use wheelmark_provenance::{AttestationError, UploadRefusal};
use wheelmark_readme::NotRendered;
use wheelmark_store::{AdmitError, Denied, ReleaseDenied, ReleaseError, Seq, StoreError};
use wheelmark_tuf::Sha256;

use super::staging::StagingError;
use crate::auth::AuthError;

/// A digest that the form can state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digest {
    /// `sha256_digest`
    Sha256,
    /// `blake2_256_digest`
    Blake2b256,
    /// `md5_digest`
    Md5,
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Digest::Sha256 => "SHA-256",
            Digest::Blake2b256 => "BLAKE2b-256",
            Digest::Md5 => "MD5",
        })
    }
}

/// What the form says, against what the file is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Mismatch {
    /// Another type.
    #[error("the form says filetype `{}`, and `{filename}` is {is}", stated.escape_debug())]
    Filetype {
        /// What the form says.
        stated: String,
        /// The file.
        filename: String,
        /// What it is.
        is: &'static str,
    },
    /// Another version.
    #[error("the form says version {stated}, and `{filename}` is of version {is}")]
    Version {
        /// What the form says.
        stated: Version,
        /// The file.
        filename: String,
        /// Its version.
        is: Version,
    },
    /// Another digest.
    #[error("the form says {digest} {stated}, and the file that arrived has {is}")]
    Digest {
        /// Of which kind.
        digest: Digest,
        /// What the form says.
        stated: String,
        /// What arrived.
        is: String,
    },
}

/// Why an upload ends without a published file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// Not allowed.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// Not to this project.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The body is not `multipart/form-data`.
    #[error("the request is not a multipart/form-data form")]
    NotAForm,
    /// The form cannot be read.
    #[error("the form is malformed: {what}")]
    MalformedForm {
        /// What is wrong.
        what: String,
    },
    /// The body ended before the form did.
    #[error("the upload broke off before its end")]
    BrokenOff,
    /// Nothing arrived for too long.
    #[error("nothing arrived for {} seconds", waited.as_secs())]
    Stalled {
        /// How long.
        waited: Duration,
    },
    /// Too little arrived for too long.
    #[error("it arrives with less than {min_speed} bytes per second")]
    TooSlow {
        /// The least speed, in bytes per second.
        min_speed: u64,
    },
    /// Too many fields.
    #[error("the form has more than {limit} fields")]
    TooManyFields {
        /// Most fields allowed.
        limit: usize,
    },
    /// The fields besides the file are too long.
    #[error("the form has more than {limit} bytes besides the file")]
    FormTooLong {
        /// Most bytes allowed.
        limit: u64,
    },
    /// One field is too long.
    #[error("the field `{field}` has more than {limit} bytes")]
    ValueTooLong {
        /// The field.
        field: &'static str,
        /// Most bytes allowed.
        limit: usize,
    },
    /// A field that can be there once is there twice.
    #[error("the form has the field `{field}` twice")]
    Repeated {
        /// The field.
        field: &'static str,
    },
    /// A field that must be there is not.
    #[error("the form has no field `{field}`")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// The file is too long.
    #[error("the file has more than {limit} bytes")]
    FileTooLong {
        /// Most bytes allowed.
        limit: u64,
    },
    /// The form asks for something else than an upload.
    #[error("`{}` is not an action of this index", action.escape_debug())]
    Action {
        /// What it asks for.
        action: String,
    },
    /// A form of another version.
    #[error("protocol version `{}` is not supported", version.escape_debug())]
    Protocol {
        /// Its version.
        version: String,
    },
    /// A part of the form that this index does not keep.
    #[error("this index does not take {what} yet")]
    Unsupported {
        /// What it is.
        what: &'static str,
    },
    /// The form's name is not a project name.
    #[error("the form's name is not valid")]
    Name(#[source] NameError),
    /// The form's version is not a version.
    #[error("the form's version `{}` does not follow PEP 440", version.escape_debug())]
    Version {
        /// What it says.
        version: String,
    },
    /// The file's name is not that of a distribution of this project.
    #[error("the file's name is not valid")]
    Filename(#[source] FilenameError),
    /// The file's name is not written as it is today.
    #[error("`{filename}` is not written as {} want it", if expected.is_some() { "PEP 625 and the wheel format" } else { "PEP 625" })]
    NotNormalised {
        /// The file.
        filename: String,
        /// How it should be written; `None` for a kind of file that is not taken any more.
        expected: Option<String>,
    },
    /// A new project is called like a module of Python's standard library.
    #[error("`{project}` is the name of a module of Python's standard library")]
    StandardLibraryName {
        /// The project.
        project: ProjectName,
    },
    /// A new project has a name that looks like that of another.
    #[error("`{project}` looks like `{existing}`, which is there already")]
    SimilarName {
        /// The new project.
        project: ProjectName,
        /// The other.
        existing: ProjectName,
    },
    /// A classifier is not known, or not to be used any more.
    #[error("`{filename}` has a classifier that is not acceptable")]
    Classifier {
        /// The file.
        filename: String,
        /// Which, and why.
        source: ClassifierError,
    },
    /// The project's description cannot be shown.
    #[error("`{filename}` has a description that cannot be rendered")]
    Description {
        /// The file.
        filename: String,
        /// Why not.
        source: NotRendered,
    },
    /// The file's name cannot stand in the tree.
    #[error("the file's name is not valid")]
    Path(#[source] PathError),
    /// No digest was stated.
    #[error("the form states no digest of the file")]
    NoDigest,
    /// The form contradicts the file.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The file is not an acceptable distribution.
    #[error("`{filename}` is not acceptable")]
    Inspect {
        /// The file.
        filename: String,
        /// Why not.
        source: InspectError,
    },
    /// The project has no room for it.
    #[error(
        "with it, the files of {project} would have {would_be} bytes, and at most {limit} are allowed"
    )]
    ProjectTooLarge {
        /// The project.
        project: ProjectName,
        /// What its files would have together, in bytes.
        would_be: u64,
        /// Most bytes allowed.
        limit: u64,
    },
    /// The name is taken by other bytes.
    #[error("`{filename}` is there with other contents, of SHA-256 {existing}")]
    Exists {
        /// The file.
        filename: String,
        /// What is there.
        existing: Sha256,
    },
    /// What was sent as the file's OpenPGP signature is none.
    #[error("the OpenPGP signature is not acceptable")]
    Signature(#[source] SignatureError),
    /// The file has no signature, and its project wants one.
    #[error("{project} takes files with an OpenPGP signature alone, and this one came without")]
    SignatureRequired {
        /// The project.
        project: ProjectName,
    },
    /// The signature is not one of the project's certificates over this file.
    #[cfg_attr(
        not(any(feature = "openpgp", test)),
        expect(dead_code, reason = "only who verifies refuses")
    )]
    #[error("the OpenPGP signature does not hold for {project}")]
    SignatureRefused {
        /// The project.
        project: ProjectName,
        /// Why not.
        #[source]
        flaw: Flaw,
    },
    /// The project wants signatures verified, and this program was built without that.
    #[error("{project} wants OpenPGP signatures verified, which this index cannot do")]
    CannotVerify {
        /// The project.
        project: ProjectName,
    },
    /// The same file is there, and not with this signature.
    #[error("`{filename}` is there {} OpenPGP signature", if *has_one { "with another" } else { "without an" })]
    OtherSignature {
        /// The file.
        filename: String,
        /// Whether it has a signature.
        has_one: bool,
    },
    /// What was sent as the file's attestations cannot be read.
    #[error("the attestations cannot be read")]
    Attestations(#[source] AttestationError),
    /// The attestations do not hold, or are by others than the project trusts.
    #[error("the attestations are refused")]
    AttestationsRefused(#[source] Box<UploadRefusal>),
    /// The account that attests has another number than the one that the project trusts.
    #[error("the attestation by {identity} is of an account with the number {}, which is not the one that its project trusts", account.escape_debug())]
    AttestationAccount {
        /// Who made it.
        identity: String,
        /// The number of the account.
        account: String,
    },
    /// The project trusts nobody's attestations.
    #[error("{project} lists nobody whose attestations it takes")]
    NobodyAttests {
        /// The project.
        project: ProjectName,
    },
    /// The same file is there, and not with these attestations.
    #[error("`{filename}` is there {} attestations", if *has_some { "with other" } else { "without" })]
    OtherAttestations {
        /// The file.
        filename: String,
        /// Whether it has some.
        has_some: bool,
    },
    /// The file was there and was taken away.
    #[error("`{filename}` was removed from this index")]
    Removed {
        /// The file.
        filename: String,
    },
    /// The project takes no files.
    #[error(
        "{project} is {} and takes no files{}{}",
        status.as_str(),
        if reason.is_some() { ": " } else { "" },
        reason.as_deref().unwrap_or_default()
    )]
    Closed {
        /// The project.
        project: ProjectName,
        /// The state it is in.
        status: Status,
        /// Why, as whoever runs the index says.
        reason: Option<String>,
    },
    /// The project's own people sign for it.
    #[error("{project} is claimed: files that its own people have not signed are not taken")]
    Claimed {
        /// The project.
        project: ProjectName,
    },
    /// A release is not in the form of one.
    #[error("the release is malformed: {what}")]
    MalformedRelease {
        /// What is wrong.
        what: String,
    },
    /// A file came with a release whose page does not speak of it.
    #[error("`{}` is no new file of the page that came with it", filename.escape_debug())]
    NotReleased {
        /// Its name, as it came.
        filename: String,
    },
    /// The page lists a file that neither came along nor is there.
    #[error("the page lists `{}`, which did not come with it", filename.escape_debug())]
    NotSent {
        /// Its name.
        filename: String,
    },
    /// A file is not what the signed page says of it.
    #[error("`{filename}` has another {what} than the signed page says")]
    NotAsReleased {
        /// The file.
        filename: String,
        /// In what it differs.
        what: &'static str,
    },
    /// A release cannot be taken in, as things stand.
    #[error(transparent)]
    Release(#[from] ReleaseDenied),
    /// It cannot wait for signatures, or what waits cannot be signed.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// The snapshot process refused it.
    #[error("the snapshot process refused it: {reason}")]
    Refused {
        /// Its reason.
        reason: String,
    },
    /// It is recorded, and no snapshot with it came in time.
    #[error("recorded as change {seq}, but not published within {} seconds", waited.as_secs())]
    NotPublishedYet {
        /// Where in the journal.
        seq: Seq,
        /// How long was waited.
        waited: Duration,
    },
    /// The temporary file could not be written or read.
    #[error("the uploaded file could not be kept")]
    Incoming(#[source] io::Error),
    /// The tree could not be written.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The journal could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The work was stopped: the server is shutting down.
    #[error("the server is shutting down")]
    Stopped,
}

impl UploadError {
    /// Whether the reason lies with the index and not with the upload.
    pub(super) fn is_of_the_index(&self) -> bool {
        if let Self::Staging(error) = self {
            return error.is_of_the_index();
        }
        matches!(
            self,
            Self::Auth(AuthError::Store(_))
                | Self::NotPublishedYet { .. }
                | Self::Incoming(_)
                | Self::Object(_)
                | Self::Store(_)
                | Self::Stopped
        )
    }
}

impl From<ReleaseError> for UploadError {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Denied(denied) => Self::Denied(denied),
            ReleaseError::Release(denied) => Self::Release(denied),
            ReleaseError::Store(store) => Self::Store(store),
        }
    }
}

impl From<AdmitError> for UploadError {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Denied(denied) => Self::Denied(denied),
            AdmitError::Store(store) => Self::Store(store),
        }
    }
}

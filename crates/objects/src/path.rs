//! Where each object of the published tree lives.
//!
//! A path is built here from names that were checked before, or read here and taken apart into
//! such names again. There is no other way to a value of [`ObjectPath`], so none of them leaves
//! the tree, names a hidden file or means something else to a file system than to a URL.

use std::fmt;
use std::str::FromStr;

use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{RoleName, Sha256, Sha512};

mod parse;

/// Longest name of a file or directory, in bytes: what ext4, XFS, Btrfs and most others allow.
pub const MAX_SEGMENT_LEN: usize = 255;

/// Longest file name of a distribution that the tree can hold, in bytes.
///
/// The longest name made from it is `<64 hex digits>.<file name>.metadata`, which has to fit
/// [`MAX_SEGMENT_LEN`].
pub const MAX_FILENAME_LEN: usize = MAX_SEGMENT_LEN - 64 - 1 - METADATA_SUFFIX.len();

/// Longest file name of a distribution that can be named after its SHA-512, in bytes:
/// `<128 hex digits>.<file name>` has to fit [`MAX_SEGMENT_LEN`].
pub const MAX_SHA512_FILENAME_LEN: usize = MAX_SEGMENT_LEN - 128 - 1;

/// Longest name of a project from which an index can take something away once it is claimed, in
/// bytes: `<64 hex digits>.<project>.json` has to fit [`MAX_SEGMENT_LEN`].
pub const MAX_STATUS_PROJECT_LEN: usize = MAX_SEGMENT_LEN - 64 - 1 - STATUS_SUFFIX.len();

const METADATA_SUFFIX: &str = ".metadata";
const CHUNKS_SUFFIX: &str = ".chunks";
const SIGNATURE_SUFFIX: &str = ".asc";
const PROVENANCE_SUFFIX: &str = ".provenance";
const PAGE_SUFFIX: &str = ".index.json";
const CERTIFICATES_SUFFIX: &str = ".certificates.asc";
const PLAIN_CERTIFICATES_SUFFIX: &str = ".asc";
const STATUS_SUFFIX: &str = ".json";

/// The path of one object, relative to the root of the tree, with `/` between its segments.
///
/// ```
/// # use wheelmark_objects::{Kind, ObjectPath};
/// let path = ObjectPath::from_request("/packages/flask/flask-3.1.0.tar.gz")?;
/// assert_eq!(path.kind(), Kind::PlainFile);
/// assert!(ObjectPath::from_request("/packages/flask/%2e%2e%2f%2e%2e%2fetc%2fpasswd").is_err());
/// # Ok::<(), wheelmark_objects::PathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectPath {
    path: String,
    kind: Kind,
}

/// What an object is, as its path tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `metadata/timestamp.json`
    Timestamp,
    /// `metadata/N.<role>.json`
    Metadata,
    /// `targets/simple/<project>/<sha256>.index.json`
    Page,
    /// `targets/simple/<project>/<sha512>.index.json`
    PageBySha512,
    /// `targets/simple/<project>/<sha256>.certificates.asc`
    Certificates,
    /// `targets/packages/<project>/<sha256>.<file>`
    File,
    /// `targets/packages/<project>/<sha512>.<file>`
    FileBySha512,
    /// `targets/packages/<project>/<sha256>.<file>.metadata`
    FileMetadata,
    /// `targets/packages/<project>/<sha256>.<file>.chunks`
    Chunks,
    /// `targets/packages/<project>/<sha256>.<file>.asc`
    Signature,
    /// `targets/packages/<project>/<sha256>.<file>.provenance`
    Provenance,
    /// `targets/status/<sha256>.<project>.json`
    Status,
    /// `packages/<project>/<file>`
    PlainFile,
    /// `packages/<project>/<file>.metadata`
    PlainFileMetadata,
    /// `packages/<project>/<file>.asc`
    PlainSignature,
    /// `packages/<project>/<file>.provenance`
    PlainProvenance,
    /// `simple/<project>/index.json`
    SimpleJson,
    /// `simple/<project>/index.html`
    SimpleHtml,
    /// `simple/index.json`
    SimpleListJson,
    /// `simple/index.html`
    SimpleListHtml,
    /// `keys/<project>.asc`
    PlainCertificates,
}

impl Kind {
    /// Whether an object of this kind may be overwritten.
    ///
    /// Only the timestamp and the unsigned convenience copies may; every other object keeps the
    /// bytes that it was created with.
    pub fn is_replaceable(self) -> bool {
        match self {
            Kind::Timestamp
            | Kind::SimpleJson
            | Kind::SimpleHtml
            | Kind::SimpleListJson
            | Kind::SimpleListHtml
            | Kind::PlainCertificates => true,
            Kind::Metadata
            | Kind::Page
            | Kind::PageBySha512
            | Kind::Certificates
            | Kind::File
            | Kind::FileBySha512
            | Kind::FileMetadata
            | Kind::Chunks
            | Kind::Signature
            | Kind::Provenance
            | Kind::Status
            | Kind::PlainFile
            | Kind::PlainFileMetadata
            | Kind::PlainSignature
            | Kind::PlainProvenance => false,
        }
    }

    /// Whether an object of this kind is a second name for one that is named after its SHA-256, and
    /// can go without its bytes being lost.
    pub fn is_second_name(self) -> bool {
        matches!(
            self,
            Kind::PageBySha512
                | Kind::FileBySha512
                | Kind::PlainFile
                | Kind::PlainFileMetadata
                | Kind::PlainSignature
                | Kind::PlainProvenance
                | Kind::PlainCertificates
        )
    }
}

/// Why a string names no object of the tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A file name with a character that is not an ASCII letter or digit or one of `.-_+!`, or
    /// one that begins with a `.`, or one that ends like an object that belongs to a file.
    #[error("`{}` cannot be the name of a file in the tree", filename.escape_debug())]
    Filename {
        /// What was given.
        filename: String,
    },
    /// A name that is longer than file systems allow.
    #[error("a name of {length} bytes is too long for the tree, at most {limit} are allowed")]
    TooLong {
        /// The name's length in bytes.
        length: usize,
        /// The greatest length allowed in this place, in bytes.
        limit: usize,
    },
    /// An invalid percent-encoding, or bytes that are not UTF-8.
    #[error("`{}` is not a percent-encoded path", path.escape_debug())]
    Encoding {
        /// What was given.
        path: String,
    },
    /// Not the form of any object's path.
    #[error("`{}` is not the path of an object", path.escape_debug())]
    Unknown {
        /// What was given.
        path: String,
    },
}

impl ObjectPath {
    /// The one signed object that is overwritten.
    pub fn timestamp() -> ObjectPath {
        ObjectPath::new(Kind::Timestamp, "metadata/timestamp.json".to_owned())
    }

    /// Version `version` of a role's metadata.
    ///
    /// The role's name is percent-encoded, `/` included, so that it is one segment; the names of
    /// Wheelmark's own roles need no encoding.
    pub fn metadata(role: &RoleName, version: u64) -> ObjectPath {
        let name = role.versioned_file_name(version);
        ObjectPath::new(Kind::Metadata, format!("metadata/{name}"))
    }

    /// A project's page, a target.
    pub fn page(project: &ProjectName, sha256: &Sha256) -> ObjectPath {
        ObjectPath::new(
            Kind::Page,
            format!("targets/simple/{project}/{sha256}{PAGE_SUFFIX}"),
        )
    }

    /// A project's page under its second name.
    pub fn page_by_sha512(project: &ProjectName, sha512: &Sha512) -> ObjectPath {
        ObjectPath::new(
            Kind::PageBySha512,
            format!("targets/simple/{project}/{sha512}{PAGE_SUFFIX}"),
        )
    }

    /// A distribution file under its second name, which only a file name of at most
    /// [`MAX_SHA512_FILENAME_LEN`] bytes allows.
    pub fn file_by_sha512(
        project: &ProjectName,
        sha512: &Sha512,
        filename: &str,
    ) -> Result<ObjectPath, PathError> {
        check_filename(filename)?;
        if filename.len() > MAX_SHA512_FILENAME_LEN {
            return Err(PathError::TooLong {
                length: filename.len(),
                limit: MAX_SHA512_FILENAME_LEN,
            });
        }
        Ok(ObjectPath::new(
            Kind::FileBySha512,
            format!("targets/packages/{project}/{sha512}.{filename}"),
        ))
    }

    /// The OpenPGP certificates of a project. `sha256` is theirs.
    pub fn certificates(project: &ProjectName, sha256: &Sha256) -> ObjectPath {
        ObjectPath::new(
            Kind::Certificates,
            format!("targets/simple/{project}/{sha256}{CERTIFICATES_SUFFIX}"),
        )
    }

    /// A distribution file, a target. `sha256` is that of the file.
    pub fn file(
        project: &ProjectName,
        sha256: &Sha256,
        filename: &str,
    ) -> Result<ObjectPath, PathError> {
        check_filename(filename)?;
        Ok(ObjectPath::new(
            Kind::File,
            format!("targets/packages/{project}/{sha256}.{filename}"),
        ))
    }

    /// The core metadata of a distribution file (PEP 658). `sha256` is that of the metadata.
    pub fn file_metadata(
        project: &ProjectName,
        sha256: &Sha256,
        filename: &str,
    ) -> Result<ObjectPath, PathError> {
        check_filename(filename)?;
        Ok(ObjectPath::new(
            Kind::FileMetadata,
            format!("targets/packages/{project}/{sha256}.{filename}{METADATA_SUFFIX}"),
        ))
    }

    /// The chunk list of a distribution file. `sha256` is that of the list.
    pub fn chunks(
        project: &ProjectName,
        sha256: &Sha256,
        filename: &str,
    ) -> Result<ObjectPath, PathError> {
        check_filename(filename)?;
        Ok(ObjectPath::new(
            Kind::Chunks,
            format!("targets/packages/{project}/{sha256}.{filename}{CHUNKS_SUFFIX}"),
        ))
    }

    /// The OpenPGP signature of a distribution file. `sha256` is that of the signature.
    pub fn signature(
        project: &ProjectName,
        sha256: &Sha256,
        filename: &str,
    ) -> Result<ObjectPath, PathError> {
        check_filename(filename)?;
        Ok(ObjectPath::new(
            Kind::Signature,
            format!("targets/packages/{project}/{sha256}.{filename}{SIGNATURE_SUFFIX}"),
        ))
    }

    /// The provenance of a distribution file (PEP 740). `sha256` is that of the provenance. A file
    /// whose name has nearly the greatest length can have none.
    pub fn provenance(
        project: &ProjectName,
        sha256: &Sha256,
        filename: &str,
    ) -> Result<ObjectPath, PathError> {
        check_filename(filename)?;
        let limit = MAX_SEGMENT_LEN - 64 - 1 - PROVENANCE_SUFFIX.len();
        if filename.len() > limit {
            let length = filename.len();
            return Err(PathError::TooLong { length, limit });
        }
        Ok(ObjectPath::new(
            Kind::Provenance,
            format!("targets/packages/{project}/{sha256}.{filename}{PROVENANCE_SUFFIX}"),
        ))
    }

    /// What the index takes away from a claimed project, a target. `sha256` is that of the list. A
    /// project whose name is longer than [`MAX_STATUS_PROJECT_LEN`] can have none.
    pub fn status(project: &ProjectName, sha256: &Sha256) -> Result<ObjectPath, PathError> {
        let length = project.as_str().len();
        if length > MAX_STATUS_PROJECT_LEN {
            let limit = MAX_STATUS_PROJECT_LEN;
            return Err(PathError::TooLong { length, limit });
        }
        Ok(ObjectPath::new(
            Kind::Status,
            format!("targets/status/{sha256}.{project}{STATUS_SUFFIX}"),
        ))
    }

    /// A distribution file under the name that installers know.
    pub fn plain_file(project: &ProjectName, filename: &str) -> Result<ObjectPath, PathError> {
        check_filename(filename)?;
        Ok(ObjectPath::new(
            Kind::PlainFile,
            format!("packages/{project}/{filename}"),
        ))
    }

    /// The core metadata of a distribution file under the name that installers know.
    pub fn plain_file_metadata(
        project: &ProjectName,
        filename: &str,
    ) -> Result<ObjectPath, PathError> {
        check_filename(filename)?;
        Ok(ObjectPath::new(
            Kind::PlainFileMetadata,
            format!("packages/{project}/{filename}{METADATA_SUFFIX}"),
        ))
    }

    /// The OpenPGP signature of a distribution file beside it (PEP 503).
    pub fn plain_signature(project: &ProjectName, filename: &str) -> Result<ObjectPath, PathError> {
        check_filename(filename)?;
        Ok(ObjectPath::new(
            Kind::PlainSignature,
            format!("packages/{project}/{filename}{SIGNATURE_SUFFIX}"),
        ))
    }

    /// The provenance of a distribution file beside it.
    pub fn plain_provenance(
        project: &ProjectName,
        filename: &str,
    ) -> Result<ObjectPath, PathError> {
        check_filename(filename)?;
        Ok(ObjectPath::new(
            Kind::PlainProvenance,
            format!("packages/{project}/{filename}{PROVENANCE_SUFFIX}"),
        ))
    }

    /// The OpenPGP certificates of a project under the name that people know.
    pub fn plain_certificates(project: &ProjectName) -> ObjectPath {
        ObjectPath::new(
            Kind::PlainCertificates,
            format!("keys/{project}{PLAIN_CERTIFICATES_SUFFIX}"),
        )
    }

    /// The unsigned copy of a project's page.
    pub fn simple_json(project: &ProjectName) -> ObjectPath {
        ObjectPath::new(Kind::SimpleJson, format!("simple/{project}/index.json"))
    }

    /// The HTML made from a project's page, unsigned.
    pub fn simple_html(project: &ProjectName) -> ObjectPath {
        ObjectPath::new(Kind::SimpleHtml, format!("simple/{project}/index.html"))
    }

    /// The list of all projects, unsigned.
    pub fn simple_list_json() -> ObjectPath {
        ObjectPath::new(Kind::SimpleListJson, "simple/index.json".to_owned())
    }

    /// The list of all projects as HTML, unsigned.
    pub fn simple_list_html() -> ObjectPath {
        ObjectPath::new(Kind::SimpleListHtml, "simple/index.html".to_owned())
    }

    /// The SHA-256 after which the object is named, for the kinds that are named so.
    pub fn sha256(&self) -> Option<Sha256> {
        match self.kind {
            Kind::Page
            | Kind::Certificates
            | Kind::File
            | Kind::FileMetadata
            | Kind::Chunks
            | Kind::Signature
            | Kind::Provenance
            | Kind::Status => {
                let digest = self.split().1.split('.').next();
                digest.and_then(|digest| digest.parse().ok())
            }
            Kind::Timestamp
            | Kind::Metadata
            | Kind::PageBySha512
            | Kind::FileBySha512
            | Kind::PlainFile
            | Kind::PlainFileMetadata
            | Kind::PlainSignature
            | Kind::PlainProvenance
            | Kind::SimpleJson
            | Kind::SimpleHtml
            | Kind::SimpleListJson
            | Kind::SimpleListHtml
            | Kind::PlainCertificates => None,
        }
    }

    /// The path, relative to the root of the tree.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// What the object is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The path of the directory that holds the object, and the object's name in it.
    pub(crate) fn split(&self) -> (&str, &str) {
        self.path.rsplit_once('/').unwrap_or(("", &self.path))
    }

    fn new(kind: Kind, path: String) -> ObjectPath {
        ObjectPath { path, kind }
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl AsRef<str> for ObjectPath {
    fn as_ref(&self) -> &str {
        &self.path
    }
}

impl FromStr for ObjectPath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<ObjectPath, PathError> {
        ObjectPath::parse(path)
    }
}

/// Checks that `filename` is one safe segment that cannot be taken for another object's name.
pub(crate) fn check_filename(filename: &str) -> Result<(), PathError> {
    if filename.len() > MAX_FILENAME_LEN {
        return Err(PathError::TooLong {
            length: filename.len(),
            limit: MAX_FILENAME_LEN,
        });
    }
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+' | b'!');
    let derived = [
        METADATA_SUFFIX,
        CHUNKS_SUFFIX,
        SIGNATURE_SUFFIX,
        PROVENANCE_SUFFIX,
    ]
    .iter()
    .any(|suffix| filename.ends_with(suffix));
    if filename.is_empty() || filename.starts_with('.') || derived || !filename.bytes().all(allowed)
    {
        return Err(PathError::Filename {
            filename: filename.to_owned(),
        });
    }
    Ok(())
}

//! Python's packaging formats, as an index and a verifying client need them.
//!
//! Bytes and strings go in, values come out that need no second look. Nothing here opens a file,
//! reads a clock or talks to anybody; an archive comes as something that reads and seeks.
//!
//! ```text
//!  "Zope.Interface" ────────────▶ ProjectName            one spelling for every comparison
//!  "zope.interface-5.4.0.tar.gz"▶ DistributionFilename   project, version, tags
//!  METADATA, PKG-INFO ──────────▶ CoreMetadata           what the distribution says of itself
//!  a wheel, an sdist ── inspect ▶ Inspected              its metadata, and the assurance that
//!                                                        every unpacker will see the same files
//!  FILE.asc ── parse ───────────▶ DetachedSignature      an OpenPGP signature, by its shape
//!  uv.lock, pylock.toml ── parse▶ LockFile            what is to be installed, as others wrote it
//!  RECORD, WHEEL, direct_url ───▶ installed::…        what an installer says that it installed
//!  index.json ── parse ─────────▶ ProjectPage ──▶ to_json (hashed and signed), to_html
//!  Accept: … ── negotiate ──────▶ Format
//! ```
//!
//! Whatever is read can be hostile. Limits are named constants, and no input makes a parser
//! panic, take memory out of proportion to the limit, or run longer than the limit allows.

mod filename;
pub mod inspect;
pub mod installed;
pub mod lock;
mod metadata;
mod name;
mod signature;
pub mod simple;

pub use pep440_rs::{Version, VersionSpecifiers};

pub use self::filename::{
    DistributionFilename, FilenameError, MAX_FILENAME_LEN, SdistFilename, SdistFormat,
    WheelFilename, WheelTag,
};
pub use self::inspect::{InspectError, Inspected, RecordError, inspect};
pub use self::metadata::{
    ClassifierError, CoreMetadata, Dialect, MAX_HEADERS, MAX_LABEL_LEN, MAX_METADATA_LEN,
    MAX_REQUIRES_PYTHON_LEN, MAX_SUMMARY_LEN, Markup, MetadataError, MetadataVersion,
    NEWEST_METADATA, RequirementError, RuleError,
};
pub use self::name::{MAX_NAME_LEN, NameError, ProjectName};
pub use self::signature::{DetachedSignature, MAX_SIGNATURE_LEN, MAX_SIGNATURES, SignatureError};

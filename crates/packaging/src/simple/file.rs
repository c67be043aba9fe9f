//! One file of a page.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::json::{self, JsonError, Members};
use super::{Extra, HashError, Hashes, Sha256Hex};
use crate::{DistributionFilename, ProjectName};

/// A file as its project's page describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageFile {
    /// Its name.
    pub filename: DistributionFilename,
    /// Where the page says it is. From a page of others this can be anything; a verifying client
    /// does not use it.
    pub url: String,
    /// Its digests.
    pub hashes: Hashes,
    /// Its length in bytes (PEP 700).
    pub size: Option<u64>,
    /// When the index received it (PEP 700).
    pub upload_time: Option<Timestamp>,
    /// The range of Python versions it is for, as its metadata has it.
    pub requires_python: Option<String>,
    /// Digests of its core metadata, which `<file>.metadata` then holds (PEP 658, PEP 714). Empty
    /// digests say that the metadata is there without saying what it is.
    pub core_metadata: Option<Hashes>,
    /// Whether it was yanked (PEP 592).
    pub yanked: Yanked,
    /// URL of its provenance (PEP 740).
    pub provenance: Option<String>,
    /// Whether an OpenPGP signature stands beside it.
    pub gpg_sig: Option<bool>,
    /// What this index adds under `_wheelmark`.
    pub wheelmark: Option<Marks>,
    /// Members that are not known here.
    pub extra: Extra,
}

/// Whether installers should pass a file over (PEP 592).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Yanked {
    /// It is an ordinary file.
    #[default]
    No,
    /// It was yanked, without a reason.
    Yes,
    /// It was yanked for this reason, which is not empty.
    Because(String),
}

/// What this index says about a file beyond the simple API, under `_wheelmark`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Whether the file was signed when it was uploaded.
    pub signed: Signed,
    /// When it was first signed.
    pub signed_at: Timestamp,
    /// Since when everybody sees it, where that is later: it was withheld meanwhile.
    pub visible_since: Option<Timestamp>,
    /// The SHA-256 after which the index names the file, where it is not among its digests.
    pub sha256: Option<Sha256Hex>,
    /// Digest of its provenance, if it has one.
    pub provenance_sha256: Option<Sha256Hex>,
    /// Digest of its chunk list, if it has one.
    pub chunks_sha256: Option<Sha256Hex>,
    /// The OpenPGP signature that stands beside it, if one does.
    pub gpg_sig: Option<SignatureMark>,
    /// When the project was claimed and its people took this entry over without having compared the
    /// file with anything; see [`PageFile::is_adopted`].
    pub adopted_at: Option<Timestamp>,
    /// Members that are not known here.
    pub extra: Extra,
}

/// What a file's OpenPGP signature is, byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureMark {
    /// Its digest.
    pub sha256: Sha256Hex,
    /// Its length in bytes.
    pub length: u64,
}

/// When a file was signed, relative to its upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signed {
    /// `at-upload`: the index signed it as soon as it had received it.
    AtUpload,
    /// `back`: it had been there before the index was first signed.
    Back,
}

/// Longest provenance that a page binds, in bytes. A few attestations of some 10 kB are usual; this
/// has room for those of several publishers with large statements.
pub const MAX_PROVENANCE_LEN: usize = 1024 * 1024;

const GPG_SIG_SHA256: &str = "gpg-sig-sha256";
const GPG_SIG_LENGTH: &str = "gpg-sig-length";
const ADOPTED_AT: &str = "adopted-at";

/// Why the entry of a file, or what stands under `_wheelmark`, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A member is missing or has the wrong type.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A digest is malformed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// `_wheelmark.signed` is a word that has no meaning.
    #[error("`{}` does not say when a file was signed", word.escape_debug())]
    Signed {
        /// What it holds.
        word: String,
    },
    /// What remains of a removed file stands under a name that is not its own, or not one of this
    /// project.
    #[error("`{}` is not the name of a removed file of this project", filename.escape_debug())]
    RemovedName {
        /// The name.
        filename: String,
    },
    /// A dropped file whose name is not one of this project.
    #[error("`{}` is not the name of a dropped file of this project", filename.escape_debug())]
    DroppedName {
        /// The name.
        filename: String,
    },
    /// A withheld file whose name is not one of this project.
    #[error("`{}` is not the name of a withheld file of this project", filename.escape_debug())]
    WithheldName {
        /// The name.
        filename: String,
    },
}

impl PageFile {
    /// A file with nothing known of it but its name, its digests and its place beside the page of
    /// `project`: see [`super::file_url`].
    pub fn new(project: &ProjectName, filename: DistributionFilename, hashes: Hashes) -> PageFile {
        PageFile {
            url: super::file_url(project, filename.as_str()),
            filename,
            hashes,
            size: None,
            upload_time: None,
            requires_python: None,
            core_metadata: None,
            yanked: Yanked::No,
            provenance: None,
            gpg_sig: None,
            wheelmark: None,
            extra: Extra::new(),
        }
    }

    /// The SHA-256 after which an index of Wheelmark's names the file: the one among its digests, or
    /// else the one that stands beside them.
    pub fn sha256(&self) -> Option<Sha256Hex> {
        let listed = self.hashes.sha256();
        listed.or_else(|| self.wheelmark.as_ref()?.sha256)
    }

    /// Whether its page says that an OpenPGP signature stands beside it.
    pub fn has_signature(&self) -> bool {
        self.gpg_sig == Some(true)
    }

    /// How many bytes its entry has in the JSON form of a page.
    pub fn json_len(&self) -> usize {
        json::render(&self.to_value()).len()
    }

    pub(super) fn take(
        filename: DistributionFilename,
        mut entry: Members,
    ) -> Result<PageFile, FileError> {
        let core_metadata = core_metadata(&mut entry)?;
        Ok(PageFile {
            filename,
            url: entry.need_string("url")?,
            hashes: match entry.take("hashes") {
                Some(hashes) => take_hashes(hashes, "hashes")?,
                None => return Err(JsonError::Missing { member: "hashes" }.into()),
            },
            size: entry.take_u64("size")?,
            upload_time: entry.take_time("upload-time")?,
            requires_python: entry.take_string("requires-python")?,
            core_metadata,
            yanked: match entry.take("yanked") {
                None | Some(Value::Bool(false)) => Yanked::No,
                Some(Value::Bool(true)) => Yanked::Yes,
                // As for installers, only a reason that says something is one.
                Some(Value::String(reason)) if reason.is_empty() => Yanked::No,
                Some(Value::String(reason)) => Yanked::Because(reason),
                Some(_) => {
                    return Err(JsonError::Type {
                        member: "yanked",
                        expected: "true, false or a string",
                    }
                    .into());
                }
            },
            provenance: entry.take_string("provenance")?,
            gpg_sig: entry.take_bool("gpg-sig")?,
            wheelmark: entry.take("_wheelmark").map(Marks::take).transpose()?,
            extra: entry.rest(),
        })
    }

    pub(super) fn to_value(&self) -> Value {
        let mut entry: Map<String, Value> = self.extra.clone().into_iter().collect();
        let mut put = |member: &str, value: Option<Value>| match value {
            Some(value) => drop(entry.insert(member.to_owned(), value)),
            None => drop(entry.remove(member)),
        };
        put("filename", Some(self.filename.as_str().into()));
        put("url", Some(self.url.as_str().into()));
        put("hashes", Some(hashes_value(&self.hashes)));
        put("size", self.size.map(Value::from));
        put(
            "upload-time",
            self.upload_time.map(|time| time.to_string().into()),
        );
        put(
            "requires-python",
            self.requires_python.as_deref().map(Value::from),
        );
        let core_metadata = self.core_metadata.as_ref();
        put(
            "core-metadata",
            core_metadata.map(|hashes| {
                if hashes.is_empty() {
                    true.into()
                } else {
                    hashes_value(hashes)
                }
            }),
        );
        let yanked = match &self.yanked {
            Yanked::No => None,
            Yanked::Because(reason) if !reason.is_empty() => Some(reason.as_str().into()),
            Yanked::Yes | Yanked::Because(_) => Some(true.into()),
        };
        put("yanked", Some(yanked.unwrap_or(false.into())));
        put("provenance", self.provenance.as_deref().map(Value::from));
        put("gpg-sig", self.gpg_sig.map(Value::from));
        put("_wheelmark", self.wheelmark.as_ref().map(Marks::to_value));
        Value::Object(entry)
    }
}

impl Marks {
    /// Marks that say only when the file was signed.
    pub fn new(signed: Signed, signed_at: Timestamp) -> Marks {
        Marks {
            signed,
            signed_at,
            visible_since: None,
            sha256: None,
            provenance_sha256: None,
            chunks_sha256: None,
            gpg_sig: None,
            adopted_at: None,
            extra: Extra::new(),
        }
    }

    fn take(value: Value) -> Result<Marks, FileError> {
        let mut marks = Members::of(value, "_wheelmark")?;
        let signed = match marks.need_string("signed")?.as_str() {
            "at-upload" => Signed::AtUpload,
            "back" => Signed::Back,
            word => {
                return Err(FileError::Signed {
                    word: word.to_owned(),
                });
            }
        };
        let mut digest = |member| {
            marks
                .take_string(member)?
                .map(|digest| digest.parse())
                .transpose()
                .map_err(FileError::from)
        };
        let sha256 = digest("sha256")?;
        let (provenance_sha256, chunks_sha256) =
            (digest("provenance-sha256")?, digest("chunks-sha256")?);
        let gpg_sig = match (digest(GPG_SIG_SHA256)?, marks.take_u64(GPG_SIG_LENGTH)?) {
            (Some(sha256), Some(length)) => Some(SignatureMark { sha256, length }),
            (None, None) => None,
            (None, Some(_)) => return Err(missing(GPG_SIG_SHA256)),
            (Some(_), None) => return Err(missing(GPG_SIG_LENGTH)),
        };
        Ok(Marks {
            signed,
            signed_at: marks.take_time("signed-at")?.ok_or(JsonError::Missing {
                member: "signed-at",
            })?,
            visible_since: marks.take_time("visible-since")?,
            sha256,
            provenance_sha256,
            chunks_sha256,
            gpg_sig,
            adopted_at: marks.take_time(ADOPTED_AT)?,
            extra: marks.rest(),
        })
    }

    fn to_value(&self) -> Value {
        let mut marks: Map<String, Value> = self.extra.clone().into_iter().collect();
        let mut put = |member: &str, value: Option<Value>| match value {
            Some(value) => drop(marks.insert(member.to_owned(), value)),
            None => drop(marks.remove(member)),
        };
        let digest = |digest: Option<Sha256Hex>| digest.map(|digest| digest.to_string().into());
        put("signed", Some(self.signed.as_str().into()));
        put("signed-at", Some(self.signed_at.to_string().into()));
        let visible_since = self.visible_since.map(|time| time.to_string().into());
        put("visible-since", visible_since);
        put("sha256", digest(self.sha256));
        put("provenance-sha256", digest(self.provenance_sha256));
        put("chunks-sha256", digest(self.chunks_sha256));
        put(GPG_SIG_SHA256, digest(self.gpg_sig.map(|sig| sig.sha256)));
        put(GPG_SIG_LENGTH, self.gpg_sig.map(|sig| sig.length.into()));
        put(
            ADOPTED_AT,
            self.adopted_at.map(|time| time.to_string().into()),
        );
        Value::Object(marks)
    }
}

impl Signed {
    /// The word that pages use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtUpload => "at-upload",
            Self::Back => "back",
        }
    }
}

impl Yanked {
    /// Whether it was yanked.
    pub fn is_yanked(&self) -> bool {
        *self != Self::No
    }
}

/// Reads `core-metadata`, or else one of the two names it had before (PEP 714). All three are
/// taken, so that no stale one survives.
fn core_metadata(entry: &mut Members) -> Result<Option<Hashes>, FileError> {
    let mut found = None;
    for member in [
        "core-metadata",
        "dist-info-metadata",
        "data-dist-info-metadata",
    ] {
        let value = entry.take(member);
        if found.is_none() {
            found = value.map(|value| (member, value));
        }
    }
    match found {
        None | Some((_, Value::Bool(false))) => Ok(None),
        Some((_, Value::Bool(true))) => Ok(Some(Hashes::new())),
        Some((member, value)) => take_hashes(value, member).map(Some),
    }
}

fn missing(member: &'static str) -> FileError {
    JsonError::Missing { member }.into()
}

fn take_hashes(value: Value, member: &'static str) -> Result<Hashes, FileError> {
    let mut hashes = Hashes::new();
    for (algorithm, digest) in Members::of(value, member)?.rest() {
        match digest {
            Value::String(digest) => hashes.insert(&algorithm, &digest)?,
            _ => {
                return Err(JsonError::Type {
                    member,
                    expected: "an object of strings",
                }
                .into());
            }
        }
    }
    Ok(hashes)
}

fn hashes_value(hashes: &Hashes) -> Value {
    hashes
        .iter()
        .map(|(algorithm, digest)| (algorithm.to_owned(), Value::from(digest)))
        .collect()
}

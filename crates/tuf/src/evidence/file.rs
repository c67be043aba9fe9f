//! An evidence as a file: one JSON object that holds everything, files in base64.
//!
//! It comes from somebody whom nobody has to believe: it is read member by member into types
//! that cannot hold anything else, within limits, and what is read proves nothing yet.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Evidence, Sighting};
use crate::limits::{MAX_DELEGATIONS, MAX_ROOT_ROTATIONS};
use crate::name::RoleName;

/// Bytes of an evidence file. Ours: two snapshots and six targets roles of the greatest length
/// take 46 MB in base64, and a hundred roots of usual length the rest.
pub const MAX_EVIDENCE_LENGTH: usize = 64 * 1024 * 1024;

/// Bytes of the name of a source: what browsers and servers take as a URL.
const MAX_SOURCE_LENGTH: usize = 2048;

/// Files of one sighting: three of the top-level roles, and delegated ones.
const MAX_FILES: usize = 3 + MAX_DELEGATIONS;

/// The version of the format that is written and read.
const FORMAT: u32 = 1;

/// What the file claims; there is one claim as yet.
const CLAIM: &str = "equivocation";

/// Why bytes are not an evidence.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceFormatError {
    /// More bytes than [`MAX_EVIDENCE_LENGTH`].
    #[error("the evidence has {found} bytes, more than {MAX_EVIDENCE_LENGTH}")]
    TooLong {
        /// How many it has.
        found: usize,
    },
    /// Not JSON of this form.
    #[error("the file is not an evidence")]
    Form(#[source] serde_json::Error),
    /// Of a later version of this program.
    #[error("the evidence is of format {found}, only {FORMAT} is known")]
    Format {
        /// The format that the file states.
        found: u32,
    },
    /// A member holds what it cannot hold.
    #[error("`{member}` is not {expected}")]
    Member {
        /// The member's name.
        member: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Form {
    wheelmark_evidence: u32,
    claim: String,
    role: String,
    version: u64,
    roots: Vec<String>,
    seen: Vec<SeenForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SeenForm {
    source: String,
    at: String,
    via: Vec<String>,
    files: Vec<FileForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileForm {
    path: String,
    base64: String,
}

impl Evidence {
    /// Reads an evidence file. What it says is not verified: see [`Evidence::verify`].
    ///
    /// # Errors
    ///
    /// [`EvidenceFormatError`] for everything that [`Evidence::to_json`] would not write.
    pub fn parse(bytes: &[u8]) -> Result<Evidence, EvidenceFormatError> {
        if bytes.len() > MAX_EVIDENCE_LENGTH {
            let found = bytes.len();
            return Err(EvidenceFormatError::TooLong { found });
        }
        let form: Form = serde_json::from_slice(bytes).map_err(EvidenceFormatError::Form)?;
        if form.wheelmark_evidence != FORMAT {
            let found = form.wheelmark_evidence;
            return Err(EvidenceFormatError::Format { found });
        }
        if form.claim != CLAIM {
            return Err(wrong("claim", "`equivocation`"));
        }
        if form.roots.is_empty() || form.roots.len() > MAX_ROOT_ROTATIONS as usize {
            return Err(wrong("roots", "a list of 1 to 256 roots"));
        }
        let roots = form.roots.iter().map(|root| decode("roots", root));
        let seen: Vec<Sighting> = form
            .seen
            .into_iter()
            .map(sighting)
            .collect::<Result<_, _>>()?;
        Ok(Evidence {
            role: role("role", &form.role)?,
            version: form.version,
            roots: roots.collect::<Result<_, _>>()?,
            sightings: seen
                .try_into()
                .map_err(|_| wrong("seen", "a list of two sightings"))?,
        })
    }

    /// The file: JSON with one member on each line.
    pub fn to_json(&self) -> Vec<u8> {
        let seen = self.sightings.iter().map(|sighting| SeenForm {
            source: sighting.source.clone(),
            at: sighting.at.to_string(),
            via: sighting.via.iter().map(|r| r.as_str().to_owned()).collect(),
            files: sighting
                .files
                .iter()
                .map(|(path, bytes)| FileForm {
                    path: path.clone(),
                    base64: STANDARD.encode(bytes),
                })
                .collect(),
        });
        let form = Form {
            wheelmark_evidence: FORMAT,
            claim: CLAIM.to_owned(),
            role: self.role.as_str().to_owned(),
            version: self.version,
            roots: self
                .roots
                .iter()
                .map(|root| STANDARD.encode(root))
                .collect(),
            seen: seen.collect(),
        };
        let mut json = serde_json::to_vec_pretty(&form).expect("text always makes JSON");
        json.push(b'\n');
        json
    }
}

fn sighting(form: SeenForm) -> Result<Sighting, EvidenceFormatError> {
    if form.source.len() > MAX_SOURCE_LENGTH || form.source.contains(char::is_control) {
        return Err(wrong("source", "a name of at most 2048 bytes"));
    }
    let at: Timestamp = form
        .at
        .parse()
        .map_err(|_| wrong("at", "a time of the form YYYY-MM-DDTHH:MM:SSZ"))?;
    if form.via.len() > MAX_DELEGATIONS {
        return Err(wrong("via", "a list of at most 32 roles"));
    }
    if form.files.len() > MAX_FILES {
        return Err(wrong("files", "a list of at most 35 files"));
    }
    let via = form.via.iter().map(|name| role("via", name));
    let files = form.files.into_iter().map(|file| {
        let bytes = decode("base64", &file.base64)?;
        Ok((file.path, bytes))
    });
    Ok(Sighting {
        source: form.source,
        at,
        via: via.collect::<Result<_, _>>()?,
        files: files.collect::<Result<_, EvidenceFormatError>>()?,
    })
}

fn role(member: &'static str, name: &str) -> Result<RoleName, EvidenceFormatError> {
    name.parse()
        .map_err(|_| wrong(member, "the name of a role"))
}

fn decode(member: &'static str, text: &str) -> Result<Vec<u8>, EvidenceFormatError> {
    STANDARD
        .decode(text)
        .map_err(|_| wrong(member, "in base64"))
}

fn wrong(member: &'static str, expected: &'static str) -> EvidenceFormatError {
    EvidenceFormatError::Member { member, expected }
}

//! The record of one trusted index: `index.toml`.

use std::fmt;

use serde::{Deserialize, Serialize};
use wheelmark_tuf::Sha256;

use crate::index::IndexUrls;
use crate::mirror::{Mirror, Turn};

/// The version of the record that this program writes and reads.
const FORMAT: u32 = 1;

/// How trust in an index began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Began {
    /// By a root file that the user was given.
    RootFile,
    /// By the sha256 of a root's canonical signed part.
    Fingerprint,
    /// By believing the first answer, over https.
    FirstUse,
    /// By believing the first answer of a server on this machine over plain http: for trying
    /// out.
    FirstUseOverLoopbackHttp,
    /// By what somebody else who trusts the index handed over.
    HandedOver,
    /// By a file that the system's administrator provides.
    System,
    /// Not at all: the person said that the index is not signed.
    Unsigned,
    /// Not at all, and nobody chose it: no index was trusted, and pip or uv is configured for this one.
    Configured,
}

impl fmt::Display for Began {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RootFile => "root file",
            Self::Fingerprint => "fingerprint",
            Self::HandedOver => "handed over",
            Self::System => "the system's administrator",
            Self::Unsigned => "not signed",
            Self::Configured => "not signed, and used because pip or uv is configured for it",
            Self::FirstUse => "first use",
            Self::FirstUseOverLoopbackHttp => "first use over loopback http (for trying out)",
        })
    }
}

/// What is recorded about an index when trust in it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRecord {
    /// Where it is, and where its mirrors are.
    pub urls: IndexUrls,
    /// How trust began.
    pub began: Began,
    /// When trust began.
    pub trusted_since: jiff::Timestamp,
    /// The version of the root that trust began with; 0 for an index that is not signed, which has
    /// none.
    pub first_root_version: u64,
    /// The sha256 of that root's canonical signed part; that of nothing where there is none.
    pub first_root_fingerprint: Sha256,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    format: u32,
    index_url: String,
    metadata_url: String,
    targets_url: String,
    began: Began,
    trusted_since: String,
    first_root_version: u64,
    first_root_fingerprint: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mirrors: Vec<WrittenMirror>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct WrittenMirror {
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    targets_url: Option<String>,
    #[serde(default)]
    asked: Turn,
}

impl From<&Mirror> for WrittenMirror {
    fn from(mirror: &Mirror) -> Self {
        Self {
            metadata_url: mirror.metadata().map(ToString::to_string),
            targets_url: mirror.targets().map(ToString::to_string),
            asked: mirror.turn(),
        }
    }
}

impl WrittenMirror {
    pub(super) fn read(&self) -> Result<Mirror, String> {
        let (metadata, targets) = (self.metadata_url.as_deref(), self.targets_url.as_deref());
        Mirror::new(None, metadata, targets, self.asked).map_err(|e| e.to_string())
    }
}

impl IndexRecord {
    /// That of an index that is used although nobody signs it.
    pub(crate) fn unsigned(urls: IndexUrls, began: Began, now: jiff::Timestamp) -> Self {
        Self {
            urls,
            began,
            trusted_since: jiff::Timestamp::from_second(now.as_second()).unwrap_or(now),
            first_root_version: 0,
            first_root_fingerprint: Sha256::of(b""),
        }
    }

    /// Whether the index is signed. This is what the person knows of it, and never what it answers.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        !matches!(self.began, Began::Unsigned | Began::Configured)
    }

    /// Whether both are of the same trust. Mirrors come and go without trust beginning anew.
    pub(crate) fn same_trust(&self, other: &Self) -> bool {
        let without_mirrors = |record: &Self| {
            let mut record = record.clone();
            record.urls = record.urls.with_mirrors(Vec::new());
            record
        };
        without_mirrors(self) == without_mirrors(other)
    }

    pub(crate) fn to_toml(&self) -> String {
        let written = Written {
            format: FORMAT,
            index_url: self.urls.simple().to_string(),
            metadata_url: self.urls.metadata().to_string(),
            targets_url: self.urls.targets().to_string(),
            began: self.began,
            trusted_since: self.trusted_since.to_string(),
            first_root_version: self.first_root_version,
            first_root_fingerprint: self.first_root_fingerprint.to_string(),
            mirrors: self.urls.mirrors().iter().map(Into::into).collect(),
        };
        toml::to_string(&written).expect("strings and numbers always make a TOML table")
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| e.to_string())?;
        match table.get("format").and_then(toml::Value::as_integer) {
            Some(format) if format == i64::from(FORMAT) => {}
            Some(format) => {
                return Err(format!(
                    "its format is {format}, and this program knows {FORMAT}"
                ));
            }
            None => return Err("it has no `format`".to_owned()),
        }
        let written: Written = table
            .try_into()
            .map_err(|e: toml::de::Error| e.to_string())?;
        let mirrors: Result<_, String> = written.mirrors.iter().map(WrittenMirror::read).collect();
        Ok(Self {
            urls: IndexUrls::new(
                &written.index_url,
                Some(&written.metadata_url),
                Some(&written.targets_url),
            )
            .map_err(|e| e.to_string())?
            .with_mirrors(mirrors?),
            began: written.began,
            trusted_since: written
                .trusted_since
                .parse()
                .map_err(|e: jiff::Error| e.to_string())?,
            first_root_version: written.first_root_version,
            first_root_fingerprint: written
                .first_root_fingerprint
                .parse()
                .map_err(|_| "its fingerprint is not a sha256".to_owned())?,
        })
    }
}

//! What a verification comes to.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::Sha256Hex;

use crate::identity::Identity;
use crate::statement::Predicate;

/// Somebody vouched for a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attested {
    pub(super) file: DistributionFilename,
    pub(super) sha256: Sha256Hex,
    pub(super) predicate: Predicate,
    pub(super) identity: Identity,
    pub(super) log: LogEntry,
    #[serde(rename = "trusted_root")]
    pub(super) root: String,
}

impl Attested {
    /// The file's name, as it was given.
    pub fn file(&self) -> &DistributionFilename {
        &self.file
    }

    /// The file's digest.
    pub fn sha256(&self) -> &Sha256Hex {
        &self.sha256
    }

    /// What was said of it.
    pub fn predicate(&self) -> Predicate {
        self.predicate
    }

    /// Who said it.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where that was recorded.
    pub fn log(&self) -> &LogEntry {
        &self.log
    }

    /// The name of the trusted root that proves it.
    pub fn root(&self) -> &str {
        &self.root
    }
}

/// Where a transparency log recorded something, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The entry's number in the log.
    pub index: u64,
    /// The log, by the SHA-256 of its key.
    pub log: [u8; 32],
    /// When it was recorded.
    pub integrated: Timestamp,
}

impl Serialize for LogEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written {
            index: u64,
            id: String,
            integrated: String,
        }
        Written {
            index: self.index,
            id: Sha256Hex(self.log).to_string(),
            integrated: self.integrated.to_string(),
        }
        .serialize(serializer)
    }
}

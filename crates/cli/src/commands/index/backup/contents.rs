//! What is in a backup of one file, as a digest: so that a restore notices every byte that changed,
//! an entry that is missing, and one that was added.

use serde::{Deserialize, Serialize};
use wheelmark_tuf::{Sha256, Sha256Hasher};

/// Everything before the manifest, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::commands::index) struct Contents {
    pub(in crate::commands::index) entries: u64,
    pub(in crate::commands::index) sha256: Sha256,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands::index) enum Kind {
    File,
    /// A second name; its content is the first.
    Link,
}

/// Makes [`Contents`] of entries that come one after the other.
#[derive(Debug, Default)]
pub(in crate::commands::index) struct Tally {
    hasher: Sha256Hasher,
    entries: u64,
}

impl Tally {
    /// Begins an entry. Its content follows, and is as long as is said here.
    pub(in crate::commands::index) fn entry(&mut self, kind: Kind, name: &str, len: u64) {
        self.entries += 1;
        let kind = match kind {
            Kind::File => b'f',
            Kind::Link => b'l',
        };
        self.hasher.update(&[kind]);
        self.hasher.update(&(name.len() as u64).to_be_bytes());
        self.hasher.update(name.as_bytes());
        self.hasher.update(&len.to_be_bytes());
    }

    /// Takes in the next piece of the entry's content.
    pub(in crate::commands::index) fn content(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    pub(in crate::commands::index) fn finish(self) -> Contents {
        Contents {
            entries: self.entries,
            sha256: self.hasher.finish(),
        }
    }
}

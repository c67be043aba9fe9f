//! An index that nobody chose: no index is trusted, and pip or uv is configured for this one.
//!
//! It is used as any index that nobody signs. What is kept of it is that the person was told, and who
//! attests to its projects. It is not among the trusted ones: as soon as any index is trusted, nothing
//! leads here any more.
//!
//! **An index that was ever trusted by its keys never comes back this way.** When trust in one ends, a
//! note of its hosts stays, so that neither a removal that somebody was talked into, nor a
//! configuration that names the same host, turns what was verified into what is believed.

use std::collections::BTreeSet;
use std::fs;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    Began, Durability, IndexRecord, Path, TrustError, TrustStore, TrustedIndex, directory_name, io,
    lock,
};
use crate::index::IndexUrls;
use crate::remote::is_loopback;

/// How the notes of indexes that were signed begin.
const NOTE: &str = ".signed-";

/// The version of a note that this program writes and reads.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Note {
    format: u32,
    index_url: String,
    hosts: BTreeSet<String>,
}

/// Why an index that pip or uv is configured for is not used.
#[derive(Debug, thiserror::Error)]
pub enum NotUsed {
    /// There is an index in the store that somebody chose.
    #[error("{known} {}", standing(.ended))]
    Chosen {
        /// What is there.
        known: Url,
        /// Whether it came from the system, which took it back.
        ended: bool,
    },
    /// It, or another index of its host, was trusted by its keys once.
    #[error("{index} is not taken unsigned: {known} was trusted by its keys on this machine")]
    OnceSigned {
        /// The index that pip or uv is configured for.
        index: Url,
        /// The index that was trusted.
        known: String,
    },
    /// Anybody on the way could answer in its place.
    #[error("{index} is reached by plain http, and not signed")]
    InTheOpen {
        /// The index.
        index: Url,
    },
    /// The store could not be used.
    #[error(transparent)]
    Store(#[from] TrustError),
}

fn standing(ended: &bool) -> &'static str {
    match ended {
        true => "was trusted by every user of this machine, and is no more",
        false => "is trusted, and answers for everything that no other index does",
    }
}

impl TrustStore {
    /// The indexes that were used because pip or uv was configured for them, ordered by URL.
    ///
    /// # Errors
    ///
    /// When the directory or a record cannot be read.
    pub fn configured(&self) -> Result<Vec<TrustedIndex>, TrustError> {
        let mut found = Vec::new();
        for directory in self.directories()? {
            let index = TrustedIndex::load(directory)?;
            found.extend((!index.is_chosen()).then_some(index));
        }
        found.sort_by(|a, b| a.urls().simple().cmp(b.urls().simple()));
        Ok(found)
    }

    /// The index that pip or uv is configured for, and whether it is used for the first time, so that
    /// the person is to be told what that means.
    ///
    /// # Errors
    ///
    /// [`NotUsed`]: where anything is trusted, where this index was, and where it is reached by plain
    /// http.
    pub async fn use_configured(
        &self,
        urls: IndexUrls,
        now: jiff::Timestamp,
    ) -> Result<(TrustedIndex, bool), NotUsed> {
        let index = urls.simple().clone();
        for directory in self.directories()? {
            let known = TrustedIndex::load(directory)?;
            if known.is_chosen() {
                return Err(NotUsed::Chosen {
                    ended: known.record.began == Began::System,
                    known: known.urls().simple().clone(),
                });
            }
        }
        if let Some(known) = self.once_signed(&urls)? {
            return Err(NotUsed::OnceSigned { index, known });
        }
        if !urls.all_https_or_loopback() {
            return Err(NotUsed::InTheOpen { index });
        }
        let directory = self.indexes.join(directory_name(&index));
        let _lock = lock::of(&directory).await?;
        if directory.join(super::RECORD).exists() {
            let known = TrustedIndex::load(directory)?;
            // Chosen since it was looked for.
            if known.is_chosen() {
                let ended = false;
                return Err(NotUsed::Chosen {
                    known: index,
                    ended,
                });
            }
            return Ok((known, false));
        }
        let record = IndexRecord::unsigned(urls, Began::Configured, now);
        let begun = self.settle(directory, record, |_| Ok(()))?;
        Ok((begun, true))
    }

    /// Has who attests to the projects of an index that nobody chose known in what takes its place.
    pub(super) fn carry_identities(
        &self,
        directory: &Path,
        into: &TrustedIndex,
    ) -> Result<(), TrustError> {
        if !directory.join(super::RECORD).exists() {
            return Ok(());
        }
        let before = TrustedIndex::load(directory.to_owned())?;
        if before.is_chosen() {
            return Ok(());
        }
        into.take_over_identities(&before)?;
        Ok(())
    }

    /// Writes down that the index in a directory was trusted by its keys, if it was.
    pub(super) fn note_signed(&self, directory: &Path, simple: &Url) -> Result<(), TrustError> {
        if !directory.exists() {
            return Ok(());
        }
        let hosts = match TrustedIndex::load(directory.to_owned()) {
            Ok(index) if !index.is_signed() => return Ok(()),
            Ok(index) => hosts(index.urls()),
            // Of one that cannot be read, nobody knows that it was not.
            Err(_) => BTreeSet::from([host(simple)]),
        };
        let note = Note {
            format: FORMAT,
            index_url: simple.to_string(),
            hosts,
        };
        let text = toml::to_string(&note).expect("strings and numbers always make a TOML table");
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        let path = self.indexes.join(format!("{NOTE}{name}"));
        super::replace(&path, &self.indexes, text.as_bytes(), Durability::Synced)
            .map_err(|e| io("write", &path, e))?;
        super::sync_directory(&self.indexes)
    }

    /// An index that was trusted by its keys once, at a host of these URLs.
    fn once_signed(&self, urls: &IndexUrls) -> Result<Option<String>, TrustError> {
        let wanted = hosts(urls);
        let entries = fs::read_dir(&self.indexes).map_err(|e| io("read", &self.indexes, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| io("read", &self.indexes, e))?;
            if !entry.file_name().to_string_lossy().starts_with(NOTE) {
                continue;
            }
            let path = entry.path();
            let text = fs::read_to_string(&path).map_err(|e| io("read", &path, e))?;
            let note: Note = toml::from_str(&text).map_err(|error| TrustError::Record {
                path: path.clone(),
                problem: error.message().to_owned(),
            })?;
            if note.format != FORMAT {
                let problem = format!(
                    "its format is {}, and this program knows {FORMAT}",
                    note.format
                );
                return Err(TrustError::Record { path, problem });
            }
            if !note.hosts.is_disjoint(&wanted) {
                return Ok(Some(note.index_url));
            }
        }
        Ok(None)
    }
}

/// The hosts that speak for an index: its own, and those of its copies.
fn hosts(urls: &IndexUrls) -> BTreeSet<String> {
    let mirrors = urls.mirrors().iter();
    let mirrors = mirrors.flat_map(|mirror| [mirror.metadata(), mirror.targets()]);
    [urls.simple(), urls.metadata(), urls.targets()]
        .into_iter()
        .chain(mirrors.flatten())
        .map(host)
        .collect()
}

/// A host, whatever scheme, port and path it is asked by; on this machine, a port is somebody else.
fn host(url: &Url) -> String {
    if is_loopback(url) {
        let port = url.port_or_known_default().unwrap_or_default();
        return format!("localhost:{port}");
    }
    let name = url.host_str().unwrap_or_default();
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests;

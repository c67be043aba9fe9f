//! What a holder has signed on last: nothing older is signed on again. It is kept beside their file
//! of keys; where the keys are in no file, in the user's data directory.
//!
//! Whoever begins a ceremony chooses what it stands on. Roots that a thief was thrown out by can be
//! left away, and everything fits: so a holder remembers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use wheelmark_ceremony::Ceremony;
use wheelmark_signing::SignerUri;

use super::signer::SignerArg;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::published::read_bounded;

/// The longest file of what was seen, in bytes.
const MAX_LEN: u64 = 1024 * 1024;

/// For each index, by the fingerprint of its first root, the published versions that were signed on.
#[derive(Default, Serialize, Deserialize)]
struct Indexes(BTreeMap<String, BTreeMap<String, u64>>);

/// What was seen, and where it is kept.
pub(super) struct Seen {
    file: PathBuf,
    indexes: Indexes,
}

impl Seen {
    /// What is kept for the holder who signs with these.
    pub(super) fn of(signers: &[SignerArg], context: &Context) -> anyhow::Result<Self> {
        let files = signers.iter().filter_map(|signer| match &signer.uri {
            SignerUri::File(keys) => Some(keys.as_os_str().to_owned()),
            _ => None,
        });
        let mut name = files
            .min()
            .unwrap_or_else(|| context.home.join("holder").into());
        name.push(".seen.json");
        let file = PathBuf::from(name);
        let damaged = || format!("{} is damaged", file.display());
        let indexes = match read_bounded(&file, MAX_LEN) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(damaged)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Indexes::default(),
            Err(error) => return Err(error).with_context(damaged),
        };
        Ok(Self { file, indexes })
    }

    /// Refuses a ceremony on an older state than one that was signed on.
    pub(super) fn demand_newer(&self, ceremony: &Ceremony) -> anyhow::Result<()> {
        let Some(roles) = self.indexes.0.get(&index(ceremony)) else {
            return Ok(());
        };
        for (role, version) in published(ceremony) {
            if let Some(seen) = roles.get(&role).filter(|seen| **seen > version) {
                return Err(anyhow!(
                    "the ceremony stands on version {version} of {role}, and you have signed on version {seen}"
                ))
                .hint("what is published has moved on since: sign nothing, and ask whoever began it where the newer versions are");
            }
        }
        Ok(())
    }

    /// Remembers what is signed on now.
    pub(super) fn keep(mut self, ceremony: &Ceremony) -> anyhow::Result<()> {
        let roles = self.indexes.0.entry(index(ceremony)).or_default();
        roles.extend(published(ceremony));
        let cannot = || format!("{} cannot be written", self.file.display());
        let text = serde_json::to_vec_pretty(&self.indexes)?;
        let folder = self
            .file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(std::path::Path::new("."));
        std::fs::create_dir_all(folder).with_context(cannot)?;
        let mut next = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
        std::io::Write::write_all(&mut next, &text).with_context(cannot)?;
        next.as_file().sync_all().with_context(cannot)?;
        next.persist(&self.file)
            .with_context(cannot)
            .hint("what you sign on is remembered beside your keys: bring them to a place that can be written")?;
        Ok(())
    }
}

fn index(ceremony: &Ceremony) -> String {
    ceremony.standing().first_fingerprint().to_string()
}

fn published(ceremony: &Ceremony) -> Vec<(String, u64)> {
    let standing = ceremony.standing();
    let roles = standing.roles().into_iter();
    roles
        .filter_map(|role| {
            let (version, _) = standing.version_and_expiry(&role)?;
            Some((role.as_str().to_owned(), version))
        })
        .collect()
}

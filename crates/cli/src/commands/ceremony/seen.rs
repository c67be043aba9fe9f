//! What a holder has signed on last, and with which keys: nothing older is signed on again, and no key
//! signs for two indexes.
//!
//! Whoever begins a ceremony chooses what it stands on. Roots that a thief was thrown out by can be
//! left away, and everything fits: so a holder remembers. And metadata does not name its index: what
//! the same people have signed for one, a rehearsal for instance, would be good for the other.
//!
//! What a ceremony says of claims is held against the list that was seen last, too ([`claims`]).
//!
//! It is kept in the user's data directory and beside each file of keys, and whatever any of them
//! knows counts.

mod claims;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use wheelmark_ceremony::Ceremony;
use wheelmark_signing::SignerUri;
use wheelmark_tuf::{KeyId, RoleName};

use self::claims::{SeenClaims, TooOld};
use super::signer::SignerArg;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::published::read_bounded;

/// The longest file of what was seen, in bytes.
const MAX_LEN: u64 = 16 * 1024 * 1024;

/// The most bytes that the lists of claims take in it. Anybody who may claim projects makes them longer; they
/// must not push out what is known of versions and keys.
const MAX_CLAIMS_LEN: usize = 12 * 1024 * 1024;

/// What is known of one index.
#[derive(Default, Serialize, Deserialize)]
struct Known {
    /// The ids of the keys that have signed for it.
    #[serde(default)]
    keys: BTreeSet<String>,
    /// The claims that were shown last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claims: Option<SeenClaims>,
    /// The published versions that were signed on, by role.
    #[serde(flatten)]
    roles: BTreeMap<String, u64>,
}

/// What is known of each index, by the fingerprint of its first root.
#[derive(Default, Serialize, Deserialize)]
struct Indexes(BTreeMap<String, Known>);

/// What was seen, and where it is kept.
pub(super) struct Seen {
    /// Beside the files of keys.
    beside: Vec<PathBuf>,
    home: PathBuf,
    /// Whether keys are in no file, so that there is no other place than the home directory.
    needs_home: bool,
    indexes: Indexes,
}

impl Seen {
    /// What is kept for the holder who signs with these.
    pub(super) fn of(signers: &[SignerArg], context: &Context) -> anyhow::Result<Self> {
        let files = signers.iter().filter_map(|signer| match &signer.uri {
            SignerUri::File(keys) => Some(beside(keys.as_os_str())),
            _ => None,
        });
        let mut seen = Self {
            beside: files.collect(),
            home: beside(context.home.join("holder").as_os_str()),
            needs_home: signers
                .iter()
                .any(|signer| !matches!(signer.uri, SignerUri::File(_))),
            indexes: Indexes::default(),
        };
        for file in seen.beside.iter().chain([&seen.home]) {
            let damaged = || format!("{} is damaged", file.display());
            let read: Indexes = match read_bounded(file, MAX_LEN) {
                Ok(bytes) => serde_json::from_slice(&bytes).with_context(damaged)?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(damaged),
            };
            seen.indexes.learn(read);
        }
        Ok(seen)
    }

    /// Refuses keys that have signed for another index.
    pub(super) fn demand_own(&self, ceremony: &Ceremony, keys: &[KeyId]) -> anyhow::Result<()> {
        let this = index(ceremony);
        for (other, known) in &self.indexes.0 {
            let used = keys.iter().find(|key| known.keys.contains(key.as_str()));
            if let Some(key) = used.filter(|_| *other != this) {
                return Err(anyhow!(
                    "the key {key} has signed for another index, whose first root is {other}"
                ))
                .hint(format!(
                    "what the same keys sign for one index is good for the other: make others for this one (if that index is gone for good, take it out of {})",
                    self.home.display()
                ));
            }
        }
        Ok(())
    }

    /// Whether something was signed for this index before.
    pub(super) fn knows(&self, ceremony: &Ceremony) -> bool {
        self.indexes.0.contains_key(&index(ceremony))
    }

    /// Refuses a ceremony on an older state than one that was signed on. A recovery goes back on purpose, and
    /// its versions are above all others; root alone goes on, also there.
    pub(super) fn demand_newer(&self, ceremony: &Ceremony) -> anyhow::Result<()> {
        let Some(known) = self.indexes.0.get(&index(ceremony)) else {
            return Ok(());
        };
        for (role, version) in published(ceremony) {
            let may_go_back =
                ceremony.plan().recovery.is_some() && role != RoleName::root().as_str();
            let seen = known.roles.get(&role);
            if let Some(seen) = seen.filter(|seen| **seen > version && !may_go_back) {
                return Err(anyhow!(
                    "the ceremony stands on version {version} of {role}, and you have signed on version {seen}"
                ))
                .hint("what is published has moved on since: sign nothing, and ask whoever began it where the newer versions are");
            }
        }
        Ok(())
    }

    /// What a recovery leaves out of that which was signed on, in words.
    pub(super) fn told_of_going_back(&self, ceremony: &Ceremony) -> Option<String> {
        let known = self.indexes.0.get(&index(ceremony))?;
        let behind = published(ceremony)
            .into_iter()
            .filter_map(|(role, version)| {
                let seen = known.roles.get(&role).filter(|seen| **seen > version)?;
                Some(format!(
                    "version {version} of {role} in the place of {seen}"
                ))
            });
        let behind: Vec<String> = behind.collect();
        let is_recovery = ceremony.plan().recovery.is_some() && !behind.is_empty();
        is_recovery.then(|| {
            format!(
                "this goes back behind ceremonies that you have signed on, to {}: what they brought is gone then. Sign it only if that is meant",
                behind.join(", ")
            )
        })
    }

    /// Refuses to seal a claim that is said to be older than it can be by what was seen.
    pub(super) fn demand_ages(&self, ceremony: &Ceremony) -> anyhow::Result<()> {
        let known = self.indexes.0.get(&index(ceremony));
        let seen = known.and_then(|known| known.claims.as_ref());
        let Some(TooOld {
            project,
            since,
            seen,
            others,
        }) = seen.and_then(|seen| seen.refutes(ceremony))
        else {
            return Ok(());
        };
        let what = match others {
            true => "it had other keys",
            false => "nobody had claimed it",
        };
        Err(anyhow!(
            "the keys of {project} are said to stand unchanged since {since}, and by what you saw on {seen}, {what}"
        ))
        .hint("whoever wrote that date has the index's online key, or its clock was wrong: sign nothing, and tell whoever runs the index; `--except NAME` leaves a claim out")
    }

    /// Which of the claims that a ceremony seals were seen before, in words.
    pub(super) fn told_of_claims(&self, ceremony: &Ceremony) -> Option<String> {
        let sealed = ceremony.newly_sealed();
        if sealed.is_empty() {
            return None;
        }
        let known = self.indexes.0.get(&index(ceremony));
        let Some(seen) = known.and_then(|known| known.claims.as_ref()) else {
            return Some("you have seen none of these claims before: how old they are is the online key's word alone".to_owned());
        };
        let new = sealed.iter().filter(|claim| !seen.has(claim));
        let new: Vec<&str> = new.map(|claim| claim.project()).collect();
        Some(match new.len() {
            0 => format!(
                "you saw all of these claims with the same keys on {}",
                seen.at
            ),
            _ => format!(
                "you did not see these on {}, so how old they are is the online key's word alone: {}",
                seen.at,
                new.join(", ")
            ),
        })
    }

    /// Remembers what is signed on now, and with which keys.
    pub(super) fn keep(mut self, ceremony: &Ceremony, keys: &[KeyId]) -> anyhow::Result<()> {
        let known = Known {
            keys: keys.iter().map(|key| key.as_str().to_owned()).collect(),
            claims: SeenClaims::of(ceremony),
            roles: published(ceremony).into_iter().collect(),
        };
        self.indexes
            .learn(Indexes(BTreeMap::from([(index(ceremony), known)])));
        let mut text = serde_json::to_vec_pretty(&self.indexes)?;
        if text.len() > MAX_CLAIMS_LEN {
            tracing::warn!(
                "so many claims are not remembered: their ages cannot be compared next time"
            );
            for known in self.indexes.0.values_mut() {
                known.claims = None;
            }
            text = serde_json::to_vec_pretty(&self.indexes)?;
        }
        for file in &self.beside {
            write(file, &text)
                .hint("what you sign on is remembered beside your keys: bring them to a place that can be written")?;
        }
        match write(&self.home, &text) {
            Err(error) if self.needs_home => Err(error).hint(
                "what you sign on is remembered there: set WHEELMARK_HOME to a directory that can be written",
            ),
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "what was signed on is remembered beside the keys alone"
                );
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

impl Indexes {
    /// Adds what another memory knows; of two versions the higher one counts.
    fn learn(&mut self, other: Indexes) {
        for (index, known) in other.0 {
            let mine = self.0.entry(index).or_default();
            mine.keys.extend(known.keys);
            let newest = |claims: &Option<SeenClaims>| claims.as_ref().map(|claims| claims.at);
            if newest(&known.claims) > newest(&mine.claims) {
                mine.claims = known.claims;
            }
            for (role, version) in known.roles {
                let most = mine.roles.entry(role).or_default();
                *most = version.max(*most);
            }
        }
    }
}

/// Where it is kept beside something.
fn beside(path: &OsStr) -> PathBuf {
    let mut name = path.to_owned();
    name.push(".seen.json");
    PathBuf::from(name)
}

fn write(file: &Path, text: &[u8]) -> anyhow::Result<()> {
    let cannot = || format!("{} cannot be written", file.display());
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(cannot)?;
    let mut next = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
    std::io::Write::write_all(&mut next, text).with_context(cannot)?;
    next.as_file().sync_all().with_context(cannot)?;
    next.persist(file).with_context(cannot)?;
    Ok(())
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

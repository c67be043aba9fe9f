//! Trust as one file for others: `wheelmark trust export`.
//!
//! It is JSON that a person can read: where the index is, the root that is trusted, byte for
//! byte, the versions that were seen, below which whoever takes it over accepts nothing, and whose keys
//! sign for the projects that were seen claimed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{Floor, RoleName, Sha256, root_fingerprint};

use super::record::WrittenMirror;
use super::state::role;
use super::{Durability, Recovered, TrustError, TrustedIndex};
use crate::chain::{CLAIMED, RECENTLY_CLAIMED};
use crate::claims::SeenClaim;
use crate::index::IndexUrls;

/// The version of the file that this program writes and reads.
const FORMAT: u32 = 1;

/// The file's name in the directory of an index that was taken over.
const FILE: &str = "handed-over.json";

/// Trust in an index, for somebody else to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedOver {
    urls: IndexUrls,
    exported: jiff::Timestamp,
    root: Vec<u8>,
    root_version: u64,
    root_fingerprint: Sha256,
    floors: BTreeMap<RoleName, u64>,
    claims: BTreeMap<ProjectName, SeenClaim>,
    /// The recovery of the index that is behind what is remembered of claims.
    recovered: Option<Recovered>,
}

/// Why a file is no trust that was handed over.
#[derive(Debug, thiserror::Error)]
#[error("it is not what `wheelmark trust export` writes: {problem}")]
pub struct HandedOverError {
    problem: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    format: u32,
    exported: String,
    index_url: String,
    metadata_url: String,
    targets_url: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mirrors: Vec<WrittenMirror>,
    root_version: u64,
    root_fingerprint: String,
    floors: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    claims: BTreeMap<String, SeenClaim>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recovered: Option<Recovered>,
    root: String,
}

impl HandedOver {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// When it is of another format, damaged, or its root is not the one that it names.
    pub fn parse(text: &str) -> Result<Self, HandedOverError> {
        Self::read(text).map_err(|problem| HandedOverError { problem })
    }

    fn read(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        match value.get("format").and_then(Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => {
                return Err(format!(
                    "its format is {format}, and this program knows {FORMAT}"
                ));
            }
            None => return Err("it has no `format`".to_owned()),
        }
        let written: Written = serde_json::from_value(value).map_err(|e| e.to_string())?;
        let urls = IndexUrls::new(
            &written.index_url,
            Some(&written.metadata_url),
            Some(&written.targets_url),
        );
        let mirrors: Result<_, String> = written.mirrors.iter().map(WrittenMirror::read).collect();
        let root = written.root.into_bytes();
        let fingerprint = root_fingerprint(&root).map_err(|e| format!("its root: {e}"))?;
        if fingerprint.to_string() != written.root_fingerprint {
            return Err("its root does not have the fingerprint that it names".to_owned());
        }
        let version = role(&root).map(|root| root.version);
        if version != Some(written.root_version) {
            return Err("its root does not have the version that it names".to_owned());
        }
        let floors = written.floors.into_iter().map(|(role, version)| {
            let role = role.parse::<RoleName>().map_err(|e| e.to_string())?;
            Ok((role, version))
        });
        let claims = written.claims.into_iter().map(|(project, claim)| {
            let project = project.parse::<ProjectName>().map_err(|e| e.to_string())?;
            // Whoever takes it over has not said so.
            let claim = SeenClaim {
                by_hand: false,
                ..claim
            };
            Ok((project, claim))
        });
        Ok(Self {
            claims: claims.collect::<Result<_, String>>()?,
            recovered: written.recovered,
            urls: urls.map_err(|e| e.to_string())?.with_mirrors(mirrors?),
            exported: written
                .exported
                .parse()
                .map_err(|e: jiff::Error| e.to_string())?,
            root,
            root_version: written.root_version,
            root_fingerprint: fingerprint,
            floors: floors.collect::<Result<_, String>>()?,
        })
    }

    /// The file, for people as well.
    #[must_use]
    pub fn to_json(&self) -> String {
        let floors = self.floors.iter();
        let written = Written {
            format: FORMAT,
            exported: self.exported.to_string(),
            index_url: self.urls.simple().to_string(),
            metadata_url: self.urls.metadata().to_string(),
            targets_url: self.urls.targets().to_string(),
            mirrors: self.urls.mirrors().iter().map(Into::into).collect(),
            root_version: self.root_version,
            root_fingerprint: self.root_fingerprint.to_string(),
            floors: floors
                .map(|(role, version)| (role.to_string(), *version))
                .collect(),
            claims: self
                .claims
                .iter()
                .map(|(project, claim)| (project.to_string(), claim.clone()))
                .collect(),
            recovered: self.recovered.clone(),
            root: String::from_utf8_lossy(&self.root).into_owned(),
        };
        let json = serde_json::to_string_pretty(&written);
        json.expect("strings and numbers always make JSON") + "\n"
    }

    /// Where the index is.
    #[must_use]
    pub fn urls(&self) -> &IndexUrls {
        &self.urls
    }

    /// When it was handed over.
    #[must_use]
    pub fn exported(&self) -> jiff::Timestamp {
        self.exported
    }

    /// The root, byte for byte.
    #[must_use]
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// The root's version.
    #[must_use]
    pub fn root_version(&self) -> u64 {
        self.root_version
    }

    /// The sha256 of the root's canonical signed part.
    #[must_use]
    pub fn root_fingerprint(&self) -> &Sha256 {
        &self.root_fingerprint
    }

    /// What nothing older than is accepted.
    pub(crate) fn floor(&self) -> Floor {
        Floor {
            root: self.root.clone(),
            versions: self.floors.clone(),
        }
    }
}

impl TrustedIndex {
    /// What is trusted of this index now, as far as it was seen on this machine, for others.
    ///
    /// # Errors
    ///
    /// When the stored chain cannot be read.
    pub fn hand_over(&self, now: jiff::Timestamp) -> Result<HandedOver, TrustError> {
        let state = self.state()?;
        let root = self.root()?;
        if std::str::from_utf8(&root).is_err() {
            return Err(TrustError::Record {
                path: self.directory().join("root.json"),
                problem: "it is not UTF-8".to_owned(),
            });
        }
        // What a recovery has cleared is kept for whoever compared the keys, and for nobody else.
        let claims = self.seen_claims()?.into_iter();
        let claims = claims.filter(|(_, claim)| !claim.cleared);
        let claims = claims.map(|(project, claim)| {
            let claim = SeenClaim {
                by_hand: false,
                ..claim
            };
            (project, claim)
        });
        // What was forgotten here, and who was told of it, is nobody else's matter.
        let recovered = self.recovered()?.map(|known| Recovered {
            told: None,
            claims: Vec::new(),
            identities: Vec::new(),
            ..known
        });
        Ok(HandedOver {
            claims: claims.collect(),
            recovered,
            urls: self.urls().clone(),
            exported: now,
            root,
            root_version: state.root.version,
            root_fingerprint: state.root_fingerprint,
            floors: self.seen()?,
        })
    }

    /// Keeps what was handed over, for an index that is new here.
    pub(super) fn take_over(&self, handed: &HandedOver) -> Result<(), TrustError> {
        let text = handed.to_json();
        self.write(FILE, text.as_bytes(), Durability::Synced)?;
        self.take_over_claims(handed)
    }

    /// Keeps who signs for which projects, and which recovery of the index that is not to be forgotten
    /// by: one that came later undoes it here as it would have where it was handed over.
    pub(super) fn take_over_claims(&self, handed: &HandedOver) -> Result<(), TrustError> {
        let mut claims = handed.claims.iter();
        claims.try_for_each(|(project, claim)| self.put_claim(project, claim.clone()))?;
        match &handed.recovered {
            Some(recovered) => self.put_recovered(recovered.clone()),
            None => Ok(()),
        }
    }

    /// The versions of timestamp, snapshot, targets, the roles that targets delegates to by name, and
    /// the shards of lists of claims; not of the bins, of which there are thousands.
    fn seen(&self) -> Result<BTreeMap<RoleName, u64>, TrustError> {
        let cached = self.cached()?;
        let parsed = |bytes: &Option<Vec<u8>>| -> Option<Value> {
            let value: Value = serde_json::from_slice(bytes.as_deref()?).ok()?;
            value.get("signed").cloned()
        };
        let version = |value: &Value| value.get("version").and_then(Value::as_u64);
        let mut seen = BTreeMap::new();
        let timestamp = parsed(&cached.timestamp);
        if let Some(version) = timestamp.as_ref().and_then(version) {
            seen.insert(RoleName::timestamp(), version);
        }
        let Some(snapshot) = parsed(&cached.snapshot) else {
            return Ok(seen);
        };
        if let Some(version) = version(&snapshot) {
            seen.insert(RoleName::snapshot(), version);
        }
        let targets = parsed(&cached.targets).unwrap_or_default();
        let delegated = targets["delegations"]["roles"].as_array();
        let named = delegated.into_iter().flatten();
        let named = named.filter_map(|role| role["name"].as_str()?.parse().ok());
        let named: Vec<RoleName> = named.chain([RoleName::targets()]).collect();
        let shards = shards_in(&snapshot, &named);
        for role in named.into_iter().chain(shards) {
            if let Some(version) = snapshot["meta"].get(role.file_name()).and_then(version) {
                seen.insert(role, version);
            }
        }
        Ok(seen)
    }

    /// What was handed over when trust began, and what the system says.
    pub(super) fn floors(&self) -> Result<Vec<Floor>, TrustError> {
        let mut floors = Vec::new();
        if let Some(bytes) = self.read(FILE)? {
            let damaged = |problem| TrustError::Record {
                path: self.directory().join(FILE),
                problem,
            };
            let text = String::from_utf8(bytes).map_err(|e| damaged(e.to_string()))?;
            let handed = HandedOver::parse(&text).map_err(|e| damaged(e.to_string()))?;
            floors.push(handed.floor());
        }
        floors.extend(self.system.iter().map(|system| system.handed.floor()));
        Ok(floors)
    }
}

/// The shards that a snapshot lists of those lists of claims that are among `named`. An older version of
/// one of them would leave out a claim that was seen, as one of the list itself would.
fn shards_in(snapshot: &Value, named: &[RoleName]) -> Vec<RoleName> {
    let is_list = |role: &&RoleName| [CLAIMED, RECENTLY_CLAIMED].contains(&role.as_str());
    let lists: Vec<&RoleName> = named.iter().filter(is_list).collect();
    let listed = snapshot["meta"].as_object().into_iter().flatten();
    let roles = listed.filter_map(|(name, _)| name.strip_suffix(".json")?.parse().ok());
    roles
        .filter(|role: &RoleName| lists.iter().any(|list| role.shard_of(list).is_some()))
        .collect()
}

/// The index of a file that the system's administrator provides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemIndex {
    /// The file.
    pub file: std::path::PathBuf,
    /// What it says.
    pub handed: HandedOver,
}

impl SystemIndex {
    pub(super) fn simple(&self) -> &Url {
        self.handed.urls.simple()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shards_of_claims_are_handed_over_and_bins_are_not() {
        let names = [
            "claimed",
            "claimed-p",
            "recently-claimed",
            "recently-claimed-py",
            "simple-3f",
            "project-claimed-p",
            "snapshot",
        ];
        let meta = names.map(|name| (format!("{name}.json"), json!({ "version": 3 })));
        let snapshot = json!({ "meta": meta.into_iter().collect::<BTreeMap<_, _>>() });
        let named = |names: &[&str]| -> Vec<RoleName> {
            names.iter().map(|name| name.parse().unwrap()).collect()
        };
        let all = named(&["claimed", "recently-claimed", "simple", "targets"]);
        let shards = named(&["claimed-p", "recently-claimed-py"]);
        assert_eq!(shards_in(&snapshot, &all), shards);
        // Not where nobody delegates to the list.
        assert!(shards_in(&snapshot, &named(&["simple"])).is_empty());
    }
}

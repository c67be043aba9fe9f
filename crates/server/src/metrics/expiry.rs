//! When each kind of role expires next.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use wheelmark_objects::{Directory, ObjectError, ObjectPath};
use wheelmark_tuf::RoleName;

use crate::health::MAX_TIMESTAMP_LEN;
use crate::tree::MAX_METADATA_OBJECT_LEN;

/// The kinds of roles that are told apart, whatever their number.
const KINDS: [&str; 13] = [
    "root",
    "timestamp",
    "snapshot",
    "targets",
    "claimed",
    "recently-claimed",
    "simple",
    "packages",
    "status",
    "simple-bins",
    "packages-bins",
    PROJECTS,
    "other",
];

/// The kind of the roles by which projects' own people sign.
const PROJECTS: &str = "projects";

/// The expiry of each published role, as far as it was read. Nobody relies on it, so no signature
/// is looked at.
pub(crate) struct Expiries {
    tree: Arc<Directory>,
    known: tokio::sync::Mutex<Known>,
}

#[derive(Default)]
struct Known {
    timestamp: Option<Bytes>,
    of: HashMap<String, (u64, Timestamp)>,
    /// By delegating role, the projects' own roles that it delegates to.
    claims: HashMap<String, Vec<String>>,
}

impl Known {
    /// The next expiry of each kind. A project's role stays listed when its claim has ended, and
    /// expires without anybody minding: those that nobody delegates to are left out.
    fn next(&self) -> BTreeMap<&'static str, Timestamp> {
        let claimed: HashSet<&String> = self.claims.values().flatten().collect();
        let mut next = BTreeMap::<_, Timestamp>::new();
        for (role, (_, expires)) in &self.of {
            let kind = kind(role);
            if kind == PROJECTS && !claimed.contains(role) {
                continue;
            }
            let earliest = next.entry(kind).or_insert(*expires);
            *earliest = (*earliest).min(*expires);
        }
        next
    }
}

/// What the published metadata says of itself.
#[derive(Default)]
pub(super) struct Published {
    pub(super) snapshot_version: u64,
    /// The next expiry of each kind of role that there is.
    pub(super) next: BTreeMap<&'static str, Timestamp>,
}

#[derive(Deserialize)]
struct Envelope {
    signed: SignedForm,
}

#[derive(Deserialize)]
struct SignedForm {
    expires: String,
    #[serde(default)]
    meta: BTreeMap<String, Listed>,
    #[serde(default)]
    delegations: Delegations,
}

#[derive(Default, Deserialize)]
struct Delegations {
    #[serde(default)]
    roles: Vec<Delegated>,
}

#[derive(Deserialize)]
struct Delegated {
    name: String,
}

struct Signed {
    expires: Timestamp,
    meta: BTreeMap<String, Listed>,
    /// The projects' own roles that it delegates to.
    projects: Vec<String>,
}

#[derive(Deserialize)]
struct Listed {
    version: u64,
}

impl Expiries {
    pub(crate) fn new(tree: Arc<Directory>) -> Expiries {
        Expiries {
            tree,
            known: tokio::sync::Mutex::default(),
        }
    }

    /// What is published now; only what has changed since the last call is read. What cannot be
    /// read is left out, and looked for again the next time.
    pub(super) async fn published(&self) -> Result<Published, ObjectError> {
        let mut known = self.known.lock().await;
        let path = ObjectPath::timestamp();
        let Some(bytes) = self.tree.read(&path, MAX_TIMESTAMP_LEN).await? else {
            return Ok(Published::default());
        };
        let Some(timestamp) = parse(&bytes) else {
            return Ok(Published::default());
        };
        let listed = timestamp.meta.get("snapshot.json");
        let snapshot_version = listed.map_or(0, |listed| listed.version);
        known
            .of
            .insert("timestamp".to_owned(), (0, timestamp.expires));
        if known.timestamp.as_ref() != Some(&bytes)
            && self.follow(&mut known, snapshot_version).await?
        {
            known.timestamp = Some(bytes);
        }
        self.newest_root(&mut known).await?;
        Ok(Published {
            snapshot_version,
            next: known.next(),
        })
    }

    /// Reads the snapshot and the roles that it lists in another version than before; says
    /// whether all of them could be read.
    async fn follow(&self, known: &mut Known, version: u64) -> Result<bool, ObjectError> {
        let Some(snapshot) = self.role(&RoleName::snapshot(), version).await? else {
            return Ok(false);
        };
        known
            .of
            .insert("snapshot".to_owned(), (version, snapshot.expires));
        let mut all = true;
        for (file, Listed { version }) in snapshot.meta {
            let Some(name) = file.strip_suffix(".json") else {
                continue;
            };
            if known
                .of
                .get(name)
                .is_some_and(|(known, _)| *known == version)
            {
                continue;
            }
            let Ok(role) = name.parse::<RoleName>() else {
                continue;
            };
            match self.role(&role, version).await? {
                Some(signed) => {
                    known.of.insert(name.to_owned(), (version, signed.expires));
                    known.claims.insert(name.to_owned(), signed.projects);
                }
                None => all = false,
            }
        }
        Ok(all)
    }

    async fn newest_root(&self, known: &mut Known) -> Result<(), ObjectError> {
        let (mut version, _) = known.of.get("root").copied().unwrap_or_default();
        while let Some(root) = self.role(&RoleName::root(), version + 1).await? {
            version += 1;
            known.of.insert("root".to_owned(), (version, root.expires));
        }
        Ok(())
    }

    async fn role(&self, role: &RoleName, version: u64) -> Result<Option<Signed>, ObjectError> {
        let path = ObjectPath::metadata(role, version);
        let bytes = self.tree.read(&path, MAX_METADATA_OBJECT_LEN).await?;
        Ok(bytes.as_deref().and_then(parse))
    }
}

fn parse(bytes: &[u8]) -> Option<Signed> {
    let Envelope { signed } = serde_json::from_slice(bytes).ok()?;
    let delegated = signed.delegations.roles.into_iter();
    let delegated = delegated.map(|role| role.name);
    Some(Signed {
        expires: signed.expires.parse().ok()?,
        meta: signed.meta,
        projects: delegated.filter(|name| kind(name) == PROJECTS).collect(),
    })
}

fn kind(role: &str) -> &'static str {
    let family = |prefix: &str| role.starts_with(prefix);
    if family("simple-") {
        "simple-bins"
    } else if family("packages-") {
        "packages-bins"
    } else if family("project-") {
        PROJECTS
    } else if family("claimed-") {
        "claimed"
    } else if family("recently-claimed-") {
        "recently-claimed"
    } else {
        let named = KINDS.iter().find(|kind| **kind == role);
        named.copied().unwrap_or("other")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_has_ended_alarms_nobody() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let mut known = Known::default();
        for (role, expires) in [("project-gone", 1), ("project-here", 2), ("simple-0", 3)] {
            known.of.insert(role.to_owned(), (1, at(expires)));
        }
        let delegating = br#"{"signed": {"expires": "2030-01-01T00:00:00Z",
            "delegations": {"roles": [{"name": "project-here"}, {"name": "claimed-ab"}]}}}"#;
        let signed = parse(delegating).expect("metadata");
        known
            .claims
            .insert("recently-claimed".to_owned(), signed.projects);
        assert_eq!(known.next()["projects"], at(2));
        assert_eq!(known.next()["simple-bins"], at(3));
    }

    #[test]
    fn however_many_roles_there_are_their_kinds_are_few() {
        for (role, expected) in [
            ("timestamp", "timestamp"),
            ("simple", "simple"),
            ("simple-0f", "simple-bins"),
            ("packages-3fff", "packages-bins"),
            ("project-flask", "projects"),
            ("recently-claimed", "recently-claimed"),
            ("recently-claimed-fl", "recently-claimed"),
            ("claimed-fl", "claimed"),
            ("anything", "other"),
        ] {
            assert_eq!(kind(role), expected);
            assert!(KINDS.contains(&kind(role)));
        }
    }
}

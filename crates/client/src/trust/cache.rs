//! The cached chain of one index, and the names that its verified pages listed.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{CacheName, Cached, Effect, RoleName};

use super::state::{role, root_file};
use super::{Durability, TrustError, TrustedIndex, io};

/// What stays as it is in the file name of a role; everything else, `/` and `.` included, is
/// percent-encoded, so that a role's name is one plain segment.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

impl TrustedIndex {
    /// The trusted root, byte for byte.
    pub(crate) fn root(&self) -> Result<Vec<u8>, TrustError> {
        self.demand_agreement()?;
        self.stored_root()
    }

    /// The same, whatever the system says.
    pub(super) fn stored_root(&self) -> Result<Vec<u8>, TrustError> {
        self.read("root.json")?.ok_or_else(|| TrustError::Record {
            path: self.directory().join("root.json"),
            problem: "it is missing".to_owned(),
        })
    }

    /// What a refresh starts from.
    pub(crate) fn cached(&self) -> Result<Cached, TrustError> {
        Ok(Cached {
            floors: self.floors()?,
            timestamp: self.read("timestamp.json")?,
            snapshot: self.read("snapshot.json")?,
            targets: self.read("targets.json")?,
        })
    }

    /// A delegated role as it was last seen; it is verified again by whoever uses it.
    pub(crate) fn delegated(
        &self,
        delegator: &RoleName,
        role: &RoleName,
    ) -> Result<Option<Vec<u8>>, TrustError> {
        self.read(&delegated_name(delegator, role))
    }

    /// Does what the state machine asks for, at once, as long as trust is what it was.
    pub(crate) fn apply(&self, effect: &Effect) -> Result<(), TrustError> {
        self.demand_current()?;
        self.put(effect)
    }

    pub(super) fn put(&self, effect: &Effect) -> Result<(), TrustError> {
        match effect {
            Effect::Persist { file, bytes } => {
                if let (CacheName::Root, Some(root)) = (file, role(bytes)) {
                    self.write(&root_file(root.version), bytes, Durability::Synced)?;
                }
                self.write(&file_name(file), bytes, durability(file))
            }
            Effect::Forget { file } => {
                let path = self.directory().join(file_name(file));
                match std::fs::remove_file(&path) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                        Err(io("remove", &path, e))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// Remembers which files a verified page listed.
    pub(crate) fn remember_names(
        &self,
        project: &ProjectName,
        names: &[&str],
    ) -> Result<(), TrustError> {
        let bytes = serde_json::to_vec(names).expect("strings always make JSON");
        let name = names_file(project);
        if self.read(&name)?.as_deref() == Some(&bytes[..]) {
            return Ok(());
        }
        self.demand_current()?;
        self.write(&name, &bytes, Durability::Whole)
    }

    /// The files that the project's last verified page listed. They only fill the page that
    /// stands in for one that failed, so a damaged memory is an empty one.
    pub(crate) fn remembered_names(&self, project: &ProjectName) -> Vec<String> {
        self.read(&names_file(project))
            .ok()
            .flatten()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }
}

fn names_file(project: &ProjectName) -> String {
    format!("names/{project}.json")
}

fn delegated_name(delegator: &RoleName, role: &RoleName) -> String {
    let encode = |role: &RoleName| utf8_percent_encode(role.as_str(), PLAIN).to_string();
    format!("delegated/{}/{}.json", encode(delegator), encode(role))
}

fn file_name(file: &CacheName) -> String {
    match file {
        CacheName::Root => "root.json".to_owned(),
        CacheName::Timestamp => "timestamp.json".to_owned(),
        CacheName::Snapshot => "snapshot.json".to_owned(),
        CacheName::Targets => "targets.json".to_owned(),
        CacheName::Delegated { delegator, role } => delegated_name(delegator, role),
    }
}

fn durability(file: &CacheName) -> Durability {
    match file {
        CacheName::Root | CacheName::Timestamp | CacheName::Snapshot | CacheName::Targets => {
            Durability::Synced
        }
        CacheName::Delegated { .. } => Durability::Cached,
    }
}

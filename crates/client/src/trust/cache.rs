//! The cached chain of one index, and its verified pages.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::ProjectPage;
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

    /// Keeps a project's page that was verified.
    pub(crate) fn keep_page(&self, project: &ProjectName, bytes: &[u8]) -> Result<(), TrustError> {
        self.demand_current()?;
        self.write(&page_file(project), bytes, Durability::Whole)
    }

    /// The project's page as it was last verified; whoever uses it compares its digest again. What
    /// cannot be read is not there: it is to be had from the index.
    pub(crate) fn kept_page(&self, project: &ProjectName) -> Option<Vec<u8>> {
        self.read(&page_file(project)).ok().flatten()
    }

    /// The files that the project's last verified page listed. They only fill the page that
    /// stands in for one that failed, so a damaged memory is an empty one.
    pub(crate) fn remembered_names(&self, project: &ProjectName) -> Vec<String> {
        let page = self.kept_page(project);
        let page = page.and_then(|bytes| ProjectPage::parse(&bytes).ok());
        let files = page.map(|page| page.files).unwrap_or_default();
        let names = files.iter().map(|file| file.filename.as_str().to_owned());
        names.collect()
    }
}

fn page_file(project: &ProjectName) -> String {
    format!("pages/{project}.json")
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

//! What was verified and what was refused during a run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use crate::chain::Chain;
use crate::file::{Manner, SignedFile};
use crate::refresh::RefreshFailure;
use crate::refusal::{Failure, Refusal, Subject};

/// Refusals kept; a daemon runs for months, and whoever asks it for ever new things should
/// not fill its memory.
const MAX_REFUSED: usize = 1000;

/// A file that was verified and handed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// The project.
    pub project: ProjectName,
    /// The file's name.
    pub file: String,
    /// Its digest.
    pub sha256: Sha256,
    /// Who signed for it.
    pub chain: Chain,
    /// Who attested to it: `none`, as long as provenance is not verified.
    pub provenance: &'static str,
    /// The role that signs for the page that lists the file.
    pub role: String,
    /// That role's version.
    pub role_version: u64,
    /// How its bytes were verified.
    pub verified: Manner,
    /// The role that signs for the file itself, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_role: Option<String>,
    /// That role's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_role_version: Option<u64>,
}

/// Something that was not handed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedEntry {
    /// What it was, for people.
    pub what: String,
    /// The project, unless a host or the index's own chain was refused.
    pub project: Option<ProjectName>,
    /// The file's name; none for a page.
    pub file: Option<String>,
    /// The host and port, where a request to elsewhere was refused.
    pub host: Option<String>,
    /// What failed.
    pub failed: String,
    /// The role that signs for it, as far as known.
    pub role: Option<String>,
    /// That role's version.
    pub role_version: Option<u64>,
    /// What it can mean.
    pub meaning: String,
    /// What to do next.
    pub next: String,
}

/// A way to packages that no setting closes, found on the command's line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OpenRoute {
    /// The argument.
    pub argument: String,
    /// What goes past the proxy because of it.
    pub why: &'static str,
}

/// Everything about a run, for `--report`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The files that were verified and handed on, each once.
    pub files: Vec<FileEntry>,
    /// What was refused, each once.
    pub refused: Vec<RefusedEntry>,
    /// Ways around the proxy that stayed open; nothing that came by them was verified.
    pub routes_not_closed: Vec<OpenRoute>,
}

/// Filled by the proxy, read at the end. Shared by all requests.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    files: BTreeMap<(ProjectName, String), FileEntry>,
    refused: Vec<RefusedEntry>,
}

impl Ledger {
    /// Records a file that was verified.
    pub fn verified(&self, file: &SignedFile) {
        let own = file.own_role();
        let page = file.page();
        let entry = FileEntry {
            project: file.project().clone(),
            file: file.filename().to_owned(),
            sha256: *file.sha256(),
            chain: page.chain(),
            provenance: "none",
            role: page.role().to_string(),
            role_version: page.role_version(),
            verified: file.manner(),
            file_role: own.map(|(role, _)| role.to_string()),
            file_role_version: own.map(|(_, version)| *version),
        };
        let key = (entry.project.clone(), entry.file.clone());
        self.entries().files.insert(key, entry);
    }

    /// Records a refusal; the same one again counts once.
    pub fn refused(&self, refusal: &Refusal) {
        let file = match &refusal.subject {
            Subject::Page(_) => None,
            Subject::File(_, file) => Some(file.clone()),
            Subject::CoreMetadata(_, file) => Some(format!("{file}.metadata")),
        };
        let (role, role_version) = refusal.signed_by.clone().unzip();
        self.add(RefusedEntry {
            what: refusal.subject.to_string(),
            project: Some(refusal.subject.project().clone()),
            file,
            host: None,
            failed: refusal.what(),
            role: role.map(|role| role.to_string()),
            role_version,
            meaning: refusal.meaning().to_owned(),
            next: refusal.next().to_owned(),
        });
    }

    /// Records that the chain of the index could not be brought up to date: nothing could be
    /// asked for.
    pub fn refused_chain(&self, failure: Arc<RefreshFailure>) {
        let what = match &*failure {
            RefreshFailure::Refused { path, .. } => path.clone(),
            _ => "the index's metadata".to_owned(),
        };
        let failure = Failure::Refresh(failure);
        self.add(RefusedEntry {
            what,
            project: None,
            file: None,
            host: None,
            failed: failure.with_causes(),
            role: None,
            role_version: None,
            meaning: failure.meaning().to_owned(),
            next: failure.next().to_owned(),
        });
    }

    /// Records a request to a host that is not the index.
    pub fn refused_host(&self, host: &str) {
        self.add(RefusedEntry {
            what: host.to_owned(),
            project: None,
            file: None,
            host: Some(host.to_owned()),
            failed: "a host that is not the trusted index".to_owned(),
            role: None,
            role_version: None,
            meaning: "the command, a requirements file, a project file or a build asks for \
                      something elsewhere, which nobody here could verify"
                .to_owned(),
            next: "find what names this host (--index-url, --extra-index-url, \
                   [[tool.uv.index]], a direct URL, a build script), and take it out or get \
                   it from the index"
                .to_owned(),
        });
    }

    fn add(&self, entry: RefusedEntry) {
        let mut entries = self.entries();
        if entries.refused.len() < MAX_REFUSED && !entries.refused.contains(&entry) {
            entries.refused.push(entry);
        }
    }

    /// Whether anything was refused.
    #[must_use]
    pub fn any_refused(&self) -> bool {
        !self.entries().refused.is_empty()
    }

    /// The report of the run so far.
    #[must_use]
    pub fn report(&self, routes_not_closed: Vec<OpenRoute>) -> Report {
        let entries = self.entries();
        Report {
            files: entries.files.values().cloned().collect(),
            refused: entries.refused.clone(),
            routes_not_closed,
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Every change is one insertion, so a panic elsewhere leaves them whole.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

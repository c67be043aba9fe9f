//! What was verified and what was refused during a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use url::Url;
use wheelmark_packaging::ProjectName;
use wheelmark_provenance::Chain;
use wheelmark_tuf::Sha256;

use crate::file::{Manner, SignedFile};
use crate::guard::{HeldBack, Word};
use crate::notices::RecoveryNotice;
use crate::passing::{Counter, Passing, Watch};
use crate::refresh::RefreshFailure;
use crate::refusal::{Failure, Refusal, Subject};
use crate::sources::SourceWarning;

/// Refusals kept; a daemon runs for months, and whoever asks it for ever new things should
/// not fill its memory.
const MAX_REFUSED: usize = 1000;

/// Of those, hosts: a build that asks for ever new ones must not push out what was refused of
/// the index.
const MAX_HOSTS: usize = 200;

/// Files kept that the policy held back: the young ones of the projects that were asked for.
const MAX_HELD_BACK: usize = 1000;

/// Characters kept of each text of others.
const MAX_TEXT: usize = 500;

/// A file that was verified and handed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// The project.
    pub project: ProjectName,
    /// The file's name.
    pub file: String,
    /// The index that it came from, by its simple URL.
    pub index: String,
    /// Its digest.
    pub sha256: Sha256,
    /// Who signed for it.
    pub chain: Chain,
    /// Who attests to it: `none`, or `attested as IDENTITY`.
    pub provenance: String,
    /// On whose word that identity counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_from: Option<Word>,
    /// The role that signs for the page that lists the file, if one does.
    pub role: Option<String>,
    /// That role's version.
    pub role_version: Option<u64>,
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
    /// The index that it was asked of, by its simple URL, unless a host was refused.
    pub index: Option<String>,
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

/// The index of a run for which nobody chose one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfiguredUse {
    /// Its simple URL.
    pub index: String,
    /// What names it: a variable, or a file and the setting in it; none where nothing does, and it is
    /// the installers' own choice.
    pub by: Option<String>,
    /// Whether it was used for the first time, and the person told what that means.
    pub first_time: bool,
}

/// Everything about a run, for `--report`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether everything that the command could install came through the proxy and was
    /// verified: no route stayed open, and somebody signs for every file.
    pub verified: bool,
    /// The index that pip or uv is configured for, if that is all that says where packages come from.
    /// Filled in by whoever found it.
    pub configured_index: Option<ConfiguredUse>,
    /// The files that were verified and handed on, each once.
    pub files: Vec<FileEntry>,
    /// How many bytes of files were verified and handed on.
    pub bytes: u64,
    /// What was refused, each once.
    pub refused: Vec<RefusedEntry>,
    /// What the policy held back: installers took something older, or found nothing.
    pub held_back: Vec<HeldBack>,
    /// What mirrors did wrong while another source had what was asked for: it cost time, and
    /// nothing else. Filled in by whoever knows the readers.
    pub warnings: Vec<SourceWarning>,
    /// What is to be told of indexes that were recovered after a break-in. Filled in by whoever knows
    /// the readers.
    pub recoveries: Vec<RecoveryNotice>,
    /// Ways around the proxy that stayed open; nothing that came by them was verified.
    pub routes_not_closed: Vec<OpenRoute>,
}

/// Filled by the proxy, read at the end. Shared by all requests.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<Entries>,
    counter: Arc<Counter>,
}

/// A refusal, and whether it is one only as long as nobody gets the thing after all: what was
/// not to be had, and not found to be false, may come at the next attempt.
#[derive(Debug)]
struct Refused {
    entry: RefusedEntry,
    may_pass: bool,
}

impl Refused {
    /// Whether the file shows that what was refused was to be had after all: the file itself,
    /// what its metadata says, or the page that lists it.
    fn passed_with(&self, file: &SignedFile) -> bool {
        let (entry, name) = (&self.entry, file.filename());
        let of_file = match entry.file.as_deref() {
            Some(refused) => refused.strip_suffix(".metadata").unwrap_or(refused) == name,
            None => true,
        };
        let index = entry.index.as_deref();
        self.may_pass
            && entry.project.as_ref() == Some(file.project())
            && index.is_none_or(|index| index == file.index().as_str())
            && of_file
    }
}

#[derive(Debug, Default)]
struct Entries {
    files: BTreeMap<(ProjectName, String, String), FileEntry>,
    refused: Vec<Refused>,
    tunnelled: BTreeSet<String>,
    held_back: BTreeMap<(ProjectName, String), HeldBack>,
}

impl Entries {
    fn all_signed(&self) -> bool {
        let mut files = self.files.values();
        files.all(|file| file.chain > Chain::Unsigned)
    }
}

impl Ledger {
    /// A ledger whose files are watched while they pass.
    #[must_use]
    pub fn watched_by(watch: Arc<dyn Watch>) -> Self {
        Self {
            counter: Arc::new(Counter::watched_by(watch)),
            ..Self::default()
        }
    }

    /// Begins to count the bytes of a file that is about to be fetched.
    pub(crate) fn begin(&self, file: &SignedFile, length: u64) -> Passing {
        self.counter.clone().begin(file.filename(), length)
    }

    /// Records a file that was verified. What could not be had of it at first is no longer
    /// refused: an installer that asked again has it.
    pub fn verified(&self, file: &SignedFile) {
        let own = file.own_role();
        let page = file.page();
        let entry = FileEntry {
            project: file.project().clone(),
            file: file.filename().to_owned(),
            index: file.index().to_string(),
            sha256: *file.sha256(),
            chain: page.chain_of(file.filename()),
            provenance: match file.attested() {
                Some(attested) => format!("attested as {}", attested.identity),
                None => "none".to_owned(),
            },
            identity_from: file.attested().map(|attested| attested.word),
            role: page.role().map(ToString::to_string),
            role_version: page.role_version(),
            verified: file.manner(),
            file_role: own.map(|(role, _)| role.to_string()),
            file_role_version: own.map(|(_, version)| *version),
        };
        let key = (
            entry.project.clone(),
            entry.file.clone(),
            entry.index.clone(),
        );
        let mut entries = self.entries();
        entries.refused.retain(|refused| !refused.passed_with(file));
        entries.files.insert(key, entry);
    }

    /// Records a refusal; the same one again counts once.
    pub fn refused(&self, refusal: &Refusal) {
        let file = match &refusal.subject {
            Subject::Page(_) => None,
            Subject::File(_, file) => Some(file.clone()),
            Subject::CoreMetadata(_, file) => Some(format!("{file}.metadata")),
            Subject::Signature(_, file) => Some(format!("{file}.asc")),
        };
        let (role, role_version) = refusal.signed_by.clone().unzip();
        let may_pass = refusal.is_unavailable();
        let entry = RefusedEntry {
            what: refusal.subject.to_string(),
            project: Some(refusal.subject.project().clone()),
            index: refusal.index.as_ref().map(ToString::to_string),
            file,
            host: None,
            failed: refusal.what(),
            role: role.map(|role| role.to_string()),
            role_version,
            meaning: refusal.meaning().to_owned(),
            next: refusal.next().to_owned(),
        };
        self.add(entry, may_pass);
    }

    /// Records that the chain of the index could not be brought up to date: nothing could be
    /// asked for.
    pub fn refused_chain(&self, index: &Url, failure: Arc<RefreshFailure>) {
        let what = match &*failure {
            RefreshFailure::Refused { path, .. } => path.clone(),
            _ => "the index's metadata".to_owned(),
        };
        let failure = Failure::Refresh(failure);
        let entry = RefusedEntry {
            what,
            project: None,
            index: Some(index.to_string()),
            file: None,
            host: None,
            failed: failure.with_causes(),
            role: None,
            role_version: None,
            meaning: failure.meaning().to_owned(),
            next: failure.next().to_owned(),
        };
        self.add(entry, false);
    }

    /// Records a request to a host that is not the index's.
    pub fn refused_host(&self, host: &str, index: &Url) {
        let entry = RefusedEntry {
            what: host.to_owned(),
            project: None,
            index: None,
            file: None,
            host: Some(host.to_owned()),
            failed: "a host that is not the trusted index".to_owned(),
            role: None,
            role_version: None,
            meaning: "the command, a requirements file, a project file or a build asks for \
                      something elsewhere, which nobody here could verify"
                .to_owned(),
            next: next_elsewhere(host, index),
        };
        self.add(entry, false);
    }

    /// Records that a host was reached that nobody verifies, because the configuration lets
    /// it through.
    pub fn tunnelled(&self, host: &str) {
        let mut entries = self.entries();
        if entries.tunnelled.len() < MAX_HOSTS {
            entries.tunnelled.insert(cut(host.to_owned()));
        }
    }

    /// Records files that installers pass over, because the policy holds them back.
    pub(crate) fn held_back(&self, files: Vec<HeldBack>) {
        if files.is_empty() {
            return;
        }
        let mut entries = self.entries();
        for file in files {
            let key = (file.project.clone(), file.file.clone());
            let known = entries.held_back.contains_key(&key);
            if known || entries.held_back.len() < MAX_HELD_BACK {
                entries.held_back.insert(key, file);
            }
        }
    }

    fn add(&self, mut entry: RefusedEntry, may_pass: bool) {
        entry.what = cut(entry.what);
        entry.failed = cut(entry.failed);
        entry.file = entry.file.map(cut);
        entry.host = entry.host.map(cut);
        let of_host = entry.host.is_some();
        let room = if of_host {
            MAX_HOSTS
        } else {
            MAX_REFUSED - MAX_HOSTS
        };
        let mut entries = self.entries();
        let alike = entries
            .refused
            .iter()
            .filter(|known| known.entry.host.is_some() == of_host);
        let known = entries.refused.iter().any(|known| known.entry == entry);
        if alike.count() < room && !known {
            entries.refused.push(Refused { entry, may_pass });
        }
    }

    /// Whether anything was refused.
    #[must_use]
    pub fn any_refused(&self) -> bool {
        !self.entries().refused.is_empty()
    }

    /// The report of the run so far.
    #[must_use]
    pub fn report(&self, mut routes_not_closed: Vec<OpenRoute>) -> Report {
        for route in &mut routes_not_closed {
            route.argument = cut(std::mem::take(&mut route.argument));
        }
        let entries = self.entries();
        routes_not_closed.extend(entries.tunnelled.iter().map(|host| OpenRoute {
            argument: host.clone(),
            why: "this host was reached unverified, as `tunnel` in the configuration allows",
        }));
        Report {
            verified: routes_not_closed.is_empty() && entries.all_signed(),
            configured_index: None,
            files: entries.files.values().cloned().collect(),
            bytes: self.counter.bytes(),
            refused: entries.refused.iter().map(|r| r.entry.clone()).collect(),
            held_back: entries.held_back.values().cloned().collect(),
            warnings: Vec::new(),
            recoveries: Vec::new(),
            routes_not_closed,
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Every change is one insertion, so a panic elsewhere leaves them whole.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to do about a request to a host that is not the index's.
pub(crate) fn next_elsewhere(host: &str, index: &Url) -> String {
    const PYPI: [&str; 3] = ["pypi.org", "files.pythonhosted.org", "upload.pypi.org"];
    let name = host.split(':').next().unwrap_or(host);
    if PYPI.iter().any(|pypi| name.eq_ignore_ascii_case(pypi)) {
        return format!(
            "name the index in the project, or PyPI is asked: for poetry, `poetry source add \
             --priority=primary NAME {index}`, for uv, [[tool.uv.index]] with `default = true`; \
             if a lock file names this host, lock anew"
        );
    }
    "find what names this host (--index-url, --extra-index-url, [[tool.uv.index]], a lock file, \
     a direct URL, a build script), and take it out or get it from the index"
        .to_owned()
}

/// A text of others, not longer than anybody reads.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn index() -> Url {
        "https://pkg.example/simple/".parse().unwrap()
    }

    fn missing(file: String) -> Refusal {
        Refusal {
            subject: Subject::File("demo".parse().unwrap(), file),
            failure: Failure::Missing,
            signed_by: None,
            index: None,
        }
    }

    #[test]
    fn hosts_do_not_crowd_out_what_was_refused_of_the_index() {
        let ledger = Ledger::default();
        for i in 0..2 * MAX_REFUSED {
            ledger.refused_host(&format!("h{i}.example:443"), &index());
        }
        assert_eq!(ledger.report(Vec::new()).refused.len(), MAX_HOSTS);
        for i in 0..2 * MAX_REFUSED {
            ledger.refused(&missing(format!("demo-{i}.tar.gz")));
        }
        let refused = ledger.report(Vec::new()).refused;
        assert_eq!(refused.len(), MAX_REFUSED);
        assert_eq!(refused[MAX_HOSTS].file.as_deref(), Some("demo-0.tar.gz"));
    }

    #[test]
    fn long_texts_are_cut() {
        let ledger = Ledger::default();
        let long = "é".repeat(100_000);
        ledger.refused(&missing(long.clone()));
        ledger.refused_host(&long, &index());
        let report = ledger.report(vec![OpenRoute {
            argument: long,
            why: "so",
        }]);
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.len() < 10_000, "{} bytes", text.len());
    }
}

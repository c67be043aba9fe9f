//! Whether a copy of an index is complete, and every byte of it what was signed.
//!
//! ```text
//!  trusted root ─▶ chain ─▶ Walk ──roles──▶ Crew of threads ─▶ Audit: counts, findings
//!                             ▲               │ role ─▶ its pages ─▶ their files
//!                             └──── enter ────┘   depth first: the memory is that of a few bins
//! ```
//!
//! Nothing that is expired stops an audit: the state is gone through as of a time before every
//! expiry, and what is expired now is told beside it. A copy can be whole and stale.

mod crew;
mod leftovers;
mod object;
mod page;
mod report;
mod role;
mod taken;
mod tally;
mod unnamed;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::ProjectPage;
use wheelmark_tuf::{
    RoleName, Root, Sha256, TrustedSet, Verified, verify_next_root, verify_trusted_root,
};

use crate::chain::{Chain, follow};
use crate::findings::{Finding, Findings, Trouble};
use crate::place::{DirectoryPlace, Place};

pub use self::report::{Audit, Heads, Stale, StaleRole, Unnamed};
pub use self::tally::{Counts, Tally};

/// What a copy was meant to have.
pub trait Scope: Sync {
    /// Whether anything of the project was to be copied.
    fn has_project(&self, project: &ProjectName) -> bool;

    /// The names of the files that were to be copied of those that a page lists; none for all
    /// of them.
    fn files<'a>(&self, page: &'a ProjectPage) -> Option<HashSet<&'a str>>;
}

/// A copy that was meant to have everything.
#[derive(Clone, Copy, Debug)]
pub struct Everything;

impl Scope for Everything {
    fn has_project(&self, _: &ProjectName) -> bool {
        true
    }

    fn files<'a>(&self, _: &'a ProjectPage) -> Option<HashSet<&'a str>> {
        None
    }
}

/// How an audit is made.
pub struct AuditOptions<'a> {
    /// What is judged as expired.
    pub now: Timestamp,
    /// How many findings are listed; all of them are counted.
    pub listed: usize,
    /// What the copy was meant to have.
    pub scope: &'a dyn Scope,
    /// What was done so far, for whoever watches.
    pub tally: &'a Tally,
}

/// Audits a place, beginning with a trusted root.
pub fn audit<P: Place>(place: &P, root: &[u8], options: &AuditOptions<'_>) -> Audit {
    let findings = Findings::up_to(options.listed);
    // Before every expiry: what is stale is told and stops nothing.
    let chain = match follow(place, root, Timestamp::UNIX_EPOCH) {
        Ok(chain) => chain,
        Err(broken) => {
            let path = match &broken.error {
                crate::chain::ChainError::Place { path, .. }
                | crate::chain::ChainError::Refused { path, .. } => format!("metadata/{path}"),
                _ => "metadata".to_owned(),
            };
            findings.add(Finding::new(
                Trouble::Metadata,
                &path,
                "metadata that follows from the trusted root",
                &with_causes(&broken.error),
            ));
            return Audit::without_a_chain(findings, options.tally);
        }
    };
    let auditor = Auditor::new(place, options, findings, &chain);
    auditor.check_roots(root, &chain);
    crew::run(&auditor, &chain.set);
    auditor.judge_plain_alone();
    auditor.check_project_lists();
    leftovers::explain(&auditor, &chain.set);
    auditor.finish(&chain.set)
}

/// The same for a directory, where what nothing names can be counted as well.
pub fn audit_directory(
    place: &DirectoryPlace,
    root: &[u8],
    options: &AuditOptions<'_>,
) -> (Audit, Unnamed) {
    let named = Mutex::default();
    let mut audit = {
        let remembering = Remembering {
            place,
            named: &named,
        };
        audit(&remembering, root, options)
    };
    let named = named.into_inner().unwrap_or_else(PoisonError::into_inner);
    let unnamed = unnamed::count(place, &named, options.listed);
    audit.unreadable_folders = unnamed.unreadable_folders;
    if !place.has_plain_names() {
        audit.lacking.push("packages/");
    }
    if !place.has_simple() {
        audit.lacking.push("simple/");
    }
    if let Err(error) = place.keep_record() {
        tracing::warn!(%error, "what was verified could not be written down for the next run");
    }
    (audit, unnamed)
}

/// An audit under way.
struct Auditor<'a, P> {
    place: &'a P,
    now: Timestamp,
    scope: &'a dyn Scope,
    tally: &'a Tally,
    findings: Findings,
    listed: usize,
    stale: Mutex<Stale>,
    /// Projects' own roles, apart: each concerns its project alone.
    ended: Mutex<Stale>,
    /// Whether a file or its core metadata is there by its name with the hash.
    has_hashed_names: AtomicBool,
    plain_alone: Mutex<object::PlainAlone>,
    projects: Mutex<HashSet<ProjectName>>,
    /// Projects whose page could not be read: nothing is known of their files.
    unread: Mutex<HashSet<ProjectName>>,
    /// What the index takes away from projects that sign for themselves.
    lists: HashMap<ProjectName, List>,
    /// What one of page and role says of a file and the other has not said yet.
    half: Mutex<HashMap<u64, Half>>,
}

/// What is taken away from a project, as `status` lists it.
#[derive(Clone, Copy, Debug)]
struct List {
    sha256: Sha256,
    length: u64,
}

/// What one side says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Half {
    side: Side,
    sha256: Sha256,
    length: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Page,
    Role,
}

impl<'a, P: Place> Auditor<'a, P> {
    fn new(place: &'a P, options: &AuditOptions<'a>, findings: Findings, chain: &Chain) -> Self {
        let auditor = Self {
            place,
            now: options.now,
            scope: options.scope,
            tally: options.tally,
            findings,
            listed: options.listed,
            stale: Mutex::default(),
            ended: Mutex::default(),
            has_hashed_names: AtomicBool::new(false),
            plain_alone: Mutex::default(),
            projects: Mutex::default(),
            unread: Mutex::default(),
            lists: taken::lists(place, &chain.set),
            half: Mutex::default(),
        };
        let set = &chain.set;
        let roles = [
            (RoleName::root(), set.root().expires),
            (RoleName::timestamp(), set.timestamp().expires),
            (RoleName::snapshot(), set.snapshot().expires),
            (RoleName::targets(), set.targets().expires),
        ];
        for (role, expires) in roles {
            auditor.note_expiry(&role, expires);
        }
        for (_, _, bytes) in &chain.files {
            auditor.tally.read(bytes.len() as u64);
        }
        // The snapshot lists the top-level targets as well.
        let roles = (set.snapshot().meta.len() as u64).saturating_sub(1);
        auditor.tally.expect_roles(roles);
        auditor
    }

    fn note_expiry(&self, role: &RoleName, expires: Timestamp) {
        if expires <= self.now {
            let of = match role.is_of_project() {
                true => &self.ended,
                false => &self.stale,
            };
            held(of).add(role, expires);
        }
    }

    /// Every root before the trusted one must be there as well, for readers that begin earlier.
    fn check_roots(&self, trusted: &[u8], chain: &Chain) {
        let Ok(trusted) = verify_trusted_root(trusted) else {
            return;
        };
        let mut earlier: Option<Verified<Root>> = None;
        for version in 1..=chain.set.root().version {
            let name = RoleName::root().versioned_file_name(version);
            let path = format!("metadata/{name}");
            let trouble = |expected: &str, found: &str| {
                let finding = Finding::new(Trouble::Metadata, &path, expected, found);
                self.findings.add(finding);
            };
            let root = match self
                .place
                .metadata(&name, wheelmark_tuf::limits::MAX_ROOT_LENGTH)
            {
                Ok(Some(root)) => root,
                Ok(None) => {
                    trouble("every root since the first one", "it is not there");
                    earlier = None;
                    continue;
                }
                Err(error) => {
                    trouble("every root since the first one", &with_causes(&error));
                    earlier = None;
                    continue;
                }
            };
            self.tally.root(root.len() as u64);
            let opened = match &earlier {
                Some(earlier) => verify_next_root(earlier, &root),
                None => verify_trusted_root(&root),
            };
            match opened {
                Ok(opened) if opened.version == version => {
                    let is_trusted = version != trusted.version || opened == trusted;
                    if !is_trusted {
                        trouble("the trusted root of this version", "another one");
                    }
                    earlier = Some(opened);
                }
                Ok(opened) => {
                    trouble(
                        &format!("version {version}"),
                        &format!("version {}", opened.version),
                    );
                    earlier = None;
                }
                Err(error) => {
                    trouble(
                        "a root that follows from the one before it",
                        &with_causes(&error),
                    );
                    earlier = None;
                }
            }
        }
    }

    fn finding(&self, trouble: Trouble, path: &ObjectPath, expected: &str, found: &str) {
        let finding = Finding::new(trouble, path.as_str(), expected, found);
        self.findings.add(finding);
    }

    /// Puts what page and role say of a file beside each other.
    fn compare(&self, path: &ObjectPath, said: Half) {
        let mut half = held(&self.half);
        let key = hashed(path.as_str());
        match half.get(&key) {
            Some(other) if other.side != said.side => {
                let other = *other;
                half.remove(&key);
                drop(half);
                let same_length = match (other.length, said.length) {
                    (Some(one), Some(other)) => one == other,
                    _ => true,
                };
                if other.sha256 != said.sha256 || !same_length {
                    let (page, role) = match said.side {
                        Side::Page => (said, other),
                        Side::Role => (other, said),
                    };
                    self.finding(
                        Trouble::Contradiction,
                        path,
                        &format!("sha256 {} as its own role says", role.sha256),
                        &format!("sha256 {} in its project's page", page.sha256),
                    );
                }
            }
            _ => drop(half.insert(key, said)),
        }
    }

    fn finish(self, set: &TrustedSet) -> Audit {
        let [stale, ended] = [self.stale, self.ended]
            .map(|roles| roles.into_inner().unwrap_or_else(PoisonError::into_inner));
        let projects = held(&self.projects).len() as u64;
        Audit::of(set, self.findings, self.tally, (stale, ended), projects)
    }
}

/// A place that writes down what was asked of it: what an audit names is what it asks for.
struct Remembering<'a> {
    place: &'a DirectoryPlace,
    named: &'a Mutex<HashSet<u64>>,
}

impl Remembering<'_> {
    fn remember(&self, path: &str) {
        held(self.named).insert(hashed(path));
    }
}

impl Place for Remembering<'_> {
    fn at_once(&self) -> usize {
        self.place.at_once()
    }

    fn metadata(
        &self,
        name: &str,
        limit: u64,
    ) -> Result<Option<bytes::Bytes>, crate::place::PlaceError> {
        self.remember(&format!("metadata/{name}"));
        self.place.metadata(name, limit)
    }

    fn object(
        &self,
        path: &ObjectPath,
        limit: u64,
    ) -> Result<Option<bytes::Bytes>, crate::place::PlaceError> {
        self.remember(path.as_str());
        self.place.object(path, limit)
    }

    fn check(
        &self,
        path: &ObjectPath,
        expected: &crate::place::Expected,
    ) -> Result<crate::place::Standing, crate::place::PlaceError> {
        self.remember(path.as_str());
        self.place.check(path, expected)
    }

    fn are_one(&self, one: &ObjectPath, other: &ObjectPath) -> bool {
        self.remember(one.as_str());
        self.remember(other.as_str());
        self.place.are_one(one, other)
    }

    fn has_plain_names(&self) -> bool {
        self.place.has_plain_names()
    }

    fn has_simple(&self) -> bool {
        self.place.has_simple()
    }
}

/// Only counts follow from it: two paths of one hash are taken for one.
fn hashed(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// The value, whether or not a thread that held it panicked: every change to one is complete.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error and what led to it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

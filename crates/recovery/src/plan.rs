//! `plan.json`: what changed since the last good state, and what is decided.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{RoleName, Sha256};

use crate::rules::counts;

/// The form of plan that this version reads and writes.
pub const FORM: u32 = 1;

/// The longest plan that is read, in bytes: some 400 for each change.
pub const MAX_PLAN_LEN: u64 = 256 * 1024 * 1024;

/// What changed in an index since the last state that is known to be good, and what is decided.
///
/// Whatever no entry names is the same in both states, or becomes what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// [`FORM`].
    pub form: u32,
    /// When it was made.
    pub made: Timestamp,
    /// The fingerprint of the root with which both states were followed: the SHA-256 of its canonical signed
    /// part.
    pub index: Sha256,
    /// The state that everything goes back to, but what is kept.
    pub last_good: LastGood,
    /// The state that it was compared with. Where something else is published by now, the plan is to be made
    /// anew; what was decided stays.
    pub present: Present,
    /// What changed in who signs what, for people to read. Nothing is decided about it: the last good state
    /// holds here.
    pub roles: Vec<RoleChange>,
    /// Which projects sign for themselves, by which keys: one entry for each project, by name.
    pub claims: Vec<ClaimChange>,
    /// What changed in projects, by name; each project once.
    pub projects: Vec<ProjectChanges>,
    /// How many changes have no entry, since the plan would be longer than what is read: such as only the
    /// online key has signed and nothing speaks for. They are dropped, as everything is that has no entry.
    #[serde(default, skip_serializing_if = "is_none")]
    pub left_out: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "this is how serde asks for it"
)]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// The state that an index goes back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LastGood {
    /// Where it came from, for people: a directory, a URL, or a snapshot of the index's own tree.
    pub from: String,
    /// The version of the root that was in force.
    pub root: u64,
    /// Its snapshot. A tree of this state needs no timestamp: this says which snapshot is meant.
    pub snapshot: VersionedFile,
    /// Until when that snapshot was good.
    pub expires: Timestamp,
    /// Since when something may have happened that is not in it: no later than when it was signed.
    pub dated: Timestamp,
}

/// The state that is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Present {
    /// The version of the newest root.
    pub root: u64,
    /// The snapshot.
    pub snapshot: VersionedFile,
    /// The timestamp.
    pub timestamp: VersionedFile,
}

/// One version of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VersionedFile {
    /// Its version.
    pub version: u64,
    /// The SHA-256 of its file, signatures included.
    pub sha256: Sha256,
}

/// A role of which something changed that decides who signs what, or its version in a way that no index
/// brings about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RoleChange {
    /// The role.
    #[serde(with = "role_name")]
    pub role: RoleName,
    /// What changed.
    pub what: RoleWhat,
    /// What it was, in words; empty where there was nothing.
    pub then: String,
    /// What it is now; empty where there is nothing.
    pub now: String,
}

/// What changed of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleWhat {
    /// Whose signatures count for it.
    Keys,
    /// How many of them it needs.
    Threshold,
    /// To which roles it delegates, for which paths. Claims and their shards are not told of here.
    Delegates,
    /// Its version is lower than it was.
    VersionBack,
    /// Its version is higher than anything an index does in a lifetime: somebody drove it up, so that clients
    /// take no other one (a fast-forward attack).
    FastForward,
    /// One version with two contents.
    Rewritten,
    /// It is not there, or not as it was signed; what it lists now cannot be told.
    Unreadable,
}

/// That a project signs for itself, or does not any more, or with other keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClaimChange {
    /// The project.
    pub project: ProjectName,
    /// Whether an offline key says it (`claimed`), and not the online one alone (`recently-claimed`): in the
    /// present state, or, where the claim is gone, in the last good one.
    pub sealed: bool,
    /// What changed.
    pub what: ClaimWhat,
    /// Its keys in the last good state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<ClaimKeys>,
    /// Its keys now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<ClaimKeys>,
    /// What speaks for the change.
    #[serde(default)]
    pub supports: Vec<Support>,
    /// What is decided. Of a claim that ended: `keep`, that it has ended; `drop`, that it goes on. A claim that is
    /// new, or has other keys, can only be dropped: clients forget it, and its people claim again. None where
    /// nobody has decided.
    pub decision: Option<Decision>,
}

/// What changed of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimWhat {
    /// The project did not sign for itself.
    Added,
    /// It does not any more.
    Removed,
    /// It signs with other keys, or with another number of them.
    Keys,
}

/// Whose signatures a project's own role needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClaimKeys {
    /// The ids of its keys, sorted.
    pub keyids: Vec<String>,
    /// How many of them have to sign.
    pub threshold: u32,
}

/// What changed in one project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProjectChanges {
    /// The project.
    pub project: ProjectName,
    /// The SHA-256 of its page in the present state; none where it has none. What is kept is kept of this page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Sha256>,
    /// The SHA-256 of what is taken away from it in the present state; none where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Sha256>,
    /// What changed: by file name, those of the whole project first.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Change {
    /// What changed.
    pub what: What,
    /// Whose signature the present state of it has, or of what is gone, the last good one. What a project's own
    /// keys have signed is one piece: all changes of a project that say `project` here are kept, or all are
    /// dropped.
    pub signed: Signer,
    /// The file; none where the whole project is meant.
    #[serde(default)]
    pub file: Option<String>,
    /// The SHA-256 in the last good state: that of the file; where no file is meant, that of what changed (the
    /// page, the certificates, the list of what is taken away). None where there was none.
    #[serde(default)]
    pub then: Option<Sha256>,
    /// The same in the present state.
    #[serde(default)]
    pub now: Option<Sha256>,
    /// What speaks for the change.
    #[serde(default)]
    pub supports: Vec<Support>,
    /// What is decided: `keep`, as it is now; `drop`, as it was. None where nobody has decided.
    pub decision: Option<Decision>,
}

/// Who signs the page that a change is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signer {
    /// The index, with its online key: pages of projects that are not claimed, and `status`.
    Index,
    /// The project's own people.
    Project,
}

/// What changed in a project.
///
/// Files that are withheld, since the project is quarantined, count as listed: what changed is the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The project's state (PEP 792), as its page says it or as the index takes it away.
    State,
    /// The OpenPGP certificates that its page binds.
    Certificates,
    /// The page otherwise, or that there is a page at all.
    Page,
    /// What the index takes away from a claimed project, otherwise than by the entries below: later times, a
    /// notice that its keys are lost.
    List,
    /// A file that was not there.
    Added,
    /// A file name with other bytes. No index does that.
    Changed,
    /// The same bytes with another entry: core metadata, provenance, signature, times, marks.
    Entry,
    /// A file that was removed; its name stays taken.
    Removed,
    /// A file that had been removed and is back, with the same bytes.
    Returned,
    /// A file that is neither listed nor remembered as removed. No index does that.
    Vanished,
    /// A yank (PEP 592), or another reason for one.
    Yanked,
    /// A yank that was taken back.
    Unyanked,
    /// A file of a claimed project that the index has withdrawn or yanked.
    TakenAway,
    /// A file of a claimed project that it had, and has no more.
    GivenBack,
    /// A role lists a file otherwise than the page does, or lists one that no page names: other TUF clients go
    /// by it. No index does that. Without a file, more of them than are told one by one.
    Target,
}

/// What speaks for a change besides the index's online key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Support {
    /// The project's own keys, which were sealed in the last good state or follow from those by its people's own
    /// signatures.
    Sealed,
    /// The project's own keys, which the online key alone vouched for in the last good state.
    Developer,
    /// An attestation that holds.
    Attested {
        /// Who made the file, as it is written in policies: `github:octo/demo@release.yml`.
        identity: String,
        /// Whether files of this project were attested by the same identity in the last good state.
        #[serde(default)]
        known: bool,
    },
    /// Other copies of the index that were named for that, and had it in a state that was signed.
    Copies {
        /// How many.
        count: u32,
    },
}

/// What is decided about a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// As it is in the present state.
    Keep,
    /// As it was in the last good state.
    Drop,
}

/// A plan cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Not the JSON of one.
    #[error("this is not the plan of a recovery")]
    Json(#[from] serde_json::Error),
    /// Of another version.
    #[error("the plan has form {found}, and this version knows form {FORM}")]
    Form {
        /// What it says.
        found: u64,
    },
    /// More than this version reads.
    #[error("the plan has more than {MAX_PLAN_LEN} bytes")]
    TooLong,
    /// One project, or one file of it, has two entries of one kind: nobody could tell which decision holds.
    #[error("the plan names {what} twice")]
    Twice {
        /// What.
        what: String,
    },
}

impl Plan {
    /// Reads a plan. People may have changed it.
    ///
    /// # Errors
    ///
    /// [`PlanError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, PlanError> {
        #[derive(Deserialize)]
        struct Formed {
            form: u64,
        }
        if bytes.len() as u64 > MAX_PLAN_LEN {
            return Err(PlanError::TooLong);
        }
        // First: another form may have other members.
        let Formed { form } = serde_json::from_slice(bytes)?;
        if form != u64::from(FORM) {
            return Err(PlanError::Form { found: form });
        }
        let plan: Self = serde_json::from_slice(bytes)?;
        plan.no_duplicates()?;
        Ok(plan)
    }

    /// The file, indented for people.
    ///
    /// # Errors
    ///
    /// When it is longer than what is read.
    pub fn to_json(&self) -> Result<Vec<u8>, PlanError> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        if bytes.len() as u64 > MAX_PLAN_LEN {
            return Err(PlanError::TooLong);
        }
        Ok(bytes)
    }

    /// Leaves out what nobody would keep, where the plan would be longer than what is read: a thief who makes
    /// a million changes must not keep an index from going back.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON, or is too long without them.
    pub fn shorten(&mut self) -> Result<(), PlanError> {
        self.shorten_to(MAX_PLAN_LEN)
    }

    pub(crate) fn shorten_to(&mut self, most: u64) -> Result<(), PlanError> {
        // Written anew by hand, it may get a little longer.
        let is_short = |plan: &Self| -> Result<bool, PlanError> {
            Ok(serde_json::to_vec_pretty(plan)?.len() as u64 <= most - most / 16)
        };
        if is_short(self)? {
            return Ok(());
        }
        // What anybody can get for himself (an attestation of his own, a copy that follows) is left out last.
        let anything = |_: &Support| true;
        for speaks in [&anything as &dyn Fn(&Support) -> bool, &counts] {
            self.left_out += self.leave_out(speaks);
            if is_short(self)? {
                return Ok(());
            }
        }
        Err(PlanError::TooLong)
    }

    /// Leaves out what can only be dropped as long as nothing of this kind speaks for it; how many entries that
    /// were.
    fn leave_out(&mut self, speaks: impl Fn(&Support) -> bool) -> u64 {
        let mut left_out = 0;
        for project in &mut self.projects {
            let before = project.changes.len();
            let speaks = |change: &Change| {
                change.supports.iter().any(&speaks) || change.decision == Some(Decision::Keep)
            };
            // What a project's own keys have signed is kept or dropped whole.
            let is_worth = project.changes.iter().any(speaks);
            let stays = |change: &Change| change.signed == Signer::Project || speaks(change);
            project.changes.retain(|change| is_worth && stays(change));
            left_out += before - project.changes.len();
        }
        self.projects.retain(|project| !project.changes.is_empty());
        // A claim that was not there goes whatever anybody says; with something to decide about its project it is
        // told, since that depends on it.
        let told: HashSet<ProjectName> = self
            .projects
            .iter()
            .map(|one| one.project.clone())
            .collect();
        let before = self.claims.len();
        self.claims
            .retain(|claim| claim.what != ClaimWhat::Added || told.contains(&claim.project));
        left_out += before - self.claims.len();
        left_out as u64
    }

    /// What is planned for a project; none where nothing of it changed.
    #[must_use]
    pub fn project(&self, name: &ProjectName) -> Option<&ProjectChanges> {
        self.projects.iter().find(|found| found.project == *name)
    }

    /// How many changes nobody has decided about. A plan with one can not be carried out.
    #[must_use]
    pub fn undecided(&self) -> usize {
        let claims = self.claims.iter().map(|claim| claim.decision);
        let changes = self.projects.iter().flat_map(|project| &project.changes);
        let changes = changes.map(|change| change.decision);
        claims.chain(changes).filter(Option::is_none).count()
    }

    fn no_duplicates(&self) -> Result<(), PlanError> {
        let mut seen = HashSet::new();
        let twice = |what: String| Err(PlanError::Twice { what });
        for claim in &self.claims {
            if !seen.insert(("claim", &claim.project)) {
                return twice(format!("the claim of {}", claim.project));
            }
        }
        for project in &self.projects {
            if !seen.insert(("project", &project.project)) {
                return twice(format!("the project {}", project.project));
            }
            let mut changes = HashSet::new();
            for change in &project.changes {
                if !changes.insert((change.what, change.signed, &change.file)) {
                    let file = change.file.as_deref().unwrap_or("the project itself");
                    return twice(format!("{file} of {}", project.project));
                }
            }
        }
        Ok(())
    }
}

/// Role names as texts.
mod role_name {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use wheelmark_tuf::RoleName;

    pub(super) fn serialize<S: Serializer>(role: &RoleName, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(role.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RoleName, D::Error> {
        let name = String::deserialize(from)?;
        name.parse().map_err(D::Error::custom)
    }
}

//! The chain that vouches for a project, role by role, or how far it held.
//!
//! ```text
//! root ─▶ timestamp ─▶ snapshot ─▶ targets ─▶ every delegated role that was asked ─▶ page
//! ```
//!
//! It is read off the same search that an installation makes, so it can tell nothing else
//! than what counts there.

use std::sync::Arc;

use jiff::Timestamp;
use wheelmark_objects::page_target;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{
    Delegations, Found, KeyId, LookupError, RoleKeys, RoleName, Root, Snapshot, TimestampMetadata,
    TrustedSet, Visit, verify, verify_trusted_root,
};

use crate::page::VerifiedPage;
use crate::reader::Reader;
use crate::refresh::RefreshFailure;
use crate::refusal::{Failure, Refusal, Subject};
use crate::view::View;

/// A role that holds, as it stands in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleShown {
    /// The role.
    pub role: RoleName,
    /// Its version.
    pub version: u64,
    /// From when on it is not valid, as it says itself.
    pub expires: Timestamp,
    /// Who names its keys: root for a top-level role, the delegator for a delegated one.
    pub delegator: RoleName,
    /// How many different keys must have signed it.
    pub threshold: u32,
    /// The ids of the keys that count.
    pub keyids: Vec<KeyId>,
    /// Whether a match here ends the search, for a delegated role.
    pub terminating: Option<bool>,
    /// Whether it lists the project's page.
    pub lists_page: bool,
}

/// Why, behind which project, and how far the chain holds.
#[derive(Debug)]
pub struct Explanation {
    /// The project.
    pub project: ProjectName,
    /// The roles that hold: root first, then in the order in which they were asked.
    pub roles: Vec<RoleShown>,
    /// What comes after them.
    pub answer: Answer,
}

/// What the chain ends in.
#[derive(Debug)]
pub enum Answer {
    /// The project's page, verified.
    Page {
        /// The page.
        page: Arc<VerifiedPage>,
        /// Its signed length in bytes.
        length: u64,
    },
    /// No role that is trusted with the page lists one: the index has no such project.
    Absent,
    /// The chain ends before it comes to an answer.
    Broken(Break),
}

/// Where and why a chain ends.
#[derive(Clone, Debug)]
pub struct Break {
    /// The role, or the page, that does not hold, as far as it is known.
    pub at: String,
    /// The refusal that an installer would meet.
    pub refusal: Arc<Refusal>,
}

impl Reader {
    /// Brings the chain up to date and follows it to the page of a project.
    ///
    /// What does not verify is part of the explanation, not an error.
    pub async fn explain(&self, project: &ProjectName) -> Explanation {
        if !self.index.is_signed() {
            return self.explain_unsigned(project).await;
        }
        let subject = || Subject::Page(project.clone());
        let (roles, answer) = match self.view(subject).await {
            Ok(view) => self.explain_in(&view, project).await,
            Err(refusal) => self.explain_refresh(refusal),
        };
        Explanation {
            project: project.clone(),
            roles,
            answer,
        }
    }

    async fn explain_unsigned(&self, project: &ProjectName) -> Explanation {
        let answer = match self.page(project).await {
            Ok(Some(page)) => {
                let length = page.page().to_json().len() as u64;
                Answer::Page { page, length }
            }
            Ok(None) => Answer::Absent,
            Err(refusal) => Answer::Broken(Break {
                at: refusal.subject.to_string(),
                refusal,
            }),
        };
        Explanation {
            project: project.clone(),
            roles: Vec::new(),
            answer,
        }
    }

    async fn explain_in(
        &self,
        view: &Arc<View>,
        project: &ProjectName,
    ) -> (Vec<RoleShown>, Answer) {
        let page = self.page_in(view, project).await;
        // A newer state may have answered, if this one's page was gone.
        let subject = || Subject::Page(project.clone());
        let view = self.view(subject).await.unwrap_or_else(|_| view.clone());
        let search = view.search_so_far(&page_target(project));
        let mut roles = top_roles(view.set());
        roles.extend(delegated_roles(search.trail()));
        let needed = search.need().map(|need| need.role.to_string());
        let found = match search.finish() {
            Ok(Found::Target(target)) => Some(target),
            _ => None,
        };
        if let Some(target) = &found
            && let Some(role) = roles.iter_mut().find(|shown| shown.role == target.role)
        {
            role.lists_page = true;
        }
        let answer = match (page, found) {
            (Ok(Some(page)), Some(target)) => Answer::Page {
                page,
                length: target.length,
            },
            (Ok(_), _) => Answer::Absent,
            (Err(refusal), _) => Answer::Broken(Break {
                at: broken_at(&refusal, needed),
                refusal,
            }),
        };
        (roles, answer)
    }

    /// How far a refresh came that failed. What was accepted before the failure lies in the
    /// trust store; it is verified here once more.
    fn explain_refresh(&self, refusal: Arc<Refusal>) -> (Vec<RoleShown>, Answer) {
        let at = match &refusal.failure {
            Failure::Refresh(failure) => failed_file(failure),
            _ => UNKNOWN.to_owned(),
        };
        let roles = self.held_before(&at).unwrap_or_default();
        (roles, Answer::Broken(Break { at, refusal }))
    }

    /// The stored roles that a refresh accepts before it asks for `file`.
    fn held_before(&self, file: &str) -> Option<Vec<RoleShown>> {
        let failed = |role: RoleName| file.ends_with(&role.meta_name());
        let root = verify_trusted_root(&self.index.root().ok()?).ok()?;
        let mut held = vec![root_shown(&root)];
        let past_timestamp = failed(RoleName::snapshot()) || failed(RoleName::targets());
        let cached = self.index.cached().ok()?;
        let keys = &root.roles.timestamp;
        let timestamp = cached.timestamp.filter(|_| past_timestamp);
        let timestamp =
            timestamp.and_then(|bytes| verify::<TimestampMetadata>(&bytes, &root.keys, keys).ok());
        if let Some(timestamp) = timestamp {
            let stands = (timestamp.version, timestamp.expires);
            held.push(shown(RoleName::timestamp(), stands, RoleName::root(), keys));
            let keys = &root.roles.snapshot;
            let snapshot = cached.snapshot.filter(|_| failed(RoleName::targets()));
            let snapshot =
                snapshot.and_then(|bytes| verify::<Snapshot>(&bytes, &root.keys, keys).ok());
            if let Some(snapshot) = snapshot {
                let stands = (snapshot.version, snapshot.expires);
                held.push(shown(RoleName::snapshot(), stands, RoleName::root(), keys));
            }
        }
        Some(held)
    }
}

/// Where a chain ends that could not be brought up to date at all.
const UNKNOWN: &str = "the index's metadata";

/// The file that a refresh failed at, as far as it tells.
fn failed_file(failure: &RefreshFailure) -> String {
    match failure {
        RefreshFailure::Refused { path, .. } => path.clone(),
        RefreshFailure::EverySource { what, .. } => what.clone(),
        RefreshFailure::Fetch(_) => UNKNOWN.to_owned(),
        RefreshFailure::Stored { .. } | RefreshFailure::Trust(_) => {
            "what this machine keeps about the index".to_owned()
        }
    }
}

fn broken_at(refusal: &Refusal, needed: Option<String>) -> String {
    match refusal.failure.deciding() {
        Failure::Role(
            LookupError::Refused { role, .. } | LookupError::NotInSnapshot { role, .. },
        )
        | Failure::RoleMissing { role, .. } => role.to_string(),
        _ => needed.unwrap_or_else(|| refusal.subject.to_string()),
    }
}

fn root_shown(root: &Root) -> RoleShown {
    shown(
        RoleName::root(),
        (root.version, root.expires),
        RoleName::root(),
        &root.roles.root,
    )
}

fn top_roles(set: &TrustedSet) -> Vec<RoleShown> {
    let (root, timestamp, snapshot) = (set.root(), set.timestamp(), set.snapshot());
    let (targets, named) = (set.targets(), &root.roles);
    let below_root = |role, stands, keys| shown(role, stands, RoleName::root(), keys);
    vec![
        root_shown(root),
        below_root(
            RoleName::timestamp(),
            (timestamp.version, timestamp.expires),
            &named.timestamp,
        ),
        below_root(
            RoleName::snapshot(),
            (snapshot.version, snapshot.expires),
            &named.snapshot,
        ),
        below_root(
            RoleName::targets(),
            (targets.version, targets.expires),
            &named.targets,
        ),
    ]
}

/// The roles below the top-level targets that the search came to.
fn delegated_roles(trail: &[Visit]) -> Vec<RoleShown> {
    let delegations = |name: &RoleName| -> Option<&Delegations> {
        let visit = trail.iter().find(|visit| visit.role == *name)?;
        visit.targets.delegations.as_ref()
    };
    let mut roles = Vec::new();
    for visit in trail {
        let Some(delegator) = &visit.delegator else {
            continue;
        };
        let Some(delegations) = delegations(delegator) else {
            continue;
        };
        let Some(keys) = delegations.role_keys(&visit.role) else {
            continue;
        };
        let stands = (visit.targets.version, visit.targets.expires);
        roles.push(RoleShown {
            terminating: Some(delegations.is_terminating(&visit.role)),
            ..shown(visit.role.clone(), stands, delegator.clone(), keys)
        });
    }
    roles
}

fn shown(
    role: RoleName,
    (version, expires): (u64, Timestamp),
    delegator: RoleName,
    keys: &RoleKeys,
) -> RoleShown {
    RoleShown {
        role,
        version,
        expires,
        delegator,
        threshold: keys.threshold,
        keyids: keys.keyids.clone(),
        terminating: None,
        lists_page: false,
    }
}

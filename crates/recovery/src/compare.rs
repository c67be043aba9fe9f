//! Two states beside each other: what changed of roles and claims, and which projects have to be looked at.

use std::collections::{BTreeMap, BTreeSet};

use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{RoleName, Sha256};

use crate::plan::{ClaimChange, ClaimWhat, RoleChange, RoleWhat, Support};
use crate::state::{Claim, Delegated, Keys, Signed, State};

/// No index comes that far by itself: at one version a second, twelve days of a role that has a new one in
/// a day or with an upload. Clients that have seen it are freed by other keys (TUF §5.3.11), not by numbers.
const DRIVEN_UP: u64 = 1 << 20;

/// A list of names that is told of in words names so many of them.
const NAMED: usize = 5;

/// What changed between two states.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Who signs what.
    pub roles: Vec<RoleChange>,
    /// Which projects sign for themselves.
    pub claims: Vec<ClaimChange>,
    /// The projects whose pages, files or lists are not the same: their pages have to be read.
    pub projects: Vec<Differing>,
}

/// A project of which something changed.
#[derive(Clone, Debug)]
pub struct Differing {
    /// The project.
    pub project: ProjectName,
    /// Its page, then and now.
    pub page: [Option<Signed>; 2],
    /// What was taken away from it, then and now.
    pub list: [Option<Signed>; 2],
    /// Files that the roles list otherwise: then and now.
    pub targets: BTreeMap<String, [Option<Sha256>; 2]>,
    /// Whose word its own people's signature is, where that is none of the online key's alone.
    pub support: Option<Support>,
}

/// Puts the last good state and the present one beside each other.
#[must_use]
pub fn compare(then: &State, now: &State) -> Compared {
    Compared {
        roles: roles(then, now),
        claims: claims(then, now),
        projects: projects(then, now),
    }
}

fn roles(then: &State, now: &State) -> Vec<RoleChange> {
    let mut changes = Vec::new();
    for (role, keys) in &now.top {
        if let Some(before) = then.top.get(role) {
            keys_changed(role, before, keys, &mut changes);
        }
    }
    let delegate = then.delegations.keys().chain(now.delegations.keys());
    for role in delegate.collect::<BTreeSet<_>>() {
        // Of one that cannot be read, more is not known.
        if !now.unreadable.contains_key(role) {
            delegations_changed(role, then, now, &mut changes);
        }
    }
    versions_changed(then, now, &mut changes);
    for (role, why) in &now.unreadable {
        changes.push(RoleChange {
            role: role.clone(),
            what: RoleWhat::Unreadable,
            then: version(then, role),
            now: why.clone(),
        });
    }
    changes.sort_by(|a, b| (&a.role, a.what).cmp(&(&b.role, b.what)));
    changes
}

fn version(state: &State, role: &RoleName) -> String {
    let listed = state.versions.get(&role.meta_name());
    listed.map_or_else(String::new, |version| format!("version {version}"))
}

fn keys_changed(role: &RoleName, then: &Keys, now: &Keys, changes: &mut Vec<RoleChange>) {
    let mut told = |what, then, now| {
        changes.push(RoleChange {
            role: role.clone(),
            what,
            then,
            now,
        });
    };
    if then.keyids != now.keyids {
        told(RoleWhat::Keys, joined(&then.keyids), joined(&now.keyids));
    }
    if then.threshold != now.threshold {
        let [then, now] = [then.threshold, now.threshold].map(|number| number.to_string());
        told(RoleWhat::Threshold, then, now);
    }
}

fn joined(names: &BTreeSet<String>) -> String {
    names
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn delegations_changed(by: &RoleName, then: &State, now: &State, changes: &mut Vec<RoleChange>) {
    let none = BTreeMap::new();
    let before = then.delegations.get(by).unwrap_or(&none);
    let after = now.delegations.get(by).unwrap_or(&none);
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    for (name, delegated) in before {
        match after.get(name) {
            None => gone.push(described(name, delegated)),
            Some(other) => {
                let paths = |one: &Delegated| (one.terminating, one.paths.clone());
                if paths(delegated) != paths(other) {
                    gone.push(described(name, delegated));
                    come.push(described(name, other));
                }
                if let Ok(role) = name.parse() {
                    keys_changed(&role, &delegated.keys, &other.keys, changes);
                }
            }
        }
    }
    let new = after.iter().filter(|(name, _)| !before.contains_key(*name));
    come.extend(new.map(|(name, delegated)| described(name, delegated)));
    if !gone.is_empty() || !come.is_empty() {
        changes.push(RoleChange {
            role: by.clone(),
            what: RoleWhat::Delegates,
            then: some_of(gone),
            now: some_of(come),
        });
    }
}

fn described(name: &str, delegated: &Delegated) -> String {
    let Delegated {
        terminating, paths, ..
    } = delegated;
    let ends = if *terminating { ", terminating" } else { "" };
    format!("{name} ({paths}{ends})")
}

fn some_of(names: Vec<String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let named: Vec<String> = names.into_iter().take(NAMED).collect();
    match more {
        0 => named.join("; "),
        more => format!("{}; and {more} more", named.join("; ")),
    }
}

fn versions_changed(then: &State, now: &State, changes: &mut Vec<RoleChange>) {
    let mut told = |role: RoleName, what, before: String, after: String| {
        changes.push(RoleChange {
            role,
            what,
            then: before,
            now: after,
        });
    };
    let number = |version: u64| format!("version {version}");
    let mut versions: BTreeMap<RoleName, [Option<u64>; 2]> = BTreeMap::new();
    for (place, state) in [then, now].into_iter().enumerate() {
        for (name, version) in &state.versions {
            if let Some(role) = name
                .strip_suffix(".json")
                .and_then(|name| name.parse().ok())
            {
                versions.entry(role).or_default()[place] = Some(*version);
            }
        }
        // These are in no snapshot, and not every last good state has a timestamp.
        for (role, file) in &state.files {
            versions.entry(role.clone()).or_default()[place] = Some(file.version);
        }
        versions.entry(RoleName::snapshot()).or_default()[place] = Some(state.snapshot);
    }
    for (role, versions) in versions {
        match versions {
            [Some(before), Some(after)] if after < before => {
                told(role, RoleWhat::VersionBack, number(before), number(after));
            }
            [Some(before), Some(after)] if after - before > DRIVEN_UP => {
                told(role, RoleWhat::FastForward, number(before), number(after));
            }
            [Some(before), Some(after)] if before == after => {
                let digest = |state: &State| state.files.get(&role).map(|file| file.sha256);
                if let (Some(one), Some(other)) = (digest(then), digest(now))
                    && one != other
                {
                    let file = |sha256| format!("version {before}, sha256 {sha256}");
                    told(role, RoleWhat::Rewritten, file(one), file(other));
                }
            }
            [Some(before), None] if role != RoleName::timestamp() => {
                let now = "the snapshot does not list it".to_owned();
                told(role, RoleWhat::VersionBack, number(before), now);
            }
            // First versions are small.
            [None, Some(after)] if after > DRIVEN_UP && role != RoleName::timestamp() => {
                told(role, RoleWhat::FastForward, String::new(), number(after));
            }
            _ => {}
        }
    }
}

fn claims(then: &State, now: &State) -> Vec<ClaimChange> {
    let names: BTreeSet<&ProjectName> = then.claims.keys().chain(now.claims.keys()).collect();
    let mut changes = Vec::new();
    for project in names {
        let (before, after) = (then.claims.get(project), now.claims.get(project));
        let what = match (before, after) {
            (None, Some(_)) => ClaimWhat::Added,
            (Some(_), None) => ClaimWhat::Removed,
            (Some(before), Some(after)) if before.keys != after.keys => ClaimWhat::Keys,
            _ => continue,
        };
        let keys = |claim: Option<&Claim>| claim.map(|claim| claim.keys.of_claim());
        let sealed = after.or(before).is_some_and(|claim| claim.sealed);
        let supports: Vec<Support> = support(project, then, now).into_iter().collect();
        changes.push(ClaimChange {
            project: project.clone(),
            sealed,
            what,
            then: keys(before),
            now: keys(after),
            decision: None,
            supports,
        });
    }
    changes
}

/// Whose word it is what a project's own role says now: of the keys that the last good state knows, or that
/// follow from them by their owners' own signatures. None where the project's role went back to an earlier version: that
/// is signed as well, and whoever has the online key can bring it out again.
fn support(project: &ProjectName, then: &State, now: &State) -> Option<Support> {
    let (before, after) = (then.claims.get(project)?, now.claims.get(project)?);
    let role = format!("project-{project}.json");
    let version = |state: &State| state.versions.get(&role).copied();
    let (since, version) = (version(then)?, version(now)?);
    if version < since {
        return None;
    }
    let leads = || {
        let handovers = now.handovers.get(project);
        let (from, to) = (&before.keys, &after.keys);
        handovers.is_some_and(|handovers| {
            handovers.lead(
                (&from.keyids, from.threshold),
                since,
                (&to.keyids, to.threshold),
            )
        })
    };
    if before.keys != after.keys && !leads() {
        return None;
    }
    Some(match before.sealed {
        true => Support::Sealed,
        false => Support::Developer,
    })
}

fn projects(then: &State, now: &State) -> Vec<Differing> {
    let mut found: BTreeMap<ProjectName, BTreeMap<String, [Option<Sha256>; 2]>> = BTreeMap::new();
    let pages = [(&then.pages, &now.pages), (&then.lists, &now.lists)];
    for (before, after) in pages {
        let of_before = before
            .keys()
            .filter(|name| before.get(*name) != after.get(*name));
        let come = after.keys().filter(|name| !before.contains_key(*name));
        for project in of_before.chain(come) {
            found.entry(project.clone()).or_default();
        }
    }
    for (key, file) in &then.targets {
        let after = now.targets.get(key);
        if after != Some(file) {
            let (project, filename) = key;
            let differing = found.entry(project.clone()).or_default();
            let digests = [Some(file.sha256), after.map(|file| file.sha256)];
            differing.insert(filename.to_string(), digests);
        }
    }
    for (key, file) in &now.targets {
        if !then.targets.contains_key(key) {
            let (project, filename) = key;
            let differing = found.entry(project.clone()).or_default();
            differing.insert(filename.to_string(), [None, Some(file.sha256)]);
        }
    }
    let differing = found.into_iter().map(|(project, targets)| Differing {
        page: [then, now].map(|state| state.pages.get(&project).copied()),
        list: [then, now].map(|state| state.lists.get(&project).copied()),
        support: support(&project, then, now),
        targets,
        project,
    });
    differing.collect()
}

#[cfg(test)]
mod tests;

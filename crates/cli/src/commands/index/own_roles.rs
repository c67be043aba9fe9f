//! Until when what projects' own people have signed holds.
//!
//! Nothing is decided by it, so no signature is looked at: `wheelmark index audit` does that.

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use wheelmark_repository::{CLAIMED, RECENTLY_CLAIMED, project_of_role};
use wheelmark_tuf::{RoleName, Snapshot};

use super::table::minute;
use crate::published::metadata;
use crate::releasing::ends_soon;

/// How many projects are named that end soon.
const SHOWN: usize = 10;

/// The projects that sign for themselves.
pub(super) struct OwnRoles {
    count: usize,
    /// Those that end soon or have ended, the first to end first.
    soon: Vec<(String, Timestamp)>,
    first: Option<Timestamp>,
    now: Timestamp,
}

#[derive(Deserialize)]
struct Envelope {
    signed: Signed,
}

#[derive(Deserialize)]
struct Signed {
    expires: String,
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

impl OwnRoles {
    /// Follows the delegations to projects in a tree, as its snapshot lists them. What cannot be read
    /// is left out.
    pub(super) fn read(tree: &Path, snapshot: &Snapshot, now: Timestamp) -> Self {
        let mut ends = Vec::new();
        let mut lists = vec![CLAIMED.to_owned(), RECENTLY_CLAIMED.to_owned()];
        while let Some(list) = lists.pop() {
            let Some(signed) = read(tree, snapshot, &list) else {
                continue;
            };
            for Delegated { name } in signed.delegations.roles {
                let Some(role) = name.parse::<RoleName>().ok() else {
                    continue;
                };
                let Some(project) = project_of_role(&role) else {
                    // A shard has none of its own.
                    let top = [CLAIMED, RECENTLY_CLAIMED]
                        .into_iter()
                        .find(|top| *top == list);
                    let is_shard = top.and_then(|top| top.parse().ok());
                    if is_shard.is_some_and(|top| role.shard_of(&top).is_some()) {
                        lists.push(name);
                    }
                    continue;
                };
                let expires = read(tree, snapshot, &name).and_then(|own| own.expires.parse().ok());
                ends.extend(expires.map(|expires: Timestamp| (expires, project.to_string())));
            }
        }
        ends.sort();
        let soon = ends.iter().filter(|(expires, _)| ends_soon(*expires, now));
        Self {
            count: ends.len(),
            soon: soon
                .map(|(expires, project)| (project.clone(), *expires))
                .collect(),
            first: ends.first().map(|(expires, _)| *expires),
            now,
        }
    }

    /// In one line; none where no project signs for itself.
    pub(super) fn line(&self) -> Option<String> {
        let first = self.first?;
        let count = match self.count {
            1 => "1 project signs for itself".to_owned(),
            count => format!("{count} projects sign for themselves"),
        };
        Some(format!("{count}; the first to end: {}", minute(first)))
    }

    /// What its people, or whoever runs the index, can do about those that end soon.
    pub(super) fn warnings(&self) -> Vec<String> {
        let soon = self.soon.iter().take(SHOWN);
        let mut lines: Vec<String> = soon
            .map(|(project, expires)| match *expires <= self.now {
                true => format!(
                    "{project} ended at {}: everybody refuses it until its people renew it \
                     (`wheelmark project renew {project}`), or you end its claim",
                    minute(*expires)
                ),
                false => format!(
                    "{project} ends at {}, and everybody refuses it then: tell its people \
                     (`wheelmark project renew {project}`)",
                    minute(*expires)
                ),
            })
            .collect();
        let more = self.soon.len().saturating_sub(SHOWN);
        if more > 0 {
            lines.push(format!("{more} more projects end soon"));
        }
        lines
    }

    pub(super) fn to_json(&self) -> Value {
        let soon = self.soon.iter().map(|(project, expires)| {
            json!({
                "project": project,
                "expires": expires.to_string(),
                "ended": *expires <= self.now,
            })
        });
        json!({
            "count": self.count,
            "first_expires": self.first.map(|first| first.to_string()),
            "soon": soon.collect::<Vec<_>>(),
        })
    }
}

fn read(tree: &Path, snapshot: &Snapshot, name: &str) -> Option<Signed> {
    let role: RoleName = name.parse().ok()?;
    let version = snapshot.role(&role)?.version;
    let bytes = metadata(tree, &role.versioned_file_name(version)).ok()??;
    let Envelope { signed } = serde_json::from_slice(&bytes).ok()?;
    Some(signed)
}

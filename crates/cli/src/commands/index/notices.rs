//! The public notices by which owners say that all keys of a claimed project are lost.
//!
//! Whoever runs the index is the one who can still say no when the project's people do not look. Nothing is
//! decided by what is read here, so no signature is looked at: `wheelmark index audit` does that.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_TAKEN_AWAY_LEN, RecoveryNotice, TakenAway};
use wheelmark_repository::STATUS;
use wheelmark_tuf::{RoleName, Snapshot, without_controls};

use super::table::minute;
use crate::published::{metadata, read_bounded};

/// How many projects are named.
const SHOWN: usize = 10;

/// The notices that stand, the first to begin first.
pub(super) struct Notices(Vec<(ProjectName, RecoveryNotice)>);

#[derive(Deserialize)]
struct Envelope {
    signed: Signed,
}

#[derive(Deserialize)]
struct Signed {
    #[serde(default)]
    targets: BTreeMap<String, Listed>,
}

#[derive(Deserialize)]
struct Listed {
    hashes: BTreeMap<String, String>,
}

impl Notices {
    /// Those of a tree, as its snapshot lists them. What cannot be read is left out.
    pub(super) fn read(tree: &Path, snapshot: &Snapshot) -> Self {
        let lists = lists(tree, snapshot).unwrap_or_default();
        let mut notices: Vec<_> = lists
            .into_iter()
            .filter_map(|(path, listed)| {
                let name = path.strip_prefix("status/")?.strip_suffix(".json")?;
                let project: ProjectName = name.parse().ok()?;
                let digest = listed.hashes.get("sha256")?.parse().ok()?;
                let object = ObjectPath::status(&project, &digest).ok()?;
                let file = tree.join(object.as_str());
                let bytes = read_bounded(&file, MAX_TAKEN_AWAY_LEN as u64).ok()?;
                let list = TakenAway::parse(&bytes, &project).ok()?;
                Some((project, list.recovery?))
            })
            .collect();
        notices.sort_by_key(|(_, notice)| notice.since);
        Self(notices)
    }

    /// What whoever runs the index should know of them, and can do.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .0
            .iter()
            .take(SHOWN)
            .map(|(project, notice)| {
                format!(
                    "{project}: {} says since {} that all its keys are lost, and other keys are to sign for it: ask its \
                     people; `wheelmark index project end-recovery {project}` says no",
                    without_controls(&notice.by),
                    minute(notice.since)
                )
            })
            .collect();
        let more = self.0.len().saturating_sub(SHOWN);
        if more > 0 {
            lines.push(format!(
                "the keys of {more} more projects are said to be lost"
            ));
        }
        lines
    }

    pub(super) fn to_json(&self) -> Value {
        let notices = self.0.iter().map(|(project, notice)| {
            json!({
                "project": project.as_str(),
                "since": notice.since.to_string(),
                "by": notice.by,
                "keyids": notice.keyids,
                "threshold": notice.threshold,
            })
        });
        notices.collect()
    }
}

fn lists(tree: &Path, snapshot: &Snapshot) -> Option<BTreeMap<String, Listed>> {
    let role: RoleName = STATUS.parse().ok()?;
    let version = snapshot.role(&role)?.version;
    let bytes = metadata(tree, &role.versioned_file_name(version)).ok()??;
    let Envelope { signed } = serde_json::from_slice(&bytes).ok()?;
    Some(signed.targets)
}

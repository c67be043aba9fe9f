//! What is recorded, durably and under the fence, before anything is published.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::PageFile;
use wheelmark_store::{Change, Outcome, Seq};
use wheelmark_tuf::Sha256;

use crate::channel::Channel;
use crate::listed::SecondName;
use crate::plan::{Decision, Plan};

/// What is left to do once the timestamp stands: names and answers, nothing signed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct After {
    /// The SHA-256 of the timestamp on which the snapshot follows. Records of earlier versions
    /// have none.
    #[serde(default)]
    pub(crate) follows: Option<Sha256>,
    /// Objects that have second names before the timestamp does. Records of earlier versions have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) seconds: Vec<SecondName>,
    /// Files to be given their plain names.
    pub(crate) files: Vec<NamedFile>,
    /// Files whose plain names go. Records of earlier versions have none.
    #[serde(default)]
    pub(crate) gone: Vec<GoneFile>,
    /// Pages whose convenience copies are to be rewritten.
    pub(crate) pages: Vec<NamedPage>,
    /// Projects whose certificates change. Records of earlier versions have none.
    #[serde(default)]
    pub(crate) certificates: Vec<NamedCertificates>,
    /// Projects that have no page any more, whose unsigned copies go. Only a recovery takes one away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gone_projects: Vec<ProjectName>,
    /// Whether the index goes back to an earlier state with this: then the catalogue's rows of all projects
    /// that are named here are put right. Records of earlier versions never do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) went_back: bool,
    /// Whether the list of all projects changes.
    pub(crate) list: bool,
    /// Changes that were published.
    pub(crate) published: Vec<u64>,
    /// Changes that were refused, with the reason.
    pub(crate) refused: Vec<(u64, String)>,
    /// What became of the orders of whoever runs the index. Records of earlier versions have none.
    #[serde(default)]
    pub(crate) ordered: Vec<Ordered>,
    /// What the signing log says of this snapshot. Records of earlier versions have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) log: Vec<String>,
}

/// An order, and what became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ordered {
    /// The change is made.
    Published { seq: u64, change: Box<Change> },
    /// It is not, for this reason.
    Refused { seq: u64, reason: String },
}

impl Ordered {
    /// The change, if it is made.
    pub(crate) fn published(&self) -> Option<&Change> {
        match self {
            Self::Published { change, .. } => Some(change),
            Self::Refused { .. } => None,
        }
    }

    /// The answer, once snapshot `snapshot_version` stands.
    pub(crate) fn outcome(&self, snapshot_version: u64) -> (Seq, Outcome) {
        match self {
            Self::Published { seq, .. } => (Seq(*seq), Outcome::Published { snapshot_version }),
            Self::Refused { seq, reason } => {
                let reason = reason.clone();
                (Seq(*seq), Outcome::Refused { reason })
            }
        }
    }
}

/// A published file, and the parts of it that have names of their own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NamedFile {
    pub(crate) project: ProjectName,
    pub(crate) filename: String,
    pub(crate) sha256: Sha256,
    pub(crate) core_metadata_sha256: Option<Sha256>,
    /// Records of earlier versions have none.
    #[serde(default)]
    pub(crate) gpg_signature_sha256: Option<Sha256>,
    /// As well.
    #[serde(default)]
    pub(crate) provenance_sha256: Option<Sha256>,
}

/// A file that is published no more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GoneFile {
    pub(crate) project: ProjectName,
    pub(crate) filename: String,
}

/// A published page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NamedPage {
    pub(crate) project: ProjectName,
    pub(crate) sha256: Sha256,
    /// What is taken away from it. Records of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) taken_away: Option<Sha256>,
}

/// The certificates of a project, which get their plain name, or lose it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NamedCertificates {
    pub(crate) project: ProjectName,
    pub(crate) sha256: Option<Sha256>,
}

impl NamedFile {
    /// The names of a file that its page lists; none if the entry has no SHA-256.
    pub(crate) fn of(project: &ProjectName, entry: &PageFile) -> Option<Self> {
        let core_metadata = entry.core_metadata.as_ref();
        let marks = entry.wheelmark.as_ref();
        let signature = marks.and_then(|marks| marks.gpg_sig);
        Some(Self {
            project: project.clone(),
            filename: entry.filename.as_str().to_owned(),
            sha256: Sha256(*entry.sha256()?.as_bytes()),
            core_metadata_sha256: core_metadata
                .and_then(|hashes| hashes.sha256())
                .map(|sha256| Sha256(*sha256.as_bytes())),
            gpg_signature_sha256: signature.map(|signature| Sha256(*signature.sha256.as_bytes())),
            provenance_sha256: marks
                .and_then(|marks| marks.provenance_sha256)
                .map(|sha256| Sha256(*sha256.as_bytes())),
        })
    }
}

impl After {
    /// What is left to do for `plan`, made on the state whose timestamp has the SHA-256 `follows`.
    pub(crate) fn of(plan: &Plan, follows: Sha256) -> Self {
        let mut after = Self {
            follows: Some(follows),
            seconds: plan.seconds.clone(),
            files: plan.files.clone(),
            gone: plan.gone.clone(),
            pages: plan.named_pages.clone(),
            certificates: plan.named_certificates.clone(),
            list: !plan.new_projects.is_empty() || !plan.gone_projects.is_empty(),
            gone_projects: plan.gone_projects.clone(),
            went_back: plan.goes_back,
            ..Self::default()
        };
        for (place, decision) in &plan.outcomes {
            let seq = place.seq.0;
            match (place.channel, decision) {
                (Channel::Journal, Decision::Published(_)) => after.published.push(seq),
                (Channel::Journal, Decision::Refused(reason)) => {
                    after.refused.push((seq, reason.clone()));
                }
                (Channel::Orders, Decision::Published(change)) => {
                    let change = change.clone();
                    after.ordered.push(Ordered::Published { seq, change });
                }
                (Channel::Orders, Decision::Refused(reason)) => {
                    let reason = reason.clone();
                    after.ordered.push(Ordered::Refused { seq, reason });
                }
            }
        }
        after
    }

    /// What is left to do after several snapshots, the oldest first, as far as a later one does not
    /// undo it. The changes and their answers are not in it.
    pub(crate) fn names_of_all<'a>(all: impl Iterator<Item = &'a After>) -> Self {
        let (mut files, mut pages) = (BTreeMap::new(), BTreeMap::new());
        let mut certificates = BTreeMap::new();
        let (mut list, mut seconds) = (false, Vec::new());
        let mut gone_projects = BTreeSet::new();
        for after in all {
            seconds.extend(after.seconds.iter().cloned());
            for file in &after.files {
                files.insert((&file.project, &file.filename), Ok(file));
            }
            for file in &after.gone {
                files.insert((&file.project, &file.filename), Err(file));
            }
            pages.extend(after.pages.iter().map(|page| (&page.project, page)));
            for page in &after.pages {
                gone_projects.remove(&page.project);
            }
            for project in &after.gone_projects {
                pages.remove(project);
                gone_projects.insert(project.clone());
            }
            let named = after.certificates.iter();
            certificates.extend(named.map(|named| (&named.project, named)));
            list |= after.list;
        }
        let mut merged = Self {
            seconds,
            pages: pages.into_values().cloned().collect(),
            certificates: certificates.into_values().cloned().collect(),
            gone_projects: gone_projects.into_iter().collect(),
            list,
            ..Self::default()
        };
        for file in files.into_values() {
            match file {
                Ok(named) => merged.files.push(named.clone()),
                Err(gone) => merged.gone.push(gone.clone()),
            }
        }
        merged
    }

    /// The answers to the uploads, once snapshot `snapshot_version` stands.
    pub(crate) fn outcomes(&self, snapshot_version: u64) -> Vec<(Seq, Outcome)> {
        let published = self
            .published
            .iter()
            .map(|seq| (Seq(*seq), Outcome::Published { snapshot_version }));
        let refused = self.refused.iter().map(|(seq, reason)| {
            (
                Seq(*seq),
                Outcome::Refused {
                    reason: reason.clone(),
                },
            )
        });
        published.chain(refused).collect()
    }
}

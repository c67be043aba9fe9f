//! What waits at an index for signatures, as its members see it.
//!
//! None of it is believed: what is signed is held against what was verified here, in `review`.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use url::Url;
use wheelmark_packaging::{DistributionFilename, ProjectName, Version};
use wheelmark_tuf::{Handover, Key, Sha256};

use super::review::Review;
use super::sending::refused;
use super::{Both, Desk, short};
use crate::logging::WithHint as _;

/// Longest answer that is read, in bytes: metadata and page, each of 4 MB, as text in JSON.
const MAX_ENTRY_LEN: usize = 32 * 1024 * 1024;

/// How much of a file is fetched at a time.
const PIECE_LEN: usize = 256 * 1024;

/// The least of an id that names something.
const LEAST_ID_LEN: usize = 8;

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A release that some have signed.
    Release,
    /// A file that nobody has.
    File,
}

/// Something that waits, as the index tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) id: Sha256,
    pub(crate) kind: Kind,
    pub(crate) project: ProjectName,
    pub(crate) state: String,
    pub(crate) received_at: String,
    pub(crate) ends_at: String,
    pub(crate) user: String,
    pub(crate) files: Vec<EntryFile>,
    #[serde(default)]
    pub(crate) claim: bool,
    #[serde(default)]
    pub(crate) threshold: u32,
    #[serde(default)]
    pub(crate) signed: Vec<String>,
    #[serde(default)]
    pub(crate) others: Vec<String>,
    /// Which keys come and go with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) change: Option<EntryChange>,
    #[serde(default, skip_serializing)]
    pub(crate) release: Option<StatedRelease>,
    #[serde(default, skip_serializing)]
    pub(crate) metadata: Option<String>,
    #[serde(default, skip_serializing)]
    pub(crate) page: Option<String>,
}

/// A change of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryChange {
    pub(crate) added: Vec<String>,
    pub(crate) removed: Vec<String>,
    pub(crate) threshold_before: u32,
    pub(crate) threshold: u32,
}

impl EntryChange {
    /// The change that a handover makes.
    pub(crate) fn of(handover: &Handover) -> Self {
        let (from, to) = (&handover.from, &handover.to);
        let ids = |keys: Vec<&Key>| -> Vec<String> {
            let keys = keys.into_iter();
            keys.map(|key| key.keyid().as_str().to_owned()).collect()
        };
        Self {
            added: ids(to.beyond(from)),
            removed: ids(from.beyond(to)),
            threshold_before: from.threshold(),
            threshold: to.threshold(),
        }
    }
}

/// What was said of it that nobody signs: whose keys are.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct StatedRelease {
    #[serde(default)]
    pub(crate) keys: Option<StatedKeysOf>,
    #[serde(default)]
    pub(crate) claim: Option<StatedClaimOf>,
}

/// Whose keys are to sign, and how many of them have to.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StatedClaimOf {
    pub(crate) keys: Vec<StatedKeyOf>,
    pub(crate) threshold: u32,
}

/// Whose the keys are that come in.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct StatedKeysOf {
    #[serde(default)]
    pub(crate) added: Vec<StatedKeyOf>,
}

/// Whose a key is.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StatedKeyOf {
    pub(crate) keyid: String,
    pub(crate) key: serde_json::Value,
    pub(crate) maintainer: String,
}

/// A file of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EntryFile {
    pub(crate) filename: String,
    pub(crate) sha256: Sha256,
    pub(crate) size: u64,
}

impl Entry {
    /// The same, with the signatures that were verified here in place of those that the index tells of.
    pub(crate) fn verified(self, review: &Review) -> Self {
        let missing = &review.missing;
        let others = missing.keyids().into_iter();
        let signed = u32::try_from(review.signed_by.len()).unwrap_or(u32::MAX);
        Self {
            others: others.map(|id| id.as_str().to_owned()).collect(),
            signed: review.signed_by.clone(),
            change: missing.brings.as_ref().map(EntryChange::of),
            threshold: signed.saturating_add(missing.least()),
            ..self
        }
    }

    /// What names this and nothing else on a command line: its release, or its id where it adds no files.
    pub(crate) fn call(&self) -> String {
        match self.files.is_empty() || self.claim {
            true => format!("{}@{}", self.project, short(&self.id.to_string())),
            false => self.name(),
        }
    }

    /// How many signatures are missing.
    pub(crate) fn missing(&self) -> usize {
        (self.threshold as usize).saturating_sub(self.signed.len())
    }

    /// The versions of its files.
    pub(crate) fn versions(&self) -> Vec<Version> {
        let files = self.files.iter();
        let names = files.filter_map(|file| DistributionFilename::parse(&file.filename).ok());
        let mut versions: Vec<Version> = names.map(|name| name.version().clone()).collect();
        versions.sort();
        versions.dedup();
        versions
    }

    /// What people call it.
    pub(crate) fn name(&self) -> String {
        match self.versions().as_slice() {
            [] => self.project.to_string(),
            versions => {
                let versions = versions.iter().map(ToString::to_string);
                let versions: Vec<String> = versions.collect();
                format!("{}=={}", self.project, versions.join(","))
            }
        }
    }

    /// What people are told that it is.
    pub(crate) fn what(&self) -> String {
        match (self.files.is_empty(), &self.change) {
            _ if self.claim => format!("the claim of {}", self.project),
            (_, Some(_)) => format!("the change of keys of {}", self.project),
            (true, None) if self.kind == Kind::Release => {
                format!("the renewal of {}", self.project)
            }
            _ => self.name(),
        }
    }
}

/// What somebody says to name something that waits: `acme-tools==2.0`, `acme-tools`,
/// `acme-tools@5f0c7a9b`, or the beginning of an id.
#[derive(Clone, Debug)]
pub(crate) enum Named {
    /// All of a project, or what has files of a version.
    Project(ProjectName, Option<Version>),
    /// By its id, as far as it is said; in this project, or in any that this machine knows.
    Id(Option<ProjectName>, String),
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((project, version)) = text.split_once("==") {
            let project: ProjectName = project.parse().map_err(|_| wrong(text))?;
            let version = version.parse().map_err(|_| wrong(text))?;
            return Ok(Self::Project(project, Some(version)));
        }
        let is_id = |text: &str| {
            let mut bytes = text.bytes();
            text.len() >= LEAST_ID_LEN
                && bytes.all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if let Some((project, id)) = text.split_once('@') {
            let project: ProjectName = project.parse().map_err(|_| wrong(text))?;
            let id = Some(id).filter(|id| is_id(id)).ok_or_else(|| wrong(text))?;
            return Ok(Self::Id(Some(project), id.to_owned()));
        }
        if is_id(text) {
            return Ok(Self::Id(None, text.to_owned()));
        }
        let project = text.parse().map_err(|_| wrong(text))?;
        Ok(Self::Project(project, None))
    }
}

fn wrong(text: &str) -> String {
    format!(
        "`{text}` names nothing that waits: say PROJECT==VERSION, PROJECT, PROJECT@ID, or an id"
    )
}

impl Named {
    fn fits(&self, entry: &Entry) -> bool {
        match self {
            Self::Project(project, None) => entry.project == *project,
            Self::Project(project, Some(version)) => {
                entry.project == *project && entry.versions().contains(version)
            }
            Self::Id(project, beginning) => {
                let is_in = project
                    .as_ref()
                    .is_none_or(|project| entry.project == *project);
                is_in && entry.id.to_string().starts_with(beginning)
            }
        }
    }
}

/// What an index says to a signature.
pub(crate) enum Answer {
    /// It was the last one that was missing.
    Published,
    /// Others have to sign, too.
    Waiting(Box<Entry>),
}

/// The URL of what waits in a project.
pub(super) fn staged_url(desk: &Desk, project: &ProjectName, rest: &[&str]) -> anyhow::Result<Url> {
    let mut url = desk
        .urls()
        .simple()
        .join(&format!("../_/projects/{project}/staged"))?;
    url.path_segments_mut()
        .map_err(|()| anyhow!("the index has a URL that nothing can stand behind"))?
        .extend(rest);
    Ok(url)
}

impl Desk {
    /// Everything that waits in a project.
    pub(crate) async fn waiting(&self, project: &ProjectName) -> anyhow::Result<Vec<Entry>> {
        #[derive(Deserialize)]
        struct All {
            staged: Vec<Entry>,
        }
        let url = staged_url(self, project, &[])?;
        let answer = self.remote.look_up(&url, MAX_ENTRY_LEN).await?;
        if answer.status != 200 {
            return refused(&answer, "look for it in the log of the index");
        }
        let all: All = serde_json::from_slice(&answer.body)
            .context("the index says something else than what waits there")?;
        let ours = all.staged.into_iter();
        Ok(ours.filter(|entry| entry.project == *project).collect())
    }

    /// What waits under this name; in any project that this machine knows, where it names none.
    pub(crate) async fn waiting_as(&self, named: &Named) -> anyhow::Result<Vec<Entry>> {
        let projects = match named {
            Named::Project(project, _) | Named::Id(Some(project), _) => vec![project.clone()],
            Named::Id(None, _) => self.known_projects()?,
        };
        let mut found = Vec::new();
        for project in projects {
            let waiting = match (self.waiting(&project).await, named) {
                (Ok(waiting), _) => waiting,
                // Most projects that are known here are somebody else's.
                (Err(error), Named::Id(None, _)) => {
                    tracing::debug!("{project}: {error:#}");
                    continue;
                }
                (Err(error), Named::Project(..) | Named::Id(Some(_), _)) => return Err(error),
            };
            found.extend(waiting.into_iter().filter(|entry| named.fits(entry)));
        }
        Ok(found)
    }

    /// The projects whose own people sign for them, as far as this machine has seen.
    pub(crate) fn known_projects(&self) -> anyhow::Result<Vec<ProjectName>> {
        let seen = self.index().seen_claims()?;
        Ok(seen.into_iter().map(|(project, _)| project).collect())
    }

    /// The one release that waits under this name, with all that is to be signed.
    pub(crate) async fn release_as(&self, named: &Named) -> anyhow::Result<Entry> {
        let mut releases = self.waiting_as(named).await?;
        releases.retain(|entry| entry.kind == Kind::Release);
        let [one] = releases.as_slice() else {
            let ids = releases.iter().map(|entry| entry.id.to_string());
            let ids: Vec<String> = ids.collect();
            return match ids.as_slice() {
                [] => Err(anyhow!("no release of this name waits for signatures")).hint(
                    "look what waits: wheelmark release list PROJECT; what is published waits no longer",
                ),
                ids => Err(anyhow!("several releases of this name wait: {}", ids.join(", ")))
                    .hint("name one by its id, or withdraw those that nobody wants"),
            };
        };
        let url = staged_url(self, &one.project, &[&one.id.to_string()])?;
        let answer = self.remote.look_up(&url, MAX_ENTRY_LEN).await?;
        if answer.status != 200 {
            return refused(&answer, "look what waits: wheelmark release list");
        }
        let entry: Entry = serde_json::from_slice(&answer.body)
            .context("the index says something else than what waits there")?;
        let is_it = entry.id == one.id && entry.project == one.project && named.fits(&entry);
        if !is_it || entry.kind != Kind::Release {
            return Err(anyhow!(
                "the index shows another release than the one that was asked for"
            ))
            .hint("nothing was signed; tell whoever runs the index");
        }
        Ok(entry)
    }

    /// Fetches a file that waits. Whether it is the one that was meant is for the caller to find out.
    pub(crate) async fn fetch_staged(
        &self,
        entry: &Entry,
        file: &EntryFile,
        to: &Path,
        progress: &indicatif::ProgressBar,
    ) -> anyhow::Result<()> {
        let id = entry.id.to_string();
        let url = staged_url(self, &entry.project, &[&id, "files", &file.filename])?;
        let arriving = self.remote.fetch_file(&url, 0).await?;
        let mut arriving =
            arriving.ok_or_else(|| anyhow!("the index does not hand out {}", file.filename))?;
        let mut written = tokio::fs::File::create_new(to).await?;
        let mut len = 0;
        loop {
            let piece = arriving.next(PIECE_LEN).await?;
            if piece.is_empty() {
                break;
            }
            len += piece.len() as u64;
            if len > file.size {
                return Err(anyhow!("{} is longer than it is said to be", file.filename))
                    .hint("nothing was signed; tell whoever runs the index");
            }
            progress.inc(piece.len() as u64);
            written.write_all(&piece).await?;
        }
        written.flush().await?;
        Ok(())
    }

    /// Brings a signature.
    pub(crate) async fn sign_staged(&self, entry: &Entry, signed: &Both) -> anyhow::Result<Answer> {
        let id = entry.id.to_string();
        let url = staged_url(self, &entry.project, &[&id, "signatures"])?;
        let mut stated = json!({
            "keyid": signed.metadata.keyid.as_str(),
            "sig": hex::encode(&signed.metadata.sig),
        });
        if let Some(handover) = &signed.handover {
            stated["handover"] = hex::encode(&handover.sig).into();
        }
        let answer = self.remote.post_json(&url, stated.to_string().into_bytes());
        let answer = answer
            .await
            .context("whether the signature arrived is not known")
            .hint("approve it once more: that does no harm")?;
        match answer.status {
            200 => Ok(Answer::Published),
            202 => Ok(Answer::Waiting(Box::new(
                serde_json::from_slice(&answer.body)
                    .context("the index says nothing of what waits there")?,
            ))),
            // It is recorded, and the snapshot is late: the caller looks what becomes of it.
            503 => Ok(Answer::Published),
            _ => refused(&answer, "look what waits: wheelmark release list"),
        }
    }

    /// Takes something back that waits.
    pub(crate) async fn withdraw(&self, entry: &Entry) -> anyhow::Result<()> {
        let url = staged_url(self, &entry.project, &[&entry.id.to_string()])?;
        let answer = self.remote.delete(&url).await?;
        match answer.status {
            204 => Ok(()),
            _ => refused(&answer, "look what waits: wheelmark release list"),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_named_by_project_version_or_id() {
        assert!(matches!(
            "acme-tools==2.0".parse().unwrap(),
            Named::Project(_, Some(_))
        ));
        assert!(matches!(
            "acme-tools".parse().unwrap(),
            Named::Project(_, None)
        ));
        assert!(matches!("0a1b2c3d".parse().unwrap(), Named::Id(None, _)));
        assert!(matches!(
            "acme-tools@0a1b2c3d".parse().unwrap(),
            Named::Id(Some(_), _)
        ));
        // Too short for an id, and a fine name.
        assert!(matches!("face".parse().unwrap(), Named::Project(..)));
        for wrong in [
            "",
            "acme tools",
            "acme==",
            "acme==x y",
            "acme@",
            "acme@0a1",
            "@0a1b2c3d",
        ] {
            assert!(wrong.parse::<Named>().is_err(), "{wrong}");
        }
    }
}

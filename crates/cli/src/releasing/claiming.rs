//! Looking through a claim that others have begun, before one signs it, too.
//!
//! What is signed is the first version of the project's role, which says of which keys it is a claim, and
//! how many of them are to sign. Whose they are is the index's word, so that whoever signs says which keys
//! they mean; afterwards it is looked whether the index delegates to those.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use serde_json::{Value, json};
use wheelmark_client::VerifiedPage;
use wheelmark_packaging::simple::{PageFile, ProjectPage};
use wheelmark_tuf::{Key, KeySet, Missing, Role as _, canonical, signed_digest, without_controls};

use super::handing_over::warnings;
use super::review::{CLOCK_TOLERANCE, LONGEST_WAIT, demand_life, signed_by};
use super::{Desk, Entry, Next};
use crate::logging::WithHint as _;

/// A claim that waits, whose every byte that is to be signed is accounted for.
pub(crate) struct ClaimReview {
    /// What is to be signed.
    pub(crate) next: Next,
    /// The very bytes.
    pub(crate) canonical: Vec<u8>,
    /// The keys that are to sign for the project, as the index says.
    pub(crate) keys: KeySet,
    /// Whose they are, as the index says, by their ids.
    pub(crate) people: BTreeMap<String, String>,
    /// Those that have signed, as verified here.
    signed_by: Vec<String>,
    missing: Missing,
    files: Vec<PageFile>,
}

/// Looks whether what is to be signed is the project's page as it is published, and nothing else.
pub(crate) async fn look_claim(desk: &Desk, entry: &Entry) -> anyhow::Result<ClaimReview> {
    let project = &entry.project;
    let wrong = |what: &str| -> anyhow::Error { anyhow!("{what}; nothing was signed") };
    let hint = "ask whoever claims it, by another way than the index, before you sign anything";
    let (Some(metadata), Some(page)) = (&entry.metadata, &entry.page) else {
        return Err(wrong("the index does not show what is to be signed")).hint(hint);
    };
    if signed_digest(metadata.as_bytes())? != entry.id {
        return Err(wrong("what waits under this id is something else")).hint(hint);
    }
    let (keys, people) = stated(entry)?;
    let missing = Missing::of_claim(metadata.as_bytes(), &keys)?;
    let file = canonical::parse(metadata.as_bytes())?;
    let canonical = canonical::encode(&file["signed"]);
    let by_id = keys.keys().values();
    let by_id = by_id.map(|key| (key.keyid().as_str().to_owned(), key.clone()));
    let signed_by = signed_by(&by_id.collect(), &canonical, &file);
    let base = desk.page(project).await?;
    if base.as_ref().is_some_and(|page| page.claim().is_some()) {
        return Err(wrong("it is claimed already"))
            .hint(format!("who signs for it: wheelmark explain {project}"));
    }
    let base = base.as_deref().map(VerifiedPage::page);
    let version = file["signed"]["version"].as_u64().unwrap_or_default();
    if version != desk.next_version(project, None).await? {
        return Err(wrong("it is not the next version of the project's role")).hint(hint);
    }
    let expires = file["signed"]["expires"].as_str().unwrap_or_default();
    let expires: Timestamp = expires.parse().context("the metadata has no end")?;
    demand_life(expires, desk.now)?;
    let read = ProjectPage::parse(page.as_bytes())?;
    demand_taken_over(&read, base, desk.now)
        .map_err(|what| wrong(&what))
        .hint(hint)?;
    if signed_by.is_empty() {
        return Err(wrong(
            "nobody has signed it who has one of the keys of the claim",
        ))
        .hint(hint);
    }
    let mut next = Next::until(project, base, read.files.clone(), version, expires)?;
    next.role.state_claim(&keys);
    if next.page != page.as_bytes() || next.role.to_canonical() != canonical {
        return Err(wrong(
            "what is to be signed is something else than the page that is published, claimed with these keys",
        ))
        .hint(hint);
    }
    Ok(ClaimReview {
        next,
        canonical,
        keys,
        people,
        signed_by,
        missing,
        files: read.files,
    })
}

/// The keys that the index says are to sign, and whose they are.
fn stated(entry: &Entry) -> anyhow::Result<(KeySet, BTreeMap<String, String>)> {
    let claim = entry
        .release
        .as_ref()
        .and_then(|stated| stated.claim.as_ref());
    let claim = claim.context("the index does not say whose keys are to sign")?;
    let (mut keys, mut people) = (Vec::new(), BTreeMap::new());
    for stated in &claim.keys {
        let key = Key::from_value(stated.key.clone())?;
        people.insert(key.keyid().as_str().to_owned(), stated.maintainer.clone());
        keys.push(key);
    }
    let set = KeySet::new(keys, claim.threshold).context("no project can have such keys")?;
    Ok((set, people))
}

/// Whether a page has the files of the one that is published, as they are, or taken over not long ago.
fn demand_taken_over(
    page: &ProjectPage,
    base: Option<&ProjectPage>,
    now: Timestamp,
) -> Result<(), String> {
    let published = base.map(|base| base.files.as_slice()).unwrap_or_default();
    if page.files.len() != published.len() {
        return Err("it has other files than those that are published".to_owned());
    }
    for known in published {
        let name = known.filename.as_str();
        let entry = page.file(name);
        let entry = entry.ok_or_else(|| format!("it takes {name} away"))?;
        let at = entry.wheelmark.as_ref().and_then(|marks| marks.adopted_at);
        let is_recent = |at: Timestamp| {
            let since = now.duration_since(at);
            since <= LONGEST_WAIT && since >= -CLOCK_TOLERANCE
        };
        let is_taken_over =
            at.is_some_and(|at| is_recent(at) && known.adopted(at).as_ref() == Some(entry));
        if entry != known && !is_taken_over {
            return Err(format!("it says something else of {name}"));
        }
    }
    Ok(())
}

impl ClaimReview {
    /// Whether these are the ids of all keys that are to sign, as a person says.
    pub(crate) fn demand_named(&self, named: &[String]) -> anyhow::Result<()> {
        let named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
        let ids: BTreeSet<&str> = self.keys.keys().keys().map(|id| id.as_str()).collect();
        if named == ids {
            return Ok(());
        }
        let ids: Vec<String> = ids.iter().map(|id| format!("--key {id}")).collect();
        let what = match named.is_empty() {
            true => "nobody on this machine has said whose keys are to sign for it",
            false => "the keys that you name are not those that are to sign for it",
        };
        Err(anyhow!("{what}; the index says {}", ids.join(" "))).hint(
            "compare the ids with those who have the keys, by another way than the index, and name them all: --key ID",
        )
    }

    /// The same entry, with what was verified here in place of what the index tells.
    pub(crate) fn verified(&self, entry: Entry) -> Entry {
        let others = self.missing.keyids().into_iter();
        Entry {
            others: others.map(|id| id.as_str().to_owned()).collect(),
            signed: self.signed_by.clone(),
            threshold: u32::try_from(self.keys.keys().len()).unwrap_or(u32::MAX),
            ..entry
        }
    }

    /// What there is to see.
    pub(crate) fn told(&self, desk: &Desk, entry: &Entry) -> String {
        let mut lines = vec![format!(
            "{} on {}, signed by {} of {} keys, each of which has to",
            entry.what(),
            desk.urls().simple(),
            self.signed_by.len(),
            self.keys.keys().len()
        )];
        for file in &self.files {
            let sha256 = file.sha256().map(|sha256| sha256.to_string());
            let word = match file.is_adopted() {
                true => "taken unseen      ",
                false => "compared, they say",
            };
            let sha256 = sha256.unwrap_or_default();
            lines.push(format!("  {word}  {sha256}  {}", file.filename));
        }
        if self.files.is_empty() {
            lines.push("  it has no files yet".to_owned());
        }
        lines.push(format!(
            "{} of these keys sign for it:",
            self.keys.threshold()
        ));
        for id in self.keys.keys().keys() {
            let whose = self
                .people
                .get(id.as_str())
                .map(|user| without_controls(user));
            let whose = whose.map(|user| format!("  ({user})")).unwrap_or_default();
            let has = self.signed_by.iter().any(|by| by == id.as_str());
            let has = if has { "  has signed" } else { "" };
            lines.push(format!("  {}{whose}{has}", id.as_str()));
        }
        lines.extend(warnings(&self.keys, &self.people));
        lines.push("which files were compared with copies is what whoever claims it says, and whose the keys are is what the index says".to_owned());
        lines.join("\n")
    }

    /// The same, for scripts.
    pub(crate) fn value(&self, entry: &Entry) -> Value {
        json!({
            "project": entry.project,
            "id": entry.id,
            "version": self.next.role.version,
            "signed": self.signed_by,
            "keys": self.people,
            "threshold": self.keys.threshold(),
            "expires": self.next.role.expires.to_string(),
            "files": self.files.len(),
            "adopted": self.files.iter().filter(|file| file.is_adopted()).count(),
            "warnings": warnings(&self.keys, &self.people),
        })
    }
}

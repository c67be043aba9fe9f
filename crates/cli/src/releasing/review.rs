//! Looking through what others have signed, before one signs it, too.
//!
//! ```text
//! what is to be signed ─┐
//! the page that was verified here, under the project's keys ─▶ Next, made again: the very same bytes?
//! its files, fetched ───▶ what the page says of them? ─▶ what is inside, against the last release
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use futures::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use wheelmark_client::{Claim, Content, VerifiedPage};
use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::{PageFile, ProjectPage, ReleasedFile};
use wheelmark_tuf::{
    Handover, Key, Missing, Role as _, Sha256, canonical, signed_digest, without_controls,
};

use super::differences::{Differences, Inside};
use super::files::released;
use super::staged::{Entry, EntryChange, EntryFile};
use super::{Change, Desk, Next, Shown, claimed, handovers, shown};
use crate::logging::WithHint as _;

/// For how long a release may wait: what was signed longer ago is not taken any more.
pub(super) const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The same of a change of keys.
const LONGEST_CHANGE: SignedDuration = SignedDuration::from_hours(5 * 24);

/// How far clocks may be apart.
pub(super) const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// For how long what is signed may hold, and for how long it must: as the snapshot process asks.
const MAX_LIFE: SignedDuration = SignedDuration::from_hours(400 * 24);
const MIN_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A release that waits, whose every byte that is to be signed is accounted for.
pub(crate) struct Review {
    /// The page that it is built on, as verified here.
    pub(crate) base: Arc<VerifiedPage>,
    /// Whose keys sign for the project.
    pub(crate) claim: Claim,
    /// What is to be signed.
    pub(crate) next: Next,
    /// The very bytes.
    pub(crate) canonical: Vec<u8>,
    /// The files that it adds.
    pub(crate) new: Vec<ReleasedFile>,
    /// The keys of the project that have signed it, as verified here.
    pub(crate) signed_by: Vec<String>,
    /// Whose signatures it lacks; the handover that it brings, if it brings one.
    pub(crate) missing: Missing,
    /// The ids of all keys that can sign it.
    pub(crate) signing: BTreeSet<String>,
}

impl Review {
    /// The ids of those keys that come in.
    pub(crate) fn added(&self) -> Vec<&str> {
        let added = self.missing.brings.iter().flat_map(Handover::added);
        added.map(|key| key.keyid().as_str()).collect()
    }

    /// Whether a person has named all keys that come in, whose they are being the index's word; what they
    /// name besides.
    pub(crate) fn demand_added(&self, named: &[String]) -> anyhow::Result<Vec<String>> {
        let added = self.added();
        let (come, others): (Vec<&String>, Vec<&String>) =
            named.iter().partition(|id| added.contains(&id.as_str()));
        if let Some(id) = added
            .iter()
            .find(|id| come.iter().all(|named| named != *id))
        {
            return Err(anyhow!(
                "nobody on this machine has said whose the key is that comes in: --key {id}"
            ))
            .hint("compare its id with whoever has it, by another way than the index, and name it: --key ID");
        }
        Ok(others.into_iter().cloned().collect())
    }

    /// The handover that it brings, as it is shown.
    pub(crate) fn change(&self, desk: &Desk, entry: &Entry) -> Option<Shown> {
        let handover = self.missing.brings.as_ref()?;
        let stated = entry
            .release
            .iter()
            .filter_map(|stated| stated.keys.as_ref());
        let named = stated.flat_map(|keys| &keys.added);
        let change = Change {
            from: handover.from.clone(),
            to: handover.to.clone(),
            number: handover.number,
            named: named
                .map(|key| (key.keyid.clone(), key.maintainer.clone()))
                .collect(),
            held: Vec::new(),
        };
        Some(shown(desk, &entry.project, &self.claim, &change))
    }
}

/// A file that a release adds, and in what it differs from the one before it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ReviewedFile {
    pub(crate) filename: String,
    pub(crate) sha256: Sha256,
    pub(crate) size: u64,
    #[serde(flatten)]
    pub(crate) differences: Differences,
}

/// Looks whether what is to be signed is the project's next page with more files, and says nothing
/// else: it is made anew from the page that was verified here, and has to come out the same.
pub(crate) async fn look(desk: &Desk, entry: &Entry) -> anyhow::Result<Review> {
    let (Some(metadata), Some(page)) = (&entry.metadata, &entry.page) else {
        return Err(anyhow!("the index does not show what is to be signed"))
            .hint("tell whoever runs it");
    };
    let wrong = |what: String| -> anyhow::Result<()> {
        Err(anyhow!("{what}; nothing was signed")).hint(
            "ask whoever published it, by another way than the index, before you sign anything",
        )
    };
    let id = signed_digest(metadata.as_bytes())?;
    if id != entry.id {
        wrong(format!(
            "what waits as {} is something else: {id}",
            entry.id
        ))?;
    }
    let file = canonical::parse(metadata.as_bytes())?;
    let signed = file
        .get("signed")
        .context("the metadata has no signed part")?;
    let canonical = canonical::encode(signed);
    let (base, claim) = claimed(desk, &entry.project).await?;
    let missing = missing(&claim, metadata.as_bytes())?;
    if entry.change != missing.brings.as_ref().map(EntryChange::of) {
        return Err(anyhow!(
            "the index tells of another change of keys than the one that is to be signed; nothing was signed"
        ))
        .hint("tell whoever runs the index, with this message");
    }
    let keys = keys_of(&claim, missing.brings.as_ref());
    let signed_by = signed_by(&keys, &canonical, &file);
    if signed_by.is_empty() {
        wrong("nobody has signed it whose key signs for the project".to_owned())?;
    }
    let version = signed["version"].as_u64().unwrap_or_default();
    if version != claim.version.saturating_add(1) {
        return Err(anyhow!(
            "it is version {version} of the project's role, and version {} is published: it can never go live",
            claim.version
        ))
        .hint("withdraw it, and publish its files again: wheelmark release withdraw, wheelmark publish");
    }
    let expires = signed["expires"].as_str().unwrap_or_default();
    let expires: Timestamp = expires.parse().context("the metadata has no end")?;
    demand_life(expires, desk.now)?;
    let read = ProjectPage::parse(page.as_bytes())?;
    let new = added(&read, base.as_signed(), desk.now)?;
    demand_files(entry, &new)?;
    let mut next = Next::until(
        &entry.project,
        Some(base.as_signed()),
        read.files,
        version,
        expires,
    )?;
    match &missing.brings {
        None => next = next.carrying(handovers(&claim)?),
        Some(handover) => {
            if !new.is_empty() {
                wrong("it changes keys and adds files, which come one after the other".to_owned())?;
            }
            demand_handover(handover, &claim, version, desk.now)?;
            next.role.state_waiting(handovers(&claim)?, handover);
        }
    }
    if next.page != page.as_bytes() {
        wrong("the page says something else besides its new files".to_owned())?;
    }
    if next.role.to_canonical() != canonical {
        wrong("what is to be signed is not what the page needs, and no more".to_owned())?;
    }
    Ok(Review {
        base,
        claim,
        next,
        canonical,
        new,
        signed_by,
        signing: keys.into_keys().collect(),
        missing,
    })
}

/// Whether what is signed would hold for as long as it may.
pub(super) fn demand_life(expires: Timestamp, now: Timestamp) -> anyhow::Result<()> {
    let life = expires.duration_since(now);
    match life > MAX_LIFE || life < MIN_LIFE {
        true => Err(anyhow!("it would hold until {expires}; nothing was signed"))
            .hint("ask whoever made it, by another way than the index, before you sign anything"),
        false => Ok(()),
    }
}

/// Whose signatures a file lacks, by the keys that were verified here; the handover that it brings.
fn missing(claim: &Claim, metadata: &[u8]) -> anyhow::Result<Missing> {
    let present = claim
        .set
        .as_ref()
        .context("the keys that sign for the project are not in the plain form of TUF")?;
    let missing = Missing::of(metadata, &claim.role, present, handovers(claim)?);
    // Who has signed the metadata has signed the handover, which the index shows to nobody: whether that
    // holds is for those to find out who publish it.
    let missing = missing.map(|missing| Missing {
        handover: Vec::new(),
        ..missing
    });
    missing
        .context("what it says of the project's keys is not what was verified here, and at most one change more; nothing was signed")
        .hint("ask whoever made it, by another way than the index, before you sign anything")
}

/// Whether a handover is one from the keys of today, made for this version, and not long ago.
fn demand_handover(
    handover: &Handover,
    claim: &Claim,
    version: u64,
    now: Timestamp,
) -> anyhow::Result<()> {
    let since = now.duration_since(handover.made_at);
    let wrong = if Some(&handover.from) != claim.present() {
        "the change is not one from the keys that sign for the project".to_owned()
    } else if handover.version != version {
        "the change is not one of this version of the project's role".to_owned()
    } else if since > LONGEST_CHANGE || since < -CLOCK_TOLERANCE {
        format!("the change says that it was made at {}", handover.made_at)
    } else {
        return Ok(());
    };
    Err(anyhow!("{wrong}; nothing was signed"))
        .hint("withdraw it, and make the change anew: wheelmark release withdraw")
}

/// All keys that can sign it, by their ids.
fn keys_of(claim: &Claim, brings: Option<&Handover>) -> BTreeMap<String, Key> {
    let sets = brings
        .into_iter()
        .flat_map(|brings| [&brings.from, &brings.to]);
    let sets = sets.chain(claim.present());
    let keys = sets.flat_map(|set| set.keys().values());
    let keys = keys.map(|key| (key.keyid().as_str().to_owned(), key.clone()));
    keys.chain(claim.public.clone()).collect()
}

/// Those keys that have signed these bytes.
pub(super) fn signed_by(
    keys: &BTreeMap<String, Key>,
    canonical: &[u8],
    file: &serde_json::Value,
) -> Vec<String> {
    let signed = keys.iter().filter(|(id, key)| {
        let mut entries = file["signatures"].as_array().into_iter().flatten();
        let entry = entries.find(|entry| entry["keyid"] == **id);
        let sig = entry.and_then(|entry| hex::decode(entry["sig"].as_str()?).ok());
        sig.is_some_and(|sig| key.verify(canonical, &sig).is_ok())
    });
    signed.map(|(id, _)| id.clone()).collect()
}

/// Whether the files that the index tells of are those that the page adds.
fn demand_files(entry: &Entry, new: &[ReleasedFile]) -> anyhow::Result<()> {
    let told = entry.files.iter();
    let mut told: Vec<_> = told
        .map(|file| (file.filename.as_str(), file.sha256.0, file.size))
        .collect();
    let mut meant: Vec<(&str, [u8; 32], u64)> = new
        .iter()
        .map(|file| (file.filename.as_str(), file.sha256.into(), file.size))
        .collect();
    told.sort_unstable();
    meant.sort_unstable();
    if told == meant {
        return Ok(());
    }
    Err(anyhow!(
        "the index tells of other files than those that are to be signed; nothing was signed"
    ))
    .hint("tell whoever runs the index, with this message")
}

/// The files that a page adds to the one before it, which is all that it may do.
fn added(
    page: &ProjectPage,
    base: &ProjectPage,
    now: Timestamp,
) -> anyhow::Result<Vec<ReleasedFile>> {
    let hint = "ask whoever published it, by another way than the index, before you sign anything";
    for known in &base.files {
        let name = known.filename.as_str();
        let entry = page.file(name);
        if entry.is_none() {
            return Err(anyhow!("it takes {name} away; nothing was signed")).hint(hint);
        }
        if entry != Some(known) {
            return Err(anyhow!(
                "it says something else of {name}; nothing was signed"
            ))
            .hint(hint);
        }
    }
    let is_new = |entry: &&PageFile| base.file(entry.filename.as_str()).is_none();
    let mut added = Vec::new();
    for entry in page.files.iter().filter(is_new) {
        let name = entry.filename.as_str();
        let Some(file) = entry.as_released(&page.name) else {
            return Err(anyhow!(
                "it says more of {name} than a release can; nothing was signed"
            ))
            .hint(hint);
        };
        let since = now.duration_since(file.signed_at);
        if since > LONGEST_WAIT || since < -CLOCK_TOLERANCE {
            return Err(anyhow!(
                "{name} says that it was signed at {}; nothing was signed",
                file.signed_at
            ))
            .hint("publish its files again: what is older than 30 days is not taken");
        }
        added.push(file);
    }
    Ok(added)
}

/// Fetches all files that a release adds, looks whether they are those that the page speaks of, and
/// holds what is inside against the last release.
pub(crate) async fn compare(
    desk: &Desk,
    entry: &Entry,
    review: &Review,
    folder: &Path,
) -> anyhow::Result<Vec<ReviewedFile>> {
    let progress = progress(review.new.iter().map(|file| file.size).sum());
    let mut files = Vec::with_capacity(review.new.len());
    for file in &review.new {
        let name = file.filename.as_str();
        let path = folder.join(name);
        progress.set_message(name.to_owned());
        let sent = EntryFile {
            filename: name.to_owned(),
            sha256: Sha256(file.sha256.into()),
            size: file.size,
        };
        desk.fetch_staged(entry, &sent, &path, &progress).await?;
        let found = released(&path, file.filename.clone(), file.signed_at)?;
        if found != *file {
            return Err(anyhow!(
                "{name} at the index is not the file that is to be signed; nothing was signed"
            ))
            .hint(
                "somebody has changed it there: tell whoever runs the index, and publish it again",
            );
        }
        let base = review.base.page();
        let differences = against_last(desk, base, file, &path, folder).await?;
        files.push(ReviewedFile {
            filename: name.to_owned(),
            sha256: sent.sha256,
            size: file.size,
            differences,
        });
    }
    progress.finish_and_clear();
    Ok(files)
}

/// In what a file differs from that of the last release of a page.
pub(crate) async fn against_last(
    desk: &Desk,
    base: &ProjectPage,
    file: &ReleasedFile,
    path: &Path,
    folder: &Path,
) -> anyhow::Result<Differences> {
    let inside = Inside::read(path, &file.filename)?;
    let Some(before) = counterpart(&file.filename, &base.files) else {
        return Ok(inside.against(None));
    };
    let name = before.filename.as_str();
    let old = fetch_published(desk, base, name, &folder.join("before")).await?;
    // One that was never looked into by today's rules may not be readable.
    let read = Inside::read(&old, &before.filename);
    std::fs::remove_file(&old)?;
    let mut differences = match read {
        Ok(read) => inside.against(Some(&read)),
        Err(error) => {
            let error = without_controls(&error.to_string());
            tracing::warn!("{name} cannot be looked into: {error}");
            return Ok(inside.against(None));
        }
    };
    differences.compared_with = Some(name.to_owned());
    differences.provenance_lost = before.provenance.is_some();
    Ok(differences)
}

/// The file of the last release that another is held against: of the same kind, with the same tags if
/// there is one.
fn counterpart<'a>(filename: &DistributionFilename, files: &'a [PageFile]) -> Option<&'a PageFile> {
    let is_wheel = |name: &DistributionFilename| matches!(name, DistributionFilename::Wheel(_));
    let alike = files.iter();
    let alike = alike.filter(|file| is_wheel(&file.filename) == is_wheel(filename));
    let tags = |name: &DistributionFilename| {
        let parts = name.as_str().rsplitn(4, '-').take(3);
        parts.map(str::to_owned).collect::<Vec<_>>()
    };
    let wanted = tags(filename);
    alike.max_by_key(|file| {
        let version = file.filename.version().clone();
        (version, tags(&file.filename) == wanted)
    })
}

async fn fetch_published(
    desk: &Desk,
    page: &ProjectPage,
    name: &str,
    to: &Path,
) -> anyhow::Result<PathBuf> {
    let refused = |refusal: Arc<wheelmark_client::Refusal>| anyhow!(refusal.what());
    let signed = desk.reader.signed_file(&page.name, name).await;
    let signed = signed.map_err(refused)?;
    let signed = signed.with_context(|| format!("{name} is not there any more"))?;
    let content = desk.reader.content(&signed, None).await.map_err(refused)?;
    let mut file = tokio::fs::File::create(to).await?;
    match content {
        Content::Whole(bytes) => file.write_all(&bytes).await?,
        Content::Pieces(mut pieces) => {
            while let Some(piece) = pieces.next().await {
                file.write_all(&piece.map_err(refused)?).await?;
            }
        }
    }
    file.flush().await?;
    Ok(to.to_owned())
}

/// Shown where somebody looks at a terminal.
pub(crate) fn progress(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    if let Ok(style) = ProgressStyle::with_template("{bytes}/{total_bytes} {bar:30} {msg}") {
        bar.set_style(style);
    }
    bar
}

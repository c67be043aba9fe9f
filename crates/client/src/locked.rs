//! What a lock file names, against what is signed: metadata and pages alone are fetched, and the
//! provenance of files where it is asked who attests to them.
//!
//! ```text
//!  LockedPackage ─▶ its project's home ─▶ verified page ─▶ each file: is it listed, are its
//!                                                         digest and length the signed ones?
//!                                                         who attests to it, where that is asked?
//! ```
//!
//! A lock file is believed nothing. It names an index and URLs; which index answers for a
//! project is the client's own knowledge, and what it says is compared with that.

use std::sync::Arc;

use futures::stream::{self, StreamExt as _};
use url::Url;
use wheelmark_packaging::lock::{FilePlace, LockedFile, LockedPackage};
use wheelmark_packaging::simple::{Hashes, PageFile, ProjectPage, Yanked};
use wheelmark_packaging::{ProjectName, Version};
use wheelmark_tuf::{RoleName, Sha256};

use crate::dropped::Withdrawn;
use crate::evidence::Evidence;
use crate::guard::{Guard, Unsatisfied};
use crate::homes::{Home, Homes};
use crate::index::base_url;
use crate::page::VerifiedPage;
use crate::refusal::{Refusal, Subject};
use crate::remote::is_loopback;
use wheelmark_provenance::Chain;
use wheelmark_provenance::policy::DemandKind;

/// Packages looked up at once.
const AT_ONCE: usize = 16;

/// Digests of files that two inputs can be made for are no digests (RFC 6151, RFC 6194).
const BROKEN: [&str; 2] = ["md5", "sha1"];

/// Whether it is looked at who attests to locked files.
#[derive(Clone, Copy, Debug)]
pub enum Witnessing<'a> {
    /// Where the policy asks it, which can be that of the lock itself.
    Asked(&'a Guard),
    /// Of every file.
    Every(&'a Guard),
}

/// What was found of one locked package.
#[derive(Debug)]
pub struct CheckedPackage {
    /// The project.
    pub project: ProjectName,
    /// The locked version.
    pub version: Option<Version>,
    /// The index that answers for the project, by its simple URL.
    pub home: Option<Url>,
    /// The role that signs for the project's page, with its version.
    pub signed_by: Option<(RoleName, u64)>,
    /// Who vouches for the page.
    pub chain: Option<Chain>,
    /// The index that the lock names, if that is not the home.
    pub named_elsewhere: Option<String>,
    /// What is wrong with the package as a whole.
    pub trouble: Option<PackageTrouble>,
    /// What was found of its files.
    pub files: Vec<CheckedFile>,
}

/// What is wrong with a locked package as a whole.
#[derive(Debug)]
pub enum PackageTrouble {
    /// No version is locked: whoever follows it takes any.
    NotPinned,
    /// No digest is locked: whoever follows it takes what the index serves then.
    NoDigests,
    /// The project has no such version, as far as is signed.
    NoVersion,
    /// The project's home is an index that nobody signs for: what it lists is its own word.
    NotSigned,
    /// No index that is trusted has the project; why, in words.
    NoHome(String),
    /// The index's answer does not verify, or is not to be had.
    Refused(Arc<Refusal>),
}

/// What was found of one locked file.
#[derive(Debug)]
pub struct CheckedFile {
    /// Its name; that of the signed file, where the lock has a digest alone.
    pub filename: Option<String>,
    /// The locked digests.
    pub locked: Hashes,
    /// What the index says.
    pub verdict: FileVerdict,
    /// Whether the signed page says that it was yanked.
    pub yanked: Yanked,
    /// Whether the lock names a place on the machine that wrote it.
    pub at_loopback: bool,
    /// When it was uploaded, as far as its page says it.
    pub uploaded: Option<jiff::Timestamp>,
    /// Who attests to it, where that was looked at, or why that cannot be told.
    pub evidence: Option<Result<Evidence, Arc<Refusal>>>,
    /// What the policy asks of who attests to it, and it has not.
    pub lacks: Vec<Unsatisfied>,
}

/// What the index says of a locked file.
#[derive(Debug)]
pub enum FileVerdict {
    /// The locked digest is the signed one.
    Signed,
    /// The index signed other bytes under this name.
    OtherBytes {
        /// The algorithm by which they differ.
        algorithm: String,
        /// The signed digest.
        signed: String,
    },
    /// The index signed another length.
    OtherLength {
        /// The signed length in bytes.
        signed: u64,
    },
    /// No digest is locked.
    NoDigest,
    /// A digest is locked of a kind that is not signed, or only digests that are broken.
    NoSignedDigest,
    /// It is the signed file of another version than the locked one.
    OtherVersion(Version),
    /// The signed page of the project does not list it.
    Unlisted,
    /// The index took it away.
    Removed {
        /// When.
        at: jiff::Timestamp,
    },
    /// The index listed these bytes until it was recovered from a break-in.
    Withdrawn(Box<Withdrawn>),
    /// The index withholds the project's files.
    Withheld,
    /// It lies on the machine that installs: no index signs for it.
    NotFromIndex,
    /// The index's answer does not verify, or is not to be had.
    Refused(Arc<Refusal>),
}

impl CheckedPackage {
    /// Whether everything locked of it is signed, and attested as far as that is asked.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.trouble.is_none() && self.files.iter().all(CheckedFile::holds)
    }
}

impl CheckedFile {
    /// Whether it is signed, and attested as far as that is asked.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self.verdict, FileVerdict::Signed)
            && self.lacks.is_empty()
            && !matches!(self.evidence, Some(Err(_)))
    }
}

/// Looks up every package, many at once; in the order in which they are locked. `seen` is told
/// after each.
pub async fn check_locked(
    homes: &Homes,
    packages: &[LockedPackage],
    witnessing: Witnessing<'_>,
    seen: impl Fn(&CheckedPackage),
) -> Vec<CheckedPackage> {
    let looked_up = packages
        .iter()
        .map(|package| check(homes, package, witnessing));
    stream::iter(looked_up)
        .buffered(AT_ONCE)
        .inspect(seen)
        .collect()
        .await
}

async fn check(
    homes: &Homes,
    package: &LockedPackage,
    witnessing: Witnessing<'_>,
) -> CheckedPackage {
    let mut checked = CheckedPackage {
        project: package.project.clone(),
        version: package.version.clone(),
        home: None,
        signed_by: None,
        chain: None,
        named_elsewhere: None,
        trouble: None,
        files: Vec::new(),
    };
    match found(homes, &package.project).await {
        Ok(Some((home, page))) => {
            against(&home, &page, package, &mut checked).await;
            for file in &mut checked.files {
                attested(&home, &page, witnessing, file).await;
            }
        }
        Ok(None) => {
            let why = homes.absence_or_break(&package.project);
            checked.trouble = Some(PackageTrouble::NoHome(why));
            checked.named_elsewhere.clone_from(&package.index);
        }
        Err(refusal) => checked.trouble = Some(PackageTrouble::Refused(refusal)),
    }
    checked
}

async fn found(
    homes: &Homes,
    project: &ProjectName,
) -> Result<Option<(Home, Arc<VerifiedPage>)>, Arc<Refusal>> {
    let Some(home) = homes.home_of(project, None).await? else {
        return Ok(None);
    };
    let page = home.page(project).await?;
    Ok(page.map(|page| (home, page)))
}

async fn against(
    home: &Home,
    page: &VerifiedPage,
    package: &LockedPackage,
    checked: &mut CheckedPackage,
) {
    let index = home.reader().index().urls().simple();
    checked.home = Some(index.clone());
    checked.signed_by = page.signed_by();
    checked.chain = Some(page.chain());
    let named = package.index.as_deref();
    let elsewhere = named.filter(|named| base_url(named).ok().as_ref() != Some(index));
    checked.named_elsewhere = elsewhere.map(str::to_owned);
    checked.trouble = match page.chain() {
        Chain::Unsigned => Some(PackageTrouble::NotSigned),
        _ => trouble(page.page(), package),
    };
    for file in &package.files {
        let found = check_file(home, page.page(), package, file).await;
        checked.files.push(found);
    }
}

fn trouble(page: &ProjectPage, package: &LockedPackage) -> Option<PackageTrouble> {
    let Some(version) = &package.version else {
        return Some(PackageTrouble::NotPinned);
    };
    let mut files = page.files.iter().chain(&page.wheelmark.withheld);
    let removed = || page.wheelmark.removed.values().map(|it| &it.entry);
    let known = files.any(|file| is_of(file, version)) || removed().any(|it| is_of(it, version));
    if !known && package.files.is_empty() {
        return Some(PackageTrouble::NoVersion);
    }
    package
        .files
        .is_empty()
        .then_some(PackageTrouble::NoDigests)
}

/// Whether a file is of a version as `==` has it: a version without a local part stands for
/// those that have one (PEP 440, *Version matching*).
fn is_of(file: &PageFile, locked: &Version) -> bool {
    let version = file.filename.version();
    version == locked || !locked.is_local() && version.clone().without_local() == *locked
}

async fn check_file(
    home: &Home,
    page: &ProjectPage,
    package: &LockedPackage,
    locked: &LockedFile,
) -> CheckedFile {
    let at_loopback = match &locked.at {
        FilePlace::Url(url) => Url::parse(url).is_ok_and(|url| {
            is_loopback(&url) && url.origin() != home.reader().index().urls().simple().origin()
        }),
        FilePlace::Index | FilePlace::Path(_) => false,
    };
    let mut checked = CheckedFile {
        filename: locked.filename.clone(),
        locked: locked.hashes.clone(),
        verdict: FileVerdict::Unlisted,
        yanked: Yanked::No,
        at_loopback,
        uploaded: None,
        evidence: None,
        lacks: Vec::new(),
    };
    if matches!(locked.at, FilePlace::Path(_)) {
        checked.verdict = FileVerdict::NotFromIndex;
        return checked;
    }
    let is_it = |file: &&PageFile| match &locked.filename {
        Some(name) => file.filename.as_str() == name,
        None => {
            let version = package.version.as_ref();
            let right = version.is_none_or(|version| is_of(file, version));
            right && has_same(&file.hashes, &locked.hashes)
        }
    };
    // Whatever stands under its name now.
    let withdrawn = locked.hashes.sha256().and_then(|sha256| {
        let index = home.reader().index().urls().simple();
        Withdrawn::of_bytes(page, &Sha256(sha256.into()), index)
    });
    if let Some(withdrawn) = withdrawn {
        checked.verdict = FileVerdict::Withdrawn(Box::new(withdrawn));
        return checked;
    }
    let Some(entry) = page.files.iter().find(is_it) else {
        checked.verdict = taken_away(page, is_it);
        return checked;
    };
    checked.filename = Some(entry.filename.as_str().to_owned());
    checked.yanked = entry.yanked.clone();
    checked.uploaded = entry.upload_time;
    checked.verdict = match home
        .signed_file(&package.project, entry.filename.as_str())
        .await
    {
        Ok(Some(signed)) => {
            let mut hashes = entry.hashes.clone();
            // What the index signed for the file, by whatever way that was weighed.
            drop(hashes.insert("sha256", &signed.sha256().to_string()));
            verdict(package, locked, entry, &hashes, signed.size())
        }
        Ok(None) => FileVerdict::Unlisted,
        Err(refusal) => FileVerdict::Refused(refusal),
    };
    checked
}

/// Looks at who attests to a file, if it is the one that is listed.
async fn attested(
    home: &Home,
    page: &VerifiedPage,
    witnessing: Witnessing<'_>,
    file: &mut CheckedFile,
) {
    let name = file.filename.as_deref().unwrap_or_default();
    let Some(entry) = page.page().file(name) else {
        return;
    };
    let (guard, every) = match witnessing {
        Witnessing::Asked(guard) => (guard, false),
        Witnessing::Every(guard) => (guard, true),
    };
    let asked = guard.policy().asks(&entry.filename, DemandKind::AttestedBy);
    if !matches!(file.verdict, FileVerdict::Signed) || !(asked || every) {
        return;
    }
    let found = guard.look(home.reader(), page, entry).await;
    file.evidence = Some(found.map_err(|failure| {
        Arc::new(Refusal {
            subject: Subject::File(page.page().name.clone(), name.to_owned()),
            failure,
            signed_by: page.signed_by(),
            index: Some(home.reader().index().urls().simple().clone()),
        })
    }));
    if let Some(Ok(evidence)) = &file.evidence {
        file.lacks = guard.lacking(page, entry, evidence);
    }
}

/// What the page says of a file that it does not list.
fn taken_away(page: &ProjectPage, is_it: impl Fn(&&PageFile) -> bool) -> FileVerdict {
    if page.wheelmark.withheld.iter().any(|file| is_it(&file)) {
        return FileVerdict::Withheld;
    }
    let mut removed = page.wheelmark.removed.values();
    match removed.find(|removed| is_it(&&removed.entry)) {
        Some(removed) => FileVerdict::Removed {
            at: removed.removed_at,
        },
        None => FileVerdict::Unlisted,
    }
}

fn verdict(
    package: &LockedPackage,
    locked: &LockedFile,
    entry: &PageFile,
    signed: &Hashes,
    size: u64,
) -> FileVerdict {
    if locked.hashes.is_empty() {
        return FileVerdict::NoDigest;
    }
    for (algorithm, digest) in locked.hashes.iter() {
        if let Some(signed) = signed.get(algorithm).filter(|signed| *signed != digest) {
            return FileVerdict::OtherBytes {
                algorithm: algorithm.to_owned(),
                signed: signed.to_owned(),
            };
        }
    }
    // Installers are content with any one of several: each has to be of the signed bytes.
    let mut locked_algorithms = locked.hashes.iter().map(|(algorithm, _)| algorithm);
    let unsigned = locked_algorithms.any(|algorithm| signed.get(algorithm).is_none());
    if unsigned || !has_same(signed, &locked.hashes) {
        return FileVerdict::NoSignedDigest;
    }
    if locked.size.is_some_and(|locked| locked != size) {
        return FileVerdict::OtherLength { signed: size };
    }
    match &package.version {
        Some(version) if !is_of(entry, version) => {
            FileVerdict::OtherVersion(entry.filename.version().clone())
        }
        _ => FileVerdict::Signed,
    }
}

/// Whether a digest that says which bytes they are is in both, and none differs.
fn has_same(signed: &Hashes, locked: &Hashes) -> bool {
    let mut same = false;
    for (algorithm, digest) in locked.iter() {
        match signed.get(algorithm) {
            Some(signed) if signed != digest => return false,
            Some(_) => same |= !BROKEN.contains(&algorithm),
            None => {}
        }
    }
    same
}

#[cfg(test)]
mod tests;

//! A lock file: is everything that it names what an index signed?

mod read;
mod words;

use std::collections::BTreeSet;
use std::path::{Component, Path};

use serde_json::{Value, json};
use wheelmark_client::{
    CheckedFile, CheckedPackage, Evidence, FileVerdict, Freshness, Guard, Homes, PackageTrouble,
    Witnessing, check_locked,
};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::lock::{Elsewhere, ElsewhereKind, LockFile, LockFormat};
use wheelmark_packaging::simple::Yanked;
use wheelmark_provenance::policy::Policy;

pub(crate) use self::read::read_lock;
use super::counted::Counted;
use super::{Args, Excepted, Outcome, withdrawn};
use crate::commands::lock::asked;
use crate::context::Context;
use crate::homes::{HomesOptions, Readers, open_homes};
use crate::policy::trusted_roots;

/// A lock file with all that was found of it.
pub(super) struct Told<'a> {
    pub(super) name: &'a str,
    pub(super) lock: &'a LockFile,
    pub(super) checked: &'a [CheckedPackage],
    pub(super) excepted: &'a Excepted,
    /// Source trees below the lock's folder, of projects that no trusted index has.
    pub(super) own: &'a BTreeSet<ProjectName>,
    /// Most rows of the table.
    pub(super) listed: usize,
}

impl Told<'_> {
    /// Whether a package is what was signed, or was said to be of no concern.
    pub(super) fn holds(&self, package: &CheckedPackage) -> bool {
        package.holds() || self.excepted.has_project(&package.project)
    }

    /// Whether something is in order that no index answers for: the project that the lock belongs
    /// to, others beside it that no index has, or what the person takes upon themselves.
    pub(super) fn may_be(&self, other: &Elsewhere) -> bool {
        let known = |project| self.excepted.has_project(project) || self.own.contains(project);
        is_own(other) || other.project.as_ref().is_some_and(known)
    }

    fn all_hold(&self) -> bool {
        self.checked.iter().all(|package| self.holds(package))
            && self.lock.elsewhere.iter().all(|other| self.may_be(other))
    }
}

/// Whether it is the project that the lock belongs to.
fn is_own(other: &Elsewhere) -> bool {
    other.kind == ElsewhereKind::Tree && other.place == "."
}

/// The projects of source trees below the lock's folder that no trusted index has. One that an
/// index has could be there to take its place.
async fn own_projects(homes: &Homes, lock: &LockFile) -> BTreeSet<ProjectName> {
    let below = |other: &&Elsewhere| {
        let mut parts = Path::new(&other.place).components();
        let plain = parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        other.kind == ElsewhereKind::Tree && plain && !other.place.contains([':', '\\'])
    };
    let mut own = BTreeSet::new();
    for project in lock
        .elsewhere
        .iter()
        .filter(below)
        .filter_map(|it| it.project.as_ref())
    {
        let mut known = false;
        for reader in homes.readers() {
            known |= !matches!(reader.page(project).await, Ok(None));
        }
        if !known {
            own.insert(project.clone());
        }
    }
    own
}

pub(super) async fn verify(
    path: &Path,
    format: LockFormat,
    args: &Args,
    context: &Context,
) -> anyhow::Result<Outcome> {
    let (lock, paths) = read_lock(path, format)?;
    let name = path.display().to_string();
    let mut asks = Vec::new();
    for path in &paths {
        asks.extend(asked(path, &path.display().to_string())?);
    }
    let homes = open_homes(
        context,
        HomesOptions {
            index: args.anchor.index.as_deref(),
            freshness: Freshness::Once,
            strict: args.strict,
            readers: Readers::Person,
            policy: None,
        },
    )?;
    let guard = Guard::new(
        Policy::new(asks),
        trusted_roots(context)?,
        context.clock.clone(),
    );
    let witnessing = Witnessing::Asked(&guard);
    let counted = Counted::of(&name, Some(lock.packages.len() as u64));
    let checked = check_locked(&homes, &lock.packages, witnessing, |package| {
        counted.one(package.project.as_str());
    })
    .await;
    drop(counted);
    let own = own_projects(&homes, &lock).await;
    let told = Told {
        name: &name,
        own: &own,
        lock: &lock,
        checked: &checked,
        excepted: &args.excepted(),
        listed: args.list,
    };
    Ok(Outcome {
        holds: told.all_hold(),
        text: words::text(&told),
        json: to_json(&told),
    })
}

fn to_json(told: &Told<'_>) -> Value {
    let packages: Vec<Value> = told
        .checked
        .iter()
        .map(|it| package_json(it, told))
        .collect();
    let elsewhere = told.lock.elsewhere.iter().map(|other| {
        json!({
            "project": other.project.as_ref().map(|project| project.as_str()),
            "kind": kind(other.kind),
            "place": other.place,
        })
    });
    json!({
        "kind": "lock",
        "format": told.lock.format.to_string(),
        "version": told.lock.version,
        "packages": packages,
        "not_from_an_index": elsewhere.collect::<Vec<_>>(),
        "indexes": told.lock.indexes,
        "notes": told.lock.notes,
    })
}

fn kind(kind: ElsewhereKind) -> &'static str {
    match kind {
        ElsewhereKind::Tree => "tree",
        ElsewhereKind::Repository => "repository",
        ElsewhereKind::Url => "url",
        ElsewhereKind::Path => "path",
    }
}

fn package_json(package: &CheckedPackage, told: &Told<'_>) -> Value {
    let (role, role_version) = package.signed_by.clone().unzip();
    let (trouble, why) = match &package.trouble {
        None => (None, None),
        Some(PackageTrouble::NotPinned) => (Some("not-pinned"), None),
        Some(PackageTrouble::NoDigests) => (Some("no-hashes"), None),
        Some(PackageTrouble::NoVersion) => (Some("no-such-version"), None),
        Some(PackageTrouble::NotSigned) => (Some("index-not-signed"), None),
        Some(PackageTrouble::NoHome(why)) => (Some("not-on-its-index"), Some(why.clone())),
        Some(PackageTrouble::Refused(refusal)) => (Some("refused"), Some(refusal.to_string())),
    };
    json!({
        "project": package.project.as_str(),
        "version": package.version.as_ref().map(ToString::to_string),
        "index": package.home.as_ref().map(|home| home.as_str()),
        "index_named": package.named_elsewhere,
        "chain": package.chain.map(|chain| chain.to_string()),
        "role": role.map(|role| role.to_string()),
        "role_version": role_version,
        "holds": package.holds(),
        "excepted": told.excepted.has_project(&package.project),
        "trouble": trouble,
        "why": why,
        "files": package.files.iter().map(file_json).collect::<Vec<_>>(),
    })
}

fn file_json(file: &CheckedFile) -> Value {
    let locked: serde_json::Map<String, Value> = file
        .locked
        .iter()
        .map(|(algorithm, digest)| (algorithm.to_owned(), digest.into()))
        .collect();
    let mut json = json!({
        "file": file.filename,
        "locked": locked,
        "verdict": verdict(&file.verdict),
        "holds": file.holds(),
        "yanked": match &file.yanked {
            Yanked::No => Value::Bool(false),
            Yanked::Yes => Value::Bool(true),
            Yanked::Because(why) => why.as_str().into(),
        },
    });
    match &file.evidence {
        None => {}
        Some(Ok(Evidence::By(identities))) => {
            json["attested_by"] = identities.iter().map(ToString::to_string).collect();
        }
        Some(Ok(evidence)) => json["not_attested"] = evidence.why().into(),
        Some(Err(refusal)) => json["not_attested"] = refusal.to_string().into(),
    }
    if !file.lacks.is_empty() {
        json["lacks"] = file.lacks.iter().map(ToString::to_string).collect();
    }
    match &file.verdict {
        FileVerdict::OtherBytes { algorithm, signed } => {
            json["signed"] = json!({ algorithm.as_str(): signed });
        }
        FileVerdict::OtherLength { signed } => json["signed_size"] = (*signed).into(),
        FileVerdict::OtherVersion(version) => json["version"] = version.to_string().into(),
        FileVerdict::Removed { at } => json["removed_at"] = at.to_string().into(),
        FileVerdict::Withdrawn(it) => json["withdrawn"] = withdrawn::to_json(it),
        FileVerdict::Refused(refusal) => json["why"] = refusal.to_string().into(),
        FileVerdict::Signed
        | FileVerdict::NoDigest
        | FileVerdict::NoSignedDigest
        | FileVerdict::Unlisted
        | FileVerdict::Withheld
        | FileVerdict::NotFromIndex => {}
    }
    json
}

fn verdict(verdict: &FileVerdict) -> &'static str {
    match verdict {
        FileVerdict::Signed => "signed",
        FileVerdict::OtherBytes { .. } => "other-bytes",
        FileVerdict::OtherLength { .. } => "other-length",
        FileVerdict::NoDigest => "no-hash",
        FileVerdict::NoSignedDigest => "no-signed-hash",
        FileVerdict::OtherVersion(_) => "other-version",
        FileVerdict::Unlisted => "not-listed",
        FileVerdict::Removed { .. } => "removed",
        FileVerdict::Withdrawn(_) => "withdrawn",
        FileVerdict::Withheld => "withheld",
        FileVerdict::NotFromIndex => "not-from-an-index",
        FileVerdict::Refused(_) => "refused",
    }
}

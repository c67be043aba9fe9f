//! What speaks for a file besides who signed its page: attestations that hold, and other copies of the index.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use wheelmark_mirror::{DirectoryPlace, Expected, Place, Standing};
use wheelmark_objects::{ObjectPath, page_target};
use wheelmark_packaging::simple::{MAX_PAGE_LEN, PageFile, ProjectPage, file_url};
use wheelmark_packaging::{DistributionFilename, ProjectName, inspect};
use wheelmark_provenance::{Evidence, MAX_PROVENANCE_LEN, MAX_TRUSTED_ROOT_LEN, TrustedRoots};
use wheelmark_recovery::{Change, Support, What};
use wheelmark_tuf::limits::MAX_SNAPSHOT_LENGTH;
use wheelmark_tuf::{Found, RoleName, Sha256, Snapshot, TargetPath, TrustedSet, Verified, verify};

use super::source::{Followed, Source};
use crate::commands::verify::attested::bounded;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::public_root::public_roots;

/// Of so many of a project's attested files, the newest ones, it is asked who attested them.
const ASKED: usize = 20;

/// Another copy of the index.
pub(super) struct Copy {
    pub(super) name: String,
    /// Where it is, or why it is nowhere.
    pub(super) source: anyhow::Result<Source>,
}

/// A copy whose state was followed.
struct Witness {
    name: String,
    source: Source,
    set: TrustedSet,
    /// Whether it broke on the way.
    is_broken: Cell<bool>,
}

/// What is asked about files.
pub(super) struct Witnesses {
    copies: Vec<Witness>,
    /// Copies that could not even be followed.
    unfollowed: Vec<String>,
    trusted: Vec<PathBuf>,
    context: Context,
    roots: OnceCell<TrustedRoots>,
    now: Timestamp,
}

/// A project's page on both sides, and where its objects are.
pub(super) struct Sides<'a> {
    pub(super) project: &'a ProjectName,
    pub(super) then: Option<&'a ProjectPage>,
    pub(super) good: &'a Source,
    pub(super) now: Option<&'a ProjectPage>,
    pub(super) index: &'a DirectoryPlace,
}

impl Witnesses {
    /// Follows the state of every copy, from the same root. One that cannot be followed is left out: a copy can
    /// only speak for something.
    pub(super) fn new(
        copies: Vec<Copy>,
        root: &[u8],
        trusted: Vec<PathBuf>,
        context: &Context,
    ) -> Self {
        let (mut followed, mut unfollowed) = (Vec::new(), Vec::new());
        for Copy { name, source } in copies {
            let witness = source.and_then(|source| {
                let set = Followed::of_place(&source, root)?.set;
                Ok((source, set))
            });
            match witness {
                Ok((source, set)) => followed.push(Witness {
                    name,
                    source,
                    set,
                    is_broken: Cell::new(false),
                }),
                Err(error) => {
                    tracing::warn!(
                        "{name} is left out, for it is no copy of this index: {error:#}"
                    );
                    unfollowed.push(name);
                }
            }
        }
        Self {
            copies: followed,
            unfollowed,
            trusted,
            context: context.clone(),
            roots: OnceCell::new(),
            now: context.clock.now(),
        }
    }

    /// The copies that were named and could not be read to the end.
    pub(super) fn left_out(&self) -> Vec<String> {
        let broken = self.copies.iter().filter(|copy| copy.is_broken.get());
        let broken = broken.map(|copy| copy.name.clone());
        self.unfollowed.iter().cloned().chain(broken).collect()
    }

    /// Refuses a last good state of whose snapshot a copy has another content that counts: one of the two was
    /// signed by a thief.
    pub(super) fn demand_one(&self, good: &Followed) -> anyhow::Result<()> {
        let (root, snapshot) = (good.set.root(), good.snapshot_file());
        let file = RoleName::snapshot().versioned_file_name(snapshot.version);
        for Witness { name, source, .. } in &self.copies {
            let Ok(Some(other)) = source.metadata(&file, MAX_SNAPSHOT_LENGTH) else {
                continue;
            };
            let signed: Result<Verified<Snapshot>, _> =
                verify(&other, &root.keys, &root.roles.snapshot);
            if Sha256::of(&other) != snapshot.sha256 && signed.is_ok() {
                return Err(anyhow!(
                    "snapshot {} of the last good state was signed with another content, which {name} has: one of the two is a thief's",
                    snapshot.version
                ))
                .hint("compare both with what was published of snapshots (`wheelmark index snapshot-log --check`), and name the right one");
            }
        }
        Ok(())
    }

    /// Adds what speaks for the changes of one project.
    pub(super) fn ask(&self, sides: &Sides<'_>, changes: &mut [Change]) -> anyhow::Result<()> {
        self.attested(sides, changes)?;
        for witness in &self.copies {
            if witness.is_broken.get() {
                continue;
            }
            let page = match witness.page(sides.project) {
                Ok(Some(page)) => page,
                Ok(None) => continue,
                Err(error) => {
                    let name = &witness.name;
                    tracing::warn!("{name} is left out from here on: {error:#}");
                    witness.is_broken.set(true);
                    continue;
                }
            };
            for change in changes.iter_mut() {
                if says_the_same(&page, sides.now, change) {
                    count_one_more(&mut change.supports);
                }
            }
        }
        Ok(())
    }

    fn attested(&self, sides: &Sides<'_>, changes: &mut [Change]) -> anyhow::Result<()> {
        let (mut known, mut asked) = (BTreeSet::new(), false);
        for change in changes {
            let file = change.file.as_deref();
            let entry = file.and_then(|file| sides.now?.file(file));
            let is_attested = |entry: &&PageFile| provenance_of(entry).is_some();
            let Some(entry) = entry
                .filter(is_attested)
                .filter(|_| change.what == What::Added)
            else {
                continue;
            };
            let identities = self.identities(sides.index, sides.project, entry)?;
            if identities.is_empty() || !is_of_its_file(sides.index, sides.project, entry)? {
                continue;
            }
            if !std::mem::replace(&mut asked, true) {
                known = self.known(sides)?;
            }
            let supports = identities.into_iter().map(|identity| Support::Attested {
                known: known.contains(&identity),
                identity,
            });
            change.supports.extend(supports);
        }
        Ok(())
    }

    /// Who attested the project's files in the last good state.
    fn known(&self, sides: &Sides<'_>) -> anyhow::Result<BTreeSet<String>> {
        let mut known = BTreeSet::new();
        let files = sides.then.into_iter().flat_map(|page| &page.files);
        let attested = files.filter(|entry| provenance_of(entry).is_some());
        let mut attested: Vec<&PageFile> = attested.collect();
        attested.sort_by_key(|entry| std::cmp::Reverse(entry.upload_time));
        for entry in attested.into_iter().take(ASKED) {
            known.extend(self.identities(sides.good, sides.project, entry)?);
        }
        Ok(known)
    }

    /// Who attested a file, if what is bound to it holds: all of it, or nobody.
    fn identities(
        &self,
        place: &impl Place,
        project: &ProjectName,
        entry: &PageFile,
    ) -> anyhow::Result<BTreeSet<String>> {
        let nobody = BTreeSet::new();
        let (Some(provenance), Some(sha256)) = (provenance_of(entry), entry.sha256()) else {
            return Ok(nobody);
        };
        let path = ObjectPath::provenance(project, &provenance, entry.filename.as_str())?;
        let Ok(Some(json)) = place.object(&path, MAX_PROVENANCE_LEN as u64) else {
            return Ok(nobody);
        };
        if Sha256::of(&json) != provenance {
            return Ok(nobody);
        }
        let roots = self.roots()?;
        let attested = Evidence::parse(&json).ok().and_then(|evidence| {
            let verified = evidence.verify(&entry.filename, &sha256, roots, self.now);
            verified.ok()
        });
        let attested = attested.unwrap_or_default();
        let publishers = attested.iter().map(|one| one.identity().publisher());
        Ok(publishers.map(|publisher| publisher.to_string()).collect())
    }

    /// Which authorities are believed: those that were named, or Sigstore's public instance.
    fn roots(&self) -> anyhow::Result<&TrustedRoots> {
        if let Some(roots) = self.roots.get() {
            return Ok(roots);
        }
        let mut roots = match self.trusted.is_empty() {
            true => public_roots(&self.context)?,
            false => TrustedRoots::empty(),
        };
        for path in &self.trusted {
            let json = bounded(path, MAX_TRUSTED_ROOT_LEN)?;
            roots = roots
                .with(&path.display().to_string(), &json)
                .with_context(|| format!("{} cannot be trusted", path.display()))?;
        }
        Ok(self.roots.get_or_init(|| roots))
    }
}

impl Witness {
    /// The project's page there, as that state signs for it.
    fn page(&self, project: &ProjectName) -> anyhow::Result<Option<ProjectPage>> {
        let Some(sha256) = self.find(&page_target(project))? else {
            return Ok(None);
        };
        let path = ObjectPath::page(project, &sha256);
        let bytes = self.source.object(&path, MAX_PAGE_LEN as u64)?;
        let bytes = bytes.filter(|bytes| Sha256::of(bytes) == sha256);
        Ok(bytes.and_then(|bytes| ProjectPage::parse(&bytes).ok()))
    }

    fn find(&self, target: &TargetPath) -> anyhow::Result<Option<Sha256>> {
        let mut lookup = self.set.lookup(target);
        while let Some(need) = lookup.need().cloned() {
            let path = need.fetch.path;
            let bytes = self.source.metadata(&path, need.fetch.max_len)?;
            let bytes = bytes.ok_or_else(|| anyhow!("metadata/{path} is not there"))?;
            lookup.supply(bytes.into())?;
        }
        Ok(match lookup.finish()? {
            Found::Target(target) => target.hashes.sha256(),
            Found::Absent { .. } => None,
        })
    }
}

fn count_one_more(supports: &mut Vec<Support>) {
    for support in supports.iter_mut() {
        if let Support::Copies { count } = support {
            *count += 1;
            return;
        }
    }
    supports.push(Support::Copies { count: 1 });
}

/// Whether a copy's page says of a file what the present one says, member for member.
fn says_the_same(copy: &ProjectPage, now: Option<&ProjectPage>, change: &Change) -> bool {
    let (Some(now), Some(file)) = (now, change.file.as_deref()) else {
        return false;
    };
    match change.what {
        What::Added | What::Entry | What::Yanked | What::Unyanked | What::Returned => {
            let entry = now.file(file);
            entry.is_some() && entry == copy.file(file)
        }
        What::Removed => {
            let gone = now.wheelmark.removed.get(file);
            gone.is_some() && gone == copy.wheelmark.removed.get(file)
        }
        _ => false,
    }
}

/// Whether an entry says of its file what the file itself says: an attestation is about the file's name and bytes,
/// and installers go by what the entry says besides.
fn is_of_its_file(
    index: &DirectoryPlace,
    project: &ProjectName,
    entry: &PageFile,
) -> anyhow::Result<bool> {
    let Some(sha256) = entry.sha256() else {
        return Ok(false);
    };
    let path = ObjectPath::file(project, &Sha256(sha256.into()), entry.filename.as_str())?;
    let expected = Expected {
        sha256: Sha256(sha256.into()),
        sha512: None,
        length: entry.size,
        limit: u64::MAX,
    };
    if !matches!(index.check(&path, &expected), Ok(Standing::Same { .. })) {
        return Ok(false);
    }
    let file = File::open(index.root().join(path.as_str()))?;
    let Ok(inspected) = inspect(file, &entry.filename) else {
        return Ok(false);
    };
    let stated = entry.core_metadata.as_ref().map(|hashes| hashes.sha256());
    let own = Sha256::of(&inspected.metadata_bytes);
    let is_wheel = matches!(entry.filename, DistributionFilename::Wheel(_));
    let same_metadata = match stated {
        Some(stated) => stated.is_some_and(|stated| Sha256(stated.into()) == own),
        None => !is_wheel,
    };
    Ok(same_metadata
        && entry.requires_python == inspected.metadata.requires_python
        && entry.url == file_url(project, entry.filename.as_str())
        && entry.extra.is_empty())
}

fn provenance_of(entry: &PageFile) -> Option<Sha256> {
    let marks = entry.wheelmark.as_ref()?;
    Some(Sha256(marks.provenance_sha256?.into()))
}

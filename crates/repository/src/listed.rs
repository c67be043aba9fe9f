//! Which hashes of files metadata and pages list, and the names that objects have by them.
//!
//! Within the index an object is known by its SHA-256, and always has the name that this gives it.
//! Where SHA-512 is listed it has a second name, for TUF clients may go by any of the hashes that
//! they find (TUF §6.1). Where SHA-256 is listed no more, it stands beside the hashes as a name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wheelmark_objects::{MAX_SHA512_FILENAME_LEN, ObjectPath, PathError, file_target, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{PageFile, ProjectPage};
use wheelmark_store::ListedHashes;
use wheelmark_tuf::{
    Custom, Hashes, OWN_MEMBER, Sha256, Sha512, TargetInfo, TargetPath, TimestampMetadata,
};

/// The member of a timestamp's own that says which hashes are to be listed; absent for SHA-256 alone.
pub(crate) const LISTED: &str = "hashes";

/// In the own member of a page's target: not all of its files list what it does.
const BEHIND: &str = "files-behind";

const SHA256: &str = "sha256";
const SHA512: &str = "sha512";

/// Which hashes were to be listed when this timestamp was signed.
pub(crate) fn of_timestamp(timestamp: &TimestampMetadata) -> ListedHashes {
    let own = timestamp.extra.get(OWN_MEMBER);
    let names = own
        .and_then(|own| own.get(LISTED))
        .and_then(Value::as_array);
    let listed = names.and_then(|names| {
        let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
        ListedHashes::of_names(names?)
    });
    listed.unwrap_or_default()
}

/// What a timestamp says of it.
pub(crate) fn to_json(listed: ListedHashes) -> Option<Value> {
    (listed != ListedHashes::default()).then(|| json!(listed.names()))
}

/// Why the one cannot follow on the other, while these pages do not list what they are to, and list
/// this: each step leaves readers a hash that the one before had, too.
pub(crate) fn step(
    now: ListedHashes,
    next: ListedHashes,
    behind: impl Iterator<Item = ListedHashes>,
) -> Result<(), String> {
    let behind = match (now, next) {
        (ListedHashes::Both, ListedHashes::Sha512) => behind.count(),
        // Those that are on their way to both from SHA-256 alone can go back.
        (ListedHashes::Both, ListedHashes::Sha256) => {
            behind.filter(|lists| !lists.sha256()).count()
        }
        _ => 0,
    };
    match (now, next) {
        (ListedHashes::Sha256, ListedHashes::Sha512)
        | (ListedHashes::Sha512, ListedHashes::Sha256) => {
            Err("one hash alone cannot take the place of the other: list both first".to_owned())
        }
        (ListedHashes::Both, _) if behind > 0 => Err(format!(
            "the pages of {behind} projects do not list both hashes yet"
        )),
        _ => Ok(()),
    }
}

/// Which hashes a target lists; `None` for any that no index of ours writes.
pub(crate) fn of_target(info: &TargetInfo) -> Option<ListedHashes> {
    ListedHashes::of_names(info.hashes.iter().map(|(name, _)| name))
}

/// Whether the name of a file is too long to be led by a SHA-512.
fn is_long(entry: &PageFile) -> bool {
    entry.filename.as_str().len() > MAX_SHA512_FILENAME_LEN
}

/// The SHA-512 that an entry lists.
pub(crate) fn sha512_of(entry: &PageFile) -> Option<Sha512> {
    entry.hashes.get(SHA512)?.parse().ok()
}

/// Whether an entry lists what it is to. One whose name is too long keeps its SHA-256: its target has
/// no other.
pub(crate) fn conforms(entry: &PageFile, listed: ListedHashes) -> bool {
    let sha256 = listed.sha256() || is_long(entry);
    entry.hashes.sha256().is_some() == sha256
        && entry.hashes.get(SHA512).is_some() == listed.sha512()
}

/// The entry with the hashes that it is to list; `None` where its SHA-512 is needed and not known.
pub(crate) fn relisted(
    entry: &PageFile,
    listed: ListedHashes,
    sha512: Option<Sha512>,
) -> Option<PageFile> {
    let sha256 = entry.sha256()?;
    let mut next = entry.clone();
    if listed.sha512() {
        let sha512 = sha512_of(entry).or(sha512)?;
        next.hashes.insert(SHA512, &sha512.to_string()).ok()?;
    } else {
        next.hashes.remove(SHA512);
    }
    let keeps = listed.sha256() || is_long(entry);
    if keeps {
        next.hashes.insert(SHA256, &sha256.to_string()).ok()?;
    } else {
        next.hashes.remove(SHA256);
    }
    match &mut next.wheelmark {
        Some(marks) => marks.sha256 = (!keeps).then_some(sha256),
        None if keeps => {}
        None => return None,
    }
    Some(next)
}

/// What a claimed project's role lists for its page: the page, and each of its files. `None` where a
/// file has no length or no SHA-256.
pub fn targets_of_page(
    page: &ProjectPage,
    bytes: &[u8],
) -> Option<BTreeMap<TargetPath, TargetInfo>> {
    let info = TargetInfo::new(bytes.len() as u64, Sha256::of(bytes));
    let mut targets = BTreeMap::from([(page_target(&page.name), info)]);
    for entry in &page.files {
        let target = file_target(&page.name, entry.filename.as_str()).ok()?;
        targets.insert(target, target_of(entry)?);
    }
    Some(targets)
}

/// What a target says of a file with this entry, but for what it has of its own.
pub(crate) fn target_of(entry: &PageFile) -> Option<TargetInfo> {
    let sha256 = Sha256(entry.sha256()?.into());
    let listed = entry.hashes.sha256().map(|listed| Sha256(listed.into()));
    let sha512 = sha512_of(entry).filter(|_| !is_long(entry));
    let mut info = TargetInfo::new(entry.size?, sha256);
    info.list(Hashes::listed(listed, sha512)?, sha256);
    Some(info)
}

/// Whether a page's target says that some of its files do not list what the page itself does.
pub(crate) fn is_behind(info: &TargetInfo) -> bool {
    let custom = info.custom.as_ref().map(Custom::value);
    custom.is_some_and(|custom| custom[OWN_MEMBER][BEHIND] == true)
}

/// What a target says of a page of these bytes, and the page's second name. That of a page whose files
/// do not all conform to `listed` says so.
pub(crate) fn page_target_of(
    project: &ProjectName,
    bytes: &[u8],
    listed: ListedHashes,
    conforms: bool,
) -> (TargetInfo, Option<SecondName>) {
    let sha256 = Sha256::of(bytes);
    let sha512 = listed.sha512().then(|| Sha512::of(bytes));
    let mut info = TargetInfo::new(bytes.len() as u64, sha256);
    if let Some(hashes) = Hashes::listed(listed.sha256().then_some(sha256), sha512) {
        info.list(hashes, sha256);
    }
    if !conforms {
        let custom = info.custom.take().map(|custom| custom.value());
        let mut custom = custom.unwrap_or_else(|| json!({}));
        custom[OWN_MEMBER][BEHIND] = true.into();
        info.custom = Some(custom.into());
    }
    let second = sha512.map(|sha512| SecondName {
        project: project.clone(),
        filename: None,
        sha256,
        sha512,
    });
    (info, second)
}

/// An object whose SHA-512 is listed, and which so has a second name before the timestamp does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecondName {
    pub(crate) project: ProjectName,
    /// That of a distribution file; none for the project's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filename: Option<String>,
    pub(crate) sha256: Sha256,
    pub(crate) sha512: Sha512,
}

impl SecondName {
    /// That of a file, where its entry asks for one.
    pub(crate) fn of_file(project: &ProjectName, entry: &PageFile) -> Option<Self> {
        let sha512 = sha512_of(entry).filter(|_| !is_long(entry))?;
        Some(Self {
            project: project.clone(),
            filename: Some(entry.filename.as_str().to_owned()),
            sha256: Sha256(entry.sha256()?.into()),
            sha512,
        })
    }

    /// The object, and the name that it gets.
    pub(crate) fn link(&self) -> Result<(ObjectPath, ObjectPath), PathError> {
        let (project, sha256, sha512) = (&self.project, &self.sha256, &self.sha512);
        Ok(match &self.filename {
            None => (
                ObjectPath::page(project, sha256),
                ObjectPath::page_by_sha512(project, sha512),
            ),
            Some(filename) => (
                ObjectPath::file(project, sha256, filename)?,
                ObjectPath::file_by_sha512(project, sha512, filename)?,
            ),
        })
    }
}

/// The published snapshot file, by its hashes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SnapshotFile {
    pub(crate) sha256: Sha256,
    /// Where it is listed.
    sha512: Option<Sha512>,
    pub(crate) length: u64,
}

impl SnapshotFile {
    pub(crate) fn of(bytes: &[u8], listed: ListedHashes) -> Self {
        Self {
            sha256: Sha256::of(bytes),
            sha512: listed.sha512().then(|| Sha512::of(bytes)),
            length: bytes.len() as u64,
        }
    }

    /// What a timestamp lists of it.
    pub(crate) fn hashes(&self, listed: ListedHashes) -> Hashes {
        let sha256 = listed.sha256().then_some(self.sha256);
        Hashes::listed(sha256, self.sha512).unwrap_or_else(|| Hashes::sha256_only(self.sha256))
    }
}

//! Where releases wait, on the disk of the web process.
//!
//! ```text
//! <folder>/<id>/staged.json               what waits: whose, since when, which files
//!               metadata.json page.json   as they came
//!               files/0, files/1, …       its files, in the order of staged.json
//!               signatures/<keyid>.json   who has signed since
//! ```
//!
//! An entry is written under another name, flushed, and appears whole. Nothing in it changes from
//! then on: a signature is a file of its own. Whoever writes here could write anything, so nobody
//! believes what stands here: files are held against the page again before they go on, and what is
//! published is judged by the snapshot process.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::MutexGuard;
use tokio::task::spawn_blocking;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{
    MAX_RELEASE_METADATA_LEN, MAX_RELEASE_PAGE_LEN, NewClaim, NewKeys, ReleaseParts,
};
use wheelmark_tuf::Sha256;

use super::error::StagingError;
use super::signed::Sent;
use crate::upload::gates::Gates;
use crate::upload::sink::{Body, Content};

/// For how long something waits. The snapshot process takes nothing that was signed earlier.
pub const STAGED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// For how long a change of keys waits, as the snapshot process demands.
const KEYS_STAGED_FOR: SignedDuration = SignedDuration::from_hours(5 * 24);

/// How many releases of one project may wait.
pub const MAX_STAGED_RELEASES: usize = 8;

/// How many files that nobody has signed may wait in one project: as many as one release has.
pub const MAX_STAGED_FILES: usize = 256;

/// How many releases and files of one user may wait, in all projects.
pub const MAX_STAGED_PER_USER: usize = 512;

/// How many bytes everything that waits may have together, unless the settings say otherwise.
pub const MAX_STAGED_LEN: u64 = 16 * 1024 * 1024 * 1024;

/// One user, and one project, may have this part of those bytes.
pub(super) const SHARES: u64 = 4;

/// Longest statement of what waits, in bytes: 256 names, and the keys of a claim.
const MAX_STATEMENT_LEN: u64 = 512 * 1024;

/// Most entries that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// How the names of entries begin that are not whole yet, or no more.
const UNFINISHED: &str = ".part-";

/// After what time an unfinished entry is what a dead process has left.
const UNFINISHED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A text for `serde`, of what has no form of its own there.
pub(super) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// A release, signed by some of those who have to.
    Release,
    /// A file that nobody has signed.
    File,
}

/// A file of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StagedFile {
    pub(super) filename: String,
    pub(super) sha256: Sha256,
    pub(super) size: u64,
}

/// An entry, as its `staged.json` has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Staged {
    /// The SHA-256 of what is to be signed; of a file, of its name and contents.
    pub(super) id: Sha256,
    pub(super) kind: Kind,
    pub(super) project: ProjectName,
    /// When it came.
    #[serde(with = "text")]
    pub(super) received_at: Timestamp,
    /// Who sent it.
    pub(super) user: String,
    /// With which token.
    pub(super) token: String,
    /// Whose keys sign from then on, where it is a claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) claim: Option<NewClaim>,
    /// Which keys come and go, where it brings a handover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) keys: Option<NewKeys>,
    pub(super) files: Vec<StagedFile>,
    /// The lengths of metadata and page.
    pub(super) parts_len: u64,
}

impl Staged {
    fn len(&self) -> u64 {
        let files = self.files.iter().map(|file| file.size);
        files.fold(self.parts_len, u64::saturating_add)
    }

    /// When it goes.
    pub(super) fn ends_at(&self) -> Timestamp {
        let most = match self.keys {
            Some(_) => KEYS_STAGED_FOR,
            None => STAGED_FOR,
        };
        let end = self.received_at.checked_add(most);
        end.unwrap_or(self.received_at)
    }
}

/// A signature that came later.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptSignature {
    pub(super) keyid: String,
    /// Hexadecimal.
    pub(super) sig: String,
    /// The same over the handover that it brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) handover: Option<String>,
    /// The token that it came with.
    pub(super) token: String,
    #[serde(with = "text")]
    pub(super) at: Timestamp,
}

impl KeptSignature {
    /// As it was sent.
    pub(super) fn sent(&self) -> Sent<'_> {
        Sent {
            keyid: &self.keyid,
            sig: &self.sig,
            handover: self.handover.as_deref(),
        }
    }
}

/// The folder, and what may be in it.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    max_len: u64,
    /// Held while something is added, so that limits hold.
    adding: tokio::sync::Mutex<()>,
    /// One at a time goes on or is taken back of those that share one. They are not those of uploads:
    /// what goes on passes these, too, while it is held here.
    gates: Gates,
}

impl Folder {
    pub(crate) fn new(root: PathBuf, max_len: u64) -> Folder {
        Folder {
            root,
            max_len,
            adding: tokio::sync::Mutex::default(),
            gates: Gates::new(),
        }
    }

    /// Passes the gate of an entry; it is closed behind until the guard is dropped.
    pub(super) async fn pass(&self, project: &ProjectName, id: &str) -> MutexGuard<'_, ()> {
        self.gates.pass(project, id).await
    }

    /// Everything that waits, oldest first. What has waited for too long goes.
    pub(super) async fn all(&self, now: Timestamp) -> Result<Vec<Staged>, StagingError> {
        let root = self.root.clone();
        blocking(move || all(&root, now)).await
    }

    /// An entry of a project.
    pub(super) async fn find(
        &self,
        project: &ProjectName,
        id: &str,
        now: Timestamp,
    ) -> Result<Staged, StagingError> {
        let absent = || StagingError::Absent { id: id.to_owned() };
        let parsed: Sha256 = id.parse().map_err(|_| absent())?;
        let directory = self.entry(&parsed);
        let staged = blocking(move || read_entry(&directory)).await?;
        let staged = staged.filter(|staged| staged.project == *project && staged.id == parsed);
        let staged = staged.ok_or_else(absent)?;
        if staged.ends_at() <= now {
            self.remove(&parsed).await?;
            return Err(absent());
        }
        Ok(staged)
    }

    /// Adds an entry, if there is room; whether it is new. It is on the disk then.
    pub(super) async fn add(
        &self,
        staged: &Staged,
        parts: Option<ReleaseParts>,
        contents: Vec<Content>,
        now: Timestamp,
    ) -> Result<bool, StagingError> {
        let _alone = self.adding.lock().await;
        let known = self.all(now).await?;
        if known.iter().any(|known| known.id == staged.id) {
            return Ok(false);
        }
        self.demand_room(staged, &known)?;
        let (root, staged) = (self.root.clone(), staged.clone());
        blocking(move || write(&root, &staged, parts.as_ref(), contents)).await?;
        Ok(true)
    }

    fn demand_room(&self, staged: &Staged, known: &[Staged]) -> Result<(), StagingError> {
        let too_many = |what, limit, count: usize| match count < limit {
            true => Ok(()),
            false => Err(StagingError::TooMany { what, limit }),
        };
        let of_project = known.iter().filter(|other| other.project == staged.project);
        let alike = of_project.filter(|other| other.kind == staged.kind).count();
        match staged.kind {
            Kind::Release => too_many("releases of this project", MAX_STAGED_RELEASES, alike)?,
            Kind::File => too_many("files of this project", MAX_STAGED_FILES, alike)?,
        }
        let of_user = known.iter().filter(|other| other.user == staged.user);
        too_many(
            "releases and files of yours",
            MAX_STAGED_PER_USER,
            of_user.count(),
        )?;
        // Nobody takes all of the room: neither one user nor one project.
        type Alike = fn(&Staged, &Staged) -> bool;
        let shares: [(Alike, u64); 3] = [
            (|_, _| true, self.max_len),
            (|one, other| one.user == other.user, self.max_len / SHARES),
            (
                |one, other| one.project == other.project,
                self.max_len / SHARES,
            ),
        ];
        for (is_alike, limit) in shares {
            let alike = known.iter().filter(|other| is_alike(staged, other));
            let lens = alike.map(Staged::len);
            if lens.fold(staged.len(), u64::saturating_add) > limit {
                return Err(StagingError::NoRoom { limit });
            }
        }
        Ok(())
    }

    /// Metadata and page, as they came.
    pub(super) async fn parts(&self, id: &Sha256) -> Result<ReleaseParts, StagingError> {
        let directory = self.entry(id);
        blocking(move || {
            let read = |name, limit: usize| read_whole(&directory.join(name), limit as u64);
            Ok(ReleaseParts {
                metadata: read("metadata.json", MAX_RELEASE_METADATA_LEN)?,
                page: read("page.json", MAX_RELEASE_PAGE_LEN)?,
            })
        })
        .await
    }

    /// The signatures that came later, by time.
    pub(super) async fn signatures(&self, id: &Sha256) -> Result<Vec<KeptSignature>, StagingError> {
        let folder = self.entry(id).join("signatures");
        blocking(move || {
            let mut signatures = Vec::new();
            for entry in fs::read_dir(&folder)?.take(MAX_ENTRIES) {
                let path = entry?.path();
                if path
                    .extension()
                    .is_some_and(|extension| extension == "json")
                {
                    signatures.extend(read_json::<KeptSignature>(&path)?);
                }
            }
            signatures.sort_by_key(|signature| signature.at);
            Ok(signatures)
        })
        .await
    }

    /// Keeps a signature; one by the same key is replaced. It is on the disk then.
    pub(super) async fn sign(
        &self,
        id: &Sha256,
        signature: KeptSignature,
    ) -> Result<(), StagingError> {
        let folder = self.entry(id).join("signatures");
        blocking(move || {
            let name = format!("{}.json", Sha256::of(signature.keyid.as_bytes()));
            let bytes = serde_json::to_vec(&signature)?;
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            file.write_all(&bytes)?;
            file.as_file().sync_all()?;
            file.persist(folder.join(name))
                .map_err(|error| error.error)?;
            sync(&folder)
        })
        .await
    }

    /// One of an entry's files.
    pub(super) async fn open(&self, id: &Sha256, number: usize) -> Result<File, StagingError> {
        let path = self.entry(id).join("files").join(number.to_string());
        blocking(move || File::open(path)).await
    }

    /// Takes an entry away, whole.
    pub(super) async fn remove(&self, id: &Sha256) -> Result<(), StagingError> {
        let (root, directory) = (self.root.clone(), self.entry(id));
        blocking(move || remove(&root, &directory)).await
    }

    fn entry(&self, id: &Sha256) -> PathBuf {
        self.root.join(id.to_string())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StagingError> {
    match spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(io::Error::other(error).into()),
    }
}

fn all(root: &Path, now: Timestamp) -> io::Result<Vec<Staged>> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for entry in entries.take(MAX_ENTRIES) {
        let directory = entry?.path();
        let name = directory.file_name().and_then(|name| name.to_str());
        let Some(name) = name else { continue };
        if name.starts_with(UNFINISHED) {
            clean(&directory, now)?;
            continue;
        }
        let Ok(id) = name.parse::<Sha256>() else {
            continue;
        };
        match read_entry(&directory)? {
            Some(staged) if staged.id == id && staged.ends_at() > now => all.push(staged),
            Some(staged) if staged.id == id => {
                tracing::info!(project = %staged.project, %id, "what has waited for as long as it may goes");
                remove(root, &directory)?;
            }
            _ => tracing::warn!(%id, "what waits under this id cannot be read, and is left alone"),
        }
    }
    all.sort_by_key(|staged| (staged.received_at, staged.id));
    Ok(all)
}

/// An entry; none where there is none, or none that can be read.
fn read_entry(directory: &Path) -> io::Result<Option<Staged>> {
    match read_json(&directory.join("staged.json")) {
        Ok(staged) => Ok(staged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let bytes = read_whole(path, MAX_STATEMENT_LEN)?;
    Ok(serde_json::from_slice(&bytes).ok())
}

fn read_whole(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::other("a file is longer than what was staged")),
        false => Ok(bytes),
    }
}

fn write(
    root: &Path,
    staged: &Staged,
    parts: Option<&ReleaseParts>,
    contents: Vec<Content>,
) -> io::Result<()> {
    make_root(root)?;
    // Gone again if this fails.
    let unfinished = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(root)?;
    let directory = unfinished.path();
    let (files, signatures) = (directory.join("files"), directory.join("signatures"));
    fs::create_dir(&files)?;
    fs::create_dir(&signatures)?;
    for (number, content) in contents.into_iter().enumerate() {
        let path = files.join(number.to_string());
        match content.body {
            Body::Memory(bytes) => put(&path, &bytes)?,
            Body::File(file) => {
                fs::copy(file.path(), &path)?;
                File::open(&path)?.sync_all()?;
            }
        }
    }
    if let Some(parts) = parts {
        put(&directory.join("metadata.json"), &parts.metadata)?;
        put(&directory.join("page.json"), &parts.page)?;
    }
    put(
        &directory.join("staged.json"),
        &serde_json::to_vec_pretty(staged)?,
    )?;
    for folder in [&files, &signatures, directory] {
        sync(folder)?;
    }
    fs::rename(directory, root.join(staged.id.to_string()))?;
    // It has another name now.
    let _whole = unfinished.keep();
    sync(root)
}

fn make_root(root: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match fs::DirBuilder::new().mode(0o700).create(root) {
        Ok(()) => root.parent().map_or(Ok(()), sync),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn remove(root: &Path, directory: &Path) -> io::Result<()> {
    let gone = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(root)?;
    match fs::rename(directory, gone.path().join("entry")) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    sync(root)?;
    gone.close()
}

/// Takes an unfinished entry away that a process has left which is gone.
fn clean(directory: &Path, now: Timestamp) -> io::Result<()> {
    let made = fs::metadata(directory).and_then(|metadata| metadata.modified());
    let age = made
        .ok()
        .and_then(|made| SystemTime::from(now).duration_since(made).ok());
    match age {
        Some(age) if age > UNFINISHED_FOR => fs::remove_dir_all(directory),
        _ => Ok(()),
    }
}

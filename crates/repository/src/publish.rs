//! Signs a plan, and writes what was signed: objects, then the timestamp, then the names.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use wheelmark_objects::{
    Directory, ObjectError, ObjectPath, PathError, Replayable, Restored, WriterLock,
};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{ListedProject, ProjectList, ProjectPage, TakenAway};
use wheelmark_signing::{SignError, SignRoleError, Signer, sign_role};
use wheelmark_store::{Intent, IntentError, ListedHashes, StoreError};
use wheelmark_tuf::{
    Delegations, KeyId, MetaFile, OWN_MEMBER, Role as _, RoleName, SPEC_VERSION, Sha256,
    TimestampMetadata,
};

use crate::channel::Followed;
use crate::intent::{After, GoneFile, NamedCertificates, NamedFile, NamedPage};
use crate::listed::{self, LISTED, SnapshotFile};
use crate::online::OnlineKeys;
use crate::plan::Plan;
use crate::record::{self, Content};
use crate::signing_log::{Head, LOGGED, LogError, Logging};
use crate::snapshot_bytes::SnapshotBytes;
use crate::state::{LoadError, State};

/// How many pages have their unsigned copies in memory at the same time.
const PAGES_AT_ONCE: usize = 500;

/// The next snapshot could not be published. Nothing is lost: the pending changes stay in the
/// journal, and what was recorded is replayed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The tree could not be read or written.
    #[error("the tree could not be written")]
    Objects(#[from] ObjectError),
    /// A published file cannot have its plain name.
    #[error("a published file cannot be given its plain name")]
    Path(#[from] PathError),
    /// The signed state could not be read back.
    #[error("the index's own signed state could not be read")]
    Load(#[from] LoadError),
    /// The store failed.
    #[error("the journal could not be read or written")]
    Store(#[from] StoreError),
    /// The intent could not be recorded; another snapshot process may have taken over.
    #[error("the next snapshot could not be recorded")]
    Intent(#[from] IntentError),
    /// The online key could not sign.
    #[error("the online key could not sign")]
    Sign(#[from] SignRoleError),
    /// The online key could not seal the record.
    #[error("the online key could not seal the record of the next snapshot")]
    Seal(#[source] SignError),
    /// What was signed could not be written to the signing log.
    #[error("what is signed cannot be written down, and so nothing is published")]
    Log(#[from] LogError),
    /// A recorded object cannot be written, or a signed page cannot be read.
    #[error("{what} is not what an index records")]
    Recorded {
        /// Which object.
        what: String,
    },
    /// Another file stands under every version that was tried.
    #[error("{path} exists with other content; another writer shares this tree")]
    Occupied {
        /// The object path.
        path: String,
    },
}

impl PublishError {
    /// Whether trying again would fail again: something in the tree is not as it should be.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::Objects(error) | Self::Load(LoadError::Objects(error)) => is_lasting(error),
            Self::Load(_) | Self::Path(_) | Self::Recorded { .. } | Self::Occupied { .. } => true,
            Self::Store(_) | Self::Intent(_) | Self::Sign(_) | Self::Seal(_) | Self::Log(_) => {
                false
            }
        }
    }

    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Objects(error) | Self::Load(LoadError::Objects(error)) => error.is_full(),
            Self::Store(error) | Self::Intent(IntentError::Store(error)) => error.is_full(),
            Self::Log(error) => error.is_full(),
            Self::Load(_)
            | Self::Path(_)
            | Self::Intent(_)
            | Self::Sign(_)
            | Self::Seal(_)
            | Self::Recorded { .. }
            | Self::Occupied { .. } => false,
        }
    }
}

/// A signed plan: what is recorded, and how the state in memory moves once it stands.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) intent: Intent,
    pub(crate) after: After,
    pub(crate) advance: Advance,
}

/// The difference between the state before and after a snapshot.
#[derive(Debug)]
pub(crate) struct Advance {
    snapshot: Option<(SnapshotBytes, SnapshotFile)>,
    listed: ListedHashes,
    all_anew: bool,
    /// Whether the pages of this snapshot list what they are to, by project.
    conforming: Vec<(ProjectName, bool)>,
    timestamp_version: u64,
    timestamp_expires: Timestamp,
    timestamp_sha256: Sha256,
    timestamp_signers: BTreeSet<KeyId>,
    followed: Followed,
    schedule: Vec<(RoleName, Timestamp)>,
    new_projects: BTreeSet<ProjectName>,
    claims: Vec<(RoleName, Delegations)>,
    /// Which lists of what is taken away there are from now on, where that changes.
    taken_away: Vec<(ProjectName, Option<Sha256>)>,
}

impl State {
    /// Moves on to the snapshot that has been published.
    pub(crate) fn advance(&mut self, advance: Advance) {
        if let Some((snapshot, file)) = advance.snapshot {
            self.snapshot = snapshot;
            self.snapshot_file = file;
        }
        self.timestamp_version = advance.timestamp_version;
        self.timestamp_expires = advance.timestamp_expires;
        self.timestamp_sha256 = advance.timestamp_sha256;
        self.timestamp_signers = advance.timestamp_signers;
        self.followed = advance.followed;
        self.schedule.extend(advance.schedule);
        self.projects.extend(advance.new_projects);
        for (list, below) in advance.claims {
            self.claims.put(&list, Some(below));
        }
        for (project, list) in advance.taken_away {
            match list {
                Some(sha256) => drop(self.taken_away.insert(project, sha256)),
                None => drop(self.taken_away.remove(&project)),
            }
        }
        if advance.all_anew {
            self.all_behind();
        }
        self.listed = advance.listed;
        for (project, conforms) in advance.conforming {
            match conforms {
                true => drop(self.behind.remove(&project)),
                false => drop(self.behind.insert(project, self.listed)),
            }
        }
    }
}

/// Signs everything a plan changes: its roles, the snapshot, the timestamp. What is signed is told
/// to `log`.
///
/// The roles are signed by the key that the delegations of this snapshot name, which seals the
/// record as well: whatever comes after it is opened with that key. Snapshot and timestamp are
/// signed by all keys there are, so that they are good under either root while there are two.
pub(crate) fn sign(
    plan: Plan,
    state: &State,
    online: &OnlineKeys,
    mut log: Option<Logging>,
) -> Result<Signed, PublishError> {
    let named = online.signer(&plan.signs).ok_or(SignRoleError::NoSigner)?;
    let all: Vec<&dyn Signer> = online.all();
    let mut after = After::of(&plan, state.timestamp_sha256);
    let mut sign_logged =
        |role: &RoleName, version: u64, canonical: &[u8], keys: &[&dyn Signer]| {
            if let Some(log) = &mut log {
                log.role(role, version, canonical);
            }
            sign_role(canonical, keys)
        };
    let mut objects = Vec::with_capacity(plan.pages.len() + plan.roles.len() + 1);
    let mut schedule = Vec::with_capacity(plan.roles.len());
    for (project, bytes) in plan.certificates {
        let path = ObjectPath::certificates(&project, &Sha256::of(&bytes));
        objects.push((path.as_str().to_owned(), bytes));
    }
    for (project, bytes) in plan.pages {
        let path = ObjectPath::page(&project, &Sha256::of(&bytes));
        objects.push((path.as_str().to_owned(), bytes));
    }
    for (project, bytes) in plan.lists {
        let path = ObjectPath::status(&project, &Sha256::of(&bytes))?;
        objects.push((path.as_str().to_owned(), bytes));
    }
    for (role, content) in plan.roles {
        let path = ObjectPath::metadata(&role, content.version);
        let bytes = sign_logged(&role, content.version, &content.to_canonical(), &[named])?;
        objects.push((path.as_str().to_owned(), bytes));
        schedule.push((role, content.expires));
    }
    for (role, version, bytes) in plan.signed {
        let path = ObjectPath::metadata(&role, version);
        objects.push((path.as_str().to_owned(), bytes));
    }
    objects.extend(plan.handed.into_iter().flat_map(|handed| handed.objects));
    let mut snapshot_version = state.snapshot.version();
    let mut snapshot_file = state.snapshot_file;
    let snapshot = match plan.snapshot {
        None => None,
        Some(snapshot) => {
            snapshot_version = snapshot.version();
            let role = RoleName::snapshot();
            let bytes = sign_logged(&role, snapshot_version, snapshot.as_bytes(), &all)?;
            snapshot_file = SnapshotFile::of(&bytes, plan.listed);
            let path = ObjectPath::metadata(&role, snapshot_version);
            objects.push((path.as_str().to_owned(), bytes));
            Some((snapshot, snapshot_file))
        }
    };
    let logged = log.as_mut().map(Logging::end_entry);
    let timestamp = timestamp(
        plan.timestamp_version,
        plan.timestamp_expires,
        snapshot_version,
        snapshot_file,
        plan.listed,
        plan.through,
        logged,
    );
    let canonical = timestamp.to_canonical();
    if let Some(log) = &mut log {
        log.role(&RoleName::timestamp(), timestamp.version, &canonical);
    }
    let timestamp = sign_role(&canonical, &all)?;
    let timestamp_sha256 = Sha256::of(&timestamp);
    let mut intent = Intent {
        snapshot_version,
        timestamp_version: plan.timestamp_version,
        through: plan.through.journal,
        objects,
        timestamp,
        after: serde_json::Value::Null,
    };
    let path = ObjectPath::metadata(&RoleName::snapshot(), snapshot_version);
    let content = Content::of(&intent, Some((path.as_str(), snapshot_file.sha256)));
    if let Some(mut log) = log {
        log.record(content.sha256());
        after.log = log.finish();
    }
    record::seal(&mut intent, &content, &after, named).map_err(PublishError::Seal)?;
    Ok(Signed {
        intent,
        after,
        advance: Advance {
            snapshot,
            listed: plan.listed,
            all_anew: plan.all_anew,
            conforming: plan.conforming,
            timestamp_version: plan.timestamp_version,
            timestamp_expires: plan.timestamp_expires,
            timestamp_sha256,
            timestamp_signers: online.ids(),
            followed: plan.through,
            schedule,
            new_projects: plan.new_projects,
            claims: plan.claims,
            taken_away: plan.taken_away,
        },
    })
}

/// The signed part of a timestamp.
pub(crate) fn timestamp(
    version: u64,
    expires: Timestamp,
    snapshot_version: u64,
    snapshot_file: SnapshotFile,
    listed: ListedHashes,
    followed: Followed,
    logged: Option<Head>,
) -> TimestampMetadata {
    let mut extra = followed.member();
    if let Some(head) = logged
        && let Some(own) = extra.get_mut(OWN_MEMBER)
    {
        own[LOGGED] = head.to_json();
    }
    if let Some(names) = listed::to_json(listed)
        && let Some(own) = extra.get_mut(OWN_MEMBER)
    {
        own[LISTED] = names;
    }
    TimestampMetadata {
        version,
        expires,
        spec_version: SPEC_VERSION.to_owned(),
        snapshot: MetaFile {
            version: snapshot_version,
            length: Some(snapshot_file.length),
            hashes: Some(snapshot_file.hashes(listed)),
            extra: BTreeMap::new(),
        },
        other_meta: BTreeMap::new(),
        extra,
    }
}

/// Writes what was recorded. Everything but the timestamp is create-only and may be written
/// any number of times: it replaces nothing but what a power failure left of itself. The snapshot
/// comes after the roles it names, the timestamp after that, and a next root at the very end.
///
/// A client asks for root first. So whoever sees the next one sees the new timestamp as well, and
/// whoever does not goes by the old keys, which have signed what is new, too: nobody comes upon one
/// without the other.
///
/// Nothing is flushed, except before a next root: after a power failure all of it is written again
/// from the record.
pub(crate) async fn publish(
    tree: &Replayable,
    lock: &WriterLock,
    intent: Intent,
    after: &After,
) -> Result<(), PublishError> {
    let (objects, timestamp) = objects_of(intent)?;
    let is_snapshot = |(path, _): &Object| path.as_str().ends_with(".snapshot.json");
    let is_root = |(path, _): &Object| is_root(path.as_str());
    let (roots, objects): (Vec<_>, Vec<_>) = objects.into_iter().partition(is_root);
    let (snapshot, first): (Vec<_>, Vec<_>) = objects.into_iter().partition(is_snapshot);
    for objects in [first, snapshot] {
        let paths: Vec<ObjectPath> = objects.iter().map(|(path, _)| path.clone()).collect();
        let restored = tree.restore_all(lock, objects).await?;
        let mut found = paths.into_iter().zip(restored);
        if let Some((path, _)) = found.find(|(_, found)| *found == Restored::Different) {
            return Err(ObjectError::Different { path }.into());
        }
    }
    give_second_names(tree, after).await?;
    tree.replace_all(lock, vec![timestamp]).await?;
    publish_roots(tree, lock, roots).await
}

/// Gives the names by SHA-512 that the snapshot promises. One that is taken is logged and left, as a
/// plain one is: whoever goes by it is refused its bytes, and the name by SHA-256 stands.
async fn give_second_names(tree: &Replayable, after: &After) -> Result<(), PublishError> {
    let links = seconds_of(after)?;
    let wanted: Vec<ObjectPath> = links.iter().map(|(_, to)| to.clone()).collect();
    for (to, linked) in wanted.iter().zip(tree.link_all(links).await?) {
        match linked {
            // A folder that a version before this one has made for the web's user alone.
            Err(error) if error.is_denied() => tracing::error!(
                path = to.as_str(),
                error = &error as &dyn std::error::Error,
                "the name by sha512 cannot be given; `wheelmark index permissions` mends that"
            ),
            linked => drop(unless_lasting(linked.map_err(Into::into), to.as_str())?),
        }
    }
    Ok(())
}

/// The second names that objects of a snapshot have, each with the object.
fn seconds_of(after: &After) -> Result<Vec<(ObjectPath, ObjectPath)>, PublishError> {
    let mut links = Vec::with_capacity(after.seconds.len());
    for second in &after.seconds {
        let link = second.link().map_err(Into::into);
        links.extend(unless_lasting(link, second.project.as_str())?);
    }
    Ok(links)
}

/// Whether a recorded object is a root.
pub(crate) fn is_root(path: &str) -> bool {
    path.ends_with(".root.json")
}

/// Writes next roots. One whose name is taken is told of and left: what was published before it is
/// signed with the keys of the present one as well, and the index goes on under that.
pub(crate) async fn publish_roots(
    tree: &Replayable,
    lock: &WriterLock,
    roots: Vec<Object>,
) -> Result<(), PublishError> {
    if roots.is_empty() {
        return Ok(());
    }
    // Not even a power failure leaves the next root beside the old timestamp.
    tree.flush().await?;
    let paths: Vec<ObjectPath> = roots.iter().map(|(path, _)| path.clone()).collect();
    let restored = tree.restore_all(lock, roots).await;
    let restored = match restored {
        Ok(restored) => restored,
        Err(error) if is_lasting(&error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the next root cannot be published; the index goes on under the present one"
            );
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    for (path, found) in paths.iter().zip(restored) {
        if found == Restored::Different {
            tracing::error!(
                path = path.as_str(),
                "another file has the name of the next root; the index goes on under the present one"
            );
        }
    }
    Ok(())
}

/// An object and its bytes.
pub(crate) type Object = (ObjectPath, Bytes);

/// The objects of a record, and its timestamp.
pub(crate) fn objects_of(intent: Intent) -> Result<(Vec<Object>, Object), PublishError> {
    let objects = intent.objects.into_iter();
    let objects: Result<Vec<Object>, PublishError> = objects
        .map(|(path, bytes)| Ok((recorded_path(&path)?, Bytes::from(bytes))))
        .collect();
    let timestamp = (ObjectPath::timestamp(), Bytes::from(intent.timestamp));
    Ok((objects?, timestamp))
}

/// An object path as it was recorded.
pub(crate) fn recorded_path(path: &str) -> Result<ObjectPath, PublishError> {
    ObjectPath::parse(path).map_err(|_| PublishError::Recorded {
        what: path.to_owned(),
    })
}

/// Whether an object is in the way for good, rather than the file system failing for a while.
pub(crate) fn is_lasting(error: &ObjectError) -> bool {
    match error {
        ObjectError::Different { .. }
        | ObjectError::Missing { .. }
        | ObjectError::TooLarge { .. }
        | ObjectError::NotPlain { .. } => true,
        ObjectError::NotReplaceable { .. }
        | ObjectError::LockLost { .. }
        | ObjectError::Io { .. }
        | ObjectError::Stopped => false,
    }
}

/// Gives published files their plain names, rewrites the unsigned convenience copies, and takes
/// the names of removed files away.
///
/// Nothing signed depends on these names. One that is taken, or a page that cannot be read, is
/// logged and left: it must not keep the index from publishing. What may pass is an error.
pub(crate) async fn name(
    tree: &Replayable,
    lock: &WriterLock,
    after: &After,
    projects: &BTreeSet<ProjectName>,
) -> Result<(), PublishError> {
    let links = links_of(after)?;
    let wanted: Vec<ObjectPath> = links.iter().map(|(_, to)| to.clone()).collect();
    for (to, linked) in wanted.iter().zip(tree.link_all(links).await?) {
        unless_lasting(linked.map_err(Into::into), to.as_str())?;
    }
    for pages in after.pages.chunks(PAGES_AT_ONCE) {
        let mut copies = Vec::with_capacity(2 * pages.len());
        for page in pages {
            let made = copies_of_page(tree.directory(), page).await;
            copies.extend(
                unless_lasting(made, page.project.as_str())?
                    .into_iter()
                    .flatten(),
            );
        }
        replace_copies(tree, lock, copies).await?;
    }
    if after.list {
        replace_copies(tree, lock, copies_of_list(projects).into()).await?;
    }
    let mut gone = Vec::with_capacity(3 * after.gone.len());
    let mut copies = Vec::new();
    for certificates in &after.certificates {
        let plain = ObjectPath::plain_certificates(&certificates.project);
        let Some(sha256) = certificates.sha256 else {
            gone.push(plain);
            continue;
        };
        let made = copy_of_certificates(tree.directory(), certificates, &sha256).await;
        let copy = unless_lasting(made, plain.as_str())?;
        copies.extend(copy.map(|bytes| (plain, bytes)));
    }
    replace_copies(tree, lock, copies).await?;
    for file in &after.gone {
        let names = plain_names_of(file).map_err(Into::into);
        gone.extend(unless_lasting(names, &file.filename)?.into_iter().flatten());
    }
    let gone = tree.unname_all(lock, gone).await.map_err(Into::into);
    unless_lasting(gone, "the names of removed files")?;
    for project in &after.gone_projects {
        for copy in [
            ObjectPath::simple_json(project),
            ObjectPath::simple_html(project),
        ] {
            let gone = tree.directory().discard(lock, &copy).await;
            unless_lasting(gone.map_err(Into::into), copy.as_str())?;
        }
    }
    Ok(())
}

/// Gives the second names of snapshots once more that have been published, and takes away first
/// what a power failure has left in their places, or in those of plain names.
pub(crate) async fn restore_names(
    tree: &Replayable,
    lock: &WriterLock,
    after: &After,
) -> Result<(), PublishError> {
    let mut links = links_of(after)?;
    links.extend(seconds_of(after)?);
    tree.clear_others(lock, links).await?;
    give_second_names(tree, after).await
}

/// The plain names that the files of a snapshot get, each with the object that it is given to.
fn links_of(after: &After) -> Result<Vec<(ObjectPath, ObjectPath)>, PublishError> {
    let mut links = Vec::with_capacity(after.files.len());
    for file in &after.files {
        let names = names_of(file).map_err(Into::into);
        links.extend(unless_lasting(names, &file.filename)?.into_iter().flatten());
    }
    Ok(links)
}

async fn replace_copies(
    tree: &Replayable,
    lock: &WriterLock,
    copies: Vec<(ObjectPath, Bytes)>,
) -> Result<(), PublishError> {
    let replaced = tree.replace_all(lock, copies).await.map_err(Into::into);
    unless_lasting(replaced, "the unsigned copies")?;
    Ok(())
}

fn unless_lasting<T>(done: Result<T, PublishError>, what: &str) -> Result<Option<T>, PublishError> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.is_lasting() => {
            tracing::error!(
                what,
                error = &error as &dyn std::error::Error,
                "published and signed, but its unsigned name could not be made"
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What gets a plain name with a file: the object and that name.
fn names_of(file: &NamedFile) -> Result<Vec<(ObjectPath, ObjectPath)>, PathError> {
    let (project, filename) = (&file.project, file.filename.as_str());
    let mut names = vec![(
        ObjectPath::file(project, &file.sha256, filename)?,
        ObjectPath::plain_file(project, filename)?,
    )];
    if let Some(sha256) = &file.core_metadata_sha256 {
        names.push((
            ObjectPath::file_metadata(project, sha256, filename)?,
            ObjectPath::plain_file_metadata(project, filename)?,
        ));
    }
    if let Some(sha256) = &file.gpg_signature_sha256 {
        names.push((
            ObjectPath::signature(project, sha256, filename)?,
            ObjectPath::plain_signature(project, filename)?,
        ));
    }
    if let Some(sha256) = &file.provenance_sha256 {
        names.push((
            ObjectPath::provenance(project, sha256, filename)?,
            ObjectPath::plain_provenance(project, filename)?,
        ));
    }
    Ok(names)
}

/// The plain names that a file may have had.
fn plain_names_of(file: &GoneFile) -> Result<[ObjectPath; 4], PathError> {
    Ok([
        ObjectPath::plain_file(&file.project, &file.filename)?,
        ObjectPath::plain_file_metadata(&file.project, &file.filename)?,
        ObjectPath::plain_signature(&file.project, &file.filename)?,
        ObjectPath::plain_provenance(&file.project, &file.filename)?,
    ])
}

async fn copies_of_page(
    tree: &Directory,
    page: &NamedPage,
) -> Result<[(ObjectPath, Bytes); 2], PublishError> {
    let signed = ObjectPath::page(&page.project, &page.sha256);
    let missing = || PublishError::Recorded {
        what: signed.as_str().to_owned(),
    };
    let json = tree.read(&signed, u64::MAX).await?.ok_or_else(missing)?;
    let mut shown = ProjectPage::parse(&json).map_err(|_| missing())?;
    let json = match &page.taken_away {
        None => json,
        Some(sha256) => {
            shown = taken_away(tree, &page.project, sha256).await?.apply(&shown);
            shown.to_json().into()
        }
    };
    Ok([
        (ObjectPath::simple_json(&page.project), json),
        (
            ObjectPath::simple_html(&page.project),
            shown.to_html().into(),
        ),
    ])
}

/// What is taken away from a project.
pub(crate) async fn taken_away(
    tree: &Directory,
    project: &ProjectName,
    sha256: &Sha256,
) -> Result<TakenAway, PublishError> {
    let path = ObjectPath::status(project, sha256)?;
    let bytes = tree.read(&path, u64::MAX).await?;
    let list = bytes.and_then(|bytes| TakenAway::parse(&bytes, project).ok());
    list.ok_or_else(|| PublishError::Recorded {
        what: path.as_str().to_owned(),
    })
}

async fn copy_of_certificates(
    tree: &Directory,
    certificates: &NamedCertificates,
    sha256: &Sha256,
) -> Result<Bytes, PublishError> {
    let signed = ObjectPath::certificates(&certificates.project, sha256);
    let bytes = tree.read(&signed, u64::MAX).await?;
    bytes.ok_or_else(|| PublishError::Recorded {
        what: signed.as_str().to_owned(),
    })
}

/// The unsigned list of all projects, in both forms.
pub(crate) fn copies_of_list(projects: &BTreeSet<ProjectName>) -> [(ObjectPath, Bytes); 2] {
    let list = ProjectList {
        projects: projects
            .iter()
            .map(|name| ListedProject {
                name: name.clone(),
                extra: BTreeMap::new(),
            })
            .collect(),
        ..ProjectList::default()
    };
    [
        (ObjectPath::simple_list_json(), list.to_json().into()),
        (ObjectPath::simple_list_html(), list.to_html().into()),
    ]
}

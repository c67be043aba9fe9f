//! Where the last good state comes from: a directory, a backup, a URL, or a snapshot of the index's own tree.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use jiff::Timestamp;
use tokio::runtime::Handle;
use url::Url;
use wheelmark_client::Remote;
use wheelmark_mirror::{
    Chain, Depth, DirectoryPlace, Expected, Place, PlaceError, Standing, WebPlace, follow,
};
use wheelmark_objects::ObjectPath;
use wheelmark_recovery::VersionedFile;
use wheelmark_tuf::limits::{MAX_SNAPSHOT_LENGTH, MAX_TARGETS_LENGTH};
use wheelmark_tuf::{
    Role as _, RoleName, Root, Sha256, Sha256Hasher, Snapshot, TrustedSet, Verified, verify,
    verify_next_root, verify_trusted_root,
};

use crate::anchor::copy_at;
use crate::commands::index::Other;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::remote::remote;

/// How much of a file is taken at once.
const PIECE: usize = 256 * 1024;

/// What somebody named as the last good state.
#[derive(Clone, Debug)]
pub(super) enum Named {
    /// The one that an earlier plan into the same folder has put there.
    Planned(VersionedFile),
    /// A snapshot of the index's own tree.
    Snapshot(u64),
    Tree(PathBuf),
    Url(String),
}

impl Named {
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        if let Ok(version) = text.parse() {
            return Ok(Self::Snapshot(version));
        }
        Ok(match Other::named(text)? {
            Other::Tree(path) => Self::Tree(path),
            Other::Url(url) => Self::Url(url),
        })
    }
}

/// A place that a state is read from.
#[derive(Debug)]
pub(super) enum Source {
    Tree(DirectoryPlace),
    Web {
        place: Box<WebPlace>,
        targets: Option<Url>,
        remote: Box<Remote>,
        runtime: Handle,
    },
}

impl Source {
    pub(super) fn tree(path: &Path) -> anyhow::Result<Self> {
        let path = path
            .canonicalize()
            .with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Self::Tree(DirectoryPlace::new(&path, 1, None)))
    }

    pub(super) fn web(url: &str, context: &Context) -> anyhow::Result<Self> {
        let (copy, remote) = (copy_at(url, None)?, remote(context)?);
        let targets = copy.targets;
        Ok(Self::Web {
            place: Box::new(WebPlace::new(
                copy.metadata,
                targets.clone(),
                remote.clone(),
                Depth::Bytes,
            )),
            targets,
            remote: Box::new(remote),
            runtime: Handle::current(),
        })
    }

    /// Another copy of the index, by the name that somebody gave it.
    pub(super) fn of_copy(name: &str, context: &Context) -> anyhow::Result<Self> {
        match Other::named(name)? {
            Other::Tree(path) => Self::tree(&path),
            Other::Url(url) => Self::web(&url, context),
        }
    }

    /// Writes an object into `to`, if it is what it has to be. Says whether it is.
    pub(super) fn bring(
        &self,
        path: &ObjectPath,
        expected: &Expected,
        to: &Path,
    ) -> anyhow::Result<bool> {
        let cannot = || format!("{path} cannot be brought over");
        let mut out =
            File::create(to).with_context(|| format!("{} cannot be written", to.display()))?;
        let (mut hasher, mut length) = (Sha256Hasher::new(), 0_u64);
        let most = expected.length.unwrap_or(expected.limit);
        let mut take = |piece: &[u8]| -> std::io::Result<bool> {
            length += piece.len() as u64;
            hasher.update(piece);
            out.write_all(piece)?;
            Ok(length <= most)
        };
        match self {
            Self::Tree(place) => {
                use std::io::Read as _;
                let from = place.root().join(path.as_str());
                // Something else in a file's place might never end.
                if !std::fs::metadata(&from).is_ok_and(|found| found.is_file()) {
                    return Ok(false);
                }
                let mut file = File::open(&from).with_context(cannot)?;
                let mut piece = vec![0; PIECE];
                loop {
                    let read = file.read(&mut piece).with_context(cannot)?;
                    if read == 0 || !take(&piece[..read]).with_context(cannot)? {
                        break;
                    }
                }
            }
            Self::Web {
                targets,
                remote,
                runtime,
                ..
            } => {
                let rest = path.as_str().strip_prefix("targets/");
                let Some((base, rest)) = targets.as_ref().zip(rest) else {
                    return Ok(false);
                };
                let mut url = base.clone();
                url.set_path(&format!("{}{rest}", base.path()));
                let arriving = runtime.block_on(remote.fetch_file(&url, 0));
                let Some(mut arriving) = arriving.with_context(cannot)? else {
                    return Ok(false);
                };
                loop {
                    let piece = runtime
                        .block_on(arriving.next(PIECE))
                        .with_context(cannot)?;
                    if piece.is_empty() || !take(&piece).with_context(cannot)? {
                        break;
                    }
                }
            }
        }
        out.sync_all().with_context(cannot)?;
        let is_long_enough = expected.length.is_none_or(|expected| expected == length);
        Ok(length <= most && is_long_enough && hasher.finish() == expected.sha256)
    }
}

impl Place for Source {
    fn at_once(&self) -> usize {
        match self {
            Self::Tree(place) => place.at_once(),
            Self::Web { place, .. } => place.at_once(),
        }
    }

    fn metadata(&self, name: &str, limit: u64) -> Result<Option<Bytes>, PlaceError> {
        match self {
            Self::Tree(place) => place.metadata(name, limit),
            Self::Web { place, .. } => place.metadata(name, limit),
        }
    }

    fn object(&self, path: &ObjectPath, limit: u64) -> Result<Option<Bytes>, PlaceError> {
        match self {
            Self::Tree(place) => place.object(path, limit),
            Self::Web { place, .. } => place.object(path, limit),
        }
    }

    fn check(&self, path: &ObjectPath, expected: &Expected) -> Result<Standing, PlaceError> {
        match self {
            Self::Tree(place) => place.check(path, expected),
            Self::Web { place, .. } => place.check(path, expected),
        }
    }

    fn are_one(&self, one: &ObjectPath, other: &ObjectPath) -> bool {
        match self {
            Self::Tree(place) => place.are_one(one, other),
            Self::Web { place, .. } => place.are_one(one, other),
        }
    }

    fn has_plain_names(&self) -> bool {
        match self {
            Self::Tree(place) => place.has_plain_names(),
            Self::Web { place, .. } => place.has_plain_names(),
        }
    }

    fn has_simple(&self) -> bool {
        match self {
            Self::Tree(place) => place.has_simple(),
            Self::Web { place, .. } => place.has_simple(),
        }
    }
}

/// A state whose chain of signatures holds, and the files of its top-level roles but the timestamp's.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) set: TrustedSet,
    pub(super) snapshot: Bytes,
    pub(super) targets: Bytes,
    /// None where the state is gone by its snapshot alone.
    pub(super) timestamp: Option<Bytes>,
}

impl Followed {
    /// The state that a place shows, expired or not.
    pub(super) fn of_place(place: &impl Place, root: &[u8]) -> anyhow::Result<Self> {
        let chain = follow(place, root, Timestamp::UNIX_EPOCH);
        let Chain { set, files, .. } = chain.map_err(|broken| broken.error)?;
        let file = |role: &RoleName| {
            let found = files.iter().find(|(name, _, _)| name == role);
            found.map(|(_, _, bytes)| bytes.clone())
        };
        let missing = || anyhow!("its chain has no snapshot");
        Ok(Self {
            snapshot: file(&RoleName::snapshot()).ok_or_else(missing)?,
            targets: file(&RoleName::targets()).ok_or_else(missing)?,
            timestamp: file(&RoleName::timestamp()),
            set,
        })
    }

    /// An earlier snapshot of the state that the index shows.
    pub(super) fn of_snapshot(
        index: &impl Place,
        now: &TrustedSet,
        first_root: &[u8],
        version: u64,
    ) -> anyhow::Result<Self> {
        let published = now.snapshot().version;
        if version >= published {
            return Err(anyhow!(
                "snapshot {version} is not before the published one, {published}"
            ))
            .hint("name an earlier one: wheelmark index snapshot-log");
        }
        Self::of_named(index, index, now, first_root, version)
    }

    /// The state that an earlier plan has put into its folder: a tree without a timestamp, of which the plan says
    /// which snapshot it is.
    pub(super) fn of_planned(
        tree: &impl Place,
        index: &impl Place,
        now: &TrustedSet,
        first_root: &[u8],
        planned: VersionedFile,
    ) -> anyhow::Result<Self> {
        let found = Self::of_named(tree, index, now, first_root, planned.version)?;
        match found.snapshot_file() == planned {
            true => Ok(found),
            false => Err(anyhow!(
                "snapshot {} there is not the one that plan.json goes back to",
                planned.version
            )),
        }
    }

    /// A snapshot of a tree, under the newest root of the index whose keys have signed it.
    fn of_named(
        tree: &impl Place,
        index: &impl Place,
        now: &TrustedSet,
        first_root: &[u8],
        version: u64,
    ) -> anyhow::Result<Self> {
        let read_in = |bytes: Result<Option<Bytes>, PlaceError>, name: &str| {
            bytes?
                .with_context(|| format!("metadata/{name} is not in the tree any more"))
                .hint("`wheelmark index gc` takes old snapshots away: name a backup or a copy")
        };
        let read = |role: &RoleName, version: u64, most: u64| -> anyhow::Result<Bytes> {
            let name = role.versioned_file_name(version);
            read_in(tree.metadata(&name, most), &name)
        };
        let snapshot = read(&RoleName::snapshot(), version, MAX_SNAPSHOT_LENGTH)?;
        let signed_by = |root: &Verified<Root>| {
            let opened: Result<Verified<Snapshot>, _> =
                verify(&snapshot, &root.keys, &root.roles.snapshot);
            opened.ok().filter(|opened| opened.version() == version)
        };
        let mut found = None;
        let mut root = verify_trusted_root(first_root)?;
        loop {
            if let Some(opened) = signed_by(&root) {
                found = Some((root.clone(), opened));
            }
            if root.version >= now.root().version {
                break;
            }
            let name = RoleName::root().versioned_file_name(root.version + 1);
            let limit = wheelmark_tuf::limits::MAX_ROOT_LENGTH;
            let next = read_in(index.metadata(&name, limit), &name)?;
            root = verify_next_root(&root, &next)?;
        }
        let (root, opened) = found
            .with_context(|| {
                format!("metadata/{version}.snapshot.json is not signed as any root here asks for")
            })
            .hint("name a backup or a copy in its place")?;
        let listed = opened.role(&RoleName::targets());
        let listed = listed.context("the snapshot lists no targets")?.version;
        let targets = read(&RoleName::targets(), listed, MAX_TARGETS_LENGTH)?;
        let set = now.dangerously_looking_back(root, &snapshot, &targets)?;
        Ok(Self {
            set,
            snapshot,
            targets,
            timestamp: None,
        })
    }

    /// The snapshot, as a plan names it.
    pub(super) fn snapshot_file(&self) -> VersionedFile {
        VersionedFile {
            version: self.set.snapshot().version,
            sha256: Sha256::of(&self.snapshot),
        }
    }
}

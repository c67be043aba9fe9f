//! The trusted root of Sigstore's public instance: the one that is built in, or a newer one that was
//! fetched from Sigstore's own TUF repository and kept.
//!
//! ```text
//! root 16, built in ─▶ wheelmark_client::GeneralClient ─▶ HOME/sigstore/metadata/  (floors against rollback)
//!                                                     └─▶ HOME/sigstore/trusted_root.json, record.json
//!                 each use: root 16 ─▶ root.json ─▶ targets.json ─▶ trusted_root.json, by signatures and digest
//! ```
//!
//! Where the files lie says nothing: what is read is verified from the root that is built in, each time. What was
//! begun with another root is a Sigstore of somebody's own, under its own name, and never the public one. No
//! index has a part in any of this.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use wheelmark_client::{GeneralClient, GeneralError, MetadataDir};
use wheelmark_provenance::{
    MAX_TRUSTED_ROOT_LEN, PUBLIC_GOOD_AS_OF, PUBLIC_GOOD_TUF_ROOT, TrustedRoots,
};
use wheelmark_tuf::limits::{MAX_ROOT_LENGTH, MAX_TARGETS_LENGTH};
use wheelmark_tuf::{
    Sha256, TargetPath, Targets, Verified, verify, verify_next_root, verify_trusted_root,
};

use crate::context::Context;
use crate::logging::WithHint as _;
use crate::published::read_bounded;
use crate::remote::anonymous;

/// Where Sigstore's TUF repository is.
pub(crate) const REPOSITORY: &str = "https://tuf-repo-cdn.sigstore.dev/";

/// What it calls the trusted root.
const TARGET: &str = "trusted_root.json";

/// Longest record of a refresh, in bytes; ours have some 400.
const MAX_RECORD_LEN: u64 = 16 * 1024;

/// What is known of the last refresh.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Where it came from.
    pub(crate) url: String,
    /// Whether it began with a root that somebody gave, and not with the one that is built in.
    pub(crate) own: bool,
    pub(crate) refreshed_at: Timestamp,
    pub(crate) sha256: String,
    /// Versions of the roles of Sigstore's repository, and until when they are good.
    pub(crate) root: Role,
    pub(crate) timestamp: Role,
    pub(crate) targets: Role,
}

/// A role of Sigstore's repository.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Role {
    pub(crate) version: u64,
    pub(crate) expires: Timestamp,
}

/// The public root that counts.
pub(crate) enum InForce {
    /// The one that came with the program.
    BuiltIn {
        /// A kept one that is older than it.
        passed_over: Option<Box<Record>>,
    },
    Refreshed(Box<Record>),
}

/// Sigstore's public instance, as it is known here.
pub(crate) fn public_roots(context: &Context) -> anyhow::Result<TrustedRoots> {
    let kept = Kept::of(context);
    match kept.in_force()? {
        InForce::BuiltIn { .. } => Ok(TrustedRoots::public_good()?),
        InForce::Refreshed(record) if record.own => {
            // The system's administrator says whose word counts, where there is one.
            let roots = TrustedRoots::public_good()?;
            if context.system.join(crate::configuration::FILE).exists() {
                return Ok(roots);
            }
            let name = format!("the Sigstore of {}", record.url);
            roots.with(&name, &kept.verified(true)?).hint(AGAIN)
        }
        InForce::Refreshed(_) => {
            TrustedRoots::public_good_since(&kept.verified(false)?).hint(AGAIN)
        }
    }
}

/// Where it is kept.
pub(crate) struct Kept {
    directory: PathBuf,
}

impl Kept {
    pub(crate) fn of(context: &Context) -> Kept {
        Kept {
            directory: context.home.join("sigstore"),
        }
    }

    pub(crate) fn trusted_root(&self) -> PathBuf {
        self.directory.join(TARGET)
    }

    fn metadata(&self) -> PathBuf {
        self.directory.join("metadata")
    }

    /// Which one counts: the kept one, unless the program has been renewed since.
    pub(crate) fn in_force(&self) -> anyhow::Result<InForce> {
        Ok(match self.record()? {
            None => InForce::BuiltIn { passed_over: None },
            Some(record) if is_before(record.refreshed_at, PUBLIC_GOOD_AS_OF) => InForce::BuiltIn {
                passed_over: Some(Box::new(record)),
            },
            Some(record) => InForce::Refreshed(Box::new(record)),
        })
    }

    fn record(&self) -> anyhow::Result<Option<Record>> {
        let path = self.directory.join("record.json");
        match read_bounded(&path, MAX_RECORD_LEN) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| format!("{} is damaged", path.display()))
                .hint(AGAIN),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
        }
    }

    /// The kept trusted root, verified on from the first root: by a root that a threshold of the first
    /// one's keys has signed, and the targets of that. Nothing here expires: it was fresh when it came.
    fn verified(&self, own: bool) -> anyhow::Result<Vec<u8>> {
        let read = |path: PathBuf, most: u64| {
            read_bounded(&path, most)
                .with_context(|| format!("{} cannot be used", path.display()))
                .hint(AGAIN)
        };
        let first = match own {
            true => read(self.first_root(), MAX_ROOT_LENGTH)?,
            false => PUBLIC_GOOD_TUF_ROOT.to_vec(),
        };
        let root = read(self.directory.join("root.json"), MAX_ROOT_LENGTH)?;
        let targets = read(self.directory.join("targets.json"), MAX_TARGETS_LENGTH)?;
        let json = read(self.trusted_root(), MAX_TRUSTED_ROOT_LEN as u64)?;
        signed(&first, &root, &targets, &json)
            .with_context(|| format!("{} cannot be used", self.trusted_root().display()))
            .hint(AGAIN)?;
        Ok(json)
    }

    /// The root that somebody gave to begin with.
    fn first_root(&self) -> PathBuf {
        self.directory.join("first.root.json")
    }

    /// Forgets what was fetched: the one that is built in counts again.
    pub(crate) fn forget(&self) -> anyhow::Result<bool> {
        match fs::remove_dir_all(&self.directory) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => {
                Err(error).with_context(|| format!("could not remove {}", self.directory.display()))
            }
        }
    }

    /// Fetches the newest trusted root from a TUF repository, and keeps it.
    ///
    /// Whatever is wrong with what comes, what was kept before stays and goes on counting.
    pub(crate) async fn refresh(
        &self,
        url: &str,
        first_root: Option<Vec<u8>>,
        now: Timestamp,
    ) -> anyhow::Result<Record> {
        private(&self.directory)?;
        let metadata = MetadataDir::open(&self.metadata())?;
        if let Some(first) = begin(&metadata, &self.metadata(), first_root)? {
            fs::write(self.first_root(), first)?;
        }
        let own = self.first_root().exists();
        let client = GeneralClient::refresh(metadata, url, anonymous()?, now).await;
        let client = client.map_err(explained)?;
        let path: TargetPath = TARGET.parse()?;
        let target = client.find(&path).await.map_err(explained)?;
        if target.length > MAX_TRUSTED_ROOT_LEN as u64 {
            return Err(anyhow!(
                "the trusted root that is signed there has {} bytes, at most {MAX_TRUSTED_ROOT_LEN} are read",
                target.length
            ))
            .hint("what was known before goes on counting; a newer version of this program may read it");
        }
        let targets = format!("{}/targets/", url.trim_end_matches('/'));
        let arriving = tempfile::Builder::new()
            .prefix(".arriving-")
            .tempdir_in(&self.directory)?;
        let arrived = client.download(&path, &targets, arriving.path()).await;
        let arrived = arrived.map_err(explained)?.file;
        let json = fs::read(&arrived)?;
        TrustedRoots::public_good_since(&json)
            .context("the trusted root that is signed there cannot be used by this program")
            .hint("what was known before goes on counting; a newer version of this program may read it")?;
        let trusted = client.trusted();
        let timestamp = trusted.timestamp();
        let record = Record {
            url: url.to_owned(),
            own,
            refreshed_at: now,
            sha256: Sha256::of(&json).to_string(),
            root: Role::of(trusted.root().version, trusted.root().expires),
            timestamp: Role::of(timestamp.version, timestamp.expires),
            targets: Role::of(trusted.targets().version, trusted.targets().expires),
        };
        // What signed it stays beside it: a later refresh may get on with the metadata and no further.
        // A crash among these leaves a kept root that is refused, with what to do.
        for name in ["root.json", "targets.json"] {
            let copied = arriving.path().join(name);
            fs::copy(self.metadata().join(name), &copied)?;
            fs::rename(&copied, self.directory.join(name))?;
        }
        fs::rename(&arrived, self.trusted_root())?;
        let written = arriving.path().join("record.json");
        fs::write(&written, serde_json::to_vec_pretty(&record)?)?;
        fs::rename(&written, self.directory.join("record.json"))?;
        Ok(record)
    }
}

/// What to do about a kept root that cannot be used.
const AGAIN: &str = "wheelmark trust sigstore refresh gets it anew, wheelmark trust sigstore forget goes back to the one that is built in";

impl Role {
    fn of(version: u64, expires: Timestamp) -> Role {
        Role { version, expires }
    }
}

/// Begins with a root that was given, or the one that is built in; once it has begun, it goes on.
/// What was given is returned, if it is what counts from now on.
fn begin(
    metadata: &MetadataDir,
    at: &Path,
    given: Option<Vec<u8>>,
) -> anyhow::Result<Option<Vec<u8>>> {
    let has_begun = at.join("root.json").try_exists()?;
    let first = match &given {
        None if has_begun => return Ok(None),
        None => PUBLIC_GOOD_TUF_ROOT.to_vec(),
        Some(_) if has_begun => {
            return Err(anyhow!("{} holds a trusted root already", at.display())).hint(
                "trust in this repository has begun already, and goes on by itself without --root; wheelmark trust sigstore forget ends it",
            );
        }
        Some(given) => given.clone(),
    };
    metadata
        .begin(first)
        .context("the root cannot be begun with")?;
    Ok(given)
}

/// Whether a trusted root is what these targets list, these targets are of this root, and a threshold of the
/// first root's keys has signed that one.
fn signed(first: &[u8], root: &[u8], targets: &[u8], json: &[u8]) -> anyhow::Result<()> {
    let root = if first == root {
        verify_trusted_root(root)?
    } else {
        let first = verify_trusted_root(first)?;
        let next = verify_next_root(&first, root)
            .context("its repository's root is not of the first root's keys")?;
        ensure!(
            next.version > first.version,
            "its repository's root is an older one"
        );
        next
    };
    let targets: Verified<Targets> = verify(targets, &root.keys, &root.roles.targets)
        .context("its repository's targets are not of its root's keys")?;
    let path: TargetPath = TARGET.parse()?;
    let listed = targets
        .targets
        .get(&path)
        .ok_or_else(|| anyhow!("its repository lists none"))?;
    ensure!(
        listed.length == json.len() as u64 && listed.hashes.check(json).is_ok(),
        "it is not what is signed"
    );
    Ok(())
}

/// A directory that is the user's alone.
fn private(directory: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder
        .create(directory)
        .with_context(|| format!("could not create {}", directory.display()))
}

/// What is wrong, and what it can mean.
fn explained(error: GeneralError) -> anyhow::Error {
    let hint = match &error {
        GeneralError::Refresh(_) | GeneralError::Lookup { .. } | GeneralError::Content { .. } => {
            "what was known before goes on counting. Is this machine's clock right? If it is, somebody on the way may be holding back or changing what Sigstore publishes"
        }
        _ => {
            "what was known before goes on counting. Can the repository be reached? --url names a mirror of it"
        }
    };
    let failed = Err::<(), _>(error).context("Sigstore's public root could not be refreshed");
    match failed.hint(hint) {
        Err(error) => error,
        Ok(()) => anyhow!("Sigstore's public root could not be refreshed"),
    }
}

fn is_before(time: Timestamp, day: Date) -> bool {
    time.to_zoned(TimeZone::UTC).date() < day
}

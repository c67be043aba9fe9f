//! The directory in which a ceremony travels.
//!
//! ```text
//! ceremony.json          the plan
//! published/             what it stands on: every root, the present offline roles, and where claims
//!                        are sealed, the list of those that wait and the projects' own roles
//! payloads/              what is to be signed, for people and other tools to look at
//! signatures/            one file for each signature
//! finished/              the metadata, once it is complete
//! outcome.json           in which snapshot it was published
//! ```
//!
//! Nothing in it is believed. What is signed follows from the plan and from what is published, and
//! each command computes it again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};
use wheelmark_ceremony::{Ceremony, Plan, Policy, Published, SignatureFile, Standing, Tally};
use wheelmark_tuf::limits::{MAX_ROOT_LENGTH, MAX_TARGETS_LENGTH};
use wheelmark_tuf::{RoleName, Sha256, root_fingerprint};

use super::policy;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::published::read_bounded;

const PLAN: &str = "ceremony.json";
const PUBLISHED: &str = "published";
const PAYLOADS: &str = "payloads";
const SIGNATURES: &str = "signatures";
const FINISHED: &str = "finished";
const ABORTED: &str = "aborted";
const OUTCOME: &str = "outcome.json";

/// The longest plan, and the longest signature, in bytes.
const MAX_SMALL_LEN: u64 = 1024 * 1024;

/// The longest metadata file, in bytes: what clients read of any role.
const MAX_METADATA_LEN: u64 = MAX_TARGETS_LENGTH;

/// The most that is read of what a ceremony stands on, in bytes: it is in memory before it is verified.
const MAX_PUBLISHED_LEN: u64 = 64 * 1024 * 1024;

/// The most files that one of the folders has.
const MOST_FILES: usize = 10_000;

/// A ceremony's directory.
pub(super) struct Folder {
    directory: PathBuf,
}

/// How far a ceremony has come, as its directory says. Nothing goes by it but what people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Signing,
    Finished,
    Published { snapshot_version: u64 },
}

impl Stage {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Finished => "finished",
            Self::Published { .. } => "published",
        }
    }
}

/// A signature file that does not count, and why.
pub(super) struct Refused {
    pub(super) file: PathBuf,
    pub(super) why: anyhow::Error,
}

impl Folder {
    /// The directory of a ceremony that goes on.
    pub(super) fn open(directory: &Path) -> anyhow::Result<Self> {
        let directory = directory.to_owned();
        let folder = Self { directory };
        if folder.directory.join(ABORTED).exists() {
            return Err(anyhow!(
                "the ceremony in {} was broken off",
                folder.directory.display()
            ))
            .hint("begin another one: wheelmark ceremony begin");
        }
        if !folder.directory.join(PLAN).is_file() {
            return Err(anyhow!(
                "{} is no ceremony: there is no {PLAN} in it",
                folder.directory.display()
            ))
            .hint("name the directory that `wheelmark ceremony begin --out` made");
        }
        Ok(folder)
    }

    /// The directory of a ceremony, whatever became of it.
    pub(super) fn of(directory: &Path) -> Self {
        let directory = directory.to_owned();
        Self { directory }
    }

    /// Writes a new ceremony into a directory that is not there, or empty.
    pub(super) fn create(directory: &Path, ceremony: &Ceremony) -> anyhow::Result<Self> {
        let cannot = || format!("{} cannot be written", directory.display());
        fs::create_dir_all(directory).with_context(cannot)?;
        if fs::read_dir(directory)
            .with_context(cannot)?
            .next()
            .is_some()
        {
            return Err(anyhow!("{} is not empty", directory.display()))
                .hint("each ceremony has a directory of its own: name a new one with --out");
        }
        let folder = Self {
            directory: directory.to_owned(),
        };
        let published = ceremony.standing().published();
        let roots = published.roots.iter().zip(1..).map(|(bytes, version)| {
            let name = RoleName::root().versioned_file_name(version);
            (name, bytes.clone())
        });
        let roles = published.roles.iter().filter_map(|(role, bytes)| {
            let version = ceremony.standing().version(role)?;
            Some((role.versioned_file_name(version), bytes.clone()))
        });
        folder.write_all(PUBLISHED, roots.chain(roles))?;
        let payloads = ceremony.payloads().iter();
        let payloads = payloads.map(|payload| (payload.file_name(), payload.unsigned_file()));
        folder.write_all(PAYLOADS, payloads)?;
        folder.write_all(SIGNATURES, std::iter::empty())?;
        // Last: a directory without it is no ceremony.
        let plan = serde_json::to_vec_pretty(&ceremony.plan().to_value())?;
        write_new(&folder.directory.join(PLAN), &plan)?;
        crate::data::sync_directory(&folder.directory)?;
        Ok(folder)
    }

    /// The directory itself.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What is planned, as it lies there: nothing of it is checked.
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        let path = self.directory.join(PLAN);
        let plan = self.read(&path, MAX_SMALL_LEN)?;
        Plan::read(&plan).with_context(|| format!("{} is refused", path.display()))
    }

    /// How many files of signatures lie there, whether they count or not.
    pub(super) fn count_signatures(&self) -> anyhow::Result<usize> {
        Ok(self.files(SIGNATURES)?.len())
    }

    /// The ceremony in it, computed and checked anew.
    pub(super) fn ceremony(&self, context: &Context) -> anyhow::Result<Ceremony> {
        self.ceremony_by(&policy::default(), context)
    }

    /// The same, by a policy that may ask for more.
    pub(super) fn ceremony_by(
        &self,
        policy: &Policy,
        context: &Context,
    ) -> anyhow::Result<Ceremony> {
        let damaged = || format!("the ceremony in {} is refused", self.directory.display());
        let plan = self.plan()?;
        let standing = Standing::verify(self.published()?).with_context(damaged)?;
        let now = context.clock.now();
        let ceremony = Ceremony::new(standing, plan, policy, now).with_context(damaged)?;
        self.demand_payloads(&ceremony)?;
        Ok(ceremony)
    }

    /// The payloads that travel are those that follow from the plan.
    fn demand_payloads(&self, ceremony: &Ceremony) -> anyhow::Result<()> {
        let mut there = self.files(PAYLOADS)?;
        for payload in ceremony.payloads() {
            let name = payload.file_name();
            let Some(path) = there.remove(&name) else {
                bail!(
                    "the payload {name} is missing from {}",
                    self.directory.display()
                );
            };
            if self.read(&path, MAX_METADATA_LEN)? != payload.unsigned_file() {
                return Err(anyhow!(
                    "{} was changed: it is not what this ceremony signs",
                    path.display()
                ))
                .hint("somebody or something changed it on its way; take the ceremony anew from whoever began it, and compare the words");
            }
        }
        match there.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(anyhow!("{name} is no payload of this ceremony"))
                .hint("somebody put it there; take the ceremony anew from whoever began it"),
        }
    }

    /// What the ceremony stands on.
    fn published(&self) -> anyhow::Result<Published> {
        let mut published = Published::default();
        let mut roots = BTreeMap::new();
        let mut left = MAX_PUBLISHED_LEN;
        for (name, path) in self.files(PUBLISHED)? {
            let parts = name.strip_suffix(".json").and_then(|name| {
                let (version, role) = name.split_once('.')?;
                Some((version.parse::<u64>().ok()?, role.parse::<RoleName>().ok()?))
            });
            let Some((version, role)) = parts else {
                bail!("{} is no metadata file", path.display());
            };
            let most = match role == RoleName::root() {
                true => MAX_ROOT_LENGTH,
                false => MAX_METADATA_LEN,
            };
            let bytes = self.read(&path, most.min(left))?;
            left = left.saturating_sub(bytes.len() as u64);
            if role == RoleName::root() {
                roots.insert(version, bytes);
            } else if published.roles.insert(role, bytes).is_some() {
                bail!("{PUBLISHED} holds two versions of a role ({name})");
            }
        }
        published.roots = roots.into_values().collect();
        Ok(published)
    }

    /// Takes in the signatures that are there; those that do not count come back.
    pub(super) fn signatures<'a>(
        &self,
        ceremony: &'a Ceremony,
    ) -> anyhow::Result<(Tally<'a>, Vec<Refused>)> {
        let mut tally = Tally::new(ceremony);
        let mut refused = Vec::new();
        for (_, file) in self.files(SIGNATURES)? {
            let bytes = self.read(&file, MAX_SMALL_LEN)?;
            let admitted = SignatureFile::read(&bytes).and_then(|read| tally.admit(read));
            if let Err(error) = admitted {
                let why = error.into();
                refused.push(Refused { file, why });
            }
        }
        Ok((tally, refused))
    }

    /// Takes in the signatures that are there, each of which has to count.
    pub(super) fn all_signatures<'a>(&self, ceremony: &'a Ceremony) -> anyhow::Result<Tally<'a>> {
        let (tally, refused) = self.signatures(ceremony)?;
        match refused.into_iter().next() {
            None => Ok(tally),
            Some(Refused { file, why }) => Err(why)
                .with_context(|| format!("{} does not count", file.display()))
                .hint("find out where it comes from, and take it out of the directory"),
        }
    }

    /// Adds a signature; whether it is new.
    pub(super) fn add_signature(&self, signature: &SignatureFile) -> anyhow::Result<bool> {
        let mut bytes = serde_json::to_vec_pretty(&signature.to_value())?;
        bytes.push(b'\n');
        let path = self.directory.join(SIGNATURES).join(signature.file_name());
        if path.exists() {
            if self.read(&path, MAX_SMALL_LEN)? == bytes {
                return Ok(false);
            }
            return Err(anyhow!("{} is there with other contents", path.display()))
                .hint("find out where it comes from, and take it out of the directory");
        }
        write_new(&path, &bytes)?;
        Ok(true)
    }

    /// Writes the finished metadata.
    pub(super) fn write_finished(&self, files: &[(String, Vec<u8>)]) -> anyhow::Result<()> {
        let folder = self.directory.join(FINISHED);
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("{} cannot be written anew", folder.display()))?;
        }
        self.write_all(FINISHED, files.iter().cloned())
    }

    /// The finished metadata.
    pub(super) fn finished(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let files = self.files(FINISHED)?.into_iter();
        files
            .map(|(name, path)| Ok((name, self.read(&path, MAX_METADATA_LEN)?)))
            .collect()
    }

    /// How far it has come.
    pub(super) fn stage(&self) -> Stage {
        let outcome = read_bounded(&self.directory.join(OUTCOME), MAX_SMALL_LEN).ok();
        let outcome = outcome.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let snapshot = outcome.and_then(|outcome| outcome["snapshot_version"].as_u64());
        match (snapshot, self.files(FINISHED)) {
            (Some(snapshot_version), _) => Stage::Published { snapshot_version },
            (None, Ok(finished)) if !finished.is_empty() => Stage::Finished,
            (None, _) => Stage::Signing,
        }
    }

    /// Notes in which snapshot it was published, for whoever looks at the directory later.
    pub(super) fn note_published(&self, snapshot_version: u64) -> anyhow::Result<()> {
        let path = self.directory.join(OUTCOME);
        let told = json!({ "published": true, "snapshot_version": snapshot_version });
        match path.exists() {
            true => Ok(()),
            false => write_new(&path, format!("{told}\n").as_bytes()),
        }
    }

    /// Every file of the ceremony, by its path in the directory.
    pub(super) fn contents(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let plan = self.read(&self.directory.join(PLAN), MAX_SMALL_LEN)?;
        let mut contents = vec![(PLAN.to_owned(), plan)];
        let outcome = self.directory.join(OUTCOME);
        if outcome.exists() {
            contents.push((OUTCOME.to_owned(), self.read(&outcome, MAX_SMALL_LEN)?));
        }
        for folder in [PUBLISHED, PAYLOADS, SIGNATURES, FINISHED] {
            for (name, path) in self.files(folder)? {
                let bytes = self.read(&path, MAX_METADATA_LEN)?;
                contents.push((format!("{folder}/{name}"), bytes));
            }
        }
        Ok(contents)
    }

    /// Ends the ceremony without a result: what was signed is removed here.
    pub(super) fn abort(&self) -> anyhow::Result<()> {
        let mark = self.directory.join(ABORTED);
        if !mark.exists() {
            write_new(&mark, b"this ceremony was broken off\n")?;
        }
        for name in [SIGNATURES, FINISHED] {
            let folder = self.directory.join(name);
            if folder.exists() {
                fs::remove_dir_all(&folder)
                    .with_context(|| format!("{} cannot be removed", folder.display()))?;
            }
        }
        crate::data::sync_directory(&self.directory)
    }

    fn write_all(
        &self,
        folder: &str,
        files: impl Iterator<Item = (String, Vec<u8>)>,
    ) -> anyhow::Result<()> {
        let folder = self.directory.join(folder);
        fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        for (name, bytes) in files {
            write_new(&folder.join(name), &bytes)?;
        }
        crate::data::sync_directory(&folder)
    }

    /// The files of a folder, by name.
    fn files(&self, folder: &str) -> anyhow::Result<BTreeMap<String, PathBuf>> {
        let folder = self.directory.join(folder);
        let cannot = || format!("{} cannot be read", folder.display());
        let mut files = BTreeMap::new();
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
            entries => entries.with_context(cannot)?,
        };
        for entry in entries {
            let path = entry.with_context(cannot)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // What file managers leave behind.
            if name.starts_with('.') || !path.is_file() {
                continue;
            }
            files.insert(name.into_owned(), path);
            if files.len() > MOST_FILES {
                bail!("{} holds more than {MOST_FILES} files", folder.display());
            }
        }
        Ok(files)
    }

    fn read(&self, path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
        read_bounded(path, most).with_context(|| format!("{} cannot be read", path.display()))
    }
}

/// The root that a holder trusts.
pub(super) struct Pinned {
    pub(super) fingerprint: Sha256,
    /// Its version, where the file is there to say it.
    pub(super) version: Option<u64>,
}

/// The root that a holder trusts: 64 digits of a fingerprint, or a file.
pub(super) fn pinned(trust: &str) -> anyhow::Result<Pinned> {
    if let Ok(fingerprint) = trust.parse() {
        return Ok(Pinned {
            fingerprint,
            version: None,
        });
    }
    let bytes = read_bounded(Path::new(trust), MAX_ROOT_LENGTH)
        .with_context(|| format!("`{trust}` is neither a fingerprint nor a file that can be read"))
        .hint(
            "give the root's fingerprint, 64 hexadecimal digits, or your own copy of a root file",
        )?;
    let fingerprint =
        root_fingerprint(&bytes).with_context(|| format!("{trust} is no root file"))?;
    let root: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(Pinned {
        fingerprint,
        version: root["signed"]["version"].as_u64(),
    })
}

/// Writes a file whole, durable and create-only. It is no secret.
fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write as _;
    let write = || -> anyhow::Result<()> {
        let parent = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .prefix(".wheelmark-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(parent)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path)?;
        Ok(())
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

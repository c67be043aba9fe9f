//! `wheelmark lock attest`: who attests to the files of a lock, written down there.

mod finding;
mod told;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use wheelmark_client::{Freshness, Guard, Witnessing, check_locked};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::lock::{
    AttestedPackage, Beside, LockFile, LockFormat, MAX_LOCK_LEN, with_identities,
};
use wheelmark_provenance::Publisher;
use wheelmark_provenance::policy::Policy;

use self::finding::{Finding, What, findings};
use super::identities::{beside, read_beside};
use super::replace;
use crate::commands::verify::lock::read_lock;
use crate::context::Context;
use crate::homes::{HomesOptions, Readers, open_homes};
use crate::logging::WithHint as _;
use crate::policy::trusted_roots;
use crate::published::read_bounded;

/// Write into a lock file who attests to the files that it names
///
/// The provenance of every file is fetched, bound to the locked hash, and verified here, against
/// Sigstore's public instance and the `sigstore-roots` of your wheelmark.toml: the index's own word
/// for who made it counts for nothing. What is found is shown, and whether it is what was seen
/// before or is seen here for the first time: those are yours to judge. `wheelmark exec` and
/// `wheelmark verify` then refuse a file that anybody else attests to, or nobody.
///
/// In a pylock.toml it stands in `attestation-identities` (PEP 751), and nothing else in it is
/// touched. uv.lock, the locks of scripts and requirements files have no place for it: it stands in
/// a file beside them, as uv.lock.identities.toml.
///
/// A package gets identities if all its locked files are attested. What the lock names already
/// stays as it is; where somebody else attests now, that is told and changed only with --accept.
///
/// Exit code: 0 if all is well, 1 if something has to be looked at (with --check, also if there is
/// something to write).
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The lock file: pylock.toml, uv.lock, SCRIPT.py.lock, requirements.txt
    #[arg(value_name = "LOCK")]
    lock: PathBuf,

    /// The trusted index that the files come from [default: what the map says, or the only one]
    #[arg(long, value_name = "URL")]
    index: Option<String>,

    /// Write nothing, and end with 1 if there is something to write
    #[arg(long)]
    check: bool,

    /// Take those who attest to this project's files now, in the place of those that the lock names;
    /// may be several
    #[arg(long, value_name = "PROJECT")]
    accept: Vec<ProjectName>,

    /// How many packages to list; all of them are counted
    #[arg(long, value_name = "N", default_value_t = 100)]
    list: usize,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let shown = args.lock.display().to_string();
    let name = args.lock.file_name().map(|name| name.to_string_lossy());
    let format = LockFormat::of_name(&name.unwrap_or_default());
    let format = format
        .filter(|format| {
            use LockFormat::{Pylock, Requirements, Uv};
            matches!(format, Pylock | Uv | Requirements)
        })
        .ok_or_else(|| anyhow!("{shown} is no lock file that identities can be kept with"))
        .hint("pylock.toml, pylock.NAME.toml, uv.lock, SCRIPT.py.lock or *.txt; for others name them in wheelmark.toml, as docs/policy.md shows")?;
    let text = read_bounded(&args.lock, MAX_LOCK_LEN as u64)
        .with_context(|| format!("{shown} cannot be read"))?;
    let (lock, _) = read_lock(&args.lock, format)?;
    let homes = open_homes(
        context,
        HomesOptions {
            index: args.index.as_deref(),
            freshness: Freshness::Once,
            strict: false,
            readers: Readers::Person,
            policy: None,
        },
    )?;
    let roots = trusted_roots(context)?;
    let guard = Guard::new(Policy::default(), roots, context.clock.clone());
    let witnessing = Witnessing::Every(&guard);
    let checked = check_locked(&homes, &lock.packages, witnessing, |_| {}).await;
    let named = Named::of(&args.lock, format, &lock)?;
    let found = findings(&checked, &homes, &named, &args.accept)?;
    let written = !args.check && named.write(&args.lock, &text, &found)?;
    let told = told::Told {
        name: &shown,
        beside: format != LockFormat::Pylock,
        found: &found,
        gone: &named.gone(&found),
        written,
        check: args.check,
        listed: args.list,
    };
    super::print(&if args.json {
        format!("{:#}\n", told.to_json())
    } else {
        told.text()
    })?;
    let to_write = args.check && named.changes(&found);
    let wrong = found.iter().any(|one| matches!(one.what, What::Wrong(_)));
    Ok(match wrong || to_write {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// A package, as a lock tells it from others; without a version where identities are for all.
type Key = (ProjectName, Option<wheelmark_packaging::Version>);

/// Who is named already, and where.
struct Named {
    format: LockFormat,
    by: BTreeMap<Key, Vec<Publisher>>,
}

impl Named {
    fn of(path: &Path, format: LockFormat, lock: &LockFile) -> anyhow::Result<Self> {
        let mut by: BTreeMap<Key, Vec<Publisher>> = BTreeMap::new();
        let mut add = |key: Key, members: &BTreeMap<_, _>, line: usize| {
            let project = key.0.clone();
            let publisher = Publisher::of_lock(members).map_err(|problem| {
                anyhow!("line {line}: an attestation identity of {project} names nobody: {problem}")
            })?;
            let publishers = by.entry(key).or_default();
            if !publishers.contains(&publisher) {
                publishers.push(publisher);
            }
            anyhow::Ok(())
        };
        if format == LockFormat::Pylock {
            for package in &lock.packages {
                for identity in &package.identities {
                    let key = (package.project.clone(), package.version.clone());
                    add(key, &identity.members, identity.line)?;
                }
            }
        } else {
            for (project, identities) in &read_beside(path)?.unwrap_or_default().packages {
                for identity in identities {
                    add((project.clone(), None), &identity.members, identity.line)?;
                }
            }
        }
        Ok(Self { format, by })
    }

    /// How a package is told from others.
    fn key(&self, project: &ProjectName, version: Option<&wheelmark_packaging::Version>) -> Key {
        let version = version.filter(|_| self.format == LockFormat::Pylock);
        (project.clone(), version.cloned())
    }

    /// Projects that are named and not locked any more.
    fn gone(&self, found: &[Finding]) -> Vec<&ProjectName> {
        let known = |key: &Key| found.iter().any(|one| one.key == *key);
        let gone = self.by.keys().filter(|key| !known(key));
        gone.map(|(project, _)| project).collect()
    }

    /// Whether there is anything to write.
    fn changes(&self, found: &[Finding]) -> bool {
        let new = |one: &Finding| one.to_write().is_some();
        !self.gone(found).is_empty() || found.iter().any(new)
    }

    /// Writes what was found; `false` if nothing is to be written.
    fn write(&self, lock: &Path, text: &[u8], found: &[Finding]) -> anyhow::Result<bool> {
        if !self.changes(found) {
            return Ok(false);
        }
        let shown = lock.display();
        let left = || format!("{shown} was left as it is");
        // What a link leads to is what is replaced.
        let path = lock.canonicalize().with_context(left)?;
        let now = read_bounded(&path, MAX_LOCK_LEN as u64).with_context(left)?;
        if now != text {
            return Err(anyhow!("it was changed while its files were looked at").context(left()))
                .hint("once more, when nothing else writes it");
        }
        if self.format == LockFormat::Pylock {
            let text = String::from_utf8(now).with_context(left)?;
            let packages: Vec<AttestedPackage> = found
                .iter()
                .filter_map(|one| {
                    Some(AttestedPackage {
                        project: one.key.0.clone(),
                        version: one.key.1.clone(),
                        identities: one.to_write()?.iter().map(Publisher::members).collect(),
                    })
                })
                .collect();
            let written = with_identities(&text, &packages).or_else(|error| {
                let hint = error.fix();
                Err(anyhow::Error::from(error).context(left())).hint(hint)
            })?;
            replace(&path, &path, written.as_bytes()).with_context(left)?;
            return Ok(true);
        }
        let mut packages = BTreeMap::new();
        for one in found {
            let named = self.by.get(&one.key).map(Vec::as_slice);
            if let Some(publishers) = one.to_write().or(named) {
                let members = publishers.iter().map(Publisher::members);
                packages.insert(one.key.0.clone(), members.collect());
            }
        }
        let name = lock.file_name().map(|name| name.to_string_lossy());
        let text = Beside::text(&name.unwrap_or_default(), &packages);
        // Where it is looked for: by the name that was given, a link's own.
        let beside = beside(lock);
        replace(&beside, &path, text.as_bytes())
            .with_context(|| format!("{} was left as it is", beside.display()))?;
        Ok(true)
    }
}

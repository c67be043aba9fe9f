//! The policy of a run: the system's and the user's, and what a nearer file adds.
//!
//! ```text
//! /etc/wheelmark/wheelmark.toml ─┐
//! the user's wheelmark.toml     ─┼▶ each has to be satisfied
//! each one at or above here     ─┤
//! --policy FILE                 ─┘
//! ```
//!
//! A `wheelmark.toml` at or above the working directory comes with a project, and nobody has to trust
//! it: all that it can do is to ask for more.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use wheelmark_client::Guard;
use wheelmark_provenance::TrustedRoots;
use wheelmark_provenance::openpgp::{Certificates, MAX_INPUT_LEN};
use wheelmark_provenance::policy::{Policy, PolicyFile};

use crate::configuration::{Configuration, FILE, OTHER_KEYS, not_understood, policy_of};
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::public_root::public_roots;

/// Most files of projects that are asked: one in each of so many folders in one another.
const MAX_NEARER: usize = 16;

/// The policy for a command that a person runs where they are, with the file that they name.
pub(crate) fn policy_here(context: &Context, named: Option<&Path>) -> anyhow::Result<Policy> {
    let mut files = Configuration::load(context)?.policies;
    for nearer in nearer_files(context)? {
        files.extend(read_nearer(&nearer)?);
    }
    if let Some(named) = named {
        let text = read(named)?;
        files.push(nearer(&text, named)?);
    }
    Ok(Policy::new(files))
}

/// The policy for what serves everybody on this machine, from wherever it was started.
pub(crate) fn policy_of_everybody(context: &Context) -> anyhow::Result<Policy> {
    Ok(Policy::new(Configuration::load(context)?.policies))
}

/// Every `wheelmark.toml` at or above the working directory that is neither the user's nor the
/// system's, the nearest first. All of them count: a nearer one must not hide one further up.
pub(crate) fn nearer_files(context: &Context) -> anyhow::Result<Vec<PathBuf>> {
    let here = std::env::current_dir()?;
    let known = [&context.system, &context.configuration].map(|folder| folder.join(FILE));
    let known: Vec<PathBuf> = known
        .iter()
        .filter_map(|file| file.canonicalize().ok())
        .collect();
    let mut found = Vec::new();
    for folder in here.ancestors() {
        let file = folder.join(FILE);
        match file.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("could not look at {}", file.display()));
            }
            Ok(_) => {}
        }
        // Of what is there and cannot be read, nobody knows what it asks for.
        let canonical = file
            .canonicalize()
            .with_context(|| format!("could not read {}", file.display()))?;
        if !canonical.is_file() {
            bail!("{} is there and is no file", file.display());
        }
        if known.contains(&canonical) {
            continue;
        }
        found.push(file);
        if found.len() > MAX_NEARER {
            bail!(
                "there are more than {MAX_NEARER} files {FILE} at or above {}",
                here.display()
            );
        }
    }
    Ok(found)
}

/// A file that came with a project; none if it asks for nothing.
fn read_nearer(path: &Path) -> anyhow::Result<Option<PolicyFile>> {
    let policy = nearer(&read(path)?, path)?.of_strangers();
    Ok(Some(policy).filter(|policy| !policy.rules().is_empty()))
}

/// Reads what a file other than the system's and the user's asks for. The rest of what can stand
/// in those has no place in it.
pub(crate) fn nearer(text: &str, path: &Path) -> anyhow::Result<PolicyFile> {
    let policy = policy_of(text, path).map_err(|mistakes| not_understood(&mistakes, path))?;
    let table: toml::Table = toml::from_str(text)?;
    match OTHER_KEYS.iter().find(|key| table.contains_key(**key)) {
        None => Ok(policy),
        Some(key) => Err(anyhow!(
            "{} has `{key}`, which counts only in the system's file and in your own",
            path.display()
        ))
        .hint("a file beside a project can ask for more with [everything] and [[for]], and for nothing else"),
    }
}

/// Whose certificates and logs are believed: Sigstore's public ones, and those that the settings name.
pub(crate) fn trusted_roots(context: &Context) -> anyhow::Result<TrustedRoots> {
    let mut roots = public_roots(context)?;
    for path in Configuration::load(context)?.sigstore_roots {
        let failed = || format!("could not use {}", path.display());
        let json = std::fs::read(&path).with_context(failed)?;
        roots = roots
            .with(&path.display().to_string(), &json)
            .with_context(failed)
            .hint("`sigstore-roots` in wheelmark.toml lists files that Sigstore calls trusted_root.json")?;
    }
    Ok(roots)
}

/// What holds files against a policy, with all that the settings give it.
pub(crate) fn guard(policy: Policy, context: &Context) -> anyhow::Result<Guard> {
    let guard = Guard::new(policy, trusted_roots(context)?, context.clock.clone());
    Ok(guard.knowing(certificates(context)?))
}

/// The OpenPGP certificates in the files that the settings name.
fn certificates(context: &Context) -> anyhow::Result<Certificates> {
    let mut certificates = Certificates::default();
    for path in Configuration::load(context)?.openpgp_certificates {
        let failed = || format!("could not use {}", path.display());
        let files = match path.is_dir() {
            true => in_folder(&path).with_context(failed)?,
            false => vec![path.clone()],
        };
        for file in files {
            let failed = || format!("could not use {}", file.display());
            let read = certificates_in(&file).with_context(failed);
            certificates.add(read.hint(
                "`openpgp-certificates` in wheelmark.toml lists files with OpenPGP certificates, as `gpg --export` writes them, and folders of such files (.asc, .gpg, .pgp)",
            )?);
        }
    }
    Ok(certificates)
}

pub(crate) fn certificates_in(file: &Path) -> anyhow::Result<Certificates> {
    let mut input = Vec::new();
    // One byte more shows that it is too long.
    let limit = MAX_INPUT_LEN as u64 + 1;
    std::fs::File::open(file)?
        .take(limit)
        .read_to_end(&mut input)?;
    Ok(Certificates::parse(&input)?)
}

fn in_folder(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("asc" | "gpg" | "pgp")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The text of a file that is no larger than anybody writes by hand.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    let failed = || format!("could not read {}", path.display());
    let file = std::fs::File::open(path).with_context(failed)?;
    let mut text = String::new();
    // One byte more shows that it is too long.
    let limit = PolicyFile::MAX_LEN as u64 + 1;
    file.take(limit)
        .read_to_string(&mut text)
        .with_context(failed)?;
    Ok(text)
}

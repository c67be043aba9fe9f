//! The proof, as a file.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use wheelmark_mirror::{CrossCheck, Proof};
use wheelmark_tuf::{
    Equivocation, Evidence, MAX_EVIDENCE_LENGTH, RoleName, Sha256, without_controls,
};

use super::print;
use crate::anchor::read_root;

/// Names that are tried beside those that are taken.
const TRIED: u32 = 1000;

/// The longest name of a file that is made from a role's.
const MAX_NAME: usize = 200;

/// Writes the first proof; where it is, if there is one.
pub(super) fn save(compared: &CrossCheck, to: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    let proofs = compared.contradictions.iter();
    let Some(proof) = proofs.filter_map(|c| c.proof.as_ref().ok()).next() else {
        return Ok(None);
    };
    let first = to.map_or_else(|| PathBuf::from(name_of(proof)), Path::to_owned);
    for number in 1..TRIED {
        let path = numbered(&first, number);
        match std::fs::File::create_new(&path) {
            Ok(mut file) => {
                let written = file.write_all(&proof.evidence.to_json());
                written
                    .and_then(|()| file.sync_all())
                    .with_context(|| format!("could not write {}", path.display()))?;
                return Ok(Some(path));
            }
            // What was proved before is kept as it is.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if proves_the_same(&path, proof) {
                    return Ok(Some(path));
                }
            }
            Err(error) => {
                return Err(error).with_context(|| format!("could not write {}", path.display()));
            }
        }
    }
    anyhow::bail!("{} and all names like it are taken", first.display())
}

fn name_of(proof: &Proof) -> String {
    let role = proof.found.role();
    let mut name = role.versioned_file_name(proof.found.version());
    if name.len() > MAX_NAME {
        name = format!("{}.json", Sha256::of(role.as_str().as_bytes()));
    }
    format!("wheelmark-evidence-{name}")
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}-{number}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{number}"),
    };
    path.with_file_name(name)
}

fn proves_the_same(path: &Path, proof: &Proof) -> bool {
    let Ok(Ok(kept)) = read(path).map(|bytes| Evidence::parse(&bytes)) else {
        return false;
    };
    let Some(root) = proof.evidence.roots.first() else {
        return false;
    };
    let same = |found: Equivocation| {
        let mut both = [*found.signed(), *proof.found.signed()];
        both.iter_mut().for_each(|signed| signed.sort());
        both[0] == both[1] && found.role() == proof.found.role()
    };
    kept.verify(root).is_ok_and(same)
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = MAX_EVIDENCE_LENGTH as u64 + 1;
    std::fs::File::open(path)?
        .take(limit)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `--evidence FILE --root ROOT`: nothing else is needed.
pub(super) fn verify(file: &Path, root: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let root = read_root(root)?;
    let bytes = read(file).with_context(|| format!("could not read {}", file.display()))?;
    let found = Evidence::parse(&bytes)
        .map_err(anyhow::Error::from)
        .and_then(|evidence| Ok((evidence.verify(&root)?, evidence)));
    let (found, evidence) = match found {
        Ok(found) => found,
        Err(error) => {
            let why = error.context(format!("{} proves nothing", file.display()));
            if as_json {
                let why: Vec<String> = why
                    .chain()
                    .map(|e| without_controls(&e.to_string()))
                    .collect();
                print(&format!(
                    "{:#}\n",
                    json!({ "proves": false, "why": why.join(": ") })
                ))?;
            } else {
                crate::logging::report(&why);
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    let seen = evidence.sightings.iter().zip(found.signed());
    let text = if as_json {
        let seen: Vec<_> = seen
            .map(|(seen, signed)| {
                json!({
                    "source": seen.source,
                    "at": seen.at.to_string(),
                    "signed_sha256": signed.to_string(),
                })
            })
            .collect();
        let json = json!({
            "proves": true,
            "role": found.role().as_str(),
            "version": found.version(),
            "root_version": found.root_version(),
            "via": names_of(found.via()),
            "keyids": keyids_of(&found),
            "seen": seen,
        });
        format!("{json:#}\n")
    } else {
        let lines: Vec<String> = seen
            .map(|(seen, signed)| {
                format!(
                    "  {signed}\n    as its writer says, seen at {} on {}\n",
                    without_controls(&seen.source),
                    seen.at
                )
            })
            .collect();
        format!(
            "{}: PROVED\nVersion {} of {} was signed with two contents. Their sha256, as signed:\n{}Both count under version {} of the root, whose chain includes the one that was given.\n{}Whoever held the keys of {} has signed both: {}. Who saw which, and when, is not proved.\n",
            file.display(),
            found.version(),
            found.role(),
            lines.concat(),
            found.root_version(),
            way_of(&found),
            found.role(),
            keyids_of(&found).join(", "),
        )
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Who delegates to whom, so that a reader can judge whose word it is.
fn way_of(found: &Equivocation) -> String {
    if found.via().is_empty() {
        return String::new();
    }
    let way = names_of(found.via()).join(" > ");
    format!("In both, {way} > {} is the way to it.\n", found.role())
}

fn names_of(roles: &[RoleName]) -> Vec<&str> {
    roles.iter().map(RoleName::as_str).collect()
}

/// As the index calls them, which can be any text.
fn keyids_of(found: &Equivocation) -> Vec<String> {
    let keyids = found.keyids().iter();
    keyids.map(|id| without_controls(id.as_str())).collect()
}

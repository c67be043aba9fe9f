//! What is to be attested, and where that is written.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::Sha256Hex;
use wheelmark_provenance::{
    Attestation, Attested, MAX_ATTESTATION_LEN, Predicate, TrustedRoots, Verified, chain, verify,
};

use crate::commands::verify::attested::{bounded, digest};
use crate::logging::WithHint as _;

/// What follows the name of a file in the name of its attestation, as publishing programs look for it.
const ENDING: &str = ".publish.attestation";

/// Endings of what lies beside distributions and is none.
const COMPANIONS: [&str; 6] = [
    ".attestation",
    ".provenance",
    ".asc",
    ".sig",
    ".sigstore",
    ".sigstore.json",
];

/// A file to attest.
pub(super) struct Given {
    pub(super) path: PathBuf,
    pub(super) name: DistributionFilename,
    pub(super) sha256: Sha256Hex,
}

/// What is at the place of an attestation.
pub(super) enum Place {
    /// Nothing.
    Free,
    /// A good one of this file.
    Taken(Box<Verified<Attested>>),
}

/// What is to be written.
pub(super) struct Draft {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// Reads what was named, all of it before anything is done.
pub(super) fn given(paths: &[PathBuf]) -> anyhow::Result<Vec<Given>> {
    let mut all: Vec<Given> = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if COMPANIONS.iter().any(|ending| name.ends_with(ending)) {
            tracing::info!(file = %path.display(), "passed over: it goes with a distribution");
            continue;
        }
        let name = DistributionFilename::parse(&name)
            .with_context(|| format!("{} cannot be attested", path.display()))
            .hint("name wheels and source distributions under the names that they are published under")?;
        let read = digest(path).with_context(|| format!("could not read {}", path.display()));
        let (sha256, _) = read.hint("nothing was attested")?;
        if all.iter().any(|other| other.path == *path) {
            continue;
        }
        all.push(Given {
            path: path.clone(),
            name,
            sha256,
        });
    }
    if all.is_empty() {
        return Err(anyhow!(
            "there is no wheel and no source distribution among these files"
        ))
        .hint("build them first: uv build, or python -m build");
    }
    Ok(all)
}

impl Given {
    /// Where its attestation is.
    pub(super) fn attestation(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(ENDING);
        path.into()
    }

    /// Looks at what is there. A good attestation is kept; anything else is somebody's, and stays.
    pub(super) fn place(&self, roots: &TrustedRoots, now: Timestamp) -> anyhow::Result<Place> {
        let path = self.attestation();
        match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Place::Free),
            other => other.with_context(|| format!("could not look at {}", path.display()))?,
        };
        let hint = "remove it, if a new one is to be made";
        let refused = |why: &str| {
            Err(anyhow!("{}", why.to_owned()).context(format!(
                "{} is there already, and does not hold for {}",
                path.display(),
                self.name
            )))
            .hint(hint)
        };
        let bytes = bounded(&path, MAX_ATTESTATION_LEN).hint(hint)?;
        let attestation = match Attestation::parse(&bytes) {
            Ok(attestation) => attestation,
            Err(error) => return refused(&chain(&error)),
        };
        match verify(&self.name, &self.sha256, &attestation, roots, now) {
            Ok(attested) if attested.predicate() == Predicate::Publish => {
                Ok(Place::Taken(Box::new(attested)))
            }
            Ok(_) => refused("it is no publish attestation"),
            Err(refusal) => refused(&chain(&refusal)),
        }
    }
}

/// Writes all of them, or none: each gets its name only when all are on the disk, and what has one
/// is taken back if another cannot get its own. Nothing that is there is replaced.
pub(super) fn write(drafts: &[Draft]) -> anyhow::Result<()> {
    let mut ready = Vec::new();
    for draft in drafts {
        let failed = || {
            format!(
                "could not write {}; nothing was written",
                draft.path.display()
            )
        };
        let folder = match draft.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let file = draft_in(folder).with_context(failed)?;
        let mut file = file;
        file.write_all(&draft.bytes)
            .and_then(|()| file.as_file().sync_all())
            .with_context(failed)?;
        ready.push((file, &draft.path));
    }
    let mut placed: Vec<&PathBuf> = Vec::new();
    for (file, path) in ready {
        if let Err(error) = file.persist_noclobber(path) {
            for path in placed {
                if let Err(error) = std::fs::remove_file(path) {
                    tracing::warn!(%error, path = %path.display(), "an attestation could not be taken back");
                }
            }
            return Err(error.error).with_context(|| {
                format!("could not write {}; nothing was written", path.display())
            });
        }
        placed.push(path);
    }
    Ok(())
}

/// A new file that everybody may read whom the person's own settings let: there is no secret in it.
fn draft_in(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".attestation-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    fn draft(path: PathBuf) -> Draft {
        Draft {
            path,
            bytes: b"said".to_vec(),
        }
    }

    #[test]
    fn all_are_written_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(&[draft(at("a")), draft(at("b"))]).unwrap();
        assert_eq!(std::fs::read(at("b")).unwrap(), b"said");
        // The second cannot have its name: the first loses its own again.
        let refused = write(&[draft(at("c")), draft(at("a")), draft(at("d"))]);
        assert!(refused.is_err());
        let refused = write(&[draft(at("e")), draft(at("none/f"))]);
        assert!(refused.is_err());
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["a", "b"]);
    }
}

//! Where the parts of an environment are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use wheelmark_packaging::installed::Interpreter;

use super::unreadable;

/// Most distributions of one environment.
pub(super) const MAX_DISTRIBUTIONS: usize = 10_000;

/// Most paths that all `RECORD`s of an environment, or its folders, may have. The largest known
/// environments have some hundred thousand files.
pub(super) const MAX_FILES: usize = 2_000_000;

/// Where the parts of an environment are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The directories that modules are imported from.
    libraries: Vec<PathBuf>,
    /// What the data files of wheels lie below.
    prefix: PathBuf,
    /// Where scripts lie.
    scripts: PathBuf,
    /// Whether scripts must lead to an interpreter in that place.
    own_interpreter: bool,
}

/// Why an environment cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// It is none.
    #[error("{} is no environment: it has no `site-packages`, and no `.dist-info` in it", path.display())]
    None {
        /// What was named.
        path: PathBuf,
    },
    /// A part of it cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The part.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// More in it than is looked at.
    #[error("{} has more than {limit} {what}", path.display())]
    TooMany {
        /// The place.
        path: PathBuf,
        /// What of.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// The work was cut off.
    #[error("the work was cut off")]
    Ended,
}

impl Environment {
    /// Finds the parts of a virtual environment, of a prefix such as `/usr/local`, or of a
    /// directory that modules are imported from.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError`] when it is nothing of that, or cannot be read.
    pub fn at(directory: &Path) -> Result<Self, EnvironmentError> {
        let root = directory.canonicalize().map_err(unreadable(directory))?;
        let mut libraries = BTreeSet::new();
        for lib in ["lib", "lib64", "Lib"] {
            let lib = root.join(lib);
            let versions = names(&lib).unwrap_or_default();
            let versions = versions.iter().filter(|name| name.starts_with("python"));
            let found = versions.map(|version| lib.join(version).join("site-packages"));
            for place in found.chain([lib.join("site-packages")]) {
                libraries.extend(place.canonicalize().ok().filter(|place| place.is_dir()));
            }
        }
        if !libraries.is_empty() {
            return Ok(Self {
                libraries: libraries.into_iter().collect(),
                scripts: scripts(&root),
                own_interpreter: root.join("pyvenv.cfg").is_file(),
                prefix: root,
            });
        }
        let library = names(&root).map_err(unreadable(&root))?;
        let named = matches!(
            root.file_name().and_then(|name| name.to_str()),
            Some("site-packages" | "dist-packages")
        );
        if !named && !library.iter().any(|name| name.ends_with(".dist-info")) {
            return Err(EnvironmentError::None {
                path: directory.to_owned(),
            });
        }
        // `PREFIX/lib/pythonX.Y/site-packages`; anything else is a folder that was filled by
        // `--target`, and scripts lie in it.
        let above = root.parent().and_then(Path::parent);
        let lib = above.filter(|lib| named && lib.ends_with("lib") || lib.ends_with("lib64"));
        let prefix = lib.and_then(Path::parent).unwrap_or(&root).to_owned();
        Ok(Self {
            scripts: scripts(&prefix),
            own_interpreter: prefix.join("pyvenv.cfg").is_file(),
            libraries: vec![root],
            prefix,
        })
    }

    /// The directories that modules are imported from.
    #[must_use]
    pub fn libraries(&self) -> &[PathBuf] {
        &self.libraries
    }

    /// What the data files of wheels lie below.
    pub(super) fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// Where scripts lie.
    pub(super) fn scripts(&self) -> &Path {
        &self.scripts
    }

    /// Whether the first lines of a script may lead there.
    pub(super) fn may_lead_to(&self, interpreter: Interpreter<'_>) -> bool {
        match interpreter {
            Interpreter::Beside(_) => true,
            Interpreter::Other(_) => false,
            Interpreter::At(_) if !self.own_interpreter => true,
            Interpreter::At(path) => {
                let folder = Path::new(path).parent();
                let folder = folder.and_then(|folder| folder.canonicalize().ok());
                folder.is_some() && folder == self.scripts.canonicalize().ok()
            }
        }
    }
}

fn scripts(prefix: &Path) -> PathBuf {
    let windows = prefix.join("Scripts");
    if windows.is_dir() {
        windows
    } else {
        prefix.join("bin")
    }
}

/// The names in a directory that are text.
pub(super) fn names(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

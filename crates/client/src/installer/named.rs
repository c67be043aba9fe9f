//! The projects that a command's line names, and the requirements files that it names.
//!
//! An installer asks for their pages as soon as it has found out what it runs on. That takes
//! about as long as looking the pages up, so that this can be done meanwhile. A name that is
//! overlooked costs nothing. But one that the installer would have asked somebody else for is
//! told to an index that it was kept from: so nothing is looked up as soon as anything may lead
//! to another place, or is not understood.

mod harmless;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use wheelmark_packaging::ProjectName;
use wheelmark_packaging::lock::requirement_lines;

use super::places::local_file;
use super::program::Installer;
use super::routes::Surroundings;
use super::words::{self, Dialect, Word};
use super::{requirements, uv_settings};

/// Names taken from one command; a lock file of an application names fewer.
const MAX_NAMES: usize = 400;

/// Requirements files read for one command.
const MAX_FILES: usize = 20;

/// What a name ends at in a requirement (PEP 508), if anything follows.
const BEHIND: [char; 8] = ['[', '=', '<', '>', '!', '~', ' ', '('];

/// What a requirement has that asks for some versions only.
const VERSION: [char; 6] = ['=', '<', '>', '!', '~', '('];

/// Variables that lead to other places, or add requirements that may do so. Some are set
/// otherwise for the command; whoever sets them has another index in mind all the same.
const ELSEWHERE: [&str; 26] = [
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_PYPI_URL",
    "PIP_FIND_LINKS",
    "PIP_NO_INDEX",
    "PIP_ISOLATED",
    "PIP_REQUIREMENT",
    "PIP_CONSTRAINT",
    "PIP_BUILD_CONSTRAINT",
    "PIP_EDITABLE",
    "UV_INDEX",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_NO_INDEX",
    "UV_OFFLINE",
    "UV_CONFIG_FILE",
    "UV_PROJECT",
    "UV_WORKING_DIR",
    "UV_WORKING_DIRECTORY",
    "UV_CONSTRAINT",
    "UV_OVERRIDE",
    "UV_EXCLUDE",
    "UV_BUILD_CONSTRAINT",
    "UV_TORCH_BACKEND",
];

/// A project that a command names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedProject {
    /// Which one.
    pub project: ProjectName,
    /// Whether its newest version is going to be fetched, as far as the command says: it asks for no other.
    pub newest: bool,
}

/// The projects whose pages a command is going to ask for, as far as that can be told from its
/// words: each once, in their order. None if it may ask another index.
#[must_use]
pub fn named_projects(command: &[OsString], around: &Surroundings<'_>) -> Vec<NamedProject> {
    let words: Vec<String> = command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (arguments, dialect, subcommand) = match Installer::of(&words) {
        Installer::Pip(arguments) => (arguments, Dialect::Pip, &["install"][..]),
        Installer::Uv(arguments) => (arguments, Dialect::Uv, &["pip", "install"][..]),
        Installer::Poetry | Installer::Pdm | Installer::Unknown => return Vec::new(),
    };
    let leads_elsewhere = ELSEWHERE.iter().any(|name| around.set(name).is_some())
        || dialect == Dialect::Uv && uv_settings::lead_elsewhere(around);
    if leads_elsewhere {
        return Vec::new();
    }
    let fetches_none = |word: &String| word == "--dry-run" || word.starts_with("--no-binary");
    let mut named = Named {
        fetches: !arguments.iter().any(fetches_none),
        projects: Vec::new(),
        files: 0,
    };
    let is_understood = named.install(&arguments, dialect, subcommand, around);
    is_understood.map(|()| named.projects).unwrap_or_default()
}

/// What is named so far. Everything that it reads is `None` where that may lead elsewhere.
struct Named {
    /// Whether wheels are going to be fetched at all.
    fetches: bool,
    projects: Vec<NamedProject>,
    files: usize,
}

impl Named {
    fn install(
        &mut self,
        arguments: &[String],
        dialect: Dialect,
        subcommand: &[&str],
        around: &Surroundings<'_>,
    ) -> Option<()> {
        let line = harmless::read(arguments, dialect)?;
        for requirement in line.plain.strip_prefix(subcommand)? {
            self.add(requirement)?;
        }
        for file in line.files {
            self.file(file, around.directory, around)?;
        }
        Some(())
    }

    fn file(&mut self, file: &str, folder: &Path, around: &Surroundings<'_>) -> Option<()> {
        let path: PathBuf = folder.join(local_file(file)?);
        // To uv, other names stand for other grammars.
        let is_list = path.extension().is_some_and(|of| of == "txt" || of == "in");
        self.files += 1;
        if !is_list || self.files > MAX_FILES {
            return None;
        }
        let text = (around.read)(&path)?;
        for line in requirement_lines(&text) {
            if !line.starts_with('-') {
                self.add(without_hashes(&line)?)?;
                continue;
            }
            let words = requirements::split(&line);
            let options = harmless::read(&words, Dialect::Pip)?;
            if !options.plain.is_empty() {
                return None;
            }
            for file in options.files {
                self.file(file, path.parent()?, around)?;
            }
        }
        Some(())
    }

    /// Adds the project that a requirement names. What it names under a condition may not be
    /// wanted; what is at a path or an URL may be what another requirement names.
    fn add(&mut self, requirement: &str) -> Option<()> {
        let (wanted, condition) = match requirement.split_once(';') {
            Some((wanted, condition)) => (wanted, Some(condition)),
            None => (requirement, None),
        };
        let project = project_of(wanted.trim())?;
        let is_known = self.projects.iter().any(|named| named.project == project);
        if condition.is_none() && !is_known && self.projects.len() < MAX_NAMES {
            self.projects.push(NamedProject {
                newest: self.fetches && !wanted.contains(VERSION),
                project,
            });
        }
        Some(())
    }
}

/// Whether a command is one installer that asks for everything once, so that it has no use for
/// a cache of what it was sent. pip starts itself again for what it builds, and asks again.
#[must_use]
pub fn asks_once(command: &[OsString]) -> bool {
    let words: Vec<String> = command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let Installer::Uv(arguments) = Installer::of(&words) else {
        return false;
    };
    let mut plain =
        words::read(&arguments, Dialect::Uv)
            .into_iter()
            .filter_map(|word| match word {
                Word::Plain(word) => Some(word),
                Word::Option { .. } => None,
            });
    plain.next() == Some("pip") && matches!(plain.next(), Some("install" | "sync"))
}

/// A line of a requirements file up to the digests behind it; `None` if other options follow.
fn without_hashes(line: &str) -> Option<&str> {
    let (requirement, _) = line.split_once(" -").unwrap_or((line, ""));
    let options = line[requirement.len()..].split_whitespace();
    let mut options = options.filter(|word| word.starts_with('-'));
    options
        .all(|option| option == "--hash" || option.starts_with("--hash="))
        .then_some(requirement)
}

/// The project that a requirement names; `None` if it is a path or an URL.
fn project_of(requirement: &str) -> Option<ProjectName> {
    /// What installers take for the name of a file.
    const ARCHIVES: [&str; 13] = [
        ".whl",
        ".zip",
        ".tar",
        ".tar.gz",
        ".tgz",
        ".tar.bz2",
        ".tbz",
        ".tar.xz",
        ".txz",
        ".tlz",
        ".tar.lz",
        ".tar.lzma",
        ".tar.zst",
    ];
    if requirement.contains(['@', '/', '\\'])
        || ARCHIVES.iter().any(|end| requirement.ends_with(end))
    {
        return None;
    }
    requirement.split(BEHIND).next()?.parse().ok()
}

#[cfg(test)]
mod tests;

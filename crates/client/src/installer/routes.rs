//! What on a command's line, and in the files that it names, goes past the proxy.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::places::{is_local, local_requirement};
use super::{requirements, uv_settings};
use crate::ledger::OpenRoute;

/// Where a command runs, as far as its routes depend on it.
pub struct Surroundings<'a> {
    /// The directory it runs in, absolute.
    pub directory: &'a Path,
    /// uv's configuration files outside the project: the one that is named, or the user's and
    /// the system's.
    pub uv_configuration: Vec<PathBuf>,
    /// Whether a path is there.
    pub exists: &'a dyn Fn(&Path) -> bool,
    /// The text of a file, if it is there and can be read.
    pub read: &'a dyn Fn(&Path) -> Option<String>,
}

/// Finds what on a command's line, in the requirements files that it names and in uv's
/// configuration goes past the proxy.
///
/// This is for reporting: a command can do more than it says, so an empty answer is no
/// promise.
#[must_use]
pub fn open_routes(command: &[OsString], around: &Surroundings<'_>) -> Vec<OpenRoute> {
    let words: Vec<String> = command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut found = Found::default();
    let installer = Installer::of(&words);
    match installer {
        Installer::Pip(arguments) | Installer::Uv(arguments) => found.read(arguments, around),
        Installer::Unknown => {}
    }
    // What a script runs in the end is not known: it may be uv.
    if !matches!(installer, Installer::Pip(_)) {
        let named = found.configuration.iter().map(PathBuf::as_path);
        let start = found.project.as_deref().unwrap_or(Path::new(""));
        let routes = uv_settings::routes(start, named, around);
        found.routes.extend(routes);
        for script in &found.scripts {
            let routes = uv_settings::script_routes(script, around);
            found.routes.extend(routes);
        }
    }
    found.routes.sort();
    found.routes.dedup();
    found.routes
}

#[derive(Default)]
struct Found {
    routes: Vec<OpenRoute>,
    configuration: Vec<PathBuf>,
    project: Option<PathBuf>,
    scripts: Vec<PathBuf>,
}

impl Found {
    fn read(&mut self, arguments: &[String], around: &Surroundings<'_>) {
        let mut installs = false;
        let mut rest = arguments.iter();
        while let Some(word) = rest.next() {
            if !word.starts_with('-') {
                let local = installs.then(|| local_requirement(word, around.exists));
                self.routes
                    .extend(local.flatten().map(|why| route(word, why)));
                installs |= INSTALLING.contains(&word.as_str());
                if word.ends_with(".py") {
                    self.scripts.push(word.into());
                }
                continue;
            }
            let (option, attached) = match word.split_once('=') {
                Some((option, value)) => (option, Some(value)),
                None => (word.as_str(), None),
            };
            let takes_value = ROUTES.contains(&option) || VALUED.contains(&option);
            let value = match attached {
                Some(value) => value,
                None if takes_value => rest.next().map_or("", String::as_str),
                None => "",
            };
            let shown = match attached {
                None if takes_value => format!("{word} {value}"),
                _ => word.clone(),
            };
            let why = self.option(option, value, around);
            self.routes.extend(why.map(|why| route(&shown, why)));
        }
    }

    fn option(
        &mut self,
        option: &str,
        value: &str,
        around: &Surroundings<'_>,
    ) -> Option<&'static str> {
        match option {
            "--proxy" => return Some("requests go through another proxy"),
            "--no-index" | "--offline" => return Some("no index is asked"),
            "--cache-dir" => {
                return Some("files in another cache are used without being asked for");
            }
            "-f" | "--find-links" if is_local(value, around.exists) => {
                return Some("files in a local directory are used as they are");
            }
            "-e" | "--editable" => return Some("a source tree is used as it is"),
            "--with" | "--with-editable" | "--from" => {
                return local_requirement(value, around.exists);
            }
            "--config-file" => self.configuration.push(value.into()),
            "--project" | "--directory" => self.project = Some(value.into()),
            "--script" => self.scripts.push(value.into()),
            _ if REQUIREMENTS.contains(&option) => {
                self.routes
                    .extend(requirements::routes(Path::new(value), around));
            }
            _ => {}
        }
        None
    }
}

/// Subcommands whose words are requirements.
const INSTALLING: [&str; 4] = ["install", "download", "wheel", "add"];

/// Options that can open a route, and take a value.
const ROUTES: [&str; 9] = [
    "--proxy",
    "--cache-dir",
    "-f",
    "--find-links",
    "-e",
    "--editable",
    "--with",
    "--with-editable",
    "--from",
];

/// Options that name a file of requirements.
const REQUIREMENTS: [&str; 11] = [
    "-r",
    "--requirement",
    "--requirements",
    "--with-requirements",
    "-c",
    "--constraint",
    "--constraints",
    "--build-constraint",
    "--build-constraints",
    "--override",
    "--overrides",
];

/// Options whose value is often a path and never a requirement.
const VALUED: [&str; 33] = [
    "-r",
    "--requirement",
    "--requirements",
    "--with-requirements",
    "-c",
    "--constraint",
    "--constraints",
    "--build-constraint",
    "--build-constraints",
    "--override",
    "--overrides",
    "-t",
    "--target",
    "--prefix",
    "--root",
    "--src",
    "-d",
    "--dest",
    "-w",
    "--wheel-dir",
    "--log",
    "--cert",
    "--client-cert",
    "--report",
    "-p",
    "--python",
    "--project",
    "--directory",
    "--config-file",
    "--env-file",
    "-o",
    "--output-file",
    "--script",
];

enum Installer<'a> {
    Pip(&'a [String]),
    Uv(&'a [String]),
    Unknown,
}

impl<'a> Installer<'a> {
    fn of(words: &'a [String]) -> Self {
        let stem = |word: &'a String| Path::new(word).file_stem().and_then(|stem| stem.to_str());
        let Some(program) = words.first().and_then(stem) else {
            return Self::Unknown;
        };
        let is = |name: &str| {
            let version = program.strip_prefix(name);
            version.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
        };
        if is("pip") {
            return Self::Pip(&words[1..]);
        }
        if matches!(program, "uv" | "uvx") {
            return Self::Uv(&words[1..]);
        }
        let module = words.iter().position(|word| word == "-m");
        match module.and_then(|at| {
            words
                .get(at + 1)
                .map(|name| (name.as_str(), &words[at + 2..]))
        }) {
            Some(("pip", arguments)) if is("python") => Self::Pip(arguments),
            Some(("uv", arguments)) if is("python") => Self::Uv(arguments),
            _ => Self::Unknown,
        }
    }
}

pub(super) fn route(argument: &str, why: &'static str) -> OpenRoute {
    OpenRoute {
        argument: argument.to_owned(),
        why,
    }
}

#[cfg(test)]
mod tests;

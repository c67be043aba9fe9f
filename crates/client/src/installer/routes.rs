//! What on a command's line, and in the files that it names, goes past the proxy.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::places::{LISTED, TREE, is_local, local_requirement, without_secrets};
use super::program::Installer;
use super::uv_settings::Beginning;
use super::words::{self, Dialect, Word};
use super::{requirements, uv_settings};
use crate::ledger::OpenRoute;

/// Where a command runs, as far as its routes depend on it.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The directory it runs in, absolute.
    pub directory: &'a Path,
    /// The directory of the user's configuration files.
    pub user_configuration: Option<&'a Path>,
    /// A variable of the environment it runs in.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a path is there; it is absolute.
    pub exists: &'a dyn Fn(&Path) -> bool,
    /// The text of a file, if it is there and can be read without taking it from the command,
    /// as reading from a pipe would.
    pub read: &'a dyn Fn(&Path) -> Option<String>,
}

impl Surroundings<'_> {
    pub(super) fn has(&self, path: &Path) -> bool {
        (self.exists)(&self.directory.join(path))
    }

    /// A variable that is set and not empty: pip and uv take the empty one for unset.
    pub(super) fn set(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }
}

/// Finds what on a command's line, in the requirements files that it names, in the environment
/// and in uv's configuration goes past the proxy.
///
/// This is for reporting: a command can do more than it says, so an empty answer is no
/// promise.
#[must_use]
pub fn open_routes(command: &[OsString], around: &Surroundings<'_>) -> Vec<OpenRoute> {
    let words: Vec<String> = command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut routes = match Installer::of(&words) {
        Installer::Pip(arguments) => pip(&arguments, around),
        Installer::Uv(arguments) => {
            // What `uv run` runs may be pip.
            let runs = arguments.iter().any(|word| word == "run");
            let mut routes = uv(&arguments, around);
            routes.extend(runs.then(|| pip(&[], around)).into_iter().flatten());
            routes
        }
        Installer::Poetry => project_tool("poetry", around),
        Installer::Pdm => project_tool("pdm", around),
        // What a script runs in the end is not known.
        Installer::Unknown => [pip(&[], around), uv(&[], around)].concat(),
    };
    routes.sort();
    routes.dedup();
    routes
}

/// poetry or pdm, which may run pip. What their projects and lock files name is not read.
fn project_tool(name: &str, around: &Surroundings<'_>) -> Vec<OpenRoute> {
    let why = "local, path and git dependencies of poetry and pdm projects are not looked for";
    [vec![route(name, why)], pip(&[], around), uv(&[], around)].concat()
}

fn pip(arguments: &[String], around: &Surroundings<'_>) -> Vec<OpenRoute> {
    let mut found = Found::default();
    // pip looks for this very word, wherever it stands.
    if arguments.iter().any(|word| word == "--isolated") {
        let why = "pip ignores the variables that point it at the proxy";
        found.routes.push(route("--isolated", why));
    }
    found.read(&words::read(arguments, Dialect::Pip), around);
    found.files_of_variables(
        &["PIP_REQUIREMENT", "PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"],
        around,
    );
    for place in around
        .set("PIP_EDITABLE")
        .iter()
        .flat_map(|list| list.split_whitespace())
    {
        let why = local_requirement(place, &|path| around.has(path)).unwrap_or(TREE);
        found
            .routes
            .push(route(&format!("PIP_EDITABLE={place}"), why));
    }
    found.routes
}

fn uv(arguments: &[String], around: &Surroundings<'_>) -> Vec<OpenRoute> {
    let words = words::read(arguments, Dialect::Uv);
    // uv goes there first: every other path is seen from there.
    let beginning = Beginning::of(&words, around);
    let around = &Surroundings {
        directory: &beginning.directory,
        ..*around
    };
    let mut found = Found::default();
    found.read(&words, around);
    found.files_of_variables(
        &["UV_CONSTRAINT", "UV_OVERRIDE", "UV_BUILD_CONSTRAINT"],
        around,
    );
    found.routes.extend(uv_settings::routes(&beginning, around));
    for script in &found.scripts {
        found
            .routes
            .extend(uv_settings::script_routes(script, around));
    }
    found.routes
}

#[derive(Default)]
struct Found {
    routes: Vec<OpenRoute>,
    scripts: Vec<PathBuf>,
}

/// What the words are that come next.
#[derive(Clone, Copy)]
enum Awaited {
    Subcommand,
    Requirements,
    /// Files of requirements.
    Files,
    /// One requirement; what follows belongs to what it names.
    Tool,
}

impl Found {
    fn read(&mut self, words: &[Word<'_>], around: &Surroundings<'_>) {
        let exists = |path: &Path| around.has(path);
        let mut awaited = Awaited::Subcommand;
        let mut before = "";
        for word in words {
            let word = match word {
                Word::Plain(word) => *word,
                Word::Option { name, value, shown } => {
                    let why = self.option(name, value, around);
                    self.routes.extend(why.map(|why| route(shown, why)));
                    continue;
                }
            };
            match awaited {
                Awaited::Files => self.routes.extend(requirements::routes(word, around)),
                Awaited::Requirements | Awaited::Tool => {
                    let why = local_requirement(word, &exists);
                    self.routes.extend(why.map(|why| route(word, why)));
                }
                Awaited::Subcommand => {}
            }
            awaited = match (awaited, before, word) {
                (Awaited::Subcommand, "pip", "sync" | "compile") => Awaited::Files,
                (Awaited::Subcommand, "tool", "run") => Awaited::Tool,
                (Awaited::Subcommand, _, word) if INSTALLING.contains(&word) => {
                    Awaited::Requirements
                }
                (Awaited::Tool, _, _) => Awaited::Subcommand,
                (same, _, _) => same,
            };
            if word.ends_with(".py") {
                self.scripts.push(word.into());
            }
            before = word;
        }
    }

    fn option(
        &mut self,
        name: &str,
        value: &str,
        around: &Surroundings<'_>,
    ) -> Option<&'static str> {
        let exists = |path: &Path| around.has(path);
        match name {
            "--proxy" => return Some("requests go through another proxy"),
            "--no-index" | "--offline" => return Some("no index is asked"),
            "--cache-dir" => {
                return Some("files in another cache are used without being asked for");
            }
            "--editable" => return local_requirement(value, &exists).or(Some(TREE)),
            "--with" | "--with-editable" | "--from" => {
                let mut listed = value.split(',');
                return listed.find_map(|one| local_requirement(one.trim(), &exists));
            }
            "--script" => self.scripts.push(value.into()),
            _ if words::PLACES.contains(&name) => {
                return is_local(value, &exists).then_some(LISTED);
            }
            _ if words::FILES.contains(&name) => {
                self.routes.extend(requirements::routes(value, around));
            }
            _ => {}
        }
        None
    }

    /// Reads the requirements files that variables name.
    fn files_of_variables(&mut self, names: &[&str], around: &Surroundings<'_>) {
        for list in names.iter().filter_map(|name| around.set(name)) {
            for file in list.split_whitespace() {
                self.routes.extend(requirements::routes(file, around));
            }
        }
    }
}

/// Subcommands whose words are requirements.
const INSTALLING: [&str; 5] = ["install", "download", "wheel", "lock", "add"];

pub(super) fn route(argument: &str, why: &'static str) -> OpenRoute {
    OpenRoute {
        argument: without_secrets(argument),
        why,
    }
}

#[cfg(test)]
mod tests;

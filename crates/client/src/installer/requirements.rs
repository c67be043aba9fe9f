//! Requirements files, as far as they name what lies on this machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::places::{is_local, local_requirement};
use super::routes::{Surroundings, route};
use crate::ledger::OpenRoute;

/// Files read for one command; one that names more is not read to its end.
const MAX_FILES: usize = 100;

/// The routes that a requirements file, and those that it names, leave open.
pub(super) fn routes(file: &Path, around: &Surroundings<'_>) -> Vec<OpenRoute> {
    let mut routes = Vec::new();
    let mut seen = BTreeSet::new();
    let mut waiting = vec![around.directory.join(file)];
    while let Some(file) = waiting.pop() {
        if seen.len() >= MAX_FILES || !seen.insert(file.clone()) {
            continue;
        }
        let Some(text) = (around.read)(&file) else {
            continue;
        };
        let folder = file.parent().unwrap_or(around.directory);
        let exists = |path: &Path| (around.exists)(path) || (around.exists)(&folder.join(path));
        let shown = file.strip_prefix(around.directory).unwrap_or(&file);
        for line in text
            .lines()
            .map(without_comment)
            .filter(|line| !line.is_empty())
        {
            let why = match option(line) {
                Some(("-r" | "--requirement" | "-c" | "--constraint", more)) => {
                    waiting.push(plain(&folder.join(more)));
                    None
                }
                Some(("-f" | "--find-links", place)) if is_local(place, &exists) => {
                    Some("files in a local directory are used as they are")
                }
                Some(("--no-index", _)) => Some("no index is asked"),
                Some(("-e" | "--editable", place)) => local_requirement(place, &exists),
                Some(_) => None,
                None => {
                    let requirement = line.split([';', ' ']).next().unwrap_or(line);
                    let requirement = if line.contains('@') {
                        line
                    } else {
                        requirement
                    };
                    local_requirement(requirement, &exists)
                }
            };
            routes.extend(why.map(|why| route(&format!("{}: {line}", shown.display()), why)));
        }
    }
    routes
}

fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') {
        return "";
    }
    line.split(" #").next().unwrap_or(line).trim()
}

/// An option's line: its name and its value.
fn option(line: &str) -> Option<(&str, &str)> {
    if !line.starts_with('-') {
        return None;
    }
    let (name, value) = line.split_once([' ', '=']).unwrap_or((line, ""));
    Some((name, value.trim()))
}

/// A path without `.` and `..`, so that a file that names itself is known again.
fn plain(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

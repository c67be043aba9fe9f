//! Requirements files, as far as they name what lies on this machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use wheelmark_packaging::lock::{
    ElsewhereKind, FilePlace, LockFile, LockFormat, requirement_lines,
};

use super::locks::{pylock_name, without_extras};
use super::places::{FETCHED, LISTED, TREE, is_local, local_file, local_requirement};
use super::routes::{Surroundings, route};
use super::words::{self, Dialect, Word};
use crate::ledger::OpenRoute;

/// Files read for one command; one that names more is not read to its end.
const MAX_FILES: usize = 100;

/// The routes that a requirements file, and those that it names, leave open.
pub(super) fn routes(file: &str, around: &Surroundings<'_>) -> Vec<OpenRoute> {
    let mut routes = Vec::new();
    // To uv, a dash is its standard input.
    if file == "-" {
        return vec![route(file, UNREAD)];
    }
    if pylock_name(file).is_some() {
        return routes_of_lock(file, around);
    }
    each(file, around, |file, lines| {
        let shown = file.strip_prefix(around.directory).unwrap_or(file);
        let shown = shown.display().to_string();
        let Some(lines) = lines else {
            routes.extend(around.has(file).then(|| route(&shown, UNREAD)));
            return;
        };
        for (line, read) in lines {
            let named = |why| route(&format!("{shown}: {line}"), why);
            routes.extend(read.why.map(named));
        }
    });
    routes
}

/// The routes that a lock file (PEP 751) leaves open.
fn routes_of_lock(file: &str, around: &Surroundings<'_>) -> Vec<OpenRoute> {
    let Some(path) = local_file(without_extras(file)) else {
        return vec![route(file, ELSEWHERE)];
    };
    let path = around.directory.join(path);
    let text = (around.read)(&path);
    let parsed = text.map(|text| LockFile::parse(LockFormat::Pylock, text.as_bytes()));
    let Some(Ok(lock)) = parsed else {
        return Vec::from_iter(around.has(&path).then(|| route(file, UNREAD)));
    };
    let others = lock.elsewhere.iter().filter_map(|other| {
        let why = match other.kind {
            ElsewhereKind::Tree => TREE,
            ElsewhereKind::Path => FILE,
            ElsewhereKind::Repository => FETCHED,
            // The proxy is asked for it.
            ElsewhereKind::Url => return None,
        };
        Some(route(&format!("{file}: {}", other.place), why))
    });
    let files = lock.packages.iter().flat_map(|package| &package.files);
    let files = files.filter_map(|locked| match &locked.at {
        FilePlace::Path(path) => Some(route(&format!("{file}: {path}"), FILE)),
        FilePlace::Index | FilePlace::Url(_) => None,
    });
    others.chain(files).collect()
}

/// A requirements file and those that it names, as far as they are on this machine.
pub(super) fn files(file: &str, around: &Surroundings<'_>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    each(file, around, |file, _| files.push(file.to_owned()));
    files
}

/// Goes through a requirements file and those that it names: `visit` gets each with its lines, or
/// without if it is not read.
fn each(
    file: &str,
    around: &Surroundings<'_>,
    mut visit: impl FnMut(&Path, Option<&[(String, Line)]>),
) {
    let mut seen = BTreeSet::new();
    let path = |file: &str, folder: &Path| Some(folder.join(local_file(file)?));
    let mut waiting = Vec::from_iter(path(file, around.directory));
    while let Some(file) = waiting.pop() {
        if !seen.insert(plain(&file)) {
            continue;
        }
        if seen.len() > MAX_FILES {
            visit(&file, None);
            break;
        }
        let Some(text) = (around.read)(&file) else {
            visit(&file, None);
            continue;
        };
        let folder = file.parent().unwrap_or(around.directory);
        let lines = requirement_lines(&text).into_iter().map(|line| {
            let read = Line::read(&expanded(&line, around), folder, around);
            waiting.extend(read.files.iter().filter_map(|file| path(file, folder)));
            (line, read)
        });
        let lines: Vec<(String, Line)> = lines.collect();
        visit(&file, Some(&lines));
    }
}

const ELSEWHERE: &str =
    "the identities that a lock file names are not asked for, unless it is on this machine";

const FILE: &str = "a local file is used as it is";

const UNREAD: &str = "it was not read, so what it asks for is not known";

/// What one line says.
#[derive(Default)]
struct Line {
    /// More files of requirements.
    files: Vec<String>,
    /// Why something that it asks for is not verified.
    why: Option<&'static str>,
}

impl Line {
    fn read(line: &str, folder: &Path, around: &Surroundings<'_>) -> Self {
        let exists = |path: &Path| around.has(path) || (around.exists)(&folder.join(path));
        let mut read = Self::default();
        if !line.starts_with('-') {
            // A URL may follow `@` with a blank; what is behind the requirement is of no concern.
            let requirement = line.split(" -").next().unwrap_or(line);
            let requirement = requirement.split(';').next().unwrap_or(requirement);
            read.why = local_requirement(requirement.trim(), &exists);
            return read;
        }
        let words = split(line);
        for word in words::read(&words, Dialect::Pip) {
            let Word::Option { name, value, .. } = word else {
                continue;
            };
            let why = match name {
                "--no-index" => Some("no index is asked"),
                "--editable" => local_requirement(value, &exists).or(Some(TREE)),
                _ if words::PLACES.contains(&name) => is_local(value, &exists).then_some(LISTED),
                _ => None,
            };
            read.why = read.why.or(why);
            if words::FILES.contains(&name) {
                read.files.push(value.to_owned());
            }
        }
        read
    }
}

/// A line with the variables that it names, as `${NAME}`, in their places.
fn expanded(line: &str, around: &Surroundings<'_>) -> String {
    let mut expanded = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let value = after
            .split_once('}')
            .and_then(|(name, after)| Some(((around.variable)(name)?, after)));
        match value {
            Some((value, after)) => {
                expanded.push_str(&value);
                rest = after;
            }
            None => {
                expanded.push_str("${");
                rest = after;
            }
        }
    }
    expanded + rest
}

/// Words as a shell separates them.
pub(super) fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
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

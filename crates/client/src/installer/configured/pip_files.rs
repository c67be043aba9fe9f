//! What pip is configured for: `PIP_INDEX_URL`, and `index-url` in its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Found, Named};
use crate::installer::routes::Surroundings;
use crate::installer::words::{self, Dialect, Word};

const FILE: &str = "pip.conf";
const GLOBAL: &str = "global";
const INDEX: &str = "index-url";
const OTHERS: &str = "extra-index-url";

pub(super) fn found(program: &str, arguments: &[String], around: &Surroundings<'_>) -> Found {
    let words = words::read(arguments, Dialect::Pip);
    let command = words.iter().find_map(|word| match word {
        Word::Plain(word) => Some(*word),
        Word::Option { .. } => None,
    });
    // The section of a command outweighs the one for all, whichever file each is in.
    let mut said: BTreeMap<(bool, &'static str), Named> = BTreeMap::new();
    for file in files(program, &words, around) {
        let Some(text) = (around.read)(&file) else {
            continue;
        };
        for setting in settings(&text) {
            let of_command = Some(setting.section) == command;
            let key = match setting.key.as_str() {
                INDEX | "pypi-url" => INDEX,
                OTHERS => OTHERS,
                _ => continue,
            };
            if (of_command || setting.section == GLOBAL) && !setting.value.is_empty() {
                let by = format!("{}: {key}", file.display());
                said.insert((of_command, key), Named::new(&setting.value, by));
            }
        }
    }
    let mut of = |key| {
        let of_command = said.remove(&(true, key));
        of_command.or_else(|| said.remove(&(false, key)))
    };
    let variable = |name: &str| Some(Named::new(&around.set(name)?, name.to_owned()));
    let index = variable("PIP_INDEX_URL").or_else(|| variable("PIP_PYPI_URL"));
    let others = variable("PIP_EXTRA_INDEX_URL").or_else(|| of(OTHERS));
    let index = index.or_else(|| of(INDEX)).and_then(|named| {
        // Of several words pip makes one URL that leads nowhere.
        let url = named.url.split_whitespace().next()?;
        Some(Named::new(url, named.by.clone()))
    });
    Found {
        index,
        others: others.map_or_else(Vec::new, |listed| {
            let each = listed.url.split_whitespace();
            each.map(|url| Named::new(url, listed.by.clone())).collect()
        }),
    }
}

/// pip's files in their order: of two that say the same, the later one counts.
fn files(program: &str, words: &[Word<'_>], around: &Surroundings<'_>) -> Vec<PathBuf> {
    let named = around.set("PIP_CONFIG_FILE").map(PathBuf::from);
    if named.as_deref() == Some(Path::new("/dev/null")) {
        return Vec::new();
    }
    let named = named.map(|named| around.directory.join(named));
    let system = around.set("XDG_CONFIG_DIRS");
    let system = system.as_deref().unwrap_or("/etc/xdg");
    let mut files: Vec<PathBuf> = system
        .split(':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join("pip").join(FILE))
        .collect();
    files.push(Path::new("/etc").join(FILE));
    if !named.as_ref().is_some_and(|named| (around.exists)(named)) {
        let home = around.set("HOME").map(PathBuf::from);
        files.extend(home.map(|home| home.join(".pip").join(FILE)));
        let user = around.user_configuration;
        files.extend(user.map(|user| user.join("pip").join(FILE)));
    }
    files.extend(prefix(program, words, around).map(|prefix| prefix.join(FILE)));
    files.extend(named);
    files
}

/// Where the Python lies that pip runs in: its `sys.prefix`.
fn prefix(program: &str, words: &[Word<'_>], around: &Surroundings<'_>) -> Option<PathBuf> {
    let above_bin = |path: &Path| Some(path.parent()?.parent()?.to_owned());
    let python = words.iter().rev().find_map(|word| match word {
        Word::Option { name, value, .. } if *name == "--python" => Some(*value),
        _ => None,
    });
    if let Some(python) = python {
        // An environment, or the interpreter in one.
        let python = around.directory.join(python);
        if (around.exists)(&python.join("pyvenv.cfg")) {
            return Some(python);
        }
        return above_bin(&python);
    }
    if program.contains('/') {
        return above_bin(&around.directory.join(program));
    }
    let path = around.set("PATH")?;
    let mut folders = path.split(':').filter(|folder| !folder.is_empty());
    let program = folders.find_map(|folder| {
        let program = around.directory.join(folder).join(program);
        (around.exists)(&program).then_some(program)
    });
    above_bin(&program?)
}

/// One setting of a file.
#[derive(Debug, PartialEq, Eq)]
struct Setting<'a> {
    section: &'a str,
    key: String,
    /// Its lines, with a blank between them.
    value: String,
}

/// A file's settings, as Python's `configparser` takes them and pip spells them.
fn settings(text: &str) -> Vec<Setting<'_>> {
    let mut settings: Vec<Setting<'_>> = Vec::new();
    let mut section = "";
    let mut begun: Option<usize> = None;
    for line in text.lines() {
        let code = line.trim();
        if code.is_empty() || code.starts_with(['#', ';']) {
            continue;
        }
        // What is indented deeper than the name goes on with the value.
        let depth = line.len() - line.trim_start().len();
        if begun.is_some_and(|at| depth > at) {
            if let Some(last) = settings.last_mut() {
                last.value = format!("{} {code}", last.value).trim().to_owned();
            }
            continue;
        }
        let header = code
            .strip_prefix('[')
            .and_then(|inner| inner.rsplit_once(']'));
        if let Some((name, _)) = header {
            (section, begun) = (name, None);
        } else if let Some((key, value)) = code.split_once(['=', ':']) {
            begun = Some(depth);
            let key = key.trim().to_lowercase().replace('_', "-");
            settings.push(Setting {
                section,
                key: key.strip_prefix("--").map(str::to_owned).unwrap_or(key),
                value: value.trim().to_owned(),
            });
        }
    }
    settings
}

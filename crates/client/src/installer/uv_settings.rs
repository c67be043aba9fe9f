//! uv's configuration files, as far as they lead past the proxy.
//!
//! Variables of the environment do not override all of them: a proxy that is configured wins,
//! and directories of links are added to what the environment says.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::places::{FETCHED, LISTED, is_local, local_requirement};
use super::routes::{Surroundings, route};
use super::words::Word;
use crate::ledger::OpenRoute;

/// Where uv looks for its configuration.
pub(super) struct Beginning {
    /// The directory that uv goes to first: every other path is seen from there.
    pub(super) directory: PathBuf,
    /// Where it begins to look for the project's.
    pub(super) start: PathBuf,
    /// The one file that was named.
    pub(super) named: Option<PathBuf>,
}

impl Beginning {
    /// As uv's words and variables have it.
    pub(super) fn of(words: &[Word<'_>], around: &Surroundings<'_>) -> Self {
        let last = |wanted: &str| {
            words.iter().rev().find_map(|word| match word {
                Word::Option { name, value, .. } if *name == wanted => Some((*value).to_owned()),
                _ => None,
            })
        };
        let directory = last("--directory")
            .or_else(|| around.set("UV_WORKING_DIRECTORY"))
            .or_else(|| around.set("UV_WORKING_DIR"))
            .unwrap_or_default();
        let directory = around.directory.join(directory);
        let project = last("--project").or_else(|| around.set("UV_PROJECT"));
        let named = last("--config-file").or_else(|| around.set("UV_CONFIG_FILE"));
        Self {
            start: directory.join(project.unwrap_or_default()),
            named: named.map(|named| directory.join(named)),
            directory,
        }
    }
}

/// The routes that uv's configuration leaves open.
pub(super) fn routes(beginning: &Beginning, around: &Surroundings<'_>) -> Vec<OpenRoute> {
    let elsewhere = match &beginning.named {
        Some(named) => vec![named.clone()],
        None => outside(around),
    };
    let elsewhere = elsewhere
        .into_iter()
        .filter_map(|path| Some((parse(&path, around)?, path)));
    project(&beginning.start, around)
        .into_iter()
        .chain(elsewhere)
        .flat_map(|(settings, path)| Settings { settings, path }.routes(around))
        .collect()
}

/// Whether the configuration that uv finds by itself names an index or another place, or says
/// of projects where they come from.
pub(super) fn lead_elsewhere(around: &Surroundings<'_>) -> bool {
    const KEYS: [&str; 11] = [
        "index",
        "index-url",
        "extra-index-url",
        "find-links",
        "no-index",
        "offline",
        "sources",
        "torch-backend",
        "constraint-dependencies",
        "override-dependencies",
        "exclude-dependencies",
    ];
    let own = project(around.directory, around).map(|(settings, _)| settings);
    let outside = outside(around).into_iter();
    own.into_iter()
        .chain(outside.filter_map(|path| parse(&path, around)))
        .any(|settings| {
            let pip = settings.get("pip").and_then(Value::as_table);
            let mut tables = std::iter::once(&settings).chain(pip);
            tables.any(|table| KEYS.iter().any(|key| table.contains_key(*key)))
        })
}

/// uv's configuration files outside of any project: the user's and the system's.
pub(super) fn outside(around: &Surroundings<'_>) -> Vec<PathBuf> {
    let system = around.set("XDG_CONFIG_DIRS");
    let system = system.as_deref().unwrap_or("/etc/xdg").split(':');
    let user = around.user_configuration.map(Path::to_owned);
    let homes = user
        .into_iter()
        .chain(system.filter(|home| !home.is_empty()).map(PathBuf::from))
        .chain(["/etc".into()]);
    homes.map(|home| home.join("uv").join("uv.toml")).collect()
}

/// The routes that the settings inside a script leave open (PEP 723, the table `tool.uv`).
pub(super) fn script_routes(script: &Path, around: &Surroundings<'_>) -> Vec<OpenRoute> {
    let path = around.directory.join(script);
    let settings = (around.read)(&path)
        .and_then(|text| script_metadata(&text).parse::<Table>().ok())
        .and_then(|mut metadata| metadata.remove("tool")?.as_table_mut()?.remove("uv"));
    match settings {
        Some(Value::Table(settings)) => Settings { settings, path }.routes(around),
        _ => Vec::new(),
    }
}

/// What stands in a script between `# /// script` and `# ///`, without the marks of comment.
fn script_metadata(text: &str) -> String {
    text.lines()
        .skip_while(|line| line.trim_end() != "# /// script")
        .skip(1)
        .take_while(|line| line.starts_with('#') && line.trim_end() != "# ///")
        .map(|line| line[1..].strip_prefix(' ').unwrap_or(&line[1..]))
        .fold(String::new(), |block, line| block + line + "\n")
}

/// The nearest configuration of a project, as uv looks for it: a directory's `uv.toml`, or the
/// table `tool.uv` of its `pyproject.toml`.
pub(super) fn project(start: &Path, around: &Surroundings<'_>) -> Option<(Table, PathBuf)> {
    start.ancestors().find_map(|directory| {
        let own = directory.join("uv.toml");
        if let Some(settings) = parse(&own, around) {
            return Some((settings, own));
        }
        let shared = directory.join("pyproject.toml");
        let mut settings = parse(&shared, around)?;
        match settings.remove("tool")?.as_table_mut()?.remove("uv")? {
            Value::Table(settings) => Some((settings, shared)),
            _ => None,
        }
    })
}

pub(super) fn parse(path: &Path, around: &Surroundings<'_>) -> Option<Table> {
    (around.read)(path)?.parse().ok()
}

struct Settings {
    settings: Table,
    path: PathBuf,
}

impl Settings {
    fn routes(&self, around: &Surroundings<'_>) -> Vec<OpenRoute> {
        let mut routes = Vec::new();
        let mut add = |key: String, why| {
            routes.push(route(&format!("{}: {key}", self.path.display()), why));
        };
        for key in ["http-proxy", "https-proxy", "no-proxy"] {
            if self.settings.contains_key(key) {
                add(key.to_owned(), "uv takes its proxy from there");
            }
        }
        let pip = self.settings.get("pip").and_then(Value::as_table);
        for (prefix, table) in [("", Some(&self.settings)), ("pip.", pip)] {
            let Some(table) = table else { continue };
            for key in ["no-index", "offline"] {
                if table.get(key).and_then(Value::as_bool) == Some(true) {
                    add(format!("{prefix}{key}"), "no index is asked");
                }
            }
            for key in ["find-links", "index", "index-url", "extra-index-url"] {
                let listed = table.get(key).into_iter().flat_map(places);
                if listed.into_iter().any(|place| self.is_local(place, around)) {
                    add(format!("{prefix}{key}"), LISTED);
                }
            }
        }
        let sources = self.settings.get("sources").and_then(Value::as_table);
        for (name, source) in sources.into_iter().flatten() {
            if let Some(why) = items(source).iter().find_map(|source| past(source)) {
                add(format!("sources.{name}"), why);
            }
        }
        routes
    }

    fn is_local(&self, place: &str, around: &Surroundings<'_>) -> bool {
        let folder = self.path.parent().unwrap_or(around.directory);
        is_local(place, &|path| (around.exists)(&folder.join(path)))
    }
}

/// The places that a setting names: a string, strings, or tables with a `url`.
fn places(value: &Value) -> Vec<&str> {
    items(value)
        .into_iter()
        .filter_map(|item| item.as_str().or_else(|| item.get("url")?.as_str()))
        .collect()
}

pub(super) fn items(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        single => vec![single],
    }
}

/// Whether a source comes by a way that no HTTP proxy is sure to see.
fn past(source: &Value) -> Option<&'static str> {
    if source.get("path").is_some() {
        return Some("a local file or source tree is used as it is");
    }
    if source.get("git").is_some() {
        return Some(FETCHED);
    }
    local_requirement(source.get("url")?.as_str()?, &|_| false)
}

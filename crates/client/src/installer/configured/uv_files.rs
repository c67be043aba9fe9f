//! What uv is configured for: `UV_DEFAULT_INDEX`, and the default index of its files.

use std::path::PathBuf;

use toml::{Table, Value};

use super::{Found, Named};
use crate::installer::mode::uv_command;
use crate::installer::routes::Surroundings;
use crate::installer::uv_settings::{Beginning, items, outside, parse, project};
use crate::installer::words::{self, Dialect};

pub(super) fn found(arguments: &[String], around: &Surroundings<'_>) -> Found {
    let words = words::read(arguments, Dialect::Uv);
    let command = uv_command(arguments).next();
    let files = files(&Beginning::of(&words, around), arguments, command, around);
    let variable = |name: &str| Some(Named::new(&around.set(name)?, name.to_owned()));
    let listed = |name: &str| {
        let list = variable(name);
        let each = list.iter().flat_map(|list| list.url.split_whitespace());
        each.map(|url| Named::new(unnamed(url), name.to_owned()))
            .collect::<Vec<_>>()
    };
    let mut others = [listed("UV_INDEX"), listed("UV_EXTRA_INDEX_URL")].concat();
    let mut default = variable("UV_DEFAULT_INDEX")
        .or_else(|| variable("UV_INDEX_URL"))
        .map(|named| Named::new(unnamed(&named.url), named.by));
    let (mut of_pip, mut of_all) = (None, None);
    for (settings, path) in &files {
        let by = |key: &str| format!("{}: {key}", path.display());
        for entry in settings.get("index").into_iter().flat_map(items) {
            let Some(url) = entry.get("url").and_then(Value::as_str) else {
                continue;
            };
            let named = Named::new(url, by("index"));
            if entry.get("default").and_then(Value::as_bool) == Some(true) {
                default.get_or_insert(named);
            } else {
                others.push(named);
            }
        }
        let pip = settings.get("pip").and_then(Value::as_table);
        let pip = pip.filter(|_| command == Some("pip"));
        let url = |table: &Table| {
            let url = table.get("index-url")?.as_str()?;
            Some(url.to_owned())
        };
        if let Some(url) = pip.and_then(url) {
            of_pip.get_or_insert_with(|| Named::new(&url, by("pip.index-url")));
        }
        if let Some(url) = url(settings) {
            of_all.get_or_insert_with(|| Named::new(&url, by("index-url")));
        }
        let extra = settings.get("extra-index-url").into_iter().flat_map(items);
        let extra = extra.filter_map(Value::as_str);
        others.extend(extra.map(|url| Named::new(url, by("extra-index-url"))));
    }
    Found {
        index: default.or(of_pip).or(of_all),
        others,
    }
}

/// uv's files in their order: of two that say the same, the earlier one counts.
fn files(
    beginning: &Beginning,
    arguments: &[String],
    command: Option<&str>,
    around: &Surroundings<'_>,
) -> Vec<(Table, PathBuf)> {
    let read = |path: PathBuf| Some((parse(&path, around)?, path));
    if let Some(named) = &beginning.named {
        return read(named.clone()).into_iter().collect();
    }
    if around.set("UV_NO_CONFIG").is_some() || arguments.iter().any(|word| word == "--no-config") {
        return Vec::new();
    }
    // Tools are no part of the project that somebody happens to stand in.
    let own = match command {
        Some("tool") => None,
        _ => project(&beginning.start, around),
    };
    own.into_iter()
        .chain(outside(around).into_iter().filter_map(read))
        .collect()
}

/// The URL of `name=URL`.
fn unnamed(written: &str) -> &str {
    match written.split_once('=') {
        Some((name, url)) if !name.contains([':', '/', '?', '#']) => url,
        _ => written,
    }
}

//! `index.toml`: read with the line of every value, and written with a comment for each.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Key};
use super::{KEYS, Mistake, Source, Written};

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) values: BTreeMap<&'static str, Written>,
    pub(super) mistakes: Vec<Mistake>,
}

/// Reads the file; one that is not there says nothing.
pub(super) fn read(path: &Path) -> anyhow::Result<File> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(parse(&text, path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

pub(super) fn parse(text: &str, path: &Path) -> File {
    let mut file = File::default();
    let at = |offset: usize| Source::File {
        path: path.to_owned(),
        line: 1 + text
            .as_bytes()
            .iter()
            .take(offset)
            .filter(|b| **b == b'\n')
            .count(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        file.mistakes.push(Mistake {
            source: at(error.span().map_or(0, |span| span.start)),
            what: error.message().to_owned(),
        });
    }
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    for (name, value) in entries {
        let source = at(name.span().start);
        let name = name.get_ref();
        let Some(key) = keys::find(name) else {
            let what = keys::unknown(name, str::to_owned);
            file.mistakes.push(Mistake { source, what });
            continue;
        };
        match as_text(key, value.get_ref()) {
            Ok(text) => {
                file.values.insert(key.name, Written { text, source });
            }
            Err(what) => file.mistakes.push(Mistake { source, what }),
        }
    }
    file
}

/// A value as the text that it would be in the environment.
fn as_text(key: &Key, value: &DeValue<'_>) -> Result<String, String> {
    let name = key.name;
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if !key.is_list => Ok(number.as_str().to_owned()),
        DeValue::Array(items) if key.is_list => {
            let items: Option<Vec<&str>> =
                items.iter().map(|item| item.get_ref().as_str()).collect();
            let items = items.ok_or_else(|| format!("`{name}` is a list of strings"))?;
            Ok(items.join(","))
        }
        _ if key.is_list => Err(format!(
            "`{name}` is a list of strings, such as [\"10.0.0.1\"]"
        )),
        other => Err(format!(
            "`{name}` is a string, and here is a {}",
            other.type_str()
        )),
    }
}

/// A whole file in which every setting is explained and none is set.
pub(crate) fn template() -> String {
    let mut text = String::from(
        "# How this index is run. Every line that says something is a comment: take the `#` away\n\
         # to set it. The same names with WHEELMARK_INDEX_ in front are variables that stand above\n\
         # this file (WHEELMARK_INDEX_LISTEN), and options above both (--listen).\n\
         #\n\
         # `wheelmark index config check` finds mistakes, `wheelmark index config show` says what\n\
         # holds and why. A change counts from the next start on.\n",
    );
    for key in KEYS {
        text.push('\n');
        for line in key.about.lines() {
            text.push_str(&format!("# {line}\n"));
        }
        let value = if key.default.is_empty() {
            key.example
        } else {
            key.default
        };
        let value = if key.is_list {
            let items: Vec<String> = value
                .split(',')
                .map(|item| format!("\"{}\"", item.trim()))
                .collect();
            format!("[{}]", items.join(", "))
        } else {
            format!("\"{value}\"")
        };
        text.push_str(&format!("#{} = {value}\n", key.name));
    }
    text
}

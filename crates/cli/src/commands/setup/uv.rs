//! uv's configuration file: TOML, edited line by line so that every other byte stays, and read
//! again as TOML before it is written.

use toml::{Table, Value};

use super::marks;

/// The settings that decide where uv goes, at the top and in `[pip]`.
const TAKEN_OUT: [&str; 11] = [
    "index",
    "index-url",
    "extra-index-url",
    "find-links",
    "no-index",
    "offline",
    "http-proxy",
    "https-proxy",
    "no-proxy",
    "cache-dir",
    "no-cache",
];

const PIP: &str = "pip";

/// Why uv's file cannot be edited.
#[derive(Debug, thiserror::Error)]
pub(super) enum UvError {
    /// It is no TOML.
    #[error("it is not valid TOML")]
    NotToml(#[from] toml::de::Error),
    /// A setting is written in a way that a line edit does not get at.
    #[error("`{key}` is written in a way that cannot be taken out line by line")]
    Entangled {
        /// The setting.
        key: String,
    },
}

/// uv's file with our settings, and the lines that they take the place of.
pub(super) fn edit(text: &str, settings: &[String]) -> Result<(String, Vec<String>), UvError> {
    let mut wanted: Table = text.parse()?;
    let mut remaining = text.to_owned();
    let mut out = Vec::new();
    for key in TAKEN_OUT {
        wanted.remove(key);
        if let Some(Value::Table(pip)) = wanted.get_mut(PIP) {
            pip.remove(key);
        }
        while let Some(lines) = first(&remaining, key)? {
            out.extend(lines.clone());
            remaining = marks::without(&remaining, &lines);
        }
    }
    out.sort_unstable();
    // What is left must say what the file said, but for what was taken out.
    let left: Table = remaining.parse()?;
    if left != wanted {
        let keys = text.parse::<Table>()?;
        let differs = |key: &&String| left.get(*key) != wanted.get(*key);
        let key = keys.keys().find(differs).cloned().unwrap_or_default();
        return Err(UvError::Entangled { key });
    }
    let lines: Vec<&str> = text.lines().collect();
    let conflicts = out.iter().map(|i| lines[*i].trim().to_owned()).collect();
    // Above all tables, where a setting belongs to none of them.
    let edited = marks::block(settings) + &remaining;
    let _: Table = edited.parse()?;
    Ok((edited, conflicts))
}

/// The lines of the first place that sets `key`, at the top or in `[pip]`.
fn first(text: &str, key: &str) -> Result<Option<Vec<usize>>, UvError> {
    let table: Table = text.parse()?;
    let in_pip =
        |table: &Table| matches!(table.get(PIP), Some(Value::Table(pip)) if pip.contains_key(key));
    if !table.contains_key(key) && !in_pip(&table) {
        return Ok(None);
    }
    let lines: Vec<&str> = text.lines().collect();
    let mut section = "";
    for (number, line) in lines.iter().enumerate() {
        let code = line.trim();
        if let Some(header) = header(code) {
            section = header;
            if code.starts_with("[[") && header == key || header == format!("{PIP}.{key}") {
                return Ok(Some(to_next_header(&lines, number)));
            }
            continue;
        }
        if matches!(section, "" | PIP) && sets(code, key) {
            return extent(text, number, lines.len())
                .map(Some)
                .ok_or_else(|| UvError::Entangled {
                    key: key.to_owned(),
                });
        }
    }
    Err(UvError::Entangled {
        key: key.to_owned(),
    })
}

/// The name in a header line of a table, or of an array of tables.
fn header(code: &str) -> Option<&str> {
    let inner = code.strip_prefix('[')?;
    let inner = inner.strip_prefix('[').unwrap_or(inner);
    let (name, _) = inner.split_once(']')?;
    Some(name.trim())
}

fn sets(code: &str, key: &str) -> bool {
    code.split_once('=')
        .is_some_and(|(name, _)| name.trim().trim_matches(['"', '\'']) == key)
}

fn to_next_header(lines: &[&str], from: usize) -> Vec<usize> {
    let next = lines
        .iter()
        .enumerate()
        .skip(from + 1)
        .find(|(_, line)| header(line.trim()).is_some())
        .map_or(lines.len(), |(number, _)| number);
    // Comments and empty lines before the next table belong to that one.
    let mut end = next;
    while end > from + 1 && {
        let last = lines[end - 1].trim();
        last.is_empty() || last.starts_with('#')
    } {
        end -= 1;
    }
    (from..end).collect()
}

/// A value can go on over several lines: as many as it takes until the rest is TOML again.
fn extent(text: &str, from: usize, end: usize) -> Option<Vec<usize>> {
    (from + 1..=end)
        .map(|end| (from..end).collect::<Vec<_>>())
        .find(|lines| marks::without(text, lines).parse::<Table>().is_ok())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn check(before: &str, taken_out: &[&str]) {
        let ours = [r#"http-proxy = "http://127.0.0.1:1""#.to_owned()];
        let (text, conflicts) = edit(before, &ours).unwrap();
        assert_eq!(conflicts, taken_out, "{text}");
        assert_eq!(marks::strip(&text).as_deref(), Ok(before));
        let table: Table = text.parse().unwrap();
        assert_eq!(table["http-proxy"].as_str(), Some("http://127.0.0.1:1"));
        for key in TAKEN_OUT.iter().filter(|key| **key != "http-proxy") {
            assert!(!table.contains_key(*key), "{key} is left in {text}");
        }
    }

    #[test]
    fn other_settings_and_comments_stay() {
        check("# mine\ncompile-bytecode = true\n", &[]);
        check(
            "# mine\nno-cache = true\n\n[pip]\nindex-url = \"https://a.example/\" # why\nsystem = true\n",
            &[
                "no-cache = true",
                "index-url = \"https://a.example/\" # why",
            ],
        );
    }

    #[test]
    fn indexes_in_all_their_forms() {
        check(
            "index = [\n  { url = \"https://a.example/\" },\n]\nlink-mode = \"copy\"\n",
            &["index = [", "{ url = \"https://a.example/\" },", "]"],
        );
        check(
            "[[index]]\nname = \"a\"\nurl = \"https://a.example/\"\n\n# two\n[[index]]\nurl = \"https://b.example/\"\ndefault = true\n\n[pip]\nsystem = true\n",
            &[
                "[[index]]",
                "name = \"a\"",
                "url = \"https://a.example/\"",
                "[[index]]",
                "url = \"https://b.example/\"",
                "default = true",
            ],
        );
    }

    #[test]
    fn what_cannot_be_taken_out_is_said() {
        let refused = |text: &str| edit(text, &[]).unwrap_err().to_string();
        assert_eq!(refused("= 1"), "it is not valid TOML");
        assert!(refused("pip = { index-url = \"https://a.example/\" }\n").contains("index-url"));
    }
}

//! pip's configuration file: `key = value` in sections, as Python's `configparser` reads it.

use super::marks;

/// The settings that decide where pip goes. Ours take their place in every section, since
/// that of a command (`[install]`) outweighs `[global]`.
const TAKEN_OUT: [&str; 13] = [
    "index-url",
    "pypi-url",
    "extra-index-url",
    "find-links",
    "no-index",
    "proxy",
    "cert",
    "trusted-host",
    "cache-dir",
    "no-cache-dir",
    "timeout",
    "default-timeout",
    "retries",
];

const SECTION: &str = "global";

/// pip's file with our settings, and the lines that they take the place of.
pub(super) fn edit(text: &str, settings: &[(&str, String)]) -> (String, Vec<String>) {
    let lines: Vec<&str> = text.lines().collect();
    let read = read(text);
    let mut out = Vec::new();
    for line in &read {
        if let Part::Setting { key, .. } = &line.part
            && TAKEN_OUT.contains(&key.as_str())
        {
            out.push(line.number);
        }
    }
    let conflicts = out.iter().map(|i| lines[*i].trim().to_owned()).collect();
    let edited = marks::without(text, &out);
    // A section may stand there only once.
    let header = read
        .iter()
        .position(|line| matches!(line.part, Part::Header(SECTION)));
    // What is indented deeper than ours would go on with our last value.
    let next = read.get(header.map_or(0, |header| header + 1));
    let indent = next.map_or("", |line| {
        let line = lines[line.number];
        &line[..line.len() - line.trim_start().len()]
    });
    let ours: Vec<String> = settings
        .iter()
        .map(|(key, value)| format!("{indent}{key} = {value}"))
        .collect();
    let edited = match header {
        Some(header) => {
            let mut parts = edited.split_inclusive('\n');
            let mut head: String = parts.by_ref().take(read[header].number + 1).collect();
            if !head.ends_with('\n') {
                head.push('\n');
            }
            head + &marks::block(&ours) + &parts.collect::<String>()
        }
        None => {
            let section = [vec![format!("[{SECTION}]")], ours].concat();
            marks::block(&section) + &edited
        }
    };
    (edited, conflicts)
}

/// What another of pip's files says that outweighs ours, or that ours does not speak of.
pub(super) fn outweighing(text: &str, settings: &[(&str, String)]) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let ours = |key: &str| settings.iter().any(|(ours, _)| *ours == key);
    read(text)
        .iter()
        .filter_map(|line| match &line.part {
            Part::Setting { section, key } => {
                // Of files that say the same of `[global]`, the user's counts.
                let outweighs = *section != SECTION || !ours(key);
                (outweighs && TAKEN_OUT.contains(&key.as_str())).then(|| lines[line.number].trim())
            }
            Part::Header(_) | Part::Other => None,
        })
        .map(str::to_owned)
        .collect()
}

/// A line that is neither empty nor a comment: those end nothing.
struct Line<'a> {
    number: usize,
    part: Part<'a>,
}

enum Part<'a> {
    /// The beginning of a section.
    Header(&'a str),
    /// A setting's first line, or one that goes on with its value.
    Setting { section: &'a str, key: String },
    /// pip would not take it.
    Other,
}

/// The lines as `configparser` takes them.
fn read(text: &str) -> Vec<Line<'_>> {
    let mut section = "";
    let mut setting: Option<(usize, String)> = None;
    let mut read = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.trim();
        if code.is_empty() || code.starts_with(['#', ';']) {
            continue;
        }
        // What is indented deeper than the name goes on with the value.
        let depth = line.len() - line.trim_start().len();
        let goes_on = setting.as_ref().filter(|(at, _)| depth > *at);
        let part = if let Some((_, key)) = goes_on {
            let key = key.clone();
            Part::Setting { section, key }
        } else if let Some(name) = header(code) {
            setting = None;
            section = name;
            Part::Header(name)
        } else if let Some(key) = key(code) {
            setting = Some((depth, key.clone()));
            Part::Setting { section, key }
        } else {
            Part::Other
        };
        read.push(Line { number, part });
    }
    read
}

/// The name of the section that a line begins; what follows the bracket says nothing.
fn header(code: &str) -> Option<&str> {
    let inner = code.strip_prefix('[')?;
    Some(inner.rsplit_once(']')?.0).filter(|name| !name.is_empty())
}

/// The name of the setting on a line, in the one spelling that pip makes of all.
fn key(line: &str) -> Option<String> {
    let (key, _) = line.split_once(['=', ':'])?;
    let key = key.trim().to_lowercase().replace('_', "-");
    Some(key.strip_prefix("--").map(str::to_owned).unwrap_or(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Vec<(&'static str, String)> {
        vec![("index-url", "https://ours.example/simple/".to_owned())]
    }

    #[test]
    fn an_own_section_where_there_is_none() {
        let (text, conflicts) = edit("[install]\nuser = true\n", &ours());
        assert!(
            text.contains("[global]\nindex-url = https://ours.example/simple/\n"),
            "{text}"
        );
        assert!(text.ends_with("[install]\nuser = true\n"), "{text}");
        assert!(conflicts.is_empty());
    }

    fn check(before: &str, taken_out: &[&str], live: &[&str]) {
        let (text, conflicts) = edit(before, &ours());
        assert_eq!(conflicts, taken_out, "{text}");
        let comment = |line: &&str| line.trim().starts_with('#') || line.trim().is_empty();
        let left: Vec<&str> = text.lines().filter(|line| !comment(line)).collect();
        assert_eq!(left, live, "{text}");
        assert_eq!(marks::strip(&text).as_deref(), Ok(before));
    }

    const OURS: &str = "index-url = https://ours.example/simple/";

    #[test]
    fn values_go_on_over_comments_and_empty_lines() {
        check(
            "[global]\nextra-index-url =\n    https://a.example/\n# why\n\n    https://b.example/\ntimeout_ = 1\n",
            &[
                "extra-index-url =",
                "https://a.example/",
                "https://b.example/",
            ],
            &["[global]", OURS, "timeout_ = 1"],
        );
        // What only looks like a setting goes on with another's value, or is one, indented.
        check(
            "[global]\nconstraint =\n  index-url = a\n[x]\n",
            &[],
            &["[global]", OURS, "constraint =", "  index-url = a", "[x]"],
        );
        check(
            "[install]\n  timeout = 9\n  user = true\n",
            &["timeout = 9"],
            &["[global]", OURS, "[install]", "  user = true"],
        );
    }

    #[test]
    fn a_section_stands_there_once_however_it_is_written() {
        check(
            "[global] # mine\nuser = true\n",
            &[],
            &["[global] # mine", OURS, "user = true"],
        );
        // Ours are indented as the rest is, or the rest would go on with them.
        check(
            "[global]\n\n  user = true\n",
            &[],
            &["[global]", &format!("  {OURS}"), "  user = true"],
        );
        check(
            "  [install]\n  user = true\n",
            &[],
            &[
                "[global]",
                &format!("  {OURS}"),
                "  [install]",
                "  user = true",
            ],
        );
    }

    #[test]
    fn of_other_files_what_outweighs_ours_is_told() {
        let told = |text: &str| outweighing(text, &ours());
        assert!(told("[global]\nindex-url = https://a.example/\nuser = true\n").is_empty());
        assert_eq!(
            told("[global]\nfind-links = /a\n\t/b\n[install]\nindex-url = c\nuser = true\n"),
            ["find-links = /a", "/b", "index-url = c"]
        );
    }

    #[test]
    fn what_points_elsewhere_is_taken_out_in_every_section_and_spelling() {
        let before = "# mine\n[global]\nno-input = 1\nIndex_Url: https://a.example/\n\n[install]\nextra-index-url =\n    https://b.example/\n    https://c.example/\nuser = true\n";
        let (text, conflicts) = edit(before, &ours());
        assert_eq!(
            conflicts,
            [
                "Index_Url: https://a.example/",
                "extra-index-url =",
                "https://b.example/",
                "https://c.example/"
            ]
        );
        let live: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
        assert_eq!(
            live,
            [
                "[global]",
                "index-url = https://ours.example/simple/",
                "no-input = 1",
                "",
                "[install]",
                "user = true"
            ]
        );
        assert_eq!(marks::strip(&text).as_deref(), Ok(before));
    }
}

//! pip's configuration file: `key = value` in sections, as Python's `configparser` reads it.

use super::marks;

/// The settings that decide where pip goes. Ours take their place in every section, since
/// that of a command (`[install]`) outweighs `[global]`.
const TAKEN_OUT: [&str; 9] = [
    "index-url",
    "extra-index-url",
    "find-links",
    "no-index",
    "proxy",
    "cert",
    "trusted-host",
    "cache-dir",
    "no-cache-dir",
];

const SECTION: &str = "[global]";

/// pip's file with our settings, and the lines that they take the place of.
pub(super) fn edit(text: &str, settings: &[(&str, String)]) -> (String, Vec<String>) {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = Vec::new();
    let mut within = false;
    for (number, line) in lines.iter().enumerate() {
        let continues = line.starts_with([' ', '\t']) && !line.trim().is_empty();
        within = if continues {
            within
        } else {
            key(line).is_some_and(|key| TAKEN_OUT.contains(&key.as_str()))
        };
        if within {
            out.push(number);
        }
    }
    let conflicts = out.iter().map(|i| lines[*i].trim().to_owned()).collect();
    let ours: Vec<String> = settings
        .iter()
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    let edited = marks::without(text, &out);
    // A section may stand there only once.
    let header = lines.iter().position(|line| line.trim_end() == SECTION);
    let edited = match header {
        Some(header) => {
            let mut parts = edited.split_inclusive('\n');
            let mut head: String = parts.by_ref().take(header + 1).collect();
            if !head.ends_with('\n') {
                head.push('\n');
            }
            head + &marks::block(&ours) + &parts.collect::<String>()
        }
        None => {
            let section = [vec![SECTION.to_owned()], ours].concat();
            marks::block(&section) + &edited
        }
    };
    (edited, conflicts)
}

/// The name of the setting on a line, in the one spelling that pip makes of all.
fn key(line: &str) -> Option<String> {
    if line.starts_with(['#', ';', '[']) {
        return None;
    }
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

    #[test]
    fn what_points_elsewhere_is_taken_out_in_every_section_and_spelling() {
        let before = "# mine\n[global]\ntimeout = 9\nIndex_Url: https://a.example/\n\n[install]\nextra-index-url =\n    https://b.example/\n    https://c.example/\nuser = true\n";
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
                "timeout = 9",
                "",
                "[install]",
                "user = true"
            ]
        );
        assert_eq!(marks::strip(&text), before);
    }
}

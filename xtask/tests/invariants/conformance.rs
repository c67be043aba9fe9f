//! docs/conformance.md is whole, and what it points at exists.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{none, root};

/// Every number of the requirements, once; the table has a row for each.
const NUMBERS: [(&str, &[&str]); 16] = [
    (
        "458-",
        &[
            "1", "2", "3", "4", "5", "6", "7", "8", "10", "11", "12", "13", "14", "15", "16", "17",
            "18", "19", "20", "21", "22", "30", "31", "32", "33", "34", "35", "36", "37", "38",
            "40", "41", "42", "43", "44", "45", "46", "47", "48", "49", "60", "61", "62", "63",
            "64", "65", "66", "67", "68", "69", "70", "71", "A1", "A2", "A3", "A4", "A5", "A6",
            "A7", "A8", "A9", "A10",
        ],
    ),
    (
        "480-",
        &[
            "1", "2", "3", "4", "5", "6", "7", "8", "10", "11", "12", "13", "14", "15", "20", "21",
            "22", "23", "24",
        ],
    ),
    ("503-", &["1", "2", "3", "4", "5", "6"]),
    ("592-", &["1", "2", "3"]),
    ("629-", &["1"]),
    ("658-", &["1", "2"]),
    ("691-", &["1", "2", "3", "4", "5"]),
    ("700-", &["1", "2", "3"]),
    ("792-", &["1", "2", "3", "4"]),
    ("833-", &["1"]),
    ("JSON-", &["1", "2"]),
    ("HTTP-", &["1"]),
    (
        "UP-",
        &[
            "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
            "17", "18", "19",
        ],
    ),
    ("740-", &["1", "2", "3", "4", "5", "6", "7"]),
    ("TP-", &["1"]),
    ("PGP-", &["1", "2", "3"]),
];

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    number: String,
    demand: String,
    state: String,
}

/// The rows of every table in the text whose first cell is a number of the requirements.
fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for line in text.lines() {
        let Some(inner) = line
            .trim()
            .strip_prefix('|')
            .and_then(|rest| rest.strip_suffix('|'))
        else {
            continue;
        };
        let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
        if let [number, demand, state] = cells[..]
            && NUMBERS.iter().any(|(family, _)| number.starts_with(family))
        {
            rows.push(Row {
                number: number.to_owned(),
                demand: demand.to_owned(),
                state: state.to_owned(),
            });
        }
    }
    rows
}

/// What is wrong with the table; `exists` answers whether a reference leads anywhere.
fn complaints(rows: &[Row], exists: impl Fn(&str) -> Result<(), String>) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut seen = BTreeMap::<&str, usize>::new();
    for row in rows {
        *seen.entry(&row.number).or_default() += 1;
        if row.demand.is_empty() {
            complaints.push(format!("{}: says nothing of what is asked", row.number));
        }
        complaints.extend(
            state_complaints(&row.state, &exists)
                .into_iter()
                .map(|text| format!("{}: {text}", row.number)),
        );
    }
    for (family, members) in NUMBERS {
        for member in members {
            match seen.remove(format!("{family}{member}").as_str()) {
                Some(1) => {}
                Some(times) => complaints.push(format!("{family}{member}: has {times} rows")),
                None => complaints.push(format!("{family}{member}: has no row")),
            }
        }
    }
    complaints.extend(
        seen.keys()
            .map(|number| format!("{number}: is not among the requirements")),
    );
    complaints
}

/// A state is `open`, with or without more to say, or `not ours: reason`, or `shown by`
/// with one reference or more between backticks. A test that an open row names, for the
/// part that is done, has to exist as well.
fn state_complaints(state: &str, exists: impl Fn(&str) -> Result<(), String>) -> Vec<String> {
    if state == "open" {
        return Vec::new();
    }
    if let Some(rest) = state.strip_prefix("open: ") {
        let quoted = rest.split('`').skip(1).step_by(2);
        let tests = quoted.filter(|text| text.contains("::"));
        return tests.filter_map(|test| exists(test).err()).collect();
    }
    if let Some(reason) = state.strip_prefix("not ours:") {
        return if reason.trim().is_empty() {
            vec!["is not ours for no reason".to_owned()]
        } else {
            Vec::new()
        };
    }
    let Some(shown) = state.strip_prefix("shown by ") else {
        return vec![format!("has a state that is none: {state}")];
    };
    let references: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
    if references.is_empty() {
        return vec!["is shown by nothing".to_owned()];
    }
    references
        .into_iter()
        .filter_map(|reference| exists(reference).err())
        .collect()
}

/// Whether a reference leads to something in the tree: `path/to/file.rs::test_name`,
/// `path/to/file.py::test_name`, `cargo xtask CHORE …` or `wheelmark COMMAND …`.
fn lookup(root: &Path, reference: &str) -> Result<(), String> {
    if let Some((file, name)) = reference.split_once("::") {
        let text =
            std::fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))?;
        let keyword = if file.ends_with(".py") { "def" } else { "fn" };
        return if text.contains(&format!("{keyword} {name}(")) {
            Ok(())
        } else {
            Err(format!("{file} has no test {name}"))
        };
    }
    if let Some(chore) = reference.strip_prefix("cargo xtask ") {
        let words = chore.split(' ').take_while(|word| !word.starts_with('-'));
        let known = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(words)
            .arg("--help")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        return if known.success() {
            Ok(())
        } else {
            Err(format!("there is no chore {chore}"))
        };
    }
    if let Some(command) = reference.strip_prefix("wheelmark ") {
        let name = command.split(' ').next().unwrap_or_default();
        let file = format!("crates/cli/src/commands/{name}.rs");
        return if root.join(&file).is_file() {
            Ok(())
        } else {
            Err(format!("there is no {file}"))
        };
    }
    Err(format!("{reference} is neither a test nor a command"))
}

#[test]
fn each_requirement_has_one_row_and_what_it_names_exists() {
    let root = root();
    let text = std::fs::read_to_string(root.join("docs/conformance.md")).unwrap();
    none(&complaints(&rows(&text), |reference| {
        lookup(&root, reference)
    }));
}

#[test]
fn a_table_with_holes_or_false_claims_would_be_seen() {
    let whole: Vec<Row> = NUMBERS
        .iter()
        .flat_map(|(family, members)| {
            members.iter().map(move |member| Row {
                number: format!("{family}{member}"),
                demand: "something".to_owned(),
                state: "open".to_owned(),
            })
        })
        .collect();
    let check = |rows: &[Row]| complaints(rows, |reference| lookup(&root(), reference));
    assert_eq!(check(&whole), [""; 0]);

    assert_eq!(check(&whole[1..]), ["458-1: has no row"]);
    let mut twice = whole.clone();
    twice.push(whole[0].clone());
    assert_eq!(check(&twice), ["458-1: has 2 rows"]);

    let with = |state: &str| {
        let mut rows = whole.clone();
        rows[0].state = state.to_owned();
        check(&rows)
    };
    assert_eq!(with("done"), ["458-1: has a state that is none: done"]);
    assert_eq!(
        with("open: half, by `xtask/tests/invariants/nowhere.rs::a_test`").len(),
        1
    );
    assert_eq!(with("not ours: "), ["458-1: is not ours for no reason"]);
    assert_eq!(with("shown by hand"), ["458-1: is shown by nothing"]);
    assert_eq!(with("shown by `wheelmark levitate`").len(), 1);
    assert_eq!(with("shown by `cargo xtask levitate`").len(), 1);
    assert_eq!(
        with("shown by `xtask/tests/invariants/graph.rs::there_is_no_such_test`").len(),
        1
    );
    assert_eq!(
        with("shown by `xtask/tests/invariants/nowhere.rs::a_test`").len(),
        1
    );
    assert_eq!(
        with(
            "shown by `xtask/tests/invariants/graph.rs::development_dependencies_do_not_count`, `cargo xtask test --only e2e`"
        ),
        [""; 0]
    );
}

#[test]
fn rows_are_read_out_of_the_prose_around_them() {
    let text = "Words.\n\n| number | demand | state |\n|---|---|---|\n| TP-1 | a thing | open |\n| other | a | b |\n";
    assert_eq!(
        rows(text),
        [Row {
            number: "TP-1".to_owned(),
            demand: "a thing".to_owned(),
            state: "open".to_owned()
        }]
    );
}

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

/// Projects, places of indexes, threshold, terminating.
type Row<'a> = (&'a [&'a str], &'a [usize], usize, bool);

const INDEXES: usize = 3;

fn urls() -> Vec<Url> {
    (0..INDEXES).map(url).collect()
}

fn url(place: usize) -> Url {
    format!("https://{place}.example/simple/").parse().unwrap()
}

fn origin(number: usize) -> RuleOrigin {
    RuleOrigin {
        file: PathBuf::from("wheelmark.toml"),
        number,
    }
}

fn map(rows: &[Row<'_>]) -> Result<ProjectMap, MapError> {
    let rules = rows
        .iter()
        .enumerate()
        .map(|(i, (projects, indexes, threshold, terminating))| MapRule {
            origin: origin(i + 1),
            projects: projects.iter().map(|&p| p.to_owned()).collect(),
            indexes: indexes.iter().map(|&place| url(place)).collect(),
            threshold: *threshold,
            terminating: *terminating,
        })
        .collect();
    ProjectMap::new(rules, &urls())
}

/// The numbers of the rules that are asked for a project.
fn asked(map: &ProjectMap, project: &str) -> Vec<usize> {
    let project = project.parse().unwrap();
    map.rules_for(&project)
        .map(|rule| rule.origin.number)
        .collect()
}

#[test]
fn rules_are_asked_in_order_up_to_one_that_terminates() {
    let map = map(&[
        (&["acme-*", "acme"], &[0], 1, true),
        (&["num*"], &[1, 2], 1, false),
        (&["numpy"], &[2], 1, false),
        (&["*"], &[1], 1, true),
        (&["*"], &[2], 1, true),
    ])
    .unwrap();
    for (project, expected) in [
        ("acme", &[1][..]),
        ("acme-core", &[1]),
        ("ACME.Core", &[1]),
        ("acmecore", &[4]),
        ("numpy", &[2, 3, 4]),
        ("numba", &[2, 4]),
        ("flask", &[4]),
    ] {
        assert_eq!(asked(&map, project), expected, "{project}");
    }
}

#[test]
fn a_project_that_no_rule_is_for_has_no_rule() {
    let map = map(&[(&["acme-*"], &[0], 1, true), (&["f???k"], &[1], 1, true)]).unwrap();
    assert_eq!(asked(&map, "flask"), [2]);
    assert_eq!(asked(&map, "flaask"), [0; 0]);
    assert_eq!(asked(&map, "other"), [0; 0]);
}

#[test]
fn rules_that_cannot_hold() {
    let refused = |row: Row<'_>| map(&[(&["*"], &[0], 1, false), row]).unwrap_err();
    let origin = origin(2);
    assert_eq!(
        refused((&[], &[0], 1, true)),
        MapError::NoProjects {
            origin: origin.clone()
        }
    );
    assert_eq!(
        refused((&["a"], &[], 1, true)),
        MapError::NoIndexes {
            origin: origin.clone()
        }
    );
    for (indexes, threshold) in [(&[0][..], 0), (&[0], 2), (&[0, 1], 3)] {
        let expected = MapError::Threshold {
            origin: origin.clone(),
            threshold,
            indexes: indexes.len(),
        };
        assert_eq!(refused((&["a"], indexes, threshold, true)), expected);
    }
    let repeated = MapError::Repeated {
        origin: origin.clone(),
        index: url(1),
    };
    assert_eq!(
        refused((&["a"], &[1, 0, 1], 2, true)),
        repeated,
        "it would agree with itself"
    );
    let unknown = MapError::UnknownIndex {
        origin,
        index: url(INDEXES),
    };
    assert_eq!(refused((&["a"], &[INDEXES], 1, true)), unknown);
}

#[test]
fn patterns_that_no_name_can_match() {
    for pattern in [
        "",
        "Acme-*",
        "acme_*",
        "acme.core",
        "a--b",
        "-a",
        "a-",
        "a/*",
        "[ab]",
        "é",
        "a *",
    ] {
        let refused = map(&[(&["ok", pattern], &[0], 1, true)]).unwrap_err();
        assert!(
            matches!(refused, MapError::Pattern { .. }),
            "{pattern}: {refused}"
        );
    }
    for pattern in ["*", "a", "acme-*", "*-internal", "a?c", "*a*"] {
        map(&[(&[pattern], &[0], 1, true)]).unwrap();
    }
}

#[test]
fn whatever_decides_which_index_answers_is_in_the_identity() {
    let first: Row<'_> = (&["a"], &[0, 1], 1, true);
    let of = |rows: &[Row<'_>]| map(rows).unwrap().identity();
    for other in [
        (&["b"][..], &[0, 1][..], 1, true),
        (&["a", "b"], &[0, 1], 1, true),
        (&["a"], &[1, 0], 1, true),
        (&["a"], &[0], 1, true),
        (&["a"], &[0, 1], 2, true),
        (&["a"], &[0, 1], 1, false),
    ] {
        assert_ne!(of(&[first]), of(&[other]), "{other:?}");
        assert_ne!(of(&[first, other]), of(&[other, first]), "{other:?}");
    }
}

proptest! {
    #[test]
    fn the_search_keeps_the_order_and_ends(
        rows in proptest::collection::vec(
            (0..3usize, 0..INDEXES, any::<bool>()),
            0..8,
        ),
        name in "[ab]{1,2}",
    ) {
        const PATTERNS: [&str; 3] = ["a*", "?", "*"];
        let written: Vec<(Vec<&str>, Vec<usize>, bool)> = rows
            .iter()
            .map(|(pattern, index, ends)| (vec![PATTERNS[*pattern]], vec![*index], *ends))
            .collect();
        let rows: Vec<Row<'_>> =
            written.iter().map(|(p, i, ends)| (&p[..], &i[..], 1, *ends)).collect();
        let asked = asked(&map(&rows).unwrap(), &name);
        let is_for = |number: usize| match rows[number - 1].0[0] {
            "a*" => name.starts_with('a'),
            "?" => name.len() == 1,
            _ => true,
        };
        let expected: Vec<usize> = (1..=rows.len()).filter(|&n| is_for(n)).collect();
        // A beginning of all rules for the name, in order …
        prop_assert!(expected.starts_with(&asked));
        // … that ends with the first one that terminates, or with the last one.
        let ends = expected.iter().position(|&n| rows[n - 1].3);
        prop_assert_eq!(asked.len(), ends.map_or(expected.len(), |at| at + 1));
    }

    #[test]
    fn a_pattern_that_is_a_name_matches_that_name_alone(a in "[a-z0-9-]{1,6}", b in "[a-z0-9-]{1,6}") {
        if let (Ok(map), Ok(name)) = (map(&[(&[&a], &[0], 1, true)]), b.parse::<ProjectName>()) {
            prop_assert_eq!(map.rules_for(&name).count() == 1, name.as_str() == a);
        }
    }

    #[test]
    fn an_accepted_pattern_matches_some_name(pattern in "[a-zA-Z0-9*?._-]{0,8}") {
        if let Ok(map) = map(&[(&[&pattern], &[0], 1, true)]) {
            let name = pattern.replace(['*', '?'], "x").parse::<ProjectName>().unwrap();
            prop_assert_eq!(map.rules_for(&name).count(), 1);
        }
    }
}

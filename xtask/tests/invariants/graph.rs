//! Who reaches whom: the crates' normal dependencies, as cargo resolved them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::{none, root};

/// Which of our crates may depend directly on which others. `wheelmark` (the command line
/// program) may depend on all of them, and `xtask` is not part of what is shipped.
const MAY_DEPEND: [(&str, &[&str]); 17] = [
    ("wheelmark-tuf", &[]),
    ("wheelmark-packaging", &[]),
    (
        "wheelmark-provenance",
        &["wheelmark-packaging", "wheelmark-tuf"],
    ),
    ("wheelmark-provenance-testing", &["wheelmark-provenance"]),
    (
        "wheelmark-attest",
        &[
            "wheelmark-provenance",
            "wheelmark-packaging",
            "wheelmark-tuf",
        ],
    ),
    (
        "wheelmark-testing",
        &[
            "wheelmark-repository",
            "wheelmark-store",
            "wheelmark-objects",
            "wheelmark-signing",
            "wheelmark-packaging",
            "wheelmark-tuf",
        ],
    ),
    ("wheelmark-signing", &["wheelmark-tuf"]),
    ("wheelmark-ceremony", &["wheelmark-tuf"]),
    (
        "wheelmark-recovery",
        &["wheelmark-packaging", "wheelmark-tuf"],
    ),
    (
        "wheelmark-objects",
        &["wheelmark-packaging", "wheelmark-tuf"],
    ),
    ("wheelmark-store", &["wheelmark-packaging", "wheelmark-tuf"]),
    (
        "wheelmark-repository",
        &[
            "wheelmark-store",
            "wheelmark-objects",
            "wheelmark-signing",
            "wheelmark-provenance",
            "wheelmark-packaging",
            "wheelmark-tuf",
        ],
    ),
    (
        "wheelmark-server",
        &[
            "wheelmark-store",
            "wheelmark-objects",
            "wheelmark-client",
            "wheelmark-provenance",
            "wheelmark-packaging",
            "wheelmark-readme",
            "wheelmark-tuf",
        ],
    ),
    ("wheelmark-readme", &["wheelmark-packaging"]),
    (
        "wheelmark-client",
        &[
            "wheelmark-objects",
            "wheelmark-provenance",
            "wheelmark-packaging",
            "wheelmark-tuf",
        ],
    ),
    (
        "wheelmark-mirror",
        &[
            "wheelmark-client",
            "wheelmark-objects",
            "wheelmark-packaging",
            "wheelmark-tuf",
        ],
    ),
    (
        "wheelmark-adopt",
        &[
            "wheelmark-store",
            "wheelmark-objects",
            "wheelmark-client",
            "wheelmark-packaging",
            "wheelmark-tuf",
        ],
    ),
];

/// What a crate must not reach, through any number of steps.
const MUST_NOT_REACH: [(&str, &[&str]); 11] = [
    // The first certifies anybody, and has a binary of its own for tests.
    (
        "wheelmark",
        &["wheelmark-provenance-testing", "wheelmark-testing"],
    ),
    (
        "wheelmark-server",
        &["wheelmark-signing", "wheelmark-repository", "age"],
    ),
    (
        "wheelmark-client",
        &["wheelmark-store", "wheelmark-signing", "sqlx", "sqlx-core"],
    ),
    (
        "wheelmark-mirror",
        &["wheelmark-store", "wheelmark-signing", "sqlx", "sqlx-core"],
    ),
    (
        "wheelmark-adopt",
        &["wheelmark-signing", "wheelmark-repository", "age"],
    ),
    ("wheelmark-tuf", CORE_MUST_NOT_REACH),
    ("wheelmark-packaging", CORE_MUST_NOT_REACH),
    ("wheelmark-ceremony", CORE_MUST_NOT_REACH),
    ("wheelmark-recovery", CORE_MUST_NOT_REACH),
    ("wheelmark-readme", CORE_MUST_NOT_REACH),
    // As it is without its feature `openpgp`; with it, sequoia has what makes keys, unused.
    ("wheelmark-provenance", CORE_MUST_NOT_REACH),
];

/// What brings sockets, files or a runtime into a core that has none.
const CORE_MUST_NOT_REACH: &[&str] = &[
    "tokio",
    "reqwest",
    "hyper",
    "sqlx",
    "tempfile",
    "rand",
    "async-std",
    "smol",
];

/// Crate name to the names of its normal (not build, not development) dependencies.
struct Graph(BTreeMap<String, BTreeSet<String>>);

impl Graph {
    fn of_the_workspace() -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args([
                "metadata",
                "--format-version=1",
                "--filter-platform",
                &host(),
            ])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self::from_metadata(&serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Names stand for packages: two versions of one crate count as one that needs what
    /// either needs.
    fn from_metadata(metadata: &Value) -> Self {
        let names: BTreeMap<&str, &str> = metadata["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|package| {
                (
                    package["id"].as_str().unwrap(),
                    package["name"].as_str().unwrap(),
                )
            })
            .collect();
        let mut graph = BTreeMap::<String, BTreeSet<String>>::new();
        for node in metadata["resolve"]["nodes"].as_array().unwrap() {
            let needs = graph
                .entry(names[node["id"].as_str().unwrap()].to_owned())
                .or_default();
            for dependency in node["deps"].as_array().unwrap() {
                let kinds = dependency["dep_kinds"].as_array().unwrap();
                if kinds.iter().any(|kind| kind["kind"].is_null()) {
                    needs.insert(names[dependency["pkg"].as_str().unwrap()].to_owned());
                }
            }
        }
        Self(graph)
    }

    fn direct(&self, from: &str) -> &BTreeSet<String> {
        self.0
            .get(from)
            .unwrap_or_else(|| panic!("no crate is called {from}"))
    }

    /// The steps from one crate to another, if there are any.
    fn way(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut came_from = BTreeMap::<&str, &str>::new();
        let mut open = vec![from];
        while let Some(here) = open.pop() {
            if here == to {
                let mut way = vec![here.to_owned()];
                let mut step = here;
                while let Some(before) = came_from.get(step) {
                    way.insert(0, (*before).to_owned());
                    step = before;
                }
                return Some(way);
            }
            for next in self.0.get(here).into_iter().flatten() {
                if next != from && !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, here);
                    open.push(next);
                }
            }
        }
        None
    }

    fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for (from, allowed) in MAY_DEPEND {
            for to in self
                .direct(from)
                .iter()
                .filter(|name| name.starts_with("wheelmark"))
            {
                if !allowed.contains(&to.as_str()) {
                    complaints.push(format!("{from} must not depend on {to}"));
                }
            }
        }
        for (from, banned) in MUST_NOT_REACH {
            for to in banned {
                if let Some(way) = self.way(from, to) {
                    complaints.push(format!("{from} must not reach {to}: {}", way.join(" → ")));
                }
            }
        }
        complaints
    }
}

fn host() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap().to_owned()
}

#[test]
fn the_crates_depend_in_the_directions_of_the_architecture() {
    none(&Graph::of_the_workspace().complaints());
}

/// Who asks for a feature of which dependency, as `from to/feature`.
fn features_asked_for(metadata: &Value) -> BTreeSet<String> {
    let mut asked = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let from = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            for feature in dependency["features"].as_array().unwrap() {
                let to = dependency["name"].as_str().unwrap();
                asked.insert(format!("{from} {to}/{}", feature.as_str().unwrap()));
            }
        }
        for (_, parts) in package["features"].as_object().unwrap() {
            for part in parts.as_array().unwrap() {
                asked.insert(format!("{from} {}", part.as_str().unwrap()));
            }
        }
    }
    asked
}

#[test]
fn what_verifies_openpgp_is_not_asked_for_by_what_signs() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version=1"])
        .current_dir(root())
        .output()
        .unwrap();
    let asked = features_asked_for(&serde_json::from_slice(&output.stdout).unwrap());
    let asked: Vec<&str> = asked
        .iter()
        .filter_map(|line| line.split_once(" wheelmark-provenance/"))
        .map(|(from, _)| from)
        .collect();
    // The snapshot process judges certificates by their frame, and no signature.
    assert_eq!(asked, ["wheelmark", "wheelmark-client", "wheelmark-server"]);
}

#[test]
fn every_crate_of_ours_has_a_line_in_the_table() {
    let graph = Graph::of_the_workspace();
    let known = |name: &str| {
        name == "wheelmark" || MAY_DEPEND.iter().any(|(crate_name, _)| *crate_name == name)
    };
    let unknown: Vec<String> = graph
        .0
        .keys()
        .filter(|name| name.starts_with("wheelmark") && !known(name))
        .cloned()
        .collect();
    none(&unknown);
}

#[test]
fn a_server_that_reached_a_key_would_be_seen() {
    let mut graph = Graph::of_the_workspace();
    // Not directly: through a crate that it may depend on.
    let store = graph.0.get_mut("wheelmark-store").unwrap();
    store.insert("wheelmark-signing".to_owned());
    let complaints = graph.complaints();
    assert!(
        complaints.contains(&"wheelmark-store must not depend on wheelmark-signing".to_owned()),
        "{complaints:?}"
    );
    assert!(
        complaints.iter().any(|line| line
            .starts_with("wheelmark-server must not reach wheelmark-signing: wheelmark-server → ")),
        "{complaints:?}"
    );
}

#[test]
fn development_dependencies_do_not_count() {
    let metadata = serde_json::json!({
        "packages": [{"id": "a#1", "name": "a"}, {"id": "b#1", "name": "b"}, {"id": "c#1", "name": "c"}],
        "resolve": {"nodes": [
            {"id": "a#1", "deps": [
                {"pkg": "b#1", "dep_kinds": [{"kind": "dev"}]},
                {"pkg": "c#1", "dep_kinds": [{"kind": "dev"}, {"kind": null}]},
            ]},
            {"id": "b#1", "deps": []},
            {"id": "c#1", "deps": []},
        ]}
    });
    let graph = Graph::from_metadata(&metadata);
    assert_eq!(graph.way("a", "b"), None);
    assert_eq!(
        graph.way("a", "c"),
        Some(vec!["a".to_owned(), "c".to_owned()])
    );
}

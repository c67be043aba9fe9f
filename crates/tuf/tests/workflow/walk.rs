//! The walk through all delegated roles.

use std::collections::BTreeMap;

use wheelmark_tuf::{PathSet, TrustedSet, Visited, Walk, WalkError};

use crate::client::{Client, explain};
use crate::repo::{Repo, Signer, role, time};
use crate::search::patterns;

/// Walks with so many roles outstanding at once, answering the last that was asked first.
fn walk(set: &TrustedSet, repo: &Repo, at_once: usize) -> Result<(Walk, Vec<Visited>), WalkError> {
    let (mut walk, top) = set.walk();
    walk.enter(&top);
    let mut visited = vec![top];
    let mut outstanding = Vec::new();
    loop {
        while outstanding.len() < at_once
            && let Some(awaited) = walk.next()?
        {
            outstanding.push(awaited);
        }
        let Some(awaited) = outstanding.pop() else {
            break;
        };
        let none = Vec::new();
        let bytes = repo.files.get(&awaited.fetch().fetch.path);
        let found = awaited.open(bytes.unwrap_or(&none))?;
        walk.enter(&found);
        visited.push(found);
    }
    assert!(walk.is_complete());
    Ok((walk, visited))
}

/// What every role was found to list, `delegator>role: paths`, and what of it a search for the
/// path would come to.
fn found(repo: &Repo, at_once: usize) -> Result<Vec<String>, String> {
    let mut client = Client::new(repo);
    let set = client.refresh(repo).unwrap();
    let (walk, visited) = walk(&set, repo, at_once).map_err(|error| explain(&error))?;
    let line = |visited: &Visited| {
        let from = visited
            .delegator()
            .map_or("", |delegator| delegator.as_str());
        let paths: Vec<String> = visited
            .listed()
            .map(|(path, _)| {
                let reached = walk.reaches(visited, path);
                format!("{path}{}", if reached { "" } else { "(unreached)" })
            })
            .collect();
        format!("{from}>{}: {}", visited.role(), paths.join(" "))
    };
    let mut lines: Vec<_> = visited.iter().map(line).collect();
    lines.sort();
    Ok(lines)
}

/// A repository like an index's: a claimed project, and bins.
fn indexlike() -> Repo {
    let mut repo = Repo::new();
    repo.delegate("targets", "claimed", patterns("simple/*/*"));
    repo.delegate("claimed", "project-x!", patterns("simple/x/*"));
    repo.delegate("targets", "simple!", patterns("simple/*/*"));
    repo.delegate_to_bins("simple", 1, "simple");
    repo.add("project-x", "simple/x/index.json", b"x");
    for name in ["a", "b", "c", "d", "x"] {
        let path = format!("simple/{name}/index.json");
        let bins = repo.delegated["simple"].delegations.clone().unwrap();
        let wheelmark_tuf::DelegatedRoles::Succinct(bins) = bins.roles else {
            panic!("bins")
        };
        let bin = bins.bin_for(&path.parse().unwrap()).to_string();
        repo.add(&bin, &path, name.as_bytes());
    }
    repo
}

#[test]
fn every_role_is_visited_whatever_the_order_of_answers() {
    let mut repo = indexlike();
    repo.publish_all();
    let one = found(&repo, 1).unwrap();
    assert_eq!(
        one,
        [
            ">targets: ",
            "claimed>project-x: simple/x/index.json",
            "simple>simple-0: simple/b/index.json",
            "simple>simple-1: simple/a/index.json simple/c/index.json simple/d/index.json simple/x/index.json(unreached)",
            "targets>claimed: ",
            "targets>simple: ",
        ]
    );
    for at_once in [2, 5, 100] {
        assert_eq!(found(&repo, at_once).unwrap(), one, "{at_once} at once");
    }
}

#[test]
fn what_a_search_finds_is_what_the_walk_says() {
    let mut repo = indexlike();
    repo.add("claimed", "simple/c/index.json", b"claimed itself");
    repo.add("targets", "simple/d/index.json", b"targets itself");
    repo.publish_all();
    let mut client = Client::new(&repo);
    let set = client.refresh(&repo).unwrap();
    let (walk, visited) = walk(&set, &repo, 3).unwrap();
    let mut answers = BTreeMap::new();
    for visited in &visited {
        for (path, info) in visited.listed() {
            if !walk.reaches(visited, path) {
                continue;
            }
            let answer = (visited.order(), visited.role().clone(), info.hashes.clone());
            let best = answers
                .entry(path.clone())
                .or_insert_with(|| answer.clone());
            if answer.0 < best.0 {
                *best = answer;
            }
        }
    }
    assert_eq!(answers.len(), 5);
    for (path, (_, role, hashes)) in answers {
        let found = client.lookup(&set, &repo, path.as_str()).unwrap();
        let wheelmark_tuf::Found::Target(target) = found else {
            panic!("{path} is absent")
        };
        assert_eq!((&target.role, &target.hashes), (&role, &hashes), "{path}");
    }
}

#[test]
fn what_a_role_lists_beyond_its_delegations_does_not_count() {
    let mut repo = indexlike();
    // Not covered by the delegation to the bin, and not by that to `simple`.
    repo.add("simple-0", "simple/a/index.json", b"another bin's");
    repo.add("simple-0", "packages/b/b.whl", b"another family's");
    repo.add("project-x", "simple/a/index.json", b"another project's");
    repo.publish_all();
    let before = found(&indexlike_published(), 2).unwrap();
    assert_eq!(found(&repo, 2).unwrap(), before);
}

fn indexlike_published() -> Repo {
    let mut repo = indexlike();
    repo.publish_all();
    repo
}

#[test]
fn a_role_needs_its_own_delegators_keys() {
    let mut repo = indexlike();
    repo.publish_all();
    repo.signers
        .insert("simple-1".to_owned(), vec![Signer::new("claimed")]);
    repo.write("simple-1");
    let refused = found(&repo, 4).unwrap_err();
    assert!(refused.starts_with("simple-1, to which simple delegates, is refused"));
    assert!(refused.contains("signed by 0 of the 1 keys"), "{refused}");
}

#[test]
fn a_role_is_what_the_snapshot_and_it_itself_say() {
    let check = |change: fn(&mut Repo), expected: &str| {
        let mut repo = indexlike();
        for name in ["simple-0", "simple-1"] {
            repo.role_mut(name).state_role(&role(name));
        }
        repo.publish_all();
        assert!(found(&repo, 2).is_ok());
        change(&mut repo);
        let refused = found(&repo, 2).unwrap_err();
        assert!(refused.contains(expected), "{refused}");
    };
    check(
        |repo| {
            repo.role_mut("simple-0").version = 7;
            let bytes = repo.signed("simple-0");
            repo.role_mut("simple-0").version = 1;
            let path = repo.file("simple-0");
            repo.files.insert(path, bytes);
        },
        "version 7, not 1",
    );
    check(
        |repo| {
            let other = repo.files[&repo.file("simple-1")].clone();
            let path = repo.file("simple-0");
            repo.files.insert(path, other);
        },
        "it is the metadata of simple-1",
    );
    check(
        |repo| {
            repo.role_mut("simple-0").expires = time("2029-12-31T00:00:00Z");
            repo.write("simple-0");
        },
        "it expired at",
    );
    check(
        |repo| {
            repo.snapshot.meta.remove("simple-1.json");
            repo.publish("snapshot timestamp");
        },
        "simple delegates to simple-1, which the snapshot does not list",
    );
}

#[test]
fn circles_end_and_so_do_long_ways() {
    let everything = || patterns("*");
    let mut repo = Repo::new();
    repo.delegate("targets", "a", everything());
    repo.delegate("a", "b", everything());
    repo.delegate("b", "a", everything());
    repo.delegate("b", "b", everything());
    repo.publish_all();
    assert_eq!(
        found(&repo, 2).unwrap(),
        [">targets: ", "a>b: ", "targets>a: "]
    );

    let chain = |steps: u32| {
        let mut repo = Repo::new();
        let mut delegator = "targets".to_owned();
        for step in 1..=steps {
            let name = format!("step-{step:02}");
            repo.delegate(&delegator, &name, everything());
            delegator = name;
        }
        repo.publish_all();
        found(&repo, 2)
    };
    assert_eq!(chain(32).unwrap().len(), 33);
    assert_eq!(
        chain(33).unwrap_err(),
        "step-33 is delegated to over more than 32 steps"
    );
}

#[test]
fn a_role_that_several_delegate_to_counts_for_each_with_its_paths() {
    let mut repo = Repo::new();
    repo.delegate("targets", "a", patterns("a/*"));
    repo.delegate("targets", "b", patterns("b/*"));
    for delegator in ["a", "b"] {
        repo.delegate(delegator, "shared", patterns("*/*"));
    }
    repo.add("shared", "a/x", b"x");
    repo.add("shared", "b/y", b"y");
    repo.add("shared", "c/z", b"z");
    repo.publish_all();
    assert_eq!(
        found(&repo, 1).unwrap(),
        [
            ">targets: ",
            "a>shared: a/x",
            "b>shared: b/y",
            "targets>a: ",
            "targets>b: ",
        ]
    );
}

#[test]
fn there_are_limits_on_the_number_of_roles() {
    let mut repo = Repo::new();
    for name in ["a", "b", "c"] {
        repo.delegate("targets", name, PathSet::HashPrefixes(Vec::new()));
    }
    repo.publish_all();
    let mut client = Client::new(&repo);
    client.limits.walked_roles = 3;
    let set = client.refresh(&repo).unwrap();
    assert!(walk(&set, &repo, 1).is_ok());
    client.limits.walked_roles = 2;
    let set = client.refresh(&repo).unwrap();
    let refused = walk(&set, &repo, 1).unwrap_err();
    assert_eq!(refused.to_string(), "more than 2 roles are delegated to");
}

#[test]
fn a_role_that_is_passed_by_is_not_missed() {
    let mut repo = indexlike();
    repo.publish_all();
    let mut client = Client::new(&repo);
    let set = client.refresh(&repo).unwrap();
    let (mut walk, top) = set.walk();
    assert!(!walk.is_complete());
    walk.enter(&top);
    let mut passed = 0;
    while let Some(awaited) = walk.next().unwrap() {
        assert!(!walk.is_complete());
        if awaited.fetch().role.as_str().starts_with("simple-") {
            walk.pass_by(awaited);
            passed += 1;
        } else {
            let bytes = &repo.files[&awaited.fetch().fetch.path];
            walk.enter(&awaited.open(bytes).unwrap());
        }
    }
    assert_eq!(passed, 2);
    assert!(walk.is_complete());
}

/// Of a project's own role, and of no other; with every check but that of the expiry.
#[test]
fn a_copy_opens_a_project_s_role_that_has_expired() {
    let mut repo = indexlike();
    let expired = time("2029-12-31T00:00:00Z");
    for name in ["project-x", "claimed"] {
        repo.publish_all();
        let whole = repo.delegated[name].clone();
        repo.delegated.get_mut(name).unwrap().expires = expired;
        repo.publish_all();
        let mut client = Client::new(&repo);
        let set = client.refresh(&repo).unwrap();
        let (mut walk, top) = set.walk();
        walk.enter(&top);
        let awaited = loop {
            let awaited = walk.next().unwrap().unwrap();
            if awaited.fetch().role.as_str() == name {
                break awaited;
            }
            let bytes = &repo.files[&awaited.fetch().fetch.path];
            walk.enter(&awaited.open(bytes).unwrap());
        };
        let bytes = repo.files[&awaited.fetch().fetch.path].clone();
        let refused = explain(&awaited.open(&bytes).unwrap_err());
        assert!(refused.contains("it expired at"), "{refused}");
        match name {
            "claimed" => {
                let refused = explain(&awaited.open_for_copy(&bytes).unwrap_err());
                assert!(refused.contains("it expired at"), "{refused}");
            }
            _ => {
                let visited = awaited.open_for_copy(&bytes).unwrap();
                assert_eq!(visited.ended(), Some(expired));
                repo.tamper(name, |file| file["signatures"] = serde_json::json!([]));
                let stripped = &repo.files[&awaited.fetch().fetch.path];
                let refused = explain(&awaited.open_for_copy(stripped).unwrap_err());
                assert!(refused.contains("signed by 0"), "{refused}");
            }
        }
        repo.delegated.insert(name.to_owned(), whole);
    }
}
